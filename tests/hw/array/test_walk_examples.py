"""The examples of docs/examples.md of what decides where windows lie."""

from support.examples import core, table, trace
from support.units import blank, payload, simulate

from gradgate.arch.commands import Opcode
from gradgate.compiler.geometry import Axis as Windows
from gradgate.compiler.geometry import Grid, list_fields, target_fields
from gradgate.compiler.program import Place
from gradgate.compiler.tiles import Span
from gradgate.hw.array.axis import Axis
from gradgate.hw.array.positions import Positions
from gradgate.hw.array.run_check import RunCheck

CONFIG = core()
WINDOWS = Windows(first=-1, kernel=3, size=3)
ONE = Span(first=0, count=1)


def test_run_check():
    dut, rows = RunCheck(CONFIG), table("RunCheck", "bank_addr", "t_count", "l_tail", "k_bias", "illegal", "k_most", "k_most_tail")
    legal = {"slots": 1, "y_count": 1, "x_count": 1, "l_bricks": 1, "t_tail": 2, "stride": 1, "bias": 1}

    async def bench(ctx):
        for row in rows:
            fields = {name: row[name] for name in ("bank_addr", "t_count", "l_tail", "k_bias")}
            ctx.set(dut.fields.as_value(), payload(Opcode.RUN, **blank(Opcode.RUN) | legal | fields))
            await ctx.tick().repeat(2)
            for name in ("illegal", "k_most", "k_most_tail"):
                assert row[name] in (None, ctx.get(getattr(dut, name))), (row, name)

    simulate(dut, bench)


def test_axis():
    dut, rows = Axis(CONFIG.lanes), table("Axis", "cycle", "load", "step", "offset", "k", "inside")
    fields = {"stride": 1, "kernel": 3, "skip": 1, "room": 4, "pitch": 1, "k_step": 2, "k_first": 2}

    async def bench(ctx):
        for name, value in fields.items():
            ctx.set(getattr(dut.fields, name), value)
        await ctx.tick().repeat(Axis.SETTLE)
        await trace(ctx, rows, {"load": dut.load, "step": dut.step}, {name: getattr(dut.o, name) for name in ("offset", "k", "inside")})

    simulate(dut, bench)


def test_positions():
    dut = Positions(CONFIG)
    rows = table("Positions", "cycle", "step", "t_addr", "brick", "k", "rows", "columns", "last")
    image, targets = (Place(base=base, height=3, width=3, channels=2, bricks=1) for base in (0, 9))
    fields = {"y_count": 2, "x_count": 3, "fetch": 1, **list_fields(image, 0, WINDOWS, WINDOWS, 1, ONE, CONFIG.lanes, 1),
              **target_fields(targets, 0, Grid(rows=2, columns=3, step=1), ONE, CONFIG.lanes)}

    async def bench(ctx):
        ctx.set(dut.fields.as_value(), payload(Opcode.RUN, **fields))
        ctx.set(dut.slots, 1)
        await ctx.tick().repeat(Positions.SETTLE)
        outputs = {name: getattr(dut.o, name) for name in ("t_addr", "brick", "k", "rows", "columns", "last")}
        await trace(ctx, rows, {"step": dut.step}, outputs, start=dut.start)

    simulate(dut, bench)
