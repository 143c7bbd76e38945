"""A lane: one entry for each pair of list entry and target, in the right memory word, and no update lost."""

from amaranth.asserts import AnyConst, AnySeq
from amaranth.hdl import Array, Cat, Module, Mux, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from formal.memory import AnyRam
from formal.proof import Proof, implies, small, variant
from gradgate.hw import lane


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
        self.drive(dut.claim, claim)
        self.drive(dut.claim_list, claim_at)
        self.drive(dut.pending, pending)
        self.drive(dut.t_slot, claim_slot)
        self.assume(~claim | ~claimed.bit_select(claim_at, 1))
        self.assume(~rise | (claimed & ~pending).bit_select(rise_at, 1))
        self.assume(~(dut.t_en & (fetched == config.targets)))
        self.assume(~(dut.t_en & claim))
        m.d.sync += fetched.eq(Mux(claim, 0, fetched + dut.t_en))
        counts = Array(Signal(range(config.targets + 1), name=f"count{s}") for s in range(lists))
        with m.If(claim):
            m.d.sync += [claimed.bit_select(claim_at, 1).eq(1), counts[claim_at].eq(fetched), slots[claim_at].eq(claim_slot),
                         claim_at.eq(after(claim_at, lists)), claim_slot.eq(after(claim_slot, lists + 1))]
        with m.If(rise):
            m.d.sync += [pending.bit_select(rise_at, 1).eq(1), rise_at.eq(after(rise_at, lists))]
        self.fin = fin = dut.fin.any()
        with m.If(fin):
            m.d.sync += [pending.bit_select(at, 1).eq(0), claimed.bit_select(at, 1).eq(0), at.eq(after(at, lists))]
        for s in range(lists):
            for value in (dut.length[s], dut.psum[s], dut.target[s], dut.void[s]):
                before = self.past(value)
                self.assume(~pending[s] | self.past(~pending[s], init=1) | (value == before))
            with m.If(pending[s]):
                self.assume((dut.length[s] >= 1) & (dut.length[s] <= config.list_entries) & (dut.target[s] == slots[s]))
                self.assume(self.pointer[s] < dut.length[s])
                m.d.sync += self.pointer[s].eq(Mux(self.pointer[s] >= dut.length[s] - 1, 0, self.pointer[s] + 1))
            with m.Else():
                m.d.sync += self.pointer[s].eq(self.free(f"phase{s}", range(config.list_entries)))

        # RUNs: fields change at the start, which waits until the pipeline is empty.
        drained = self.lane.DRAIN - 1
        self.idle = idle = Signal(range(self.lane.DRAIN), init=drained)  # cycles behind the last control cycle, less one
        started = self.past(dut.start)
        fields = Cat(dut.outer, dut.fetch, dut.accumulate, dut.bank_addr, dut.every)
        before, ran = self.past(fields), Signal()
        m.d.sync += ran.eq(1)
        self.assume(~ran | dut.start | (fields == before))
        self.assume(dut.every <= config.targets)
        with m.If(fin):
            m.d.sync += idle.eq(0)
        with m.Elif(idle != drained):
            m.d.sync += idle.eq(idle + 1)
        with m.If(dut.start):
            self.assume(~(claim | rise | dut.t_en) & (claimed == 0) & (fetched == 0) & ~dut.running)
            m.d.sync += [at.eq(0), claim_at.eq(0), rise_at.eq(0), claim_slot.eq(0)]
        self.assume(Mux(started, dut.running, Mux(self.past(dut.running), dut.running | (idle == drained), ~dut.running)))
        self.assume(dut.running | ~(claim | rise | dut.t_en))
        self.assume(dut.running | (claimed == 0) & (fetched == 0))

        # lemmas
        self.check((at < lists) & (claim_at < lists) & (rise_at < lists) & (claim_slot <= lists))
        self.check((pending & ~claimed) == 0)
        opened, held = sum(pending[s] for s in range(lists)), sum(claimed[s] for s in range(lists))
        self.check(rise_at == self.wrap(at + opened, lists))
        self.check(claim_at == self.wrap(at + held, lists))
        for s in range(lists):
            offset = Mux(s >= at, s - at, s + lists - at)
            self.check(pending[s] == (offset < opened))
            self.check(claimed[s] == (offset < held))
            self.check(dut.fin[s] == (fin & (at == s)))
        self.check(fetched == self.inside_of(self.inside.targets).count)
        for s in range(lists):
            self.check(~claimed[s] | (counts[s] == self.inside.targets.count[s]))
            self.check(~claimed[s] | (counts[s] <= config.targets))
        self.check(fetched <= config.targets)
        self.check((self.inside.at == at) & (idle <= drained))
        self.check(dut.running | ((pending == 0) & (idle == drained)))

        self.count = Signal(range(config.targets + 1))
        self.length = dut.length[at]
        self.visiting = visiting
        m.d.comb += self.count.eq(Mux(dut.fetch, counts[at], dut.every))
        self.nothing = dut.void.bit_select(at, 1) | (self.count == 0)


class LaneControlProof(Surroundings):
    """What the lane does with a pending list: each entry once for each target, in turns without a gap, then one ``fin``."""

    def properties(self, m):
        super().properties(m)
        config, dut, inside, at = self.config, self.unit, self.inside, self.at
        issue, first, last, index = inside.issue, inside.first, inside.last, inside.index
        pointer = self.pointer[at]

        # When it works: at once, but for BUBBLE cycles behind the OUT turns of the list before.
        bubble = Signal(range(self.lane.BUBBLE + 1))
        with m.If(self.fin):
            m.d.sync += bubble.eq(Mux(dut.outer & issue, self.lane.BUBBLE, 0))
        with m.Elif(bubble != 0):
            m.d.sync += bubble.eq(bubble - 1)
        with m.If(dut.start):
            m.d.sync += bubble.eq(0)
        here = self.visiting & (bubble == 0)
        self.check(inside.bubble == bubble)  # lemma
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
        # lemmas
        self.check((inside.n == steps) & (index == turn))
        with m.If(self.visiting & ~self.nothing):
            self.check((steps < self.length) & (turn < self.count))
        with m.Else():
            self.check((steps == 0) & (turn == 0))

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
        # lemmas
        with m.If(self.visiting & ~self.nothing):
            begun = Mux(steps == 0, pointer, begun_at)
            place = begun + steps
            self.check((begun_at < self.length) | ((steps == 0) & (turn == 0)))
            self.check(pointer == Mux(place >= self.length, place - self.length, place))
            self.check((turn == 0) | (steps != 0) | (pointer == begun_at))
            offset = Mux(entry >= begun, entry - begun, entry + self.length - begun)
            self.check(met == (exists & ((turn > target) | ((turn == target) & (steps > offset)))))
        with m.Else():
            self.check(met == 0)

        # OUT: an entry of one list and one of another are more than BUBBLE cycles apart.
        since = Signal(range(self.lane.BUBBLE + 2), init=self.lane.BUBBLE + 1)  # cycles since an entry of the list before
        with m.If(self.fin & issue):
            m.d.sync += since.eq(1)
        with m.Elif(since != self.lane.BUBBLE + 1):
            m.d.sync += since.eq(since + 1)
        with m.If(issue & dut.outer):
            self.check(since == self.lane.BUBBLE + 1)
        # lemmas
        self.check(~dut.outer | (since + bubble == self.lane.BUBBLE + 1))
        self.check((bubble == 0) | (bubble + self.idle == self.lane.BUBBLE))
        self.check((since == self.lane.BUBBLE + 1) | ((since > self.idle) & (since <= self.lane.BUBBLE)))

        self.cover(self.fin & (turn == 1) & (self.length == 3) & dut.fetch & dut.outer)
        self.cover(self.fin & self.nothing & (bubble == 0) & self.past(bubble == 1))
        self.cover(self.fin & (at == config.lists - 1) & ~dut.outer)


class AnyMultiplier(wiring.Component):
    """A :class:`Multiplier` with any product."""

    def __init__(self, width):
        super().__init__({"a": In(signed(width)), "b": In(signed(width)), "o": Out(signed(2 * width))})

    def elaborate(self, platform):
        m = Module()
        m.d.comb += self.o.eq(AnySeq(len(self.o)))
        return m


class LaneDataProof(LaneControlProof):
    """Where operands come from and results go, with what :class:`LaneControlProof` shows of the control cycles.

    Any one word of the bank and any one of the sums memory stand for all (:class:`AnyRam`), products may be anything.
    Assumed besides: no two pairs of entry and target of a list have the same accumulator; the sum of a position and target is
    written once in a RUN; weights are loaded and accumulators cleared only while no RUN is active.
    """

    def __init__(self, config=None, module=lane):
        super().__init__(config, variant(module, Ram=AnyRam, Multiplier=AnyMultiplier))

    def properties(self, m):
        prove, self.check = self.check, self.assume  # shown by LaneControlProof
        cover, self.cover = self.cover, lambda _: None
        super().properties(m)
        self.check, self.cover = prove, cover
        config, dut, inside, formats = self.config, self.unit, self.inside, self.config.formats
        bank, sums, multiplier, targets = inside.bank, inside.sums, inside.multiplier, inside.targets

        def delay(value, cycles):
            for _ in range(cycles):
                value = self.past(value)
            return value

        def stages(value, first, last):
            """``value`` of stage ``first``, in each stage up to ``last``."""
            result = {first: value}
            for stage in range(first + 1, last + 1):
                result[stage] = self.past(result[stage - 1])
            return result

        # s0, s1: which entry, which target
        issue = stages(inside.issue, 0, 9)
        first, last = stages(inside.first, 0, 8), stages(inside.last, 0, 9)
        visit_end = stages(self.fin, 0, 4)
        at1, index1 = self.past(self.at), self.past(inside.index)
        psum1, slot1 = self.past(dut.psum[self.at]), self.past(dut.target[self.at])
        with m.If(issue[1]):
            self.check((targets.r_slot == slot1) & (targets.r_index == index1))
        t = Signal(range(config.targets))
        m.d.comb += t.eq(Mux(dut.fetch, targets.r_entry.t, index1))
        self.assume(t < config.targets)
        entry = dut.bus[at1]

        # what they mean
        address = Signal(range(config.bank_weights))
        m.d.comb += address.eq(dut.bank_addr + entry.k + t)
        address, value = stages(address, 1, 9), stages(entry.value, 1, 5)
        wanted = stages(targets.r_entry.value, 1, 5)
        psum_address = Signal(range(config.psum_words))
        m.d.comb += psum_address.eq(psum1 + t)
        psum = stages(psum_address, 1, 9)
        word_bits = len(bank.chosen)
        here = {stage: address[stage][:word_bits] == bank.chosen for stage in address}

        # legal lists
        touched, summed = Signal(), Signal()
        with m.If(visit_end[1]):
            m.d.sync += touched.eq(0)
        with m.Elif(issue[1] & here[1]):
            m.d.sync += touched.eq(1)
        self.assume(~(dut.outer & issue[1] & here[1] & touched))
        with m.If(dut.start):
            m.d.sync += summed.eq(0)
        with m.Elif(issue[1] & self.past(last[0]) & (psum[1] == sums.chosen)):
            m.d.sync += summed.eq(1)
        self.assume(~(issue[1] & first[1] & (psum[1] == sums.chosen) & summed))
        self.assume(~(dut.w_en & dut.clear_en))
        self.assume(~(dut.running & (dut.w_en | dut.clear_en)))

        # the chosen word of the bank: an accumulator, or two weights
        half = AnyConst(1)
        acc, acc_known = Signal(formats.acc_bits), Signal()
        weight, weight_known = Signal(formats.act_bits), Signal()
        product8 = Signal(formats.acc_bits)
        m.d.comb += product8.eq(multiplier.o)
        product9 = self.past(product8)
        update = issue[9] & dut.outer
        with m.If(update & here[9]):
            self.check(implies(acc_known, bank.w_data[:formats.acc_bits] == (acc + product9)[:formats.acc_bits]))
            m.d.sync += [acc.eq(acc + product9), weight_known.eq(0)]
        with m.If(dut.clear_en & (dut.clear_addr == bank.chosen)):
            m.d.sync += [acc.eq(0), acc_known.eq(1), weight_known.eq(0)]
        with m.If(dut.w_en & (dut.w_addr[:word_bits] == bank.chosen)):
            m.d.sync += acc_known.eq(0)
            with m.If(dut.w_addr[word_bits] == half):
                m.d.sync += [weight.eq(dut.w_data), weight_known.eq(1)]
        # nothing else writes, and nowhere else
        self.check(bank.w_en == Mux(update | dut.clear_en, 3, Mux(dut.w_en, Mux(dut.w_addr[word_bits], 2, 1), 0)))
        with m.If(update):
            self.check(bank.w_addr == address[9][:word_bits])

        # operands
        with m.If(issue[5]):
            self.check(multiplier.a.as_unsigned() == value[5])
            with m.If(dut.outer):
                self.check(multiplier.b.as_unsigned() == wanted[5])
            with m.Elif(here[5] & (address[5][word_bits] == half) & weight_known):
                self.check(multiplier.b.as_unsigned() == weight)

        # the chosen sum
        mine = {stage: psum[stage] == sums.chosen for stage in psum}
        total, total_known = Signal(formats.acc_bits), Signal()  # of the turn under way, up to stage s8
        kept, kept_known = Signal(formats.acc_bits), Signal()
        with m.If(issue[8]):
            start = Mux(dut.accumulate, kept, 0)
            m.d.sync += total.eq(Mux(first[8], start, total) + product8)
            m.d.sync += total_known.eq(~dut.outer & mine[8] & Mux(first[8], ~dut.accumulate | kept_known, total_known))
        done = issue[9] & last[9] & ~dut.outer
        self.check(sums.w_en == done)
        with m.If(done):
            self.check(sums.w_addr == psum[9])
        with m.If(done & mine[9]):
            self.check(implies(total_known, sums.w_data == total))
            m.d.sync += [kept.eq(total), kept_known.eq(total_known)]

        # results, while no RUN is active
        quiet = self.past(self.past(~dut.running & ~dut.w_en & ~dut.clear_en))
        with m.If(quiet & acc_known & (delay(dut.acc_addr, 2) == bank.chosen)):
            self.check(self.past(dut.clear_en | dut.w_en) | (dut.acc == acc))
        with m.If(delay(~dut.running, 2) & kept_known & (delay(dut.sum_addr, 2) == sums.chosen)):
            self.check(dut.sum == kept)

        # lemmas
        self.check(implies(acc_known, bank.word[:formats.acc_bits] == acc))
        half_bits = len(bank.word) // 2
        self.check(implies(weight_known, bank.word.word_select(half, half_bits)[:formats.act_bits] == weight))
        self.check(implies(kept_known, sums.word == kept))
        self.check(implies(total_known, inside.total == total))

        self.cover(update & here[9] & acc_known & (acc != 0) & self.past(self.past(dut.outer)))
        self.cover(done & mine[9] & total_known & dut.accumulate & (kept != 0))
        self.cover(issue[5] & here[5] & (address[5][word_bits] == half) & weight_known & ~dut.outer)
