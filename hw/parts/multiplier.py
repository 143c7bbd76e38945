"""Registered multiplier."""

from amaranth.hdl import Module, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from gradgate.arch import latency
from gradgate.arch.checks import integer
from gradgate.hw.parts import ecp5
from gradgate.hw.parts.registers import Unreset, behind


class Multiplier(wiring.Component):
    """Signed multiplier; the portable twin of a ``MULT18X18D`` with input, pipeline and output registers.

    Of its three registers two are in front of the product. With two after it, ``synth_ice40 -dsp`` of Yosys
    0.70 leaves the output undriven. Where a DSP takes both registers of an operand, none is left outside, and
    the DSP's own after the product is used too.

    Parameters
    ----------
    width : bits of an operand, 2 to 18

    Members
    -------
    a : In(signed(width)), an operand
    b : In(signed(width)), the other one
    o : Out(signed(2 * width)), the product of the operands of three cycles ago

    Latency: ``latency.MULTIPLY`` = 3 cycles. Throughput: one product a cycle. Resources: 1 DSP.
    Example: docs/examples.md#multiplier
    """

    def __init__(self, width):
        self.width = integer("width", width, 2, 18)
        super().__init__({"a": In(signed(width)), "b": In(signed(width)), "o": Out(signed(2 * width))})

    def elaborate(self, platform):
        if ecp5.has(platform):
            return ecp5.multiplier(self.a, self.b, self.o)
        m = Module()
        early_a = Unreset(signed(self.width))
        early_b = Unreset(signed(self.width))
        a = Unreset(signed(self.width))
        b = Unreset(signed(self.width))
        product = behind(m, self.o, "product")
        m.d.sync += [
            early_a.eq(self.a),
            early_b.eq(self.b),
            a.eq(early_a),
            b.eq(early_b),
            product.eq(a * b),
        ]
        return m


assert latency.MULTIPLY == 3, "Multiplier has three registers"
