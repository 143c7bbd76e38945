"""The arithmetic of a softmax: exponentials, and fractions of their sum."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from gradgate.arch import latency
from gradgate.hw.parts.multiplier import Multiplier

E_BITS = 16  #: an exponential is 0 to 2**15


class Exponential(wiring.Component):
    """``e = 2**15 * exp(-d)``, by a base-2 exponent with a linear mantissa.

    With F = act_frac: ``t = (d * 23637) >> 14`` is ``d * log2(e)``, ``n = t >> F``, ``f = t mod 2**F``,
    ``e = (2**15 - f') >> min(n, 20)`` where f' is f moved to 14 bits after the point.

    Members
    -------
    i : In(act_bits), the distance d >= 0, ``act_frac`` bits after the point
    o : Out(16), e of the ``i`` of ``LATENCY`` cycles ago, 15 bits after the point

    Latency: ``LATENCY`` = 6 cycles. Throughput: one a cycle. Resources: 1 DSP.

    d may need 18 bits without sign, one more than the DSP's operand has: it is multiplied as d - 2**17, a bit
    flipped, and 2**17 * 23637, whose low 14 bits are zero, is added afterwards. A shift by 16 or more leaves
    nothing.

    Source: own; the straight line is at most 6.2 % above 2**-f.
    Example: docs/examples.md#exponential
    """

    LATENCY = latency.MULTIPLY + 3
    WIDTH = 18
    LOG2E, LOG2E_FRAC = 23637, 14

    def __init__(self, formats):
        self.formats = formats
        super().__init__({"i": In(formats.act_bits), "o": Out(E_BITS)})

    def elaborate(self, platform):
        m = Module()
        frac, top = self.formats.act_frac, self.WIDTH - 1
        m.submodules.multiplier = multiplier = Multiplier(self.WIDTH)
        operand = Signal(self.WIDTH)
        m.d.comb += [
            operand.eq(self.i),
            multiplier.a.eq(Cat(operand[:top], ~operand[top])),
            multiplier.b.eq(self.LOG2E),
        ]

        exponent = Signal(self.WIDTH + 1)
        correction = (self.LOG2E << top) >> self.LOG2E_FRAC
        m.d.sync += exponent.eq((multiplier.o >> self.LOG2E_FRAC) + correction)

        whole, fraction = exponent[frac:], exponent[:frac]
        shift = Signal(4)
        gone = Signal()  # the shift is 16 or more
        mantissa = Signal(E_BITS)
        half = fraction << (14 - frac) if frac <= 14 else fraction >> (frac - 14)
        m.d.sync += [
            mantissa.eq((1 << 15) - half),
            shift.eq(whole),
            gone.eq(whole[4:].any()),
            self.o.eq(Mux(gone, 0, mantissa >> shift)),
        ]
        return m


class Divider(wiring.Component):
    """Pipelined restoring divider for fractions up to one: ``floor((numerator << frac) / denominator)``.

    Parameters
    ----------
    bits : of the denominator
    frac : bits of the quotient after the point (at least 1)

    Members
    -------
    numerator : In(16), at most the denominator; one a cycle
    denominator : In(bits), more than 0, the same from the first numerator to the last quotient
    quotient : Out(frac + 1), of the numerator of ``latency`` cycles ago, ``frac`` bits after the point

    Latency: ``latency`` = frac + 2 cycles. Throughput: one division a cycle.
    Resources: ``frac + 1`` subtractors of ``bits`` bits, each followed by a row of registers; no DSP.
    Source: restoring division is textbook.
    Example: docs/examples.md#divider
    """

    def __init__(self, *, bits, frac):
        self.bits, self.frac, self.latency = bits, frac, frac + 2
        super().__init__({"numerator": In(E_BITS), "denominator": In(bits), "quotient": Out(frac + 1)})

    def elaborate(self, platform):
        m = Module()
        rest = Signal(self.bits + 1)
        m.d.sync += rest.eq(self.numerator)
        quotient = Const(0, 0)
        for step in range(self.frac + 1):
            rest, quotient = self._step(m, step, rest, quotient)
        m.d.comb += self.quotient.eq(quotient)
        return m

    def _step(self, m, step, rest, quotient):
        """One more bit of the quotient; returns what is left and the longer quotient, a cycle later."""
        difference = Signal(signed(self.bits + 2), name=f"difference{step}")
        fits = Signal(name=f"fits{step}")
        left = Signal(self.bits + 1, name=f"rest{step}")
        longer = Signal(step + 1, name=f"quotient{step}")
        m.d.comb += difference.eq(rest - self.denominator)
        m.d.comb += fits.eq(difference >= 0)
        m.d.sync += left.eq(Mux(fits, difference, rest) << 1)
        m.d.sync += longer.eq(Cat(fits, quotient))
        return left, longer
