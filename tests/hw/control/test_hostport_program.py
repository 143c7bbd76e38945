"""The host port while a program runs: what is closed, where START goes, and a program run with nothing but the bus."""

import random

import pytest
from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from amaranth.sim import Simulator
from support.hostport_bench import BUSY, CLEAR, ENDED, REFUSED, START, Around, Master, extended, small
from support.rowmem import RowMemory
from support.sequencing import State, Work, simulate

from gradgate.arch import latency
from gradgate.arch.commands import Command, Error, Opcode
from gradgate.arch.memorymap import STOP_NONE, Csr, Region, address, row_offset
from gradgate.golden.cycles.move import move_cycles
from gradgate.hw.control.hostport import HostPort
from gradgate.hw.control.move import Move
from gradgate.hw.control.sequencer import Sequencer
from gradgate.hw.parts.bus import BusSignature
from gradgate.hw.parts.rowport import RowPortSignature


@pytest.mark.parametrize("seed", [21])
def test_busy(seed):
    """While busy, data memories and START are closed, a unit has the staging memory; the rest answers."""
    config = small(momentum=True)
    around = Around(config, seed)
    stage, control = around.dut.stage, around.control

    async def body(ctx, master):
        for region in (Region.STAGING, Region.WEIGHTS, Region.ROWS, Region.VELOCITY):
            await master.write(ctx, region, 5, 77)
        await ctx.tick().repeat(3)
        rows_before, weights_before = around.rows.copy(), around.weights + around.velocities
        ctx.set(control.busy, 1)
        for region in (Region.STAGING, Region.WEIGHTS, Region.ROWS, Region.ARGMAX, Region.VELOCITY):
            assert await master.read(ctx, region, 5) == 0
            assert await master.status(ctx) == BUSY | REFUSED
            await master.write(ctx, Region.CSR, Csr.CONTROL, CLEAR)
            await master.write(ctx, region, 5, 78)
            assert await master.status(ctx) == BUSY | REFUSED
            await master.write(ctx, Region.CSR, Csr.CONTROL, CLEAR)
        ctx.set(control.pc, 12)
        await master.write(ctx, Region.CSR, Csr.START, 30)
        assert await master.status(ctx) == BUSY | REFUSED
        assert await master.read(ctx, Region.CSR, Csr.START) == 12
        await master.write(ctx, Region.CSR, Csr.CONTROL, CLEAR)

        ctx.set(stage.w_en, 1)
        ctx.set(stage.w_addr, 6)
        ctx.set(stage.w_data, 99)
        await ctx.tick()
        ctx.set(stage.w_en, 0)
        for addr, word in ((5, 77), (6, 99)):
            ctx.set(stage.addr, addr)
            await ctx.tick().repeat(latency.RAM)
            assert ctx.get(stage.r_data) == word
        await master.write(ctx, Region.PROGRAM, 4, 1234)
        await master.write(ctx, Region.CSR, Csr.STOP, 7)
        assert await master.read(ctx, Region.CSR, Csr.STOP) == 7 == ctx.get(control.stop_at)
        assert await around.fetch(ctx, 4) == 1234
        assert await master.read(ctx, Region.CSR, Csr.INDEX) == 0
        assert await master.status(ctx) == BUSY
        ctx.set(control.busy, 0)
        assert [await master.read(ctx, Region.STAGING, addr) for addr in (5, 6)] == [77, 99]
        assert around.rows.words == rows_before and around.weights + around.velocities == weights_before
        assert await master.status(ctx) == 0

    around.simulate(body)


def test_start_follows_the_program():
    """Around the cycle in which a program stops, START is where it stopped, for the host and for the next start."""
    around = Around(small(), 51)
    control = around.control

    async def body(ctx, master):
        for early in range(8):
            ctx.set(control.busy, 1)
            ctx.set(control.pc, 5)
            await master.write(ctx, Region.CSR, Csr.CONTROL, 0)
            await ctx.tick().repeat(5)
            seen = []
            for cycle in range(16):
                if cycle == early:
                    master.request(ctx, 1, 1, address(Region.CSR, Csr.CONTROL), START)
                elif cycle == early + 1:
                    master.request(ctx, 1, 0, address(Region.CSR, Csr.START), 0)
                if cycle == 5:
                    ctx.set(control.busy, 0)
                    ctx.set(control.pc, 9)
                _, _, go, at, ready, word = await ctx.tick().sample(
                    control.go, control.start_at, master.bus.ready, master.bus.r_data)
                if go:
                    seen.append((cycle, at))
                if ready and cycle > early:
                    master.request(ctx, 0, 0, 0, 0)
                    seen.append(word)
            assert seen == [(early + 3, 5 if early + 3 < 5 else 9), 5 if early + 3 < 5 else 9], early

    around.simulate(body)


class Top(wiring.Component):
    """Host port, sequencer and MOVE, on row memories outside."""

    def __init__(self, config):
        self.config = config
        self.host = HostPort(config, weight_read=7, choice_read=3)
        super().__init__({"bus": In(BusSignature()), "busy": Out(1), "rows": Out(RowPortSignature(config))})

    def elaborate(self, platform):
        m = Module()
        m.submodules.host = host = self.host
        m.submodules.sequencer = sequencer = Sequencer(self.config)
        m.submodules.move = move = Move(self.config)
        wiring.connect(m, wiring.flipped(self.bus), host.bus)
        wiring.connect(m, host.control, sequencer.control)
        wiring.connect(m, host.stage, move.stage)
        wiring.connect(m, sequencer.units.move, move.unit)
        m.d.comb += self.busy.eq(host.busy)
        for unit in (move, host):
            m.d.comb += unit.rows.r_data.eq(self.rows.r_data)
            with m.If(host.control.busy == (unit is move)):
                m.d.comb += [getattr(self.rows, n).eq(getattr(unit.rows, n)) for n in ("row", "addr", "en", "w_data")]
        return m


@pytest.mark.parametrize("rows, lanes, stall, seed", [(1, 4, 0.0, 41), (3, 2, 0.3, 42)])
def test_program_over_the_bus(rows, lanes, stall, seed):
    """Load, run, stop, resume and read back, with nothing but the bus; cycle counts to the cycle."""
    config, rng = small(rows, lanes), random.Random(seed)
    top = Top(config)
    memory = RowMemory(config, top.rows, seed)
    moves = [dict(out=0, channels=3, pixels=2, images=5, stage_addr=2, row_addr=1, slot_step=4),
             dict(out=1, channels=3, pixels=2, images=5, stage_addr=35, row_addr=1, slot_step=4),
             dict(out=0, channels=1, pixels=1, images=1, stage_addr=2, row_addr=23, slot_step=1)]
    program = [Command(Opcode.MOVE, fields) for fields in moves] + [Command(Opcode.END, {})]
    words = [word for command in program for word in command.encode()]
    works = [Work(move_cycles(config, count)) for count in (30, 30, 1)]
    whole = simulate(words, list(works), State(), at=0)
    first = simulate(words, works[:1], State(), at=0, stop=0)
    second = simulate(words, works[1:], first, at=4, stop=2)

    async def bench(ctx):
        master = Master(top.bus, seed, stall)

        async def csr(register, value=None):
            if value is None:
                return await master.read(ctx, Region.CSR, register)
            await master.write(ctx, Region.CSR, register, value)

        async def run(start=None, stop=STOP_NONE):
            """Start; returns what ``busy`` showed: high behind the transfer at once, and in one piece."""
            if start is not None:
                await csr(Csr.START, start)
            await csr(Csr.STOP, stop)
            await csr(Csr.CONTROL, START | CLEAR)
            count = 0
            while ctx.get(top.busy):
                await ctx.tick()
                count += 1
            await ctx.tick().repeat(5)
            assert not ctx.get(top.busy)
            return count

        async def stage(words):
            for word, value in enumerate(words):
                await master.write(ctx, Region.STAGING, word, value)

        for word, value in enumerate(words):
            await master.write(ctx, Region.PROGRAM, word, value)
        values = [rng.getrandbits(16) for _ in range(config.staging_words)]
        await stage(values)
        busy = await run(0)
        assert busy == whole.busy + 3
        assert await master.status(ctx) == ENDED
        assert [await csr(r) for r in (Csr.INDEX, Csr.PC, Csr.START, Csr.CYCLES)] == [4, 13, 13, whole.now]
        for region, times in ((Region.STARTS, whole.starts), (Region.ENDS, whole.ends)):
            assert {i: await master.read(ctx, region, i) for i in range(4)} == times
        got = [await master.read(ctx, Region.STAGING, word) for word in range(config.staging_words)]
        values[35:65] = values[2:32]
        assert got == [extended(value, 16) for value in values]
        last = row_offset(config, config.act_bricks, 0, 23)
        assert await master.read(ctx, Region.ROWS, last) == extended(values[2], 16)

        await stage([0] * config.staging_words)
        await run(0, stop=0)
        assert await master.status(ctx) == 0
        assert [await csr(r) for r in (Csr.INDEX, Csr.PC, Csr.START, Csr.CYCLES)] == [1, 4, 4, first.now]
        assert not any([await master.read(ctx, Region.STAGING, word) for word in range(35, 65)])
        await run(stop=2)
        assert [await csr(r) for r in (Csr.INDEX, Csr.START, Csr.CYCLES)] == [3, 12, second.now]
        await master.write(ctx, Region.PROGRAM, 12, 0x101)
        await run()
        assert await master.status(ctx) == Error.ILLEGAL << 8
        assert [await csr(r) for r in (Csr.INDEX, Csr.PC, Csr.START)] == [3, 12, 12]
        await csr(Csr.START, 49)
        await master.write(ctx, Region.PROGRAM, 49, program[0].encode()[0])
        await run()
        assert await master.status(ctx) == Error.NO_END << 8
        assert [await csr(r) for r in (Csr.INDEX, Csr.PC, Csr.START)] == [3, 49, 49]

        # A start while busy is ignored, and what is refused then does not disturb the program.
        await csr(Csr.START, 0)
        await csr(Csr.STOP, 1)
        await csr(Csr.CONTROL, START)
        await csr(Csr.CONTROL, START | CLEAR)
        await master.write(ctx, Region.ROWS, 0, 5)
        assert await master.status(ctx) == BUSY | REFUSED
        while ctx.get(top.busy):
            await ctx.tick()
        assert [await csr(Csr.INDEX), await csr(Csr.CYCLES)] == [2, simulate(words, works[:2], State(), at=0, stop=1).now]

    sim = Simulator(top)
    sim.add_clock(1e-6)
    sim.add_process(memory.process)
    sim.add_testbench(bench)
    sim.run()
