"""The sequencer: what is issued when, what is recorded, how a program stops; whatever is fetched, whatever units do."""

from itertools import product

from amaranth.hdl import Cat, Const, Mux, Signal

from formal.any_fetch import BITS, AnyFetch, Words
from formal.proof import Proof, implies, ones, small, variant
from gradgate.arch import commands
from gradgate.arch.commands import WITH_UNIT, Command, Error, Opcode
from gradgate.arch.memorymap import STOP_NONE
from gradgate.arch.units import UNITS, conflict, ports
from gradgate.hw.control import sequencer
from gradgate.hw.control.command_fetch import UNIT
from gradgate.hw.control.conflicts import USERS
from gradgate.hw.parts.command import layout

IDLE, ISSUE, DRAIN, ABORT, RESET = range(5)


class SequencerProof(Proof):
    """All outputs, in every cycle, are those of a model; and what follows from it.

    The model has a bit for each unit that is busy, one for each whose end is due, and the index and the fields of each unit's command.
    The command that is fetched is any (:class:`AnyFetch`); words have 8 bits. Assumed of a unit: ``done`` and ``fault`` come behind its
    ``start``, and ``fault`` not behind ``done``. Nothing is assumed of what the host asks for and when.
    """

    def __init__(self, config=None, module=sequencer):
        self.config = config or small()
        module = variant(module, CommandFetch=AnyFetch, Memory=Words, WORD=BITS)
        super().__init__(module.Sequencer(self.config))
        self.units = {op: getattr(self.unit.units, op.name.lower()) for op in UNIT}

    def properties(self, m):
        self.fetch = self.inside.fetch
        self.model(m)
        self.surroundings()
        self.outputs(m)
        self.promises(m)
        self.registers()
        self.covers()

    def model(self, m):
        """What is under way, and what happens in this cycle."""
        c, fetch = self.unit.control, self.fetch
        bits = len(UNIT)
        self.phase = Signal(3)
        self.busy, self.due = Signal(bits), Signal(bits)  # from the cycle behind the issue on; behind ``done``
        self.faults, self.late = Signal(bits), Signal()  # of the cycle before
        self.index, self.pc, self.reason = Signal.like(c.index), Signal.like(c.pc), Signal(Error)
        self.indices = {op: Signal(16, name=f"index_{op.name}") for op in UNIT}
        self.payloads = {op: Signal(BITS, name=f"fields_{op.name}") for op in UNIT}  # the first word
        self.quiet = Signal(BITS)
        self.now = Signal(32)

        self.trouble = Signal()
        m.d.comb += self.trouble.eq(self.faults.any() | self.late)
        self.own = Cat(fetch.opcode[op] for op in UNIT)
        self.free = fetch.ready & ~((fetch.waits | self.own) & self.busy).any() & ~self.trouble
        self.clash = Cat(
            self.is_now(one) & self.is_busy(other) for one, other in product(self.kinds(), self.kinds())
            if one[0] != other[0] and conflict(self.example(*one), self.example(*other))).any()
        self.issue, self.record = Signal(), Signal(bits)
        m.d.comb += self.issue.eq(self.free & ~self.clash)
        with m.If(~self.trouble):
            with m.Switch(self.due):
                for bit in range(bits):
                    with m.Case("-" * (bits - bit - 1) + "1" + "0" * bit):
                        m.d.comb += self.record.eq(1 << bit)
        self.is_end = fetch.opcode[Opcode.END]
        self.ends = self.issue & self.is_end
        self.last = self.past((c.index == c.stop_at) & (c.stop_at != STOP_NONE))  # looked at in the cycle before

    @staticmethod
    def kinds():
        """Opcodes with what makes them use more ports or not."""
        return [(op, outer) for op in UNIT for outer in ((False, True) if op == Opcode.RUN else (False,))]

    @staticmethod
    def example(op, outer):
        return Command(op, dict.fromkeys(commands.layout(op), 0) | ({"outer": 1} if outer else {}))

    def is_now(self, kind):
        """The command that is fetched is of this kind."""
        op, outer = kind
        return self.fetch.opcode[op] & (layout(op)(self.fetch.payload).outer == outer if op == Opcode.RUN else 1)

    def is_busy(self, kind):
        """A command of this kind is under way."""
        op, outer = kind
        return self.busy[UNIT[op]] & (self.payloads[op][commands.layout(op)["outer"][0]] == outer if op == Opcode.RUN else 1)

    def surroundings(self):
        """A unit is alive from the cycle behind its start up to and with its last."""
        for op, bit in UNIT.items():
            unit = self.units[op]
            alive = self.busy[bit] & ~self.due[bit] & ~unit.start
            self.assume(implies(unit.done | unit.fault, alive))

    def outputs(self, m):
        """The model goes on; what the sequencer shows is what the model does."""
        c, dut, fetch, config = self.unit.control, self.unit, self.fetch, self.config
        done = Cat(unit.done for unit in self.units.values())
        fault = Cat(unit.fault for unit in self.units.values())
        started = Cat(unit.start for unit in self.units.values())
        begun = self.own & self.issue.replicate(len(UNIT))
        event = started.any() | self.record.any()
        m.d.sync += [
            self.busy.eq(self.busy & ~self.record | begun),
            self.due.eq((self.due | done) & ~self.record),
            self.faults.eq(Mux(self.trouble, 0, fault)),
            self.late.eq((self.quiet >= c.watchdog) & self.busy.any() & ~event & ~self.trouble),
            self.quiet.eq(Mux(event, 1, self.quiet + 1)),
            self.now.eq(self.now + c.busy),
        ]
        for op, bit in UNIT.items():
            with m.If(begun[bit]):
                m.d.sync += [self.indices[op].eq(self.index), self.payloads[op].eq(fetch.payload[:BITS])]
        busy, ended, error, aborted = Signal(), Signal(), Signal(Error), Signal(16)
        m.d.comb += busy.eq(self.phase != IDLE)
        with m.If(self.trouble):
            m.d.sync += [self.busy.eq(0), self.due.eq(0), self.phase.eq(ABORT)]
            m.d.sync += error.eq(Mux(self.faults.any(), Error.ADDRESS, Error.WATCHDOG))
            culprits = Mux(self.faults.any(), self.faults, self.busy)
            for op in reversed(UNIT):
                with m.If(culprits[UNIT[op]]):
                    m.d.sync += aborted.eq(self.indices[op])
        with m.Elif(self.issue):
            m.d.sync += [self.index.eq(self.index + 1), self.reason.eq(Error.NONE)]
            m.d.sync += self.pc.eq(self.pc + sum(Mux(fetch.opcode[op], commands.length(op), 0) for op in Opcode))
            m.d.sync += self.phase.eq(Mux(self.is_end, IDLE, Mux(self.last, DRAIN, ISSUE)))
            m.d.sync += ended.eq(self.is_end)
        with m.Elif(self.free | (fetch.refused != Error.NONE)):
            m.d.sync += [self.phase.eq(DRAIN), self.reason.eq(Mux(self.free, Error.CONFLICT, fetch.refused))]
        with m.Elif((self.phase == DRAIN) & ~self.busy.any()):
            m.d.sync += [self.phase.eq(IDLE), error.eq(self.reason)]
        with m.Elif(self.phase == ABORT):
            m.d.sync += self.phase.eq(RESET)
        with m.Elif(self.phase == RESET):
            m.d.sync += [self.phase.eq(IDLE), self.index.eq(aborted)]
        with m.Elif((self.phase == IDLE) & c.go):
            m.d.sync += [self.phase.eq(ISSUE), self.pc.eq(c.start_at), ended.eq(0), error.eq(Error.NONE)]
            with m.If(c.start_at == 0):
                m.d.sync += [self.index.eq(0), self.now.eq(0)]
        self.aborted = aborted

        self.check((c.busy == busy) & (c.ended == ended) & (c.error == error) & (c.index == self.index) & (c.pc == self.pc))
        self.check((c.now == self.now) & (dut.busy == self.busy) & (dut.abort == self.past(self.trouble)))
        self.check(started == self.past(begun))
        self.check(c.starts_en == self.past(self.issue & (self.index < config.counters)))
        with m.If(c.starts_en):
            self.check(c.starts_addr == self.past(self.index))
        recorded = Signal(16)
        for op, bit in UNIT.items():
            with m.If(self.record[bit]):
                m.d.comb += recorded.eq(self.indices[op])
        with m.If(self.ends):
            m.d.comb += recorded.eq(self.index)
        some = self.record.any() | self.ends
        self.check(c.ends_en == self.past(some & (recorded < config.counters)))
        with m.If(c.ends_en):
            self.check(c.ends_addr == self.past(recorded))

    def promises(self, m):
        """What a program may rely on, without the model."""
        c, dut, fetch = self.unit.control, self.unit, self.fetch
        started = Cat(unit.start for unit in self.units.values())
        before = self.past(dut.busy)
        # No two units that conflict are ever busy together.
        for one, other in product(self.kinds(), self.kinds()):
            if one[0] < other[0] and conflict(self.example(*one), self.example(*other)):
                both = Cat(self.under_way(*one), self.under_way(*other))
                self.check(~both.all())
        # No command starts before its own unit and those that it waits for are idle; one at a time, of what was fetched.
        self.check((started & (started - 1)[:len(started)]) == 0)
        with m.If(started.any()):
            self.check((self.past(fetch.waits | self.own) & before) == 0)
            self.check(started == self.past(self.own))
        # Its fields stand from the cycle before its start on, to its end.
        for op, bit in UNIT.items():
            size = BITS * (commands.length(op) - 1)
            payload = self.units[op].payload
            with m.If(self.units[op].start):
                self.check((payload == self.past(payload)) & (payload == self.past(fetch.payload[:size])))
            with m.If(dut.busy[bit]):
                self.check(payload == self.payloads[op])
        # Every end is recorded once: as many are owed as units are busy.
        owed = Signal(4)
        m.d.sync += owed.eq(Mux(self.trouble, 0, owed + (self.issue & ~self.is_end) - self.record.any()))
        self.check(owed == ones(dut.busy))
        # It ends: an end that is due is recorded in each cycle; what may start does; a program whose units are idle stops.
        self.check(implies(self.due.any() & ~self.trouble, self.record.any()))
        self.check(implies(fetch.ready & ~dut.busy.any(), self.issue))
        self.check(implies(self.past((self.phase == DRAIN) & ~dut.busy.any()), ~c.busy))
        self.check(implies(self.phase == ISSUE, fetch.ready | (fetch.refused != Error.NONE) | self.fetching()))
        self.check(implies(~c.busy, ~dut.busy.any() & ~started.any()))

    def fetching(self):
        return self.inside_of(self.fetch).fetching

    def under_way(self, op, outer):
        """A unit is busy with such a command, as it sees it."""
        fields = layout(op)(self.units[op].payload)
        return self.unit.busy[UNIT[op]] & (fields.outer == outer if op == Opcode.RUN else 1)

    def registers(self):
        """What registers within have to do with the model."""
        c, fetch, inside, units = self.unit.control, self.fetch, self.inside, self.inside.units
        within = self.inside_of(fetch)
        for name, number in (("IDLE", IDLE), ("ISSUE", ISSUE), ("DRAIN", DRAIN), ("ABORT", ABORT), ("RESET", RESET)):
            self.lemma(self.state(name) == (self.phase == number))
        self.lemma(self.phase <= RESET)
        going = (self.phase == ISSUE) | (self.phase == DRAIN)
        self.lemma(implies(~going, (self.busy | self.due | self.faults) == 0))
        self.lemma(implies(~going, ~self.late))
        self.lemma((self.due & ~self.busy) == 0)
        self.lemma((self.faults & ~self.busy) == 0)
        self.lemma(implies(self.late, self.busy.any()))
        self.lemma(implies(self.phase != ISSUE, ~fetch.ready & (fetch.refused == Error.NONE) & ~within.fetching & ~within.settled))
        self.lemma(ones(Cat(fetch.ready, fetch.refused != Error.NONE, within.fetching)) <= 1)
        self.lemma(implies(fetch.ready, within.settled) & implies(within.settled, fetch.ready | within.fetching))
        self.lemma((units.some_fault == self.faults.any()) & (units.fault == self.faults) & (inside.late == self.late))
        started = Cat(unit.start for unit in self.units.values()).any()
        self.lemma(implies(self.busy.any() & ~started, inside.quiet == self.quiet))
        self.lemma(implies(going, units.ended == self.due))
        self.lemma(implies(going & ~self.trouble, units.record == self.record))
        self.lemma(implies(self.phase != IDLE, ~c.ended))
        self.lemma(implies(going, c.error == Error.NONE))
        self.lemma(implies((self.phase == ABORT) | (self.phase == RESET), c.error != Error.NONE))
        self.lemma(implies(self.phase == DRAIN, inside.reason == self.reason))
        self.lemma(inside.stops == self.last)
        start_of = {op: self.units[op].start for op in UNIT}
        for op, bit in UNIT.items():
            self.lemma(implies(self.busy[bit], inside.indices.words[op] == self.indices[op]))
            self.lemma(implies(start_of[op], self.busy[bit] & ~self.due[bit]))
            own = fetch.ready & fetch.opcode[op]
            self.lemma(implies(own, inside.number == int(op)))
            self.lemma(implies(fetch.ready & ~self.busy[bit], self.units[op].payload == fetch.payload[:BITS * (commands.length(op) - 1)]))
        self.lemma(implies(fetch.ready, inside.needs == (fetch.waits | self.own)))
        self.lemma(implies(fetch.ready, inside.next_pc == (c.pc + sum(
            Mux(fetch.opcode[op], commands.length(op), 0) for op in Opcode))[:len(c.pc)]))
        for bit, (user, field) in enumerate(USERS):
            met = Cat(self.is_now(one) for one in self.kinds() if one[0] != user and self.meets(one, user, field)).any()
            self.lemma(implies(fetch.ready, inside.meets[bit] == met))
        self.lemma(implies(self.phase == ABORT, units.ended.any() & (units.record == 0)))
        self.lemma(implies((self.phase == ABORT) | (self.phase == RESET), self.culprit() == self.aborted))
        self.lemma(implies(self.phase == RESET, units.record == self.lowest(units.ended)))
        self.lemma(implies(self.phase == RESET, units.ended.any()))
        self.lemma(implies((self.phase == IDLE), units.ended == 0))
        self.lemma(implies((self.phase == IDLE), units.record == 0))

    @staticmethod
    def lowest(bits):
        return bits & (~bits + 1)[:len(bits)]

    def culprit(self):
        """The index in the memory of the lowest unit in ``ended``."""
        result = Const(0, 16)
        for op in reversed(UNIT):
            result = Mux(self.inside.units.ended[UNIT[op]], self.inside.indices.words[op], result)
        return result

    def meets(self, one, user, field):
        """Whether a command of the kind shares a port with what the user always uses, or with what it uses because of the field."""
        used = UNITS[user].more_ports[field] if field else UNITS[user].ports
        return bool(ports(self.example(*one)) & used)

    def covers(self):
        """Three commands under way, ends of the same cycle, every way to stop."""
        c, dut = self.unit.control, self.unit
        self.cover(ones(dut.busy) == 3)
        self.cover(ones(self.due) == 2)
        self.cover(c.ended & (c.index == 2) & ~c.busy)
        self.cover(~c.busy & ~c.ended & (c.error == Error.NONE) & (c.index == 1))
        for error in (Error.ILLEGAL, Error.NO_END, Error.CONFLICT):
            self.cover((c.error == error) & (c.index == 1) & ~c.busy)
        for error in (Error.ADDRESS, Error.WATCHDOG):
            self.cover((c.error == error) & ~c.busy)


assert set(UNIT) == WITH_UNIT
