"""The sequencer on random programs: what starts when with what, stops, resumes, errors, and cycles to the cycle."""

import random

import pytest
from amaranth.sim import Simulator

from gradgate.arch import commands, latency
from gradgate.arch.commands import Command, Error, Opcode
from gradgate.arch.config import Config
from gradgate.arch.memorymap import STOP_NONE
from gradgate.golden.cycles.sequencer import command_cycles, fetch_cycles
from gradgate.hw.control.sequencer import UNITS, Sequencer

OPCODES = list(UNITS)
END = Command(Opcode.END, {}).encode()


class Core:
    """A sequencer with program memory, counter memory and units in Python.

    ``log`` has (opcode, payload) of every start, ``durations`` what the units take, in their order of starting (2
    when there are no more). A word behind the program memory looks like ``END``. While a unit is active, the others
    show ``done`` and ``fault`` at random. With ``fault_at`` = n the next unit shows its fault in its n-th cycle.
    """

    def __init__(self, program_words=64, counters=16, seed=0):
        self.config = Config(rows=1, lanes=2, program_words=program_words, counters=counters)
        self.dut = Sequencer(self.config)
        self.control = self.dut.control
        self.units = {op: getattr(self.dut.units, name) for op, name in UNITS.items()}
        self.random = random.Random(seed)
        self.program = [self.random.getrandbits(32) for _ in range(program_words)]
        self.counters, self.log, self.durations, self.busy = {}, [], [], 0
        self.fault_at, self.aborts = None, 0

    def load(self, words, at=0):
        self.program[at:at + len(words)] = words

    async def memories(self, ctx):
        c = self.control
        pipe = [0] * (latency.RAM - 1)
        async for _, _, p_addr, c_en, c_addr, c_data, busy, abort in ctx.tick().sample(
                c.p_addr, c.c_en, c.c_addr, c.c_data, c.busy, self.dut.abort):
            pipe.append(self.program[p_addr] if p_addr < len(self.program) else END[0])
            ctx.set(c.p_data, pipe.pop(0))
            self.busy += busy
            self.aborts += abort
            assert busy or not abort
            if c_en:
                assert c_addr not in self.counters, "written twice"
                self.counters[c_addr] = c_data

    async def run_units(self, ctx):
        active, left, payload, age = None, 0, 0, 0
        first = next(iter(self.units.values()))
        sampled = ctx.tick().sample(self.dut.abort, first.payload, *(unit.start for unit in self.units.values()))
        async for _, _, abort, value, *starts in sampled:
            if abort:
                active, left, self.fault_at = None, 0, None
            started = [op for op, start in zip(self.units, starts) if start]
            if started:
                assert active is None and len(started) == 1
                active, payload = started[0], value
                left, age = self.durations.pop(0) if self.durations else 2, 0
                size = 32 * (commands.length(active) - 1)
                self.log.append((active, payload & (1 << size) - 1))
            if active is not None:
                assert value == payload, "the payload changed"
                left -= 1
                age += 1
            for op, unit in self.units.items():
                ctx.set(unit.fault, age + 1 == self.fault_at if op == active else left > 1 and self.random.randrange(2))
                ctx.set(unit.done, left == 1 if op == active else left > 1 and self.random.randrange(2))
            if left == 0:
                active = None

    def simulate(self, body):
        sim = Simulator(self.dut)
        sim.add_clock(1e-6)
        sim.add_process(self.memories)
        sim.add_process(self.run_units)

        async def bench(ctx):
            await body(ctx)

        sim.add_testbench(bench)
        sim.run()

    async def run(self, ctx, at, stop=STOP_NONE):
        """One start; returns its busy cycles."""
        c, before = self.control, self.busy
        ctx.set(c.start_at, at)
        ctx.set(c.stop_at, stop)
        ctx.set(c.go, 1)
        await ctx.tick()
        ctx.set(c.go, 0)
        ctx.set(c.start_at, self.random.randrange(4))
        for _ in range(20_000):
            if not ctx.get(c.busy):
                await ctx.tick()  # the last counter is written in this cycle
                return self.busy - before
            ctx.set(c.go, self.random.randrange(20) == 0)  # ignored while busy
            await ctx.tick()
            ctx.set(c.go, 0)
        raise AssertionError("the sequencer hangs")

    def expect(self, ctx, *, index, pc, ended=False, error=Error.NONE):
        c = self.control
        got = {name: ctx.get(getattr(c, name)) for name in ("busy", "index", "pc", "ended", "error")}
        assert got == {"busy": 0, "index": index, "pc": pc, "ended": ended, "error": error}


@pytest.mark.parametrize("duration", [2, 9, 10**9], ids=lambda n: f"of {n}")
@pytest.mark.parametrize("fault_at", [2, 3, 9])
@pytest.mark.parametrize("opcode", OPCODES, ids=lambda op: op.name)
def test_fault(opcode, fault_at, duration):
    """A fault stops the program on the command, even in its last cycle, and resets the units once; the next start is clean."""
    core = Core(program_words=100, seed=opcode)

    async def body(ctx):
        if duration < fault_at:
            return
        words = Command(Opcode.CLEAR, {"words": 1}).encode()
        command = draw(core.random, 1, opcodes=[opcode])[1]
        core.load(words + command + END)
        await core.run(ctx, 0, stop=0)
        core.durations, core.fault_at = [duration], fault_at
        busy = await core.run(ctx, len(words))
        core.expect(ctx, index=1, pc=len(words), error=Error.ADDRESS)
        assert core.aborts == 1 and set(core.counters) == {0}
        assert busy == fetch_cycles(len(command)) + fault_at + 3
        await core.run(ctx, len(words))
        core.expect(ctx, index=3, pc=len(words + command) + 1, ended=True)
        assert core.aborts == 1 and core.counters[1] == command_cycles(opcode, 2)

    core.simulate(body)


@pytest.mark.parametrize("opcode", list(Opcode), ids=lambda op: op.name)
def test_watchdog(opcode):
    """A command may take exactly as many cycles as the watchdog says, from its first fetch on, not one more."""
    core = Core(program_words=100, seed=opcode)

    async def body(ctx):
        words = Command(opcode, {name: 0 for name in commands.layout(opcode)}).encode()
        core.load(words * 3 + END)
        for duration in (2, 3, 20):
            cycles = command_cycles(opcode, duration)
            core.durations, core.counters = [duration] * 3, {}
            ctx.set(core.control.watchdog, cycles)
            await core.run(ctx, 0, stop=1)
            ended = opcode == Opcode.END
            core.expect(ctx, index=1 if ended else 2, pc=len(words) * (1 if ended else 2), ended=ended)
            ctx.set(core.control.watchdog, cycles - 1)
            core.aborts, core.durations, core.counters = 0, [duration], {}
            busy = await core.run(ctx, len(words))
            core.expect(ctx, index=1 if ended else 2, pc=len(words), error=Error.WATCHDOG)
            assert core.aborts == 1 and busy == cycles + 2
        ctx.set(core.control.watchdog, 100)
        core.durations = [10**9]
        busy = await core.run(ctx, 0)
        if not ended:
            core.expect(ctx, index=0, pc=0, error=Error.WATCHDOG)
            assert busy == 103
        ctx.set(core.control.watchdog, 0)
        busy = await core.run(ctx, 0)
        core.expect(ctx, index=0, pc=0, error=Error.WATCHDOG)
        assert busy == fetch_cycles(len(words)) + (3 if ended else 2)

    core.simulate(body)


def draw(rng, n, room=10_000, opcodes=OPCODES):
    """``n`` random commands of at most ``room`` words, and their words; without END."""
    while True:
        program = []
        for _ in range(n):
            opcode = rng.choice(opcodes)
            values = {name: rng.getrandbits(f.bits) for name, (_, f) in commands.layout(opcode).items()}
            program.append(Command(opcode, values))
        words = [word for command in program for word in command.encode()]
        if len(words) <= room:
            return program, words


def starts(program):
    """The log that a program leaves."""
    return [(c.opcode, sum(word << 32 * i for i, word in enumerate(c.encode()[1:]))) for c in program]


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_random_programs(seed):
    """Whole programs back to back, without reset: starts and payloads, counters, busy cycles."""
    core = Core(program_words=200, counters=16, seed=seed)

    async def body(ctx):
        for _ in range(3):
            program, words = draw(core.random, core.random.randint(0, 18))
            durations = [core.random.randint(2, 30) for _ in program]
            core.load(words + END)
            core.durations, core.log, core.counters = list(durations), [], {}
            busy = await core.run(ctx, 0)
            core.expect(ctx, index=len(program) + 1, pc=len(words) + 1, ended=True)
            cycles = [command_cycles(c.opcode, d) for c, d in zip(program, durations)] + [command_cycles(Opcode.END)]
            assert core.log == starts(program)
            assert core.counters == dict(list(enumerate(cycles))[:16])
            assert busy == sum(cycles)

    core.simulate(body)


@pytest.mark.parametrize("seed", [11, 12])
def test_stop_and_resume(seed):
    """A program in pieces does what it does whole; a stop index that has passed does not stop."""
    core = Core(program_words=200, seed=seed)

    async def body(ctx):
        program, words = draw(core.random, 12)
        core.load(words + END)
        core.durations = [core.random.randint(2, 9) for _ in program]
        cycles = [command_cycles(c.opcode, d) for c, d in zip(program, core.durations)] + [command_cycles(Opcode.END)]
        pc, index, total = 0, 0, 0
        for stop in (0, 3, 4, 10):
            total += await core.run(ctx, pc, stop)
            index, pc = stop + 1, sum(len(c.encode()) for c in program[:stop + 1])
            core.expect(ctx, index=index, pc=pc)
        total += await core.run(ctx, pc, stop=5)
        core.expect(ctx, index=13, pc=len(words) + 1, ended=True)
        assert core.log == starts(program)
        assert core.counters == dict(enumerate(cycles))
        assert total == sum(cycles)
        core.counters = {}
        await core.run(ctx, 0, stop=12)  # at END: both
        core.expect(ctx, index=13, pc=len(words) + 1, ended=True)

    core.simulate(body)


@pytest.mark.parametrize("header", [
    0xFF | 1 << 8, 8 | 4 << 8, 0,
    *(op | size << 8 for op in Opcode for size in {0, commands.length(op) - 1, commands.length(op) + 1}),
    *(op | commands.length(op) << 8 | 1 << 31 for op in Opcode),
], ids=hex)
def test_illegal_header(header):
    """An unknown opcode or a length that is not the opcode's stops before the command; the next start is clean."""
    core = Core(program_words=100, seed=header)

    async def body(ctx):
        program, words = draw(core.random, 2)
        core.load(words + [header] + [0] * 20)
        busy = await core.run(ctx, 0)
        core.expect(ctx, index=2, pc=len(words), error=Error.ILLEGAL)
        assert core.log == starts(program) and set(core.counters) == {0, 1}
        assert busy == sum(command_cycles(c.opcode, 2) for c in program) + fetch_cycles(1)
        core.load(END, at=len(words))
        await core.run(ctx, len(words))
        core.expect(ctx, index=3, pc=len(words) + 1, ended=True)

    core.simulate(body)


@pytest.mark.parametrize("opcode", list(Opcode), ids=lambda op: op.name)
@pytest.mark.parametrize("program_words", [16, 50, 64])
def test_missing_end(opcode, program_words):
    """A command that ends with the memory is done, what would follow is an error; so is every cut of it."""
    core = Core(program_words=program_words, seed=program_words + opcode)

    async def body(ctx):
        values = {name: 0 for name in commands.layout(opcode)}
        words = Command(opcode, values).encode()
        at = program_words - len(words)
        core.load(words, at)
        await core.run(ctx, at)
        if opcode == Opcode.END:
            core.expect(ctx, index=1, pc=program_words, ended=True)
        else:
            core.expect(ctx, index=1, pc=program_words, error=Error.NO_END)
            assert [op for op, _ in core.log] == [opcode]
        core.log = []
        for kept in range(1, len(words)):
            core.load(words[:kept], program_words - kept)
            await core.run(ctx, program_words - kept)
            core.expect(ctx, index=1, pc=program_words - kept, error=Error.NO_END)
        for behind in (program_words, (1 << len(core.control.pc)) - 1):
            await core.run(ctx, behind)
            core.expect(ctx, index=1, pc=behind, error=Error.NO_END)
        assert core.log == []

    core.simulate(body)


@pytest.mark.parametrize("stop, end", [(STOP_NONE, True), (STOP_NONE - 1, False)])
def test_last_index(stop, end):
    """The index that means "none" is no stop, the one before it is; the index wraps."""
    core = Core(seed=6)
    core.control.index._init = stop  # 65535 commands later

    async def body(ctx):
        core.load(Command(Opcode.CLEAR, {"words": 1}).encode() + END, at=8)
        await core.run(ctx, 8, stop)
        core.expect(ctx, index=1 if end else STOP_NONE, pc=11 if end else 10, ended=end)
        assert core.counters == ({0: command_cycles(Opcode.END)} if end else {})

    core.simulate(body)


def test_start_at_zero_counts_anew():
    """A start at 0 sets the index to 0, another start does not."""
    core = Core(seed=5)

    async def body(ctx):
        core.load(END * 8)
        for at, index in ((0, 1), (3, 2), (4, 3), (0, 1)):
            core.counters = {}
            await core.run(ctx, at)
            core.expect(ctx, index=index, pc=at + 1, ended=True)
            assert list(core.counters) == [index - 1]

    core.simulate(body)


def test_cycle_formulas():
    """What the formulas say, in numbers."""
    assert [fetch_cycles(n) for n in (1, 2, 14)] == [6, 7, 19]
    assert command_cycles(Opcode.END) == 7
    assert command_cycles(Opcode.CLEAR, 10) == 18
