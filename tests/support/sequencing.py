"""The sequencer in plain Python, and a bench for it: programs, units that take their time, stops, errors."""

import random
from dataclasses import dataclass, field

from amaranth.hdl import Module, Signal
from amaranth.sim import Simulator

from gradgate.arch import commands, latency
from gradgate.arch.commands import WITH_UNIT, Command, Error, Opcode
from gradgate.arch.config import Config
from gradgate.arch.memorymap import STOP_NONE, WATCHDOG_DEFAULT
from gradgate.arch.units import conflict
from gradgate.hw.control.sequencer import Sequencer

UNITS = sorted(WITH_UNIT)
END = Command(Opcode.END, {})


@dataclass(frozen=True)
class Work:
    """How long a unit takes for a command: at least ``cycles``, and until a multiple of ``align`` in the cycles of the program.

    ``fault``: it shows a fault in this cycle of its own, counted from ``start`` = 1.
    """

    cycles: int
    align: int = 1
    fault: int | None = None

    def done(self, issue) -> int:
        """The cycle of ``done`` of a command that was issued in the cycle ``issue``."""
        return -(-(issue + self.cycles) // self.align) * self.align


@dataclass
class State:
    """What is left of a run, and what it showed."""

    index: int = 0
    pc: int = 0
    now: int = 0
    ended: bool = False
    error: Error = Error.NONE
    busy: int = 0  # cycles of the run
    aborts: int = 0
    starts: dict = field(default_factory=dict)
    ends: dict = field(default_factory=dict)


@dataclass
class _Busy:
    index: int
    command: Command
    issue: int
    done: int
    fault: int | None


def simulate(words, works, state, *, at, stop=STOP_NONE, watchdog=WATCHDOG_DEFAULT, counters=16) -> State:
    """A run from word ``at`` of the program memory ``words`` after the run that left ``state``; ``works`` are used up in order.

    Cycle by cycle: what is busy, what is recorded, whether the next command may be issued.
    """
    begin = 0 if at == 0 else state.now
    after = State(index=0 if at == 0 else state.index, pc=at, now=begin)
    busy = {}  # by opcode
    event = None  # the cycle in which a unit was last started, or an end recorded
    ready, command, refused = _fetch(words, at, begin + 1)
    stopping, reason = False, Error.NONE
    faults, late = [], False
    t = begin
    while True:
        t += 1
        if faults or late:
            after.error = Error.ADDRESS if faults else Error.WATCHDOG
            after.index, after.aborts = busy[min(faults or busy)].index, 1
            t += 2
            break
        due = [op for op, unit in busy.items() if unit.done < t]
        recorded = min(due, default=None)
        issue = not stopping and ready == t and not refused and all(
            op not in busy for op in command.waits | {command.opcode})
        started = [unit for unit in busy.values() if unit.issue + 1 == t]
        if started or recorded is not None:
            event = t
        faults = [op for op, unit in busy.items() if unit.fault == t]
        late = bool(busy) and event not in (None, t) and t - event >= watchdog
        if stopping and not busy:
            after.error = reason
            break
        if not stopping and refused and ready == t:
            stopping, reason = True, refused
        elif issue and any(conflict(command, unit.command) for unit in busy.values()):
            stopping, reason = True, Error.CONFLICT
        elif issue:
            index, after.index = after.index, after.index + 1 & 0xffff
            after.pc += commands.length(command.opcode)
            _note(after.starts, index, t, counters)
            if command.opcode == Opcode.END:
                _note(after.ends, index, t, counters)
                after.ended = True
                break
            work = works.pop(0) if works else Work(2)
            fault = None if work.fault is None else t + work.fault
            busy[command.opcode] = _Busy(index, command, t, work.done(t), fault)
            stopping, reason = index == stop and stop != STOP_NONE, Error.NONE
            ready, command, refused = _fetch(words, after.pc, t + 1)
        elif not stopping and ready == t:
            ready += 1
        if recorded is not None:
            _note(after.ends, busy.pop(recorded).index, t, counters)
    after.now, after.busy = t, t - begin
    return after


def _fetch(words, at, first):
    """The cycle in which the command at ``at`` can be issued, its first word being addressed in ``first``; the command; what is wrong."""
    early = first + 6
    if at >= len(words):
        return early, None, Error.NO_END
    opcode = words[at] & 0xff
    known = opcode in list(Opcode) and words[at] >> 8 & 0xff == commands.length(opcode) and words[at] >> 23 == 0
    if not known or opcode == Opcode.END and words[at] >> 16 != 0x7f:
        return early, None, Error.ILLEGAL
    size = commands.length(opcode)
    ready = first + max(6, size + 4)
    if at + size > len(words):
        return ready, None, Error.NO_END
    bits = sum(word << 32 * i for i, word in enumerate(words[at + 1:at + size]))
    fields = {name: bits >> offset & (1 << f.bits) - 1 for name, (offset, f) in commands.layout(opcode).items()}
    return ready, Command(Opcode(opcode), fields, frozenset(op for op in UNITS if words[at] >> 15 + op & 1)), None


def _note(times, index, t, counters):
    if index < counters:
        times[index] = t


class Bench:
    """A sequencer with program memory, memories of starts and ends, and units in Python.

    ``log`` has (opcode, payload) of every start; ``works`` what the units do, in their order of starting (2 cycles when there are no
    more). A word behind the program memory looks like ``END``. Units that are idle show ``done`` and ``fault`` at random.
    """

    def __init__(self, program_words=64, counters=16, seed=0):
        self.config = Config(rows=1, lanes=2, program_words=program_words, counters=counters)
        self.dut = Sequencer(self.config)
        self.control = self.dut.control
        self.units = {op: getattr(self.dut.units, op.name.lower()) for op in UNITS}
        self.done = {op: Signal(name=f"done_{op.name}") for op in UNITS}
        self.fault = {op: Signal(name=f"fault_{op.name}") for op in UNITS}
        self.random = random.Random(seed)
        self.program = [self.random.getrandbits(32) for _ in range(program_words)]
        self.log, self.works, self.state = [], [], State()
        self.watchdog = WATCHDOG_DEFAULT
        self._starts, self._ends, self._busy, self._aborts = {}, {}, 0, 0
        self._quiet = set(UNITS)  # units that are idle for the sequencer, too

    def load(self, words, at=0):
        self.program[at:at + len(words)] = words

    async def _memories(self, ctx):
        c = self.control
        pipe = [0] * (latency.RAM - 1)
        index = {}  # of the command that a unit is at
        async for _, _, p_addr, starts_en, starts_addr, ends_en, ends_addr, now, number, busy, abort, *starts in ctx.tick().sample(
                c.p_addr, c.starts_en, c.starts_addr, c.ends_en, c.ends_addr, c.now, c.index, c.busy, self.dut.abort,
                *(unit.start for unit in self.units.values())):
            pipe.append(self.program[p_addr] if p_addr < len(self.program) else END.encode()[0])
            ctx.set(c.p_data, pipe.pop(0))
            self._busy += busy
            self._aborts += abort
            assert busy or not abort
            for op, start in zip(self.units, starts):
                if start:
                    index[op] = number - 1 & 0xffff
            if starts_en:
                assert starts_addr not in self._starts, "written twice"
                self._starts[starts_addr] = now
            if ends_en:
                assert ends_addr not in self._ends, "written twice"
                self._ends[ends_addr] = now
                self._quiet |= {op for op, i in index.items() if i == ends_addr}

    async def _run_unit(self, ctx, op, unit):
        """One unit. A payload is looked at from the cycle before ``start`` up to ``done``."""
        c = self.control
        work, cycle, payload, before, done = None, 0, 0, 0, 0
        async for _, _, start, value, abort, now in ctx.tick().sample(unit.start, unit.payload, self.dut.abort, c.now):
            cycle += 1
            if abort:
                work = None
                self._quiet.add(op)
            if start:
                assert work is None, f"{op.name} is started twice"
                work = self.works.pop(0) if self.works else Work(2)
                cycle, payload, done = 1, value, work.done(now) - now
                self._quiet.discard(op)
                assert before == value, "the payload came late"
                self.log.append((op, payload))
            before = value
            noise = op in self._quiet and not start
            if work is not None:
                assert value == payload, "the payload changed"
                ctx.set(self.fault[op], cycle + 1 == work.fault)
                ctx.set(self.done[op], cycle + 1 == done)
                if cycle == done:
                    work = None
            else:
                ctx.set(self.fault[op], noise and self.random.randrange(2))
                ctx.set(self.done[op], noise and self.random.randrange(2))

    def simulate(self, body):
        m = Module()
        m.submodules.dut = self.dut
        for op, unit in self.units.items():  # a unit shows neither in the cycle of ``start``
            m.d.comb += unit.done.eq(self.done[op] & ~unit.start)
            m.d.comb += unit.fault.eq(self.fault[op] & ~unit.start)
        sim = Simulator(m)
        sim.add_clock(1e-6)
        sim.add_process(self._memories)
        for op, unit in self.units.items():
            async def process(ctx, op=op, unit=unit):
                await self._run_unit(ctx, op, unit)
            sim.add_process(process)
        sim.add_testbench(body)
        sim.run()

    async def run(self, ctx, at=0, stop=STOP_NONE, watchdog=WATCHDOG_DEFAULT, works=()) -> State:
        """One run, compared with :func:`simulate` in all that it shows."""
        expected = simulate(self.program, list(works), self.state, at=at, stop=stop, watchdog=watchdog, counters=self.config.counters)
        self.works = list(works)
        self._starts, self._ends, self._busy, self._aborts = {}, {}, 0, 0
        c = self.control
        for port, value in ((c.start_at, at), (c.stop_at, stop), (c.watchdog, watchdog), (c.go, 1)):
            ctx.set(port, value)
        await ctx.tick()
        ctx.set(c.start_at, self.random.randrange(4))
        for _ in range(20_000):
            ctx.set(c.go, self.random.randrange(20) == 0 and ctx.get(c.busy))  # ignored while busy
            if not ctx.get(c.busy):
                break
            await ctx.tick()
        else:
            raise AssertionError("the sequencer hangs")
        got = State(**{name: ctx.get(getattr(c, name)) for name in ("index", "pc", "now", "ended", "error")})
        await ctx.tick()  # the last end is written in this cycle
        self._quiet = set(UNITS)
        got.ended, got.error = bool(got.ended), Error(got.error)
        got.busy, got.aborts, got.starts, got.ends = self._busy, self._aborts, self._starts, self._ends
        self.state = got
        assert got == expected, f"{got} instead of {expected}"
        return got
