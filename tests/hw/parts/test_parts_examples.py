"""The parts' examples of docs/examples.md."""

from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from amaranth.sim import Simulator
from support.examples import table, trace
from support.units import simulate

from gradgate.hw.parts.copy import Copy
from gradgate.hw.parts.multiplier import Multiplier
from gradgate.hw.parts.ram import Ram
from gradgate.hw.parts.share import Share


def test_ram():
    dut, rows = Ram(width=8, depth=4, parts=2), table("Ram", "cycle", "w_addr", "w_data", "w_en", "r_addr", "r_data")
    inputs = {"w_addr": dut.w_addr, "w_data": dut.w_data, "w_en": dut.w_en, "r_addr": dut.r_addr}
    simulate(dut, lambda ctx: trace(ctx, rows, inputs, {"r_data": dut.r_data}))


def test_multiplier():
    dut, rows = Multiplier(8), table("Multiplier", "cycle", "a", "b", "o")
    simulate(dut, lambda ctx: trace(ctx, rows, {"a": dut.a, "b": dut.b}, {"o": dut.o}))


def test_copy():
    dut, rows = Copy(4), table("Copy", "cycle", "i", "o")
    simulate(dut, lambda ctx: trace(ctx, rows, {"i": dut.i}, {"o": dut.o}))


def test_share():
    dut = Share(wiring.Signature({"addr": Out(8), "word": In(8)}), ("unit", "host"))
    rows = table("Share", "step", "granted.unit", "unit.addr", "host.addr", "port.word", "port.addr", "unit.word", "host.word")

    async def bench(ctx):
        for number, row in enumerate(rows):
            assert row["step"] == number
            ctx.set(dut.granted.unit, row["granted.unit"])
            ctx.set(dut.unit.addr, row["unit.addr"])
            ctx.set(dut.host.addr, row["host.addr"])
            ctx.set(dut.port.word, row["port.word"])
            assert ctx.get(dut.port.addr) == row["port.addr"], row
            assert (ctx.get(dut.unit.word), ctx.get(dut.host.word)) == (row["unit.word"], row["host.word"]), row

    sim = Simulator(dut)  # which has no clock
    sim.add_testbench(bench)
    sim.run()
