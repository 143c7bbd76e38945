"""A lane: one entry for each pair of list entry and target, in the right memory word, and no update lost."""

from amaranth.asserts import AnyConst
from amaranth.hdl import Array, Cat, Mux, Signal

from formal.proof import Proof, implies, small
from gradgate.hw.array import lane


class Surroundings(Proof):
    """A lane with lists in order, as builder and carousel give them.

    Assumed: a RUN begins when the last one's lists are done with, and its fields do not change; each list is claimed once
    its targets are complete, then becomes pending, both in order, and is pending until the lane's ``fin``; meanwhile its
    length (1 to what the memory holds), its psum, its target slot and ``void`` do not change, and the bus carries entry after
    entry, the first behind the last. Nothing is assumed of the time that anything takes.
    """

    def __init__(self, config=None, module=lane):
        self.config, self.lane = config or small(lists=2), module.Lane
        super().__init__(module.Lane(self.config))

    def properties(self, m):
        config, dut, lists = self.config, self.unit, self.config.lists
        self.at = at = Signal(range(lists))  # the list to visit
        self.pending, self.claimed = pending, claimed = Signal(lists), Signal(lists)
        self.pointer = Array(Signal(range(config.list_entries), name=f"pointer{s}") for s in range(lists))

        def after(number, count):
            return Mux(number == count - 1, 0, number + 1)

        # Claims and openings, in order.
        claim, rise = self.free("claim", 1), self.free("rise", 1)
        claim_at, rise_at, claim_slot = Signal(range(lists)), Signal(range(lists)), Signal(range(lists + 1))
        slots = Array(Signal(range(lists + 1), name=f"slot{s}") for s in range(lists))
        fetched = Signal(range(config.targets + 1))  # targets of the position to be claimed next
        visiting = Signal()
        m.d.comb += visiting.eq(pending.bit_select(at, 1))
        self.drive(dut.append.claim, claim)
        self.drive(dut.append.claim_list, claim_at)
        self.drive(dut.visit.pending, pending)
        self.drive(dut.append.slot, claim_slot)
        self.assume(~claim | ~claimed.bit_select(claim_at, 1))
        self.assume(~rise | (claimed & self.past(claimed) & ~pending).bit_select(rise_at, 1))
        self.assume(~(dut.append.en & (fetched == config.targets)))
        self.assume(~(dut.append.en & claim))
        m.d.sync += fetched.eq(Mux(claim, 0, fetched + dut.append.en))
        counts = Array(Signal(range(config.targets + 1), name=f"count{s}") for s in range(lists))
        with m.If(claim):
            m.d.sync += [claimed.bit_select(claim_at, 1).eq(1), counts[claim_at].eq(fetched), slots[claim_at].eq(claim_slot),
                         claim_at.eq(after(claim_at, lists)), claim_slot.eq(after(claim_slot, lists + 1))]
        with m.If(rise):
            m.d.sync += [pending.bit_select(rise_at, 1).eq(1), rise_at.eq(after(rise_at, lists))]
        self.fin = fin = dut.visit.fin.any()
        with m.If(fin):
            m.d.sync += [pending.bit_select(at, 1).eq(0), claimed.bit_select(at, 1).eq(0), at.eq(after(at, lists))]
        for s in range(lists):
            was = self.past(dut.lists.void[s])  # a cycle, two cycles before the list is pending, too
            ago = self.past(was)
            self.assume(~pending[s] | ((dut.lists.length[s] == self.past(dut.lists.length[s])) & (dut.lists.void[s] == was) & (was == ago)))
            self.assume(dut.lists.single[s] == (dut.lists.length[s] == 1))
            for value in (dut.lists.psum[s], dut.lists.target[s]):
                before = self.past(value)
                self.assume(~pending[s] | self.past(~pending[s], init=1) | (value == before))
            with m.If(pending[s]):
                self.assume((dut.lists.length[s] >= 1) & (dut.lists.length[s] <= config.list_entries) & (dut.lists.target[s] == slots[s]))
                self.assume(self.pointer[s] < dut.lists.length[s])
                m.d.sync += self.pointer[s].eq(Mux(self.pointer[s] >= dut.lists.length[s] - 1, 0, self.pointer[s] + 1))
            with m.Else():
                m.d.sync += self.pointer[s].eq(self.free(f"phase{s}", range(config.list_entries)))

        # RUNs: fields change at the start, which waits until the pipeline is empty.
        drained = self.lane.DRAIN - 1
        self.idle = idle = Signal(range(self.lane.DRAIN), init=drained)  # cycles behind the last control cycle, less one
        started = self.past(dut.start)
        fields = Cat(dut.run.outer, dut.run.fetch, dut.run.accumulate, dut.run.bank_addr, dut.run.every)
        before, ran = self.past(fields), Signal()
        m.d.sync += ran.eq(1)
        self.assume(~ran | dut.start | (fields == before))
        self.assume(dut.run.every <= config.targets)
        with m.If(fin):
            m.d.sync += idle.eq(0)
        with m.Elif(idle != drained):
            m.d.sync += idle.eq(idle + 1)
        with m.If(dut.start):
            self.assume(~(claim | rise | dut.append.en) & (claimed == 0) & (fetched == 0) & ~dut.run.running)
            m.d.sync += [at.eq(0), claim_at.eq(0), rise_at.eq(0), claim_slot.eq(0)]
        self.assume(Mux(started, dut.run.running, Mux(self.past(dut.run.running), dut.run.running | (idle == drained), ~dut.run.running)))
        self.assume(dut.run.running | ~(claim | rise | dut.append.en))
        self.assume(dut.run.running | (claimed == 0) & (fetched == 0))

        self.lemma((at < lists) & (claim_at < lists) & (rise_at < lists) & (claim_slot <= lists))
        self.lemma((pending & ~claimed) == 0)
        opened, held = sum(pending[s] for s in range(lists)), sum(claimed[s] for s in range(lists))
        self.lemma(rise_at == self.wrap(at + opened, lists))
        self.lemma(claim_at == self.wrap(at + held, lists))
        for s in range(lists):
            offset = Mux(s >= at, s - at, s + lists - at)
            self.lemma(pending[s] == (offset < opened))
            self.lemma(claimed[s] == (offset < held))
            self.check(dut.visit.fin[s] == (fin & (at == s)))
        self.lemma(fetched == self.inside_of(self.inside.targets).count)
        for s in range(lists):
            self.lemma(~claimed[s] | (counts[s] == self.inside.targets.count[s]))
            self.lemma(~claimed[s] | (counts[s] <= config.targets))
        self.lemma(fetched <= config.targets)
        self.lemma((self.inside.place.at == at) & (idle <= drained))
        self.lemma(dut.run.running | ((pending == 0) & (idle == drained)))

        self.count = Signal(range(config.targets + 1))
        self.length = dut.lists.length[at]
        self.visiting = visiting
        m.d.comb += self.count.eq(Mux(dut.run.fetch, counts[at], dut.run.every))
        self.nothing = dut.lists.void.bit_select(at, 1) | (self.count == 0)


class LaneControlProof(Surroundings):
    """What the lane does with a pending list: each entry once for each target, in turns without a gap, then one ``fin``."""

    def properties(self, m):
        super().properties(m)
        config, dut, inside, at = self.config, self.unit, self.inside, self.at
        issue, first, last, index = inside.place.issue, inside.place.first, inside.place.last, inside.place.index
        pointer = self.pointer[at]

        # When it works: at once, but for BUBBLE cycles behind the OUT turns of the list before.
        bubble = Signal(range(self.lane.BUBBLE + 1))
        with m.If(self.fin):
            m.d.sync += bubble.eq(Mux(dut.run.outer & issue, self.lane.BUBBLE, 0))
        with m.Elif(bubble != 0):
            m.d.sync += bubble.eq(bubble - 1)
        with m.If(dut.start):
            m.d.sync += bubble.eq(0)
        here = self.visiting & (bubble == 0)
        self.lemma(inside.in_bubble == (bubble != 0))
        self.lemma(inside.bubble == Mux(bubble == 0, 0, (1 << self.lane.BUBBLE) >> bubble))  # a bit that moves up
        self.check(issue == (here & ~self.nothing))
        self.check(implies(self.fin, here))
        with m.If(self.nothing):
            self.check(self.fin == here)

        # A turn: ``length`` cycles one behind the other, with one target.
        steps, turn = Signal(range(config.list_entries + 1)), Signal(range(config.targets + 1))
        with m.If(issue):
            self.check(index == turn)
            self.check((first == (steps == 0)) & (last == (steps == self.length - 1)))
            self.check(self.fin == (last & (turn == self.count - 1)))
            m.d.sync += steps.eq(Mux(last, 0, steps + 1))
            with m.If(last):
                m.d.sync += turn.eq(Mux(self.fin, 0, turn + 1))
        with m.If(dut.start):
            m.d.sync += [steps.eq(0), turn.eq(0)]
        self.lemma((~issue | (index == turn)) & (first == (steps == 0)))
        with m.If(self.visiting):
            self.lemma(inside.place.nothing == self.nothing)
            self.lemma((inside.left == self.length - steps) & (last == (steps == self.length - 1)))
            self.lemma(self.nothing | ((inside.turns == self.count - turn) & (index == turn)))
            self.lemma(self.nothing | (inside.place.final == (turn == self.count - 1)))
        with m.If(self.visiting & ~self.nothing):
            self.lemma((steps < self.length) & (turn < self.count))
        with m.Else():
            self.lemma((steps == 0) & (turn == 0))

        # One pair of entry and target, whichever: met once before ``fin``, if there is such an entry and such a target.
        entry, target = AnyConst(range(config.list_entries)), AnyConst(range(config.targets))
        self.assume((entry < config.list_entries) & (target < config.targets))
        met, now, begun_at = Signal(2), Signal(), Signal.like(self.pointer[0])
        m.d.comb += now.eq(issue & (pointer == entry) & (index == target))
        exists = ~self.nothing & (entry < self.length) & (target < self.count)
        m.d.sync += met.eq(Mux(self.fin, 0, met + now))
        with m.If(self.fin):
            self.check(met + now == exists)
        with m.If(issue & (steps == 0)):
            m.d.sync += begun_at.eq(pointer)
        with m.If(self.visiting & ~self.nothing):
            begun = Mux(steps == 0, pointer, begun_at)
            place = begun + steps
            self.lemma((begun_at < self.length) | ((steps == 0) & (turn == 0)))
            self.lemma(pointer == Mux(place >= self.length, place - self.length, place))
            self.lemma((turn == 0) | (steps != 0) | (pointer == begun_at))
            offset = Mux(entry >= begun, entry - begun, entry + self.length - begun)
            self.lemma(met == (exists & ((turn > target) | ((turn == target) & (steps > offset)))))
        with m.Else():
            self.lemma(met == 0)

        # OUT: an entry of one list and one of another are more than BUBBLE cycles apart.
        since = Signal(range(self.lane.BUBBLE + 2), init=self.lane.BUBBLE + 1)  # cycles since an entry of the list before
        with m.If(self.fin & issue):
            m.d.sync += since.eq(1)
        with m.Elif(since != self.lane.BUBBLE + 1):
            m.d.sync += since.eq(since + 1)
        with m.If(issue & dut.run.outer):
            self.check(since == self.lane.BUBBLE + 1)
        self.lemma(~dut.run.outer | (since + bubble == self.lane.BUBBLE + 1))
        self.lemma((bubble == 0) | (bubble + self.idle == self.lane.BUBBLE))
        self.lemma((since == self.lane.BUBBLE + 1) | ((since > self.idle) & (since <= self.lane.BUBBLE)))

        self.cover(self.fin & (turn == 1) & (self.length == 3) & dut.run.fetch & dut.run.outer)
        self.cover(self.fin & self.nothing & (bubble == 0) & self.past(bubble == 1))
        self.cover(self.fin & (at == config.lists - 1) & ~dut.run.outer)
