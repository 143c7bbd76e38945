"""What can be said of a RUN command before it begins."""

from functools import reduce
from operator import add

from amaranth.hdl import Cat, Module, Mux, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from gradgate.arch.commands import Opcode
from gradgate.hw.parts.command import layout
from gradgate.hw.parts.registers import Unreset


class RunCheck(wiring.Component):
    """Checks the fields of RUN that all rows share, and says how far a brick's k may go.

    The words of a brick of the list tensor use the bank words ``bank_addr + k`` to
    ``bank_addr + k + words * t_count - 1``, with words = lanes or, in the last brick of a pixel, ``l_tail``.
    They must lie among the weights (RED turns) or the accumulators (OUT turns) of a bank. With ``swap`` each
    target, at bank word ``bank_addr + k``, has as many words as there are at a position.

    Parameters: config, the core's :class:`~gradgate.arch.config.Config`.

    Members
    -------
    fields : In(fields of RUN)
    illegal : Out(1), a count is out of its range, or what an empty list or the bias uses lies outside the
        banks
    k_most : Out(signed), the largest legal k of a full brick; may be negative
    k_most_tail : Out(signed), the largest legal k of a pixel's last brick; may be negative

    Latency: 2 cycles. Resources: no DSP, no block RAM.
    Example: docs/examples.md#runcheck
    """

    @staticmethod
    def k_shape(config):
        """Shape of a largest k."""
        return signed(1 + max(config.bank_weights, config.targets * config.lanes).bit_length())

    def __init__(self, config):
        self.config = config
        shape = self.k_shape(config)
        super().__init__({
            "fields": In(layout(Opcode.RUN)),
            "illegal": Out(1),
            "k_most": Out(shape),
            "k_most_tail": Out(shape),
        })

    def elaborate(self, platform):
        m = Module()
        config, f = self.config, self.fields
        room = Unreset(signed(17))  # bank words for k = 0 and beyond
        full_words = Unreset(range(config.lanes << len(f.t_count)))  # that a full brick needs
        tail_words = Unreset(full_words.shape())  # that a pixel's last brick needs
        bias_words = Unreset(full_words.shape())  # that the bias needs
        counts_zero = Unreset()
        counts_illegal = Unreset()
        point_words = (f.t_count - 1) * config.lanes + f.t_tail  # at a position
        parts = [Mux(f.l_tail[bit], f.t_count << bit, 0) for bit in range(config.lanes.bit_length())]
        tail_product = reduce(add, parts)  # l_tail * t_count without a DSP
        counts = ("slots", "y_count", "x_count", "l_bricks", "l_tail", "t_count", "t_tail")
        illegal = (
            f.l_tail > config.lanes,
            f.t_tail > config.lanes,
            f.t_count > config.targets,
            (f.stride == 0) | (f.stride == 3),
            f.swap & ~(f.outer & f.fetch),
        )
        m.d.sync += [
            room.eq(Mux(f.outer, config.bank_words, config.bank_weights) - f.bank_addr),
            full_words.eq(Mux(f.swap, point_words, config.lanes * f.t_count)),
            tail_words.eq(Mux(f.swap, point_words, tail_product)),
            bias_words.eq(Mux(f.swap, point_words, f.t_count)),
            counts_zero.eq(Cat(f[name] == 0 for name in counts).any()),
            counts_illegal.eq(Cat(illegal).any()),
        ]
        bias_outside = f.bias & (room - bias_words < f.k_bias)
        m.d.sync += [
            self.k_most.eq(room - full_words),
            self.k_most_tail.eq(room - tail_words),
            self.illegal.eq(counts_zero | counts_illegal | (room < f.t_count) | bias_outside),
        ]
        return m
