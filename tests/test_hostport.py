"""The host port: every address, every refusal, registers, rates, and a program run over the bus."""

import gc
import random

import pytest
from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from amaranth.sim import Simulator
from rowmem import RowMemory

from gradgate.arch import latency
from gradgate.arch.checks import ConfigError
from gradgate.arch.commands import Command, Error, Opcode
from gradgate.arch.config import Config
from gradgate.arch.formats import Formats
from gradgate.arch.memorymap import CSR_DOC, ID_VALUE, STOP_NONE, Csr, Region, address, row_offset, windows
from gradgate.golden.cycles.move import move_cycles
from gradgate.golden.cycles.sequencer import command_cycles
from gradgate.hw.hostport import BusSignature, HostPort
from gradgate.hw.move import Move
from gradgate.hw.rowport import RowPortSignature
from gradgate.hw.sequencer import Sequencer

BUSY, ENDED, REFUSED = 1, 2, 4
START, CLEAR = 1, 2
NARROW = Formats(act_bits=9, act_frac=4, weight_frac=4, master_bits=17, master_frac=12, grad_frac=5)


def small(rows=2, lanes=4, **kwargs):
    sizes = dict(act_bricks=24, weight_bricks=40, argmax_bricks=16, program_words=50, counters=20, staging_words=70)
    return Config(rows=rows, lanes=lanes, **sizes | kwargs)


class Master:
    """Drives the host bus; ``stall`` is the chance of an idle cycle, with random request signals, before a transfer."""

    def __init__(self, bus, seed=0, stall=0.0):
        self.bus, self.random, self.stall = bus, random.Random(seed), stall

    async def transfer(self, ctx, write, addr, data=0):
        """One transfer; returns ``(word read, cycles)``."""
        bus = self.bus
        while self.random.random() < self.stall:
            self.request(ctx, 0, self.random.getrandbits(1), self.random.getrandbits(24), self.random.getrandbits(32))
            await ctx.tick()
        self.request(ctx, 1, write, addr, data)
        for cycles in range(1, 40):
            _, _, ready, word = await ctx.tick().sample(bus.ready, bus.r_data)
            if ready:
                self.request(ctx, 0, self.random.getrandbits(1), 0, 0)
                return word, cycles
        raise AssertionError(f"no answer at {addr:#x}")

    def request(self, ctx, valid, write, addr, data):
        bus = self.bus
        for signal, value in ((bus.valid, valid), (bus.write, write), (bus.addr, addr), (bus.w_data, data)):
            ctx.set(signal, value)

    async def write(self, ctx, region, offset, data):
        await self.transfer(ctx, 1, address(region, offset), data % (1 << 32))

    async def read(self, ctx, region, offset):
        return (await self.transfer(ctx, 0, address(region, offset)))[0]

    async def status(self, ctx):
        return await self.read(ctx, Region.CSR, Csr.STATUS)


class Around:
    """A host port with what lies around it in Python: row, weight and choice memories; the test plays the sequencer."""

    def __init__(self, config, seed, *, stall=0.0, weight_read=7, choice_read=3):
        self.config, self.random = config, random.Random(seed)
        self.weight_read, self.choice_read = weight_read, choice_read
        self.dut = HostPort(config, weight_read=weight_read, choice_read=choice_read)
        self.control = self.dut.control
        self.master = Master(self.dut.bus, seed, stall)
        self.rows = RowMemory(config, self.dut.rows, seed)
        bits = config.formats.master_bits
        self.weights = [self.random.getrandbits(bits) for _ in range(config.weight_bricks * config.lanes)]
        self.choices = [[[self.random.getrandbits(2) for _ in range(config.lanes)] for _ in range(config.argmax_bricks)]
                        for _ in range(config.rows)]
        self.weight_writes = 0

    async def outside(self, ctx):
        """Weight and choice memory; out of range, they show noise."""
        dut, lanes = self.dut, self.config.lanes
        w, w_pipe, c_pipe = dut.weights, [0] * (self.weight_read - 1), [0] * (self.choice_read - 1)
        async for _, _, addr, bank, we, w_data, row, brick in ctx.tick().sample(
                w.addr, w.bank, w.we, w.w_data, dut.choice_row, dut.choice_addr):
            place = addr * lanes + bank
            w_pipe.append(self.weights[place] if place < len(self.weights) else self.random.getrandbits(8))
            ctx.set(w.r_data, w_pipe.pop(0))
            if we:
                self.weights[place] = w_data
                self.weight_writes += 1
            inside = row < self.config.rows and brick < self.config.argmax_bricks
            words = self.choices[row][brick] if inside else [3] * lanes
            c_pipe.append(sum(word << 2 * lane for lane, word in enumerate(words)))
            ctx.set(dut.choices.as_value(), c_pipe.pop(0))

    def simulate(self, body):
        sim = Simulator(self.dut)
        sim.add_clock(1e-6)
        sim.add_process(self.rows.process)
        sim.add_process(self.outside)

        async def bench(ctx):
            await body(ctx, self.master)

        sim.add_testbench(bench)
        sim.run()

    def row_places(self, bricks):
        """``(offset, row, brick, lane)`` of a word in row memories of ``bricks`` bricks, at random."""
        row, brick = self.random.randrange(self.config.rows), self.random.randrange(bricks)
        lane = self.random.randrange(self.config.lanes)
        return row_offset(self.config, bricks, row, brick, lane), row, brick, lane

    async def fetch(self, ctx, word):
        """A program word, as the sequencer sees it."""
        ctx.set(self.control.p_addr, word)
        await ctx.tick().repeat(latency.RAM)
        return ctx.get(self.control.p_data)


def extended(value, bits):
    """``value`` with its sign in 32 bits."""
    value %= 1 << bits
    return (value - (value >> bits - 1 << bits)) % (1 << 32)


@pytest.mark.parametrize("rows, lanes, stall, formats, weight_read, choice_read, seed", [
    (1, 2, 0.0, Formats(), 7, 3, 1),
    (2, 4, 0.4, Formats(), 1, 1, 2),
    (3, 8, 0.0, NARROW, 2, 6, 3),
    (3, 2, 0.4, NARROW, 9, 2, 4),
])
def test_memories(rows, lanes, stall, formats, weight_read, choice_read, seed):
    """Random reads and writes of every memory, one behind the other, against lists."""
    config = small(rows, lanes, formats=formats)
    around = Around(config, seed, stall=stall, weight_read=weight_read, choice_read=choice_read)
    act, master_bits, rng = formats.act_bits, formats.master_bits, around.random
    program, staging, counters = {}, {}, {}

    async def body(ctx, master):
        for index in range(config.counters):
            counters[index] = rng.getrandbits(32)
            ctx.set(around.control.c_addr, index)
            ctx.set(around.control.c_data, counters[index])
            ctx.set(around.control.c_en, 1)
            await ctx.tick()
        ctx.set(around.control.c_en, 0)
        before = around.rows.copy()
        for _ in range(250):
            value, kind = rng.getrandbits(32), rng.randrange(9)
            if kind == 0:
                word = rng.randrange(config.program_words)
                program[word] = value
                await master.write(ctx, Region.PROGRAM, word, value)
            elif kind == 1:
                word = rng.randrange(config.staging_words)
                staging[word] = value
                await master.write(ctx, Region.STAGING, word, value)
            elif kind == 2:
                word = rng.choice(list(staging) or [0])
                if staging:
                    assert await master.read(ctx, Region.STAGING, word) == extended(staging[word], act)
            elif kind in (3, 4):
                word = rng.randrange(len(around.weights))
                if kind == 3:
                    await master.write(ctx, Region.WEIGHTS, word, value)
                    value %= 1 << master_bits
                else:
                    value = around.weights[word]
                assert await master.read(ctx, Region.WEIGHTS, word) == extended(value, master_bits)
                assert around.weights[word] == value
            elif kind in (5, 6):
                offset, row, brick, lane = around.row_places(config.act_bricks)
                if kind == 5:
                    await master.write(ctx, Region.ROWS, offset, value)
                    before[row][brick][lane] = value % (1 << act)
                else:
                    assert await master.read(ctx, Region.ROWS, offset) == extended(before[row][brick][lane], act)
            elif kind == 7:
                offset, row, brick, lane = around.row_places(config.argmax_bricks)
                assert await master.read(ctx, Region.ARGMAX, offset) == around.choices[row][brick][lane]
            else:
                index = rng.randrange(config.counters)
                assert await master.read(ctx, Region.COUNTERS, index) == counters[index]
        await ctx.tick().repeat(3)
        assert around.rows.words == before
        for word, value in program.items():
            assert await around.fetch(ctx, word) == value
        assert await master.status(ctx) == 0

    around.simulate(body)


def test_rates():
    """A write a cycle, also behind a read; reads take what the data sheet says."""
    config = small()
    around = Around(config, 5)

    async def body(ctx, master):
        for region in (Region.PROGRAM, Region.STAGING, Region.WEIGHTS, Region.ROWS):
            for word in range(20):
                assert (await master.transfer(ctx, 1, address(region, word), word + 1))[1] == 1
            if region != Region.PROGRAM:
                for word in range(20):
                    got, cycles = await master.transfer(ctx, 0, address(region, word))
                    assert (got, cycles) == (word + 1, 4 + around.dut.latency[region])
        for csr in (Csr.START, Csr.STOP):
            assert (await master.transfer(ctx, 1, address(Region.CSR, csr), 9))[1] == 1
            assert (await master.transfer(ctx, 0, address(Region.CSR, csr))) == (9, 5)
        for region, cycles in ((Region.COUNTERS, 6), (Region.ARGMAX, 8)):
            assert (await master.transfer(ctx, 0, address(region, 1)))[1] == cycles
        assert around.dut.latency == {Region.CSR: 1, Region.COUNTERS: 2, Region.STAGING: 2, Region.WEIGHTS: 7,
                                      Region.ROWS: 4, Region.ARGMAX: 4}

    around.simulate(body)


def outside_words(config):
    """Addresses that are no word: behind every memory, in the padding of row memories, no region at all."""
    for region, window in windows(config).items():
        yield from (address(region, offset) for offset in {window.words, window.words + 1, (1 << 20) - 1})
    for region, bricks in ((Region.ROWS, config.act_bricks), (Region.ARGMAX, config.argmax_bricks)):
        if bricks & (bricks - 1):
            for row in range(config.rows):
                yield address(region, row_offset(config, bricks, row, bricks))
                yield address(region, row_offset(config, bricks, row, (1 << (bricks - 1).bit_length()) - 1, 1))
    yield from (address(Region.CSR, offset) for offset in (len(Csr), 15, 16, 1 << 10))
    yield from (region << 20 | offset for region in range(len(Region), 16) for offset in (0, 1, 0xFFFFF))


@pytest.mark.parametrize("rows, lanes, seed", [(1, 2, 11), (3, 4, 12)])
def test_outside(rows, lanes, seed):
    """No such word: reads as 0, writes nothing, is reported once and until it is cleared; the bus goes on."""
    config = small(rows, lanes, argmax_bricks=21)
    around = Around(config, seed)

    async def body(ctx, master):
        for word in range(config.program_words):
            await master.write(ctx, Region.PROGRAM, word, word)
        for word in range(config.staging_words):
            await master.write(ctx, Region.STAGING, word, word)
        rows_before, weights_before = around.rows.copy(), list(around.weights)
        for addr in outside_words(config):
            for write in (1, 0):
                assert await master.status(ctx) == 0
                word, cycles = await master.transfer(ctx, write, addr, 0xFFFFFFFF)
                assert cycles == (1 if write else 5), hex(addr)
                assert write or word == 0, hex(addr)
                assert await master.status(ctx) == REFUSED, hex(addr)
                await master.write(ctx, Region.CSR, Csr.CONTROL, CLEAR)
        assert around.rows.words == rows_before and around.weights == weights_before
        for word in range(config.program_words):
            assert await around.fetch(ctx, word) == word
        for word in range(config.staging_words):
            assert await master.read(ctx, Region.STAGING, word) == word
        assert await master.read(ctx, Region.CSR, Csr.START) == 0
        assert await master.read(ctx, Region.CSR, Csr.STOP) == STOP_NONE

    around.simulate(body)


def test_direction():
    """What is only read cannot be written, and the other way round."""
    around = Around(small(), 13)
    cases = [(Region.CSR, csr, access) for csr, (access, _) in CSR_DOC.items() if csr != Csr.STATUS]
    cases += [(Region.PROGRAM, 3, "w"), (Region.COUNTERS, 3, "r"), (Region.ARGMAX, 3, "r")]
    cases += [(region, 3, "rw") for region in (Region.STAGING, Region.WEIGHTS, Region.ROWS)]

    async def body(ctx, master):
        for region, offset, access in cases:
            word, _ = await master.transfer(ctx, 0, address(region, offset))
            assert "r" in access or word == 0
            assert await master.status(ctx) == (0 if "r" in access else REFUSED), (region, offset)
            await master.write(ctx, Region.CSR, Csr.CONTROL, CLEAR)
            await master.write(ctx, region, offset, 0)
            assert await master.status(ctx) == (0 if "w" in access else REFUSED), (region, offset)
            await master.write(ctx, Region.CSR, Csr.CONTROL, CLEAR)
        await master.write(ctx, Region.CSR, Csr.STATUS, 0)
        assert await master.status(ctx) == REFUSED

    around.simulate(body)


@pytest.mark.parametrize("seed", [21])
def test_busy(seed):
    """While busy, data memories and START are closed, a unit has the staging memory; the rest answers."""
    config = small()
    around = Around(config, seed)
    stage, control = around.dut.stage, around.control

    async def body(ctx, master):
        for region in (Region.STAGING, Region.WEIGHTS, Region.ROWS):
            await master.write(ctx, region, 5, 77)
        await ctx.tick().repeat(3)
        rows_before, weights_before = around.rows.copy(), list(around.weights)
        ctx.set(control.busy, 1)
        for region in (Region.STAGING, Region.WEIGHTS, Region.ROWS, Region.ARGMAX):
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
        assert around.rows.words == rows_before and around.weights == weights_before
        assert await master.status(ctx) == 0

    around.simulate(body)


@pytest.mark.parametrize("program_words, start", [(50, 63), (64, 127)])
def test_registers(program_words, start):
    """Registers hold and show what the sequencer and the units say; values too large mean "behind" and "none"."""
    around = Around(small(program_words=program_words), 31)
    control, dut = around.control, around.dut

    async def body(ctx, master):
        async def csr(register, value=None):
            if value is None:
                return await master.read(ctx, Region.CSR, register)
            await master.write(ctx, Region.CSR, register, value)

        assert await csr(Csr.ID) == ID_VALUE
        for value, expected in ((33, 33), (0xFFFFFFFF, start), (1 << 20, start), (1, 1)):
            await csr(Csr.START, value)
            assert await csr(Csr.START) == expected == ctx.get(control.start_at)
        for value, expected in ((33, 33), (0x10000, STOP_NONE), (0, 0), (0xFFFFFFFF, STOP_NONE)):
            await csr(Csr.STOP, value)
            assert await csr(Csr.STOP) == expected == ctx.get(control.stop_at)
        ctx.set(control.index, 0x8001)
        ctx.set(control.pc, 41)
        assert (await csr(Csr.INDEX), await csr(Csr.PC), await csr(Csr.START)) == (0x8001, 41, 1)
        for error in Error:
            for ended in (0, 1):
                ctx.set(control.ended, ended)
                ctx.set(control.error, error)
                assert await csr(Csr.STATUS) == ended << 1 | error << 8

        expected = [0, 0]
        for _ in range(30):
            correct, overflow = around.random.randrange(2), around.random.randrange(around.config.pes + 1)
            expected = [expected[0] + correct, expected[1] + overflow]
            ctx.set(dut.correct, correct)
            ctx.set(dut.overflow, overflow)
            await ctx.tick()
        ctx.set(dut.correct, 0)
        ctx.set(dut.overflow, 0)
        assert [await csr(Csr.CORRECT), await csr(Csr.OVERFLOW)] == expected
        await csr(Csr.CONTROL, 0)
        assert [await csr(Csr.CORRECT), await csr(Csr.OVERFLOW)] == expected
        await csr(Csr.CONTROL, CLEAR)
        assert [await csr(Csr.CORRECT), await csr(Csr.OVERFLOW)] == [0, 0]

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
            assert seen == [(early + 2, 5 if early + 2 < 5 else 9), 5 if early + 3 < 5 else 9], early

    around.simulate(body)


@pytest.mark.filterwarnings("ignore::amaranth.hdl.UnusedElaboratable")
def test_too_large():
    """A memory that the address space cannot hold is an error of the configuration."""
    with pytest.raises(ConfigError, match="ROWS must have at most 1048576 words, not 16777216"):
        HostPort(Config(rows=16, lanes=16, act_bricks=65536), weight_read=7, choice_read=3)
    gc.collect()  # the port that is not used is gone before the warning counts again


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
    cycles = [command_cycles(Opcode.MOVE, move_cycles(config, words)) for words in (30, 30, 1)]
    cycles.append(command_cycles(Opcode.END))

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

        words = [word for command in program for word in command.encode()]
        for word, value in enumerate(words):
            await master.write(ctx, Region.PROGRAM, word, value)
        values = [rng.getrandbits(16) for _ in range(config.staging_words)]
        await stage(values)
        busy = await run(0)
        assert busy == sum(cycles) + 2
        assert await master.status(ctx) == ENDED
        assert [await csr(r) for r in (Csr.INDEX, Csr.PC, Csr.START, Csr.CYCLES)] == [4, 13, 13, sum(cycles)]
        assert [await master.read(ctx, Region.COUNTERS, i) for i in range(4)] == cycles
        got = [await master.read(ctx, Region.STAGING, word) for word in range(config.staging_words)]
        values[35:65] = values[2:32]
        assert got == [extended(value, 16) for value in values]
        last = row_offset(config, config.act_bricks, 0, 23)
        assert await master.read(ctx, Region.ROWS, last) == extended(values[2], 16)

        await stage([0] * config.staging_words)
        await run(0, stop=0)
        assert await master.status(ctx) == 0
        assert [await csr(r) for r in (Csr.INDEX, Csr.PC, Csr.START, Csr.CYCLES)] == [1, 4, 4, cycles[0]]
        assert not any([await master.read(ctx, Region.STAGING, word) for word in range(35, 65)])
        await run(stop=2)
        assert [await csr(r) for r in (Csr.INDEX, Csr.START, Csr.CYCLES)] == [3, 12, cycles[1] + cycles[2]]
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
        assert [await csr(Csr.INDEX), await csr(Csr.CYCLES)] == [2, cycles[0] + cycles[1]]

    sim = Simulator(top)
    sim.add_clock(1e-6)
    sim.add_process(memory.process)
    sim.add_testbench(bench)
    sim.run()
