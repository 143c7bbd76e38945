"""A register that stays one."""

from amaranth.hdl import Module, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from gradgate.hw.parts import ecp5
from gradgate.hw.parts.registers import behind


class Copy(wiring.Component):
    """A registered copy: what reaches many places goes to each from one nearby.

    Synthesis merges registers that always hold the same. On ECP5 these are primitives, which it leaves alone; elsewhere the tools
    decide.

    Parameters: shape, of what is copied.
    Members: i : In(shape); o : Out(shape), the ``i`` of a cycle ago. A reset leaves it alone.
    Latency: 1 cycle. Throughput: every cycle. Resources: a flip-flop a bit, no DSP, no block RAM.
    """

    def __init__(self, shape):
        super().__init__({"i": In(shape), "o": Out(shape)})

    def elaborate(self, platform):
        i, o = Value.cast(self.i), Value.cast(self.o)
        if ecp5.has(platform):
            return ecp5.copy(i, o)
        m = Module()
        m.d.sync += behind(m, o, "register").eq(i)
        return m
