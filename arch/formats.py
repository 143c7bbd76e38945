"""Fixed-point formats. ``Qi.f`` is a two's-complement number of 1 + i + f bits with f bits after the point."""

from dataclasses import dataclass

from gradgate.arch.checks import ConfigError, integer


@dataclass(frozen=True, kw_only=True)
class Formats:
    """Widths (bits) and points (bits after the point) of every stored number.

    The sum of a forward or backward-data pass has ``act_frac + weight_frac`` (``grad_frac + weight_frac``) bits after
    the point, the sum of a weight-gradient pass ``act_frac + grad_frac``. All sums wrap modulo ``2**acc_bits``.
    """

    act_bits: int = 16  #: width of activations, activation gradients and working weights
    act_frac: int = 10  #: activations, inputs, logits: Q5.10
    weight_frac: int = 12  #: working weights: Q3.12
    master_bits: int = 24  #: width of master weights
    master_frac: int = 20  #: master weights: Q3.20
    grad_frac: int = 13  #: activation gradients: Q2.13, not divided by the batch
    acc_bits: int = 36  #: width of every accumulator

    def __post_init__(self):
        integer("act_bits", self.act_bits, 8, 18)
        integer("act_frac", self.act_frac, 1, self.act_bits - 2)
        integer("weight_frac", self.weight_frac, 1, self.act_bits - 2)
        integer("grad_frac", self.grad_frac, 1, self.act_bits - 2)
        integer("master_bits", self.master_bits, self.act_bits, 32)
        integer("master_frac", self.master_frac, self.weight_frac + 1, self.master_bits - 2)
        integer("acc_bits", self.acc_bits, 2 * self.act_bits, 36)
        if self.master_bits - self.act_bits != self.master_frac - self.weight_frac:
            raise ConfigError(
                f"master_frac must be {self.weight_frac + self.master_bits - self.act_bits} for {self.master_bits}-bit "
                f"masters of {self.act_bits}-bit weights with {self.weight_frac} bits after the point, not {self.master_frac}")

    @property
    def master_drop(self) -> int:
        """Bits that rounding a master weight to a working weight drops."""
        return self.master_frac - self.weight_frac

    def update_shift(self, batch: int, lr_shift: int) -> int:
        """Right shift that turns a sum of ``batch`` weight gradients into a step of ``2**-lr_shift`` times their mean."""
        return self.act_frac + self.grad_frac + (batch.bit_length() - 1) - self.master_frac + lr_shift
