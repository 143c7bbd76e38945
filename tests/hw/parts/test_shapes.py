"""Shapes that components share."""

import pytest
from amaranth.hdl import Cat, Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from amaranth.sim import Simulator

from gradgate.hw.parts.shapes import ones


class Ones(wiring.Component):
    def __init__(self, width):
        super().__init__({"flags": In(width), "o": Out(2)})

    def elaborate(self, platform):
        m = Module()
        m.d.comb += self.o.eq(Cat(ones(self.flags)))
        return m


@pytest.mark.parametrize("width", [1, 2, 3, 7, 8])
def test_ones(width):
    """None, exactly one, for all that there can be."""
    dut = Ones(width)

    async def bench(ctx):
        for flags in range(1 << width):
            ctx.set(dut.flags, flags)
            await ctx.delay(1e-9)
            assert ctx.get(dut.o) == (1 << flags.bit_count() if flags.bit_count() < 2 else 0)

    sim = Simulator(dut)
    sim.add_testbench(bench)
    sim.run()
