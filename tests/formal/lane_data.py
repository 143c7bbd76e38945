"""The operands and results of a lane: the right memory words, and no update lost."""

from amaranth.asserts import AnyConst, AnySeq
from amaranth.hdl import Module, Mux, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from formal.lane import LaneControlProof
from formal.memory import AnyRam
from formal.proof import implies, variant
from gradgate.hw.array import lane


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
    written once in a RUN; a target's number is below ``targets``
    in RED turns; weights are
    loaded only while no RUN is active, or into other words while one of RED turns is; accumulators are cleared while none is.
    """

    def __init__(self, config=None, module=lane):
        super().__init__(config, variant(module, Ram=AnyRam, Multiplier=AnyMultiplier))

    def check(self, condition, src_loc_at=0):
        """A promise; one of :class:`LaneControlProof` is taken for granted."""
        (self.assume if self.shown else super().check)(condition, src_loc_at + 1)

    def lemma(self, condition, src_loc_at=0):
        """Likewise."""
        (self.assume if self.shown else super().lemma)(condition, src_loc_at + 1)

    def cover(self, condition, src_loc_at=0):
        """Likewise."""
        if not self.shown:
            super().cover(condition, src_loc_at + 1)

    def properties(self, m):
        self.shown = True
        super().properties(m)
        self.shown = False
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
        issue = stages(inside.place.issue, 0, 9)
        first, last = stages(inside.place.first, 0, 8), stages(inside.place.last, 0, 9)
        visit_end = stages(self.fin, 0, 4)
        at1, index1 = self.past(self.at), self.past(inside.place.index)
        psum1, slot1 = self.past(dut.lists.psum[self.at]), self.past(dut.lists.target[self.at])
        with m.If(issue[1]):
            self.check(targets.r_index == index1)
        found = targets.r_entries[slot1]
        t = Signal.like(found.t)
        m.d.comb += t.eq(Mux(dut.run.fetch, found.t, index1))
        self.assume(dut.run.outer | (t < config.targets))
        entry = dut.lists.bus[at1]

        # what they mean
        address = Signal(range(config.bank_weights))
        m.d.comb += address.eq(dut.run.bank_addr + entry.k + t)
        address, value = stages(address, 1, 9), stages(entry.value, 1, 5)
        wanted = stages(found.value, 1, 5)
        psum_address = Signal(range(config.psum_words))
        m.d.comb += psum_address.eq(psum1 + t)
        psum = stages(psum_address, 1, 9)
        word_bits = len(bank.chosen)
        here = {stage: Mux(dut.run.outer, address[stage][:word_bits], address[stage][1:]) == bank.chosen for stage in address}

        # legal lists
        touched, summed = Signal(), Signal()
        with m.If(visit_end[1]):
            m.d.sync += touched.eq(0)
        with m.Elif(issue[1] & here[1]):
            m.d.sync += touched.eq(1)
        self.assume(~(dut.run.outer & issue[1] & here[1] & touched))
        with m.If(dut.start):
            m.d.sync += summed.eq(0)
        with m.Elif(issue[1] & self.past(last[0]) & (psum[1] == sums.chosen)):
            m.d.sync += summed.eq(1)
        self.assume(~(issue[1] & first[1] & (psum[1] == sums.chosen) & summed))
        fills, fills_here = dut.fill.en.any(), dut.fill.en.any() & (dut.fill.addr == bank.chosen)
        self.assume(~(dut.run.running & ((dut.run.outer & fills) | fills_here)))

        # the chosen word of the bank: an accumulator, or two weights
        half = AnyConst(1)
        acc, acc_known = Signal(formats.acc_bits), Signal()
        weight, weight_known = Signal(formats.act_bits), Signal()
        product8 = Signal(formats.acc_bits)
        m.d.comb += product8.eq(multiplier.o)
        product9 = self.past(product8)
        update = issue[9] & dut.run.outer
        with m.If(update & here[9]):
            self.check(implies(acc_known, bank.w_data[:formats.acc_bits] == (acc + product9)[:formats.acc_bits]))
            m.d.sync += [acc.eq(acc + product9), weight_known.eq(0)]
        with m.If(fills_here):
            m.d.sync += [acc.eq(0), acc_known.eq(dut.fill.en.all() & (dut.fill.data == 0))]
            with m.If(dut.fill.en.bit_select(half, 1)):
                m.d.sync += [weight.eq(dut.fill.data), weight_known.eq(1)]
        # nothing else writes, and nowhere else
        self.check(bank.w_en == Mux(update, 3, dut.fill.en))
        with m.If(update):
            self.check(bank.w_addr == address[9][:word_bits])

        # operands
        with m.If(issue[5]):
            self.check(multiplier.a.as_unsigned() == value[5])
            with m.If(dut.run.outer):
                self.check(multiplier.b.as_unsigned() == wanted[5])
            with m.Elif(here[5] & (address[5][0] == half) & weight_known):
                self.check(multiplier.b.as_unsigned() == weight)

        # the chosen sum
        mine = {stage: psum[stage] == sums.chosen for stage in psum}
        total, total_known = Signal(formats.acc_bits), Signal()  # of the turn under way, up to stage s8
        kept, kept_known = Signal(formats.acc_bits), Signal()
        with m.If(issue[8]):
            start = Mux(dut.run.accumulate, kept, 0)
            m.d.sync += total.eq(Mux(first[8], start, total) + product8)
            m.d.sync += total_known.eq(~dut.run.outer & mine[8] & Mux(first[8], ~dut.run.accumulate | kept_known, total_known))
        done = issue[9] & last[9] & ~dut.run.outer
        self.check(sums.w_en == done)
        with m.If(done):
            self.check(sums.w_addr == psum[9])
        with m.If(done & mine[9]):
            self.check(implies(total_known, sums.w_data == total))
            m.d.sync += [kept.eq(total), kept_known.eq(total_known)]

        # results, while no RUN is active
        quiet = self.past(self.past(~dut.run.running & ~fills))
        with m.If(quiet & acc_known & (delay(dut.accs.addr, 2) == bank.chosen)):
            self.check(self.past(fills) | (dut.accs.data == acc))
        with m.If(delay(~dut.run.running, 2) & kept_known & (delay(dut.sums.addr, 2) == sums.chosen)):
            self.check(dut.sums.data == kept)

        self.lemma(implies(acc_known, bank.word[:formats.acc_bits] == acc))
        half_bits = len(bank.word) // 2
        self.lemma(implies(weight_known, bank.word.word_select(half, half_bits)[:formats.act_bits] == weight))
        self.lemma(implies(kept_known, sums.word == kept))
        self.check(implies(total_known, inside.total == total))

        self.cover(update & here[9] & acc_known & (acc != 0) & self.past(self.past(dut.run.outer)))
        self.cover(done & mine[9] & total_known & dut.run.accumulate & (kept != 0))
        self.cover(issue[5] & here[5] & (address[5][0] == half) & weight_known & ~dut.run.outer)
