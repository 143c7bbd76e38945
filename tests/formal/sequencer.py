"""The sequencer: which commands start, with what, for how long, and how a program stops."""

from amaranth.asserts import AnyConst
from amaranth.hdl import Cat, Mux, Signal

from formal.proof import Proof, implies, small
from gradgate.arch import commands, latency
from gradgate.arch.commands import WORD, Error, Opcode
from gradgate.arch.memorymap import STOP_NONE
from gradgate.hw.control import sequencer

IDLE, FETCH, RUN, ABORT, RESET = range(5)
#: Cycles of a fetch until it is known whether there is a legal header: the memory's, word, header and decision to their registers.
DECIDED = latency.RAM + 4


class SequencerProof(Proof):
    """All outputs, in every cycle, are those of a model that decodes the header and counts cycles; and what follows from it.

    Any one word of the program memory stands for all: whichever address, it is the header of some commands and a payload word
    of others. Assumed of the surroundings: the program does not change while it runs, and the unit of the command shows ``done``
    and ``fault`` only behind its start. Nothing is assumed of the other units, nor of what the host asks for and when.
    """

    def __init__(self, config=None, module=sequencer):
        self.config = config or small()
        super().__init__(module.Sequencer(self.config))
        self.units = {op: getattr(self.unit.units, name) for op, name in module.UNITS.items()}

    def properties(self, m):
        self.program(m)
        self.command(m)
        self.outputs(m)
        self.starts(m)
        self.stops(m)
        self.registers()
        self.covers()

    def program(self, m):
        """The memory, of which one word is known."""
        c, words = self.unit.control, self.config.program_words
        self.chosen, self.word = AnyConst(range(words)), self.free("word", WORD)
        self.assume(self.chosen < words)
        before = self.past(self.word)
        self.assume(~(c.busy & self.past(c.busy)) | (self.word == before))
        self.address = [c.p_addr]  # of this cycle, of the one before, ...
        for _ in range(latency.RAM):
            self.address.append(self.past(self.address[-1]))
        with m.If(c.busy & (self.address[-1] == self.chosen)):
            self.assume(c.p_data == self.word)

    def command(self, m):
        """The command under way: its header, what is to become of it, and when."""
        c, words = self.unit.control, self.config.program_words
        self.phase, self.pc, self.index = Signal(3), Signal.like(c.pc), Signal.like(c.index)
        self.age = Signal(WORD + 2)  # cycles since its first fetch, that one included
        self.header = Signal(WORD)
        with m.If(self.age == latency.RAM + 1):
            m.d.sync += self.header.eq(c.p_data)
        self.legal = {op: self.header == (op | commands.length(op) << 8) for op in Opcode}
        self.known = Cat(self.legal.values()).any()
        self.length = Signal(8)
        m.d.comb += self.length.eq(sum(Mux(self.legal[op], commands.length(op), 0) for op in Opcode))
        self.present, self.end = self.pc < words, self.pc + self.length
        self.fits = self.present & self.known & (self.end <= words)
        self.last = last = Signal(8)  # cycle of the fetch
        m.d.comb += last.eq(Mux(self.present & self.known & (self.length > 2), self.length + latency.RAM + 2, DECIDED))
        self.fetched = (self.phase == FETCH) & (self.age == last)
        self.is_end = self.legal[Opcode.END]

        self.unit_done = Cat(self.legal[op] & unit.done for op, unit in self.units.items()).any()
        self.done = self.is_end | self.past(self.unit_done)
        self.fault = self.past(Cat(self.legal[op] & unit.fault for op, unit in self.units.items()).any() | self.unit.failed)
        self.late = self.past(self.age >= c.watchdog)
        self.failed = (self.phase == RUN) & (self.fault | self.late)
        self.finished = (self.phase == RUN) & ~self.failed & self.done
        self.stopped = self.is_end | ((self.index == c.stop_at) & (c.stop_at != STOP_NONE))

    def outputs(self, m):
        """Busy, ended, error, index and pc; addresses; counters."""
        c, config = self.unit.control, self.config
        busy, ended, error = Signal(), Signal(), Signal(Error)
        m.d.comb += busy.eq(self.phase != IDLE)
        m.d.sync += self.age.eq(self.age + 1)
        with m.If((self.phase == IDLE) & c.go):
            m.d.sync += [self.phase.eq(FETCH), self.age.eq(1), self.pc.eq(c.start_at), ended.eq(0), error.eq(Error.NONE)]
            with m.If(c.start_at == 0):
                m.d.sync += self.index.eq(0)
        with m.If(self.fetched):
            m.d.sync += self.phase.eq(Mux(self.fits, RUN, IDLE))
            with m.If(~self.fits):
                m.d.sync += error.eq(Mux(self.present & ~self.known, Error.ILLEGAL, Error.NO_END))
        with m.If(self.failed):
            m.d.sync += [self.phase.eq(ABORT), error.eq(Mux(self.fault, Error.ADDRESS, Error.WATCHDOG))]
        with m.If(self.finished):
            m.d.sync += [self.phase.eq(Mux(self.stopped, IDLE, FETCH)), self.age.eq(1), ended.eq(self.is_end),
                         self.pc.eq(self.end), self.index.eq(self.index + 1)]
        with m.If(self.phase == ABORT):
            m.d.sync += self.phase.eq(RESET)
        with m.If(self.phase == RESET):
            m.d.sync += self.phase.eq(IDLE)

        self.check((c.busy == busy) & (c.ended == ended) & (c.error == error) & (c.index == self.index) & (c.pc == self.pc))
        self.check(implies(c.busy, ~c.ended & ((c.error == Error.NONE) | (self.phase == ABORT) | (self.phase == RESET))))
        fetch = self.pc + self.age - 1
        with m.If((self.phase == FETCH) & (fetch < config.program_words)):
            self.check(c.p_addr == fetch)

        # One counter for each command that is finished, in the cycle behind it, with the cycles it took: 32 bits suffice.
        self.check(c.c_en == self.past(self.finished & (self.index < config.counters)))
        with m.If(c.c_en):
            self.check((c.c_addr == self.past(self.index)) & (c.c_data == self.past(self.age)))

    def starts(self, m):
        """One unit at a time, for one cycle, for its own header, the whole command in the memory, the payload as it is there."""
        c, dut, words = self.unit.control, self.unit, self.config.program_words
        started = Cat(unit.start for unit in self.units.values())
        finished = Cat(unit.done for unit in self.units.values())
        first = next(iter(self.units.values()))
        begins = (self.phase == RUN) & self.past(self.fetched)
        starts = self.past(begins & ~self.is_end & ~self.failed)  # the cycle behind
        self.check((started & (started - 1)[:len(started)]) == 0)
        self.check(started.any() == starts)
        self.alive = alive = Signal.like(started)  # the unit under way, from the cycle behind its start to its last or its reset
        with m.If(dut.abort):
            m.d.sync += alive.eq(0)
        with m.Else():
            m.d.sync += alive.eq((alive | started) & ~finished)
        for number, (op, unit) in enumerate(self.units.items()):
            self.assume(implies(self.legal[op] & (unit.done | unit.fault), alive[number]))
            self.lemma(self.inside.launch[op] == (begins & self.legal[op]))
            self.lemma(implies(((self.phase == RUN) & ~begins) | (self.phase == ABORT), unit.payload == self.inside.payload))
        with m.If(started.any()):
            self.check(~alive.any() & ~dut.abort & (self.past(started) == 0))
        with m.If(alive.any()):
            before = self.past(first.payload)
            self.check(first.payload == before)
        for op, unit in self.units.items():
            self.check(unit.payload == first.payload)
            size = commands.length(op)
            with m.If(unit.start):
                self.check(c.pc + size <= words)
                self.check(implies(c.pc == self.chosen, self.word == (op | size << 8)))
                for i in range(size - 1):
                    self.check(implies(c.pc + 1 + i == self.chosen, unit.payload.word_select(i, WORD) == self.word))
        ours = Cat(self.legal[op] for op in self.units)
        self.lemma(Mux(self.phase == RUN, implies(alive.any(), alive == ours), (self.phase == ABORT) | (alive == 0)))
        self.lemma(implies((self.phase == RUN) & ~begins & ~starts & ~self.is_end, alive.any() | self.past(self.unit_done)))
        self.lemma(implies(begins | starts, alive == 0))

    def stops(self, m):
        """A fault and a watchdog end in ``abort`` and then idle, on the command at fault; nothing takes longer than allowed."""
        c, dut = self.unit.control, self.unit
        self.check(dut.abort == self.past(self.failed))
        self.lemma(dut.abort == (self.phase == ABORT))
        self.check(implies(self.past(dut.abort), c.busy))
        self.check(implies(self.past(self.past(dut.abort)), ~c.busy))
        before = self.past(Cat(c.index, c.pc))
        with m.If(self.past(self.failed | dut.abort | (self.phase == RESET))):
            self.check(Cat(c.index, c.pc) == before)
        with m.If(self.past(self.finished & self.stopped)):
            self.check(~c.busy)
        limit = AnyConst(WORD)  # of the watchdog, for all time
        longest = max(map(commands.length, Opcode)) + latency.RAM + 2
        self.assume(c.watchdog <= limit)
        bound = Mux(limit < longest + 1, longest + 1, limit + 1)
        self.check(implies(c.busy, self.age <= bound + Mux(self.phase == RESET, 2, dut.abort)))
        self.lemma(implies(self.phase == FETCH, (self.age >= 1) & (self.age <= Mux(self.age < DECIDED - 1, longest, self.last))))
        self.lemma(implies(self.phase == RUN, (self.age > DECIDED) & (self.late | (self.age <= limit))))

    def registers(self):
        """What registers within have to do with the model."""
        inside, age, fetching = self.inside, self.age, self.phase == FETCH
        for name, number in (("IDLE", IDLE), ("FETCH", FETCH), ("RUN", RUN), ("ABORT", ABORT), ("RESET", RESET)):
            self.lemma(self.state(name) == (self.phase == number))
        self.lemma(self.phase <= RESET)
        under_way = fetching | (self.phase == RUN)
        self.lemma(implies(under_way, inside.elapsed == age[:WORD]))
        self.lemma(implies(fetching, inside.beat == age - 1))
        self.lemma(implies(self.phase == RUN, (inside.late == self.late) & (inside.fault == self.fault)
                           & (inside.finished == self.past(self.unit_done))))
        within = self.pc + age - 1 < self.config.program_words
        self.lemma(implies(fetching, inside.fetch == Mux(within, self.pc + age - 1, Mux(
            self.present, self.config.program_words, self.pc))))
        self.lemma(implies(fetching & (age > latency.RAM + 2), inside.header == self.header))
        decoded = (fetching & (age >= DECIDED)) | (self.phase == RUN)
        for op in Opcode:
            self.lemma(implies(decoded, inside.hit[op] == self.legal[op]))
        self.lemma(implies(fetching & (age >= DECIDED), inside.missing == ~self.present))
        self.lemma(implies(self.phase == RUN, self.fits & (inside.next_pc == self.end)))
        seen = (age > latency.RAM + 1) & (self.pc == self.chosen)
        self.lemma(implies((fetching & seen) | ((self.phase == RUN) & (self.pc == self.chosen)), self.header == self.word))
        for i in range(max(map(commands.length, Opcode)) - 1):
            there = self.pc + 1 + i == self.chosen
            read = fetching & (age > latency.RAM + 3 + i) | (self.phase == RUN) & (i + 1 < self.length)
            self.lemma(implies(there & read, inside.payload.word_select(i, WORD) == self.word))
        self.lemma(implies(fetching & (age > latency.RAM + 1) & (self.pc + age - latency.RAM - 2 == self.chosen), inside.word == self.word))
        for i in range(1, latency.RAM + 1):
            self.lemma(implies(fetching & (age > i) & (self.pc + age - 1 - i < self.config.program_words),
                               self.address[i] == self.pc + age - 1 - i))

    def covers(self):
        """A whole program of two commands; every way to stop."""
        c = self.unit.control
        self.cover(c.ended & (c.index == 2) & ~c.busy)
        self.cover(~c.busy & ~c.ended & (c.error == Error.NONE) & (c.index == 1) & (self.past(c.stop_at) == 0))
        for error in (Error.ILLEGAL, Error.NO_END, Error.ADDRESS, Error.WATCHDOG):
            self.cover((c.error == error) & (c.index == 1) & ~c.busy)
        self.cover(self.units[Opcode.POST].start & (self.chosen == self.pc + 1) & (self.word != 0))
