"""The examples of the weights of docs/examples.md."""

import numpy as np
import pytest
from support.examples import core, grids, table, trace
from support.units import blank
from support.weights_bench import Bench, simulate, unpack

from gradgate.arch import weights
from gradgate.arch.commands import Command, Opcode
from gradgate.hw.weights.velocity_memory import VelocityMemory
from gradgate.hw.weights.weight_loop import LOOP, WeightLoop
from gradgate.hw.weights.weight_memory import BankAddresses, WeightMemory
from gradgate.hw.weights.weights import Weights

CONFIG = core()
#: A walk over the three bricks of the weight.
WALK = {"t_count": 1, "inner_count": 3, "outer_count": 1, "inner_step": 1, "rot_inner": 1}


def shown():
    """The weight: by outputs and inputs, and by bricks and banks."""
    found = grids("WeightMemory", "outputs x inputs", "bricks x banks")
    return np.array(found["outputs x inputs"]), np.array(found["bricks x banks"])


def command(opcode, **fields):
    """A command; fields left out are 0."""
    return Command(opcode, blank(opcode) | fields)


def test_weight_loop():
    dut = WeightLoop(CONFIG, bank_words=CONFIG.bank_weights)
    fields = {row["field"]: row["value"] for row in table("WeightLoop", "field", "value")}
    rows = table("WeightLoop", "cycle", "valid", "addr", "rot", "bank_addr", "last_t", "last")
    assert set(fields) == set(LOOP.members)

    async def bench(ctx):
        ctx.set(dut.loop, LOOP.const(fields))
        places = {name: getattr(dut.place, name) for name in rows[0] if name not in ("cycle", "valid")}
        await trace(ctx, rows, {}, {"valid": dut.valid, **places}, start=dut.start)

    simulate(dut, bench)


def test_bank_addresses():
    dut, rows = BankAddresses(core(lanes=4)), table("BankAddresses", "cycle", "addr", "first", "stride", "banks")

    async def bench(ctx):
        for cycle, row in enumerate(rows):
            assert row["cycle"] == cycle
            for name in ("addr", "first", "stride"):
                ctx.set(getattr(dut, name), row[name] or 0)
            assert row["banks"] in (None, tuple(ctx.get(bank) for bank in dut.banks)), row
            await ctx.tick()

    simulate(dut, bench)


def test_weight_memory():
    dut, (masters, banks) = WeightMemory(CONFIG), shown()
    rows = table("WeightMemory", "cycle", "addr", "rot", "spread", "out_bricks", "master", "working")
    assert (weights.place(masters, CONFIG.lanes) == banks).all()

    async def bench(ctx):
        for addr in range(len(banks) + 1):  # data follow a cycle later
            ctx.set(dut.write.request, {"addr": addr, "rot": 0, "en": 3 if addr < len(banks) else 0, "data": banks[addr - 1].tolist()})
            await ctx.tick()
        await ctx.tick().repeat(WeightMemory.WRITE)
        for cycle, row in enumerate(rows):
            assert row["cycle"] == cycle
            request = {name: row[name] or 0 for name in ("addr", "rot", "spread", "out_bricks")}
            ctx.set(dut.read.request, request | {"first": request["rot"]})
            for name, bits in (("master", CONFIG.formats.master_bits), ("working", CONFIG.formats.act_bits)):
                seen = unpack(ctx.get(getattr(dut.read, name).as_value()), bits, CONFIG.lanes)
                assert row[name] in (None, tuple(seen)), (row, seen)
            await ctx.tick()

    simulate(dut, bench)


def test_loader():
    commands = table("Loader", "LOAD", "spread", "inner_count", "cycles")
    writes = table("Loader", "LOAD", "bank word", "lane 0", "lane 1")
    dut, (_, banks) = Weights(CONFIG), shown()

    async def bench(ctx):
        play = Bench(CONFIG, ctx, dut, np.zeros((CONFIG.bank_words, CONFIG.rows, CONFIG.lanes), int))
        await play.host_fill(banks)
        for number, row in enumerate(commands):
            fields = WALK | {"bank_addr": 4, "spread": row["spread"], "inner_count": row["inner_count"], "out_bricks": row["spread"]}
            cycles, seen, _ = await play.run(dut.load, command(Opcode.LOAD, **fields))
            assert (number, cycles) == (row["LOAD"], row["cycles"])
            assert seen == [(each["bank word"], [each["lane 0"], each["lane 1"]]) for each in writes if each["LOAD"] == number]

    simulate(dut, bench)


@pytest.mark.parametrize("momentum", [0, 1])
def test_updater(momentum):
    config, (masters, banks) = core(rows=2, momentum=bool(momentum)), shown()
    plain = table("Updater", "input", "output", "row 0", "row 1", "step", "master", "new master")
    moving = table("Updater", "input", "output", "row 0", "row 1", "step", "velocity", "kept", "new velocity", "master", "new master")
    total = table("Updater", "momentum", "shift", "decay", "bricks", "cycles")[momentum]
    rows, dut = moving if momentum else plain, Weights(config)
    where = [(row["input"], row["output"]) for row in rows]
    assert where == [(k, co) for k in range(3) for co in range(2)]

    def grid(column):
        """A column of the table, by bricks and lanes."""
        return np.array([row[column] for row in rows]).reshape(3, 2)

    accumulators = np.zeros((config.bank_words, 2, 2), int)
    accumulators[:3, 0], accumulators[:3, 1] = grid("row 0"), grid("row 1")
    assert (grid("master").T == masters).all()
    half = 1 << total["shift"] - 1
    assert (grid("row 0") + grid("row 1") + half >> total["shift"] == grid("step")).all()

    async def bench(ctx):
        play = Bench(config, ctx, dut, accumulators)
        await play.host_fill(banks)
        if momentum:
            assert [int(row["velocity"] / 2) for row in rows] == [row["kept"] for row in rows]
            await play.host_fill(grid("velocity"), velocity=1)
        fields = WALK | {"inner_count": total["bricks"], "shift": total["shift"], "tail": 2, "decay": total["decay"]}
        taken, _, overflows = await play.run(dut.update, command(Opcode.UPDATE, **fields))
        assert (total["momentum"], taken, overflows) == (momentum, total["cycles"], 0)
        await play.expect_memory(weights.place(grid("new master").T, 2))
        if momentum:
            await play.expect_velocities(grid("new velocity"))

    simulate(dut, bench)


def test_velocity_memory():
    dut = VelocityMemory(CONFIG)
    rows = table("VelocityMemory", "cycle", "write.addr", "write.en", "lane 0", "lane 1", "addr", "brick")

    async def bench(ctx):
        for cycle, row in enumerate(rows):
            assert row["cycle"] == cycle
            ctx.set(dut.write, {"addr": row["write.addr"] or 0, "en": row["write.en"], "data": [row["lane 0"] or 0, row["lane 1"] or 0]})
            ctx.set(dut.read.addr, row["addr"] or 0)
            seen = unpack(ctx.get(dut.read.data.as_value()), CONFIG.formats.master_bits, CONFIG.lanes)
            assert row["brick"] in (None, tuple(seen)), (row, seen)
            await ctx.tick()

    simulate(dut, bench)
