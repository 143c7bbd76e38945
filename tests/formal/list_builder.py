"""The list builder: every flagged word of a position with targets becomes one entry of one list, and nothing else does."""

from amaranth.asserts import AnyConst
from amaranth.hdl import Array, Cat, Const, Mux, Signal

from formal.proof import Proof, ones, small
from gradgate.hw.array import list_builder
from gradgate.hw.array.item import Kind


class ListBuilderProof(Proof):
    """Everything the builder does, from the items it takes; and a fault exactly behind an entry without room, or a sum outside.

    Assumed of the surroundings: the order of the items; a new RUN begins after the last item of the old one, and its fields
    do not change; two cycles behind a fault the unit is reset, and there a proof ends. Nothing is assumed of ``free``, of the
    gaps between items, of the number of entries, or of where the sums lie. Between a fault and the reset the builder promises
    only to leave alone the lists that it does not own.
    """

    def __init__(self, config=None, module=list_builder):
        self.config = config or small(lanes=4, lists=2)
        super().__init__(module.ListBuilder(self.config))

    def properties(self, m):
        dut, self.f = self.unit, self.unit.fields
        self.bias, self.bias_target = self.f.bias & ~self.f.swap, self.f.bias & self.f.swap  # an entry of every list, or a target
        aborted = self.past(dut.fault)
        self.assume(~self.past(aborted))
        self.item_taken(m)
        self.surroundings(m)
        self.ownership(m)
        self.excuse = aborted
        self.position(m)
        self.rate(m)
        self.faults()
        self.writes(m)
        self.excuse = aborted | dut.fault
        self.one_word(m)

    def item_taken(self, m):
        """The current item: what was taken and is not yet done with."""
        dut = self.unit
        self.taken, self.item, self.valid = taken, item, valid = Signal(), Signal.like(dut.i.payload), Signal()
        m.d.comb += taken.eq(dut.i.valid & dut.i.ready)
        self.is_target, self.is_head = item.tag.kind == Kind.TARGET, item.tag.kind == Kind.HEAD
        self.is_list, self.is_end = item.tag.kind == Kind.LIST, item.tag.kind == Kind.END
        self.age = Signal(range(self.config.lanes + 1))  # cycles that it has been the current item; entries appended of it
        with m.If(taken):
            m.d.sync += [item.eq(dut.i.payload), valid.eq(1), self.age.eq(0)]
        with m.Elif(dut.i.ready):
            m.d.sync += valid.eq(0)
        with m.Elif(valid & self.is_list):
            m.d.sync += self.age.eq(self.age + 1)
        self.retired = Signal()
        m.d.comb += self.retired.eq(valid & dut.i.ready)

    def surroundings(self, m):
        """Items in their order; RUNs one after the other."""
        dut, tag, taken = self.unit, self.unit.i.payload.tag, self.taken
        self.between, self.outside = between, outside = Signal(init=0), Signal(init=1)  # no position, no RUN under way
        of_list = (tag.kind == Kind.HEAD) | (tag.kind == Kind.LIST)
        with m.If(dut.start):
            m.d.sync += [between.eq(1), outside.eq(0)]
        with m.Elif(taken):
            m.d.sync += [between.eq(tag.last & of_list), outside.eq(tag.kind == Kind.END)]
        self.in_list = in_list = Signal()  # its head has been taken
        with m.If(taken):
            m.d.sync += in_list.eq(of_list & ~tag.last)
        given = dut.i.payload
        self.assume(given.lowest == (given.flags & -given.flags)[:self.config.lanes])
        self.assume((given.some == given.flags.any()) & (given.single == (ones(given.flags) <= 1)))
        with m.If(dut.i.valid):
            self.assume(~outside & ~dut.start)
            self.assume(in_list == (tag.kind == Kind.LIST))
            self.assume((tag.kind != Kind.END) | between)
        with m.If(dut.start):
            self.assume(outside & ~self.valid)
        ran, before = Signal(), self.past(dut.fields)
        m.d.sync += ran.eq(1)
        self.assume(~ran | (dut.ended & ~dut.start) | (dut.fields.as_value() == before))
        self.assume(~dut.start | ran)

    def ownership(self, m):
        """Writes go to no list but one that was claimed free and is not yet open, even between a fault and the reset."""
        dut, lists = self.unit, self.config.lists
        self.number = Signal(range(lists))
        owned = Signal(lists)
        with m.If(dut.build.open):
            m.d.sync += owned.bit_select(dut.build.list, 1).eq(0)
        with m.If(dut.build.claim):
            m.d.sync += owned.bit_select(dut.build.slot, 1).eq(1)
            self.check(self.past(dut.build.free).bit_select(dut.build.slot, 1))
        with m.If(dut.build.w_en | dut.build.open):
            self.check(owned.bit_select(dut.build.list, 1))
        # it is the list under construction, and the one that opens
        opens = Mux(dut.build.open, 1 << dut.build.list, 0)
        under = (self.in_list & ~(self.valid & self.is_head)) | (self.valid & self.is_list)
        self.lemma(self.past(dut.fault) | (owned == (opens | Mux(under, 1 << self.number, 0))))

    def position(self, m):
        """A model of the position; the unit's registers are the model's."""
        config, dut, inside, f, item, valid = self.config, self.unit, self.inside, self.f, self.item, self.valid
        lanes, entries = config.lanes, config.list_entries
        self.any_target, self.void = any_target, void = Signal(), Signal()
        self.appended = appended = Signal(range(entries + lanes + 2))  # entries of the items done with, the bias included
        m.d.comb += void.eq(f.fetch & ~any_target & ~self.bias_target)
        number, target_number = self.number, Signal(range(config.lists + 1))
        self.psum = psum = Signal(20)  # RED: exact; OUT: of no meaning
        self.flags = ones(item.flags)
        self.total = total = Signal.like(appended)  # with those of the current item
        m.d.comb += total.eq(Mux(self.is_head, self.bias, appended + Mux(self.is_list & ~void, self.flags, 0)))
        self.closed = Signal()
        m.d.comb += self.closed.eq(self.retired & item.tag.last & (self.is_head | self.is_list))
        with m.If(self.retired):
            m.d.sync += appended.eq(total)
            with m.If(self.is_target):
                m.d.sync += any_target.eq(any_target | item.flags.any())
            with m.If(self.is_head):
                m.d.sync += target_number.eq(Mux(target_number == config.lists, 0, target_number + 1))
        with m.If(self.closed):
            m.d.sync += [any_target.eq(0), number.eq(Mux(number == config.lists - 1, 0, number + 1)), psum.eq(psum + f.t_count)]
        with m.If(dut.start):
            m.d.sync += [any_target.eq(0), number.eq(0), target_number.eq(0), psum.eq(f.psum_addr)]

        self.check((number == dut.build.slot) & (target_number == dut.build.target_slot))
        in_list, age = self.in_list, self.age
        for name, here in (("target", self.is_target), ("head", self.is_head), ("list", self.is_list), ("end", self.is_end)):
            self.lemma(getattr(inside.current, f"is_{name}") == (valid & here))
        self.lemma(self.outside | ((inside.new.void == void) & (inside.bias == self.bias)))
        self.lemma(self.outside | (inside.first_k == Mux(self.bias, f.k_bias[:len(inside.first_k)], 0)))
        for lane, multiple in enumerate(inside.multiples):
            self.lemma(self.outside | (multiple == (Mux(f.swap, 1, f.t_count) * lane)[:len(multiple)]))
        self.lemma(inside.current.adds == (valid & self.is_list & ~void & item.flags.any()))
        self.lemma(inside.current.ends == (valid & item.tag.last & (self.is_head | self.is_list)))
        self.lemma((psum[:17] == inside.new.psum) & (f.outer | dut.fault | self.outside | (psum <= 0xffff)))
        self.lemma((number < config.lists) & (target_number <= config.lists))
        self.lemma(~in_list | ~self.between)
        self.lemma(~self.outside | ~in_list)
        with m.If(valid):
            below = [ones(item.flags[:lane]) if lane else 0 for lane in range(lanes)]
            left = Cat(item.flags[lane] & (below[lane] >= age) for lane in range(lanes))
            tag = dut.item.tag
            self.lemma((tag.turn == item.tag.turn) & (tag.t == item.tag.t) & (dut.item.words == item.words))
            self.lemma(tag.k == Mux(self.is_head, inside.first_k, item.tag.k))
            self.lemma(~self.is_list | (dut.item.lowest == (left & -left)[:lanes]))
            self.lemma(~self.is_head | (dut.item.lowest == 0))
            self.lemma(dut.item.flags == item.flags)
            self.lemma(~self.is_list | (inside.rest == (left & (left - 1))[:lanes]))
            self.lemma(Mux(self.is_list & ~void & item.flags.any(), age < self.flags, age == 0))
            self.lemma(dut.item.some == item.flags.any())
            self.lemma(inside.quick == Mux(self.is_list, void | (ones(left) <= 1), ~self.is_head))
            self.lemma(~self.is_list | (inside.new.count == appended + age))
            self.lemma(~self.is_list | dut.fault | (inside.new.empty == (inside.new.count == 0)))
            self.lemma(~self.is_list | dut.fault | (appended + age <= entries))
            with m.If(self.is_head | self.is_list):
                self.lemma(~in_list == item.tag.last)
            with m.If(self.is_target):
                self.lemma(~in_list & ~self.between)
            self.lemma(self.is_end == self.outside)
        with m.Else():
            self.lemma(inside.quick)
        with m.If(~valid & in_list):
            self.lemma(inside.new.count == appended)
            self.lemma(dut.fault | (inside.new.empty == (inside.new.count == 0)))
        self.lemma(~in_list | (valid & self.is_head) | dut.fault | (appended <= entries))
        self.lemma(appended <= entries + 1)

    def rate(self, m):
        """One cycle for each item, one for each flag, and the head waits for its list; targets, claim and end."""
        dut, item, valid, retired = self.unit, self.item, self.valid, self.retired
        with m.Switch(item.tag.kind):
            with m.Case(Kind.TARGET, Kind.END):
                self.check(retired == valid)
            with m.Case(Kind.HEAD):
                self.check(retired == (valid & self.past(dut.build.free).bit_select(self.number, 1)))
            with m.Case(Kind.LIST):
                self.check(retired == (valid & (self.void | (self.age + 1 >= self.flags))))
        self.check(dut.i.ready == (~valid | retired))

        self.check(dut.target == (valid & self.is_target))
        with m.If(dut.target):
            self.check((dut.item.tag == item.tag) & (dut.item.words == item.words) & (dut.item.flags == item.flags))
        self.check(dut.build.claim == (valid & self.is_head & retired))
        ended = Signal()
        with m.If(dut.start):
            m.d.sync += ended.eq(0)
        with m.Elif(valid & self.is_end):
            m.d.sync += ended.eq(1)
        self.check(dut.ended == ended)
        self.lemma(~ended | self.outside)

    def faults(self):
        """A fault exactly one cycle behind the entry that has no room, or behind the position whose sums lie outside."""
        config, dut, f = self.config, self.unit, self.f
        self.appends = self.valid & Mux(self.is_head, self.retired, self.is_list & ~self.void & self.item.flags.any())
        full = self.appends & self.is_list & (self.appended + self.age >= config.list_entries)
        outside = self.closed & ~f.outer & (self.psum + f.t_count > config.psum_words)
        self.check(dut.fault == self.past(full | outside))
        self.check(~dut.fault | ~dut.ended)
        self.cover(dut.fault & self.past(full) & ~self.past(outside))
        self.cover(dut.fault & self.past(outside) & ~self.past(full))
        self.cover(~dut.fault & dut.build.open & (dut.build.length == config.list_entries))
        self.cover(~dut.fault & dut.build.open & ~f.outer & (dut.build.psum + f.t_count == config.psum_words))

    def writes(self, m):
        """Entries at one address after the other; the list opens once a position, in the cycle behind the last write."""
        config, dut, f, entries = self.config, self.unit, self.f, self.config.list_entries
        self.head_write = head_write = self.past(self.appends & self.is_head)
        self.check(dut.build.w_en == self.past(self.appends))
        next_address, written = Signal(range(entries + 2)), Signal(range(entries + 2))  # behind the entries written
        m.d.comb += written.eq(Mux(dut.build.w_en, Mux(head_write, self.past(self.bias), next_address + 1), next_address))
        m.d.sync += next_address.eq(written)
        with m.If(dut.build.w_en & ~head_write):
            self.check(dut.fault | (next_address < entries))
            self.check(dut.fault | (dut.build.w_addr == next_address))
        with m.If(head_write):  # the bias, or a zero that the first entry overwrites
            self.check(dut.build.w_addr == 0)
            self.check(dut.build.w_entry.k == Mux(self.bias, f.k_bias[:len(dut.build.w_entry.k)], 0))
            self.check(dut.build.w_entry.value == Mux(self.bias, 1 << config.formats.act_frac, 0))
        with m.If(self.valid & self.is_list):
            self.lemma(written == self.appended + self.age)
        with m.Elif(self.in_list & ~self.valid):
            self.lemma(written == self.appended)

        self.check(dut.build.open == self.past(self.closed))
        with m.If(dut.build.open):
            total, psum = self.past(self.total), self.past(self.psum)
            self.check(dut.build.list == self.past(self.number))
            self.check(dut.build.length == Mux(total == 0, 1, total))
            self.check(dut.build.psum == psum[:len(dut.build.psum)])
            self.check(f.outer | dut.fault | (psum + f.t_count <= config.psum_words))
            self.check(dut.fault | (dut.build.length <= entries))
            self.check(dut.build.void == (self.past(self.void) | (f.outer & (total == 0))))
            self.check(written == total)  # all that count are written, and no more

    def one_word(self, m):
        """One word of one item, whichever: written once, as it came, in its place."""
        config, dut, f, item, i = self.config, self.unit, self.f, self.item, self.unit.i.payload
        lanes, k_bits, number, void = config.lanes, len(i.tag.k), self.number, self.void
        offsets = Array((Mux(f.swap, 1, f.t_count) * j)[:k_bits] for j in range(lanes))

        def ranks(flags):
            return Array([Const(0), *(ones(flags[:j]) for j in range(1, lanes))])

        lane, chosen = AnyConst(range(lanes)), self.free("choose", 1)
        self.assume(lane < lanes)
        away, current, done = 0, 1, 2  # not chosen; the current item; done with, its list not yet open
        state, seen = Signal(2), Signal(2)
        w_k, w_value, w_rank = Signal(k_bits), Signal(config.formats.act_bits), Signal(range(lanes))
        w_list, w_void, w_base = Signal.like(number), Signal(), Signal.like(self.appended)
        address = Signal.like(self.appended)
        m.d.comb += address.eq(w_base + w_rank)
        hit = Signal()
        m.d.comb += hit.eq((state != away) & dut.build.w_en & ~self.head_write & (dut.build.list == w_list) & (dut.build.w_addr == address))
        m.d.sync += seen.eq(seen + hit)
        with m.If(hit):
            self.check((dut.build.w_entry.k == w_k) & (dut.build.w_entry.value == w_value))
        with m.If((state == current) & self.retired):
            m.d.sync += state.eq(done)
        with m.If((state == done) & dut.build.open):
            self.check(dut.build.list == w_list)
            self.check(seen + hit == Mux(w_void, 0, 1))
            m.d.sync += state.eq(away)
        with m.If((state == away) & chosen & self.taken & (i.tag.kind == Kind.LIST) & i.flags.bit_select(lane, 1)):
            m.d.sync += [
                state.eq(current), seen.eq(0), w_k.eq(i.tag.k + offsets[lane]), w_value.eq(Array(i.words)[lane]),
                w_rank.eq(ranks(i.flags)[lane]), w_list.eq(number), w_void.eq(f.fetch & ~self.any_target & ~self.bias_target),
                w_base.eq(Mux(self.retired, self.total, self.appended)),  # entries before this item
            ]
        self.lemma(state != 3)
        with m.If(state == current):
            self.lemma(self.valid & self.is_list & item.flags.bit_select(lane, 1) & (w_list == number) & (w_void == void))
            self.lemma((w_base == self.appended) & (w_value == Array(item.words)[lane]))
            self.lemma(w_rank == ranks(item.flags)[lane])
            self.lemma(w_k == (item.tag.k + offsets[lane])[:k_bits])
            self.lemma(seen + hit == Mux(w_void, 0, self.age > w_rank))
        with m.If(state == done):
            self.lemma(Mux(dut.build.open, dut.build.list == w_list, (number == w_list) & Mux(self.valid, self.is_list, self.in_list)))
            self.lemma(dut.build.open | ((w_void == void) & (w_void | (address < self.appended))))
            self.lemma(seen + hit == Mux(w_void, 0, 1))

        self.cover(dut.build.open & (dut.build.length == 5) & (state == done))
        self.cover((state == done) & dut.build.open & ~w_void & f.fetch & self.bias)
        self.cover((state == done) & dut.build.open & ~w_void & ~self.any_target & self.bias_target)
        self.cover((state == done) & dut.build.open & w_void)
        self.cover(dut.ended & (self.past(number) == 1))
