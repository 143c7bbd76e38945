"""A register that stays one."""

from amaranth.hdl import Module, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from gradgate.hw.parts import ecp5
from gradgate.hw.parts.registers import behind


class Copy(wiring.Component):
    """A register close to its readers: signals with many readers get one for each group of them.

    Synthesis merges registers that always hold the same. On ECP5 these are primitives, which it leaves alone;
    elsewhere the tools decide.

    Parameters
    ----------
    shape : of what is copied
    held : whether there is a member ``en``

    Members
    -------
    i : In(shape)
    en : In(1), with ``held`` only: take ``i``; otherwise the copy stays as it is
    o : Out(shape), the ``i`` of a cycle ago, or of the last cycle with ``en``. A reset leaves it alone.

    Latency: 1 cycle. Throughput: every cycle. Resources: a flip-flop a bit, no DSP, no block RAM.
    Example: docs/examples.md#copy
    """

    def __init__(self, shape, *, held=False):
        self.held = held
        super().__init__({"i": In(shape), "o": Out(shape), **({"en": In(1)} if held else {})})

    def elaborate(self, platform):
        i, o = Value.cast(self.i), Value.cast(self.o)
        en = self.en if self.held else 1
        if ecp5.has(platform):
            return ecp5.copy(i, o, en)
        m = Module()
        register = behind(m, o, "register")
        with m.If(en):
            m.d.sync += register.eq(i)
        return m
