"""The list builder: every flagged word of a position with targets becomes one entry of one list, and nothing else does."""

from amaranth.asserts import AnyConst
from amaranth.hdl import Array, Cat, Const, Mux, Signal

from formal.proof import Proof, ones, small
from gradgate.arch.commands import Opcode
from gradgate.hw import list_builder
from gradgate.hw.command import layout
from gradgate.hw.item import Kind


class ListBuilderProof(Proof):
    """Assumed of the surroundings: the order of the items; a list's entries fit its memory; a new RUN begins after the last
    item of the old one, and its fields do not change. Nothing is assumed of ``free`` nor of the gaps between items."""

    def __init__(self, config=None, module=list_builder):
        self.config = config or small(lanes=4, lists=2)
        super().__init__(module.ListBuilder(self.config))

    def properties(self, m):
        config, dut = self.config, self.unit
        lanes, entries = config.lanes, config.list_entries
        f = layout(Opcode.RUN)(dut.payload)
        i, tag = dut.i.payload, dut.i.payload.tag
        k_bits = len(tag.k)

        # The current item: what was taken and is not yet done with.
        taken, item, valid = Signal(), Signal.like(i), Signal()
        m.d.comb += taken.eq(dut.i.valid & dut.i.ready)
        is_target, is_head = item.tag.kind == Kind.TARGET, item.tag.kind == Kind.HEAD
        is_list, is_end = item.tag.kind == Kind.LIST, item.tag.kind == Kind.END
        age = Signal(range(lanes + 1))  # cycles that it has been the current item; entries appended of it
        with m.If(taken):
            m.d.sync += [item.eq(i), valid.eq(1), age.eq(0)]
        with m.Elif(dut.i.ready):
            m.d.sync += valid.eq(0)
        with m.Elif(valid & is_list):
            m.d.sync += age.eq(age + 1)
        retired = Signal()
        m.d.comb += retired.eq(valid & dut.i.ready)

        # Surroundings: items in their order; RUNs one after the other.
        between, outside = Signal(init=0), Signal(init=1)  # no position under way; no RUN under way
        with m.If(dut.start):
            m.d.sync += [between.eq(1), outside.eq(0)]
        with m.Elif(taken):
            ends = tag.last & ((tag.kind == Kind.HEAD) | (tag.kind == Kind.LIST))
            m.d.sync += [between.eq(ends), outside.eq(tag.kind == Kind.END)]
        in_list = Signal()  # its head has been taken
        with m.If(taken):
            m.d.sync += in_list.eq(((tag.kind == Kind.HEAD) | (tag.kind == Kind.LIST)) & ~tag.last)
        with m.If(dut.i.valid):
            self.assume(~outside & ~dut.start)
            self.assume(in_list == (tag.kind == Kind.LIST))
            self.assume((tag.kind != Kind.END) | between)
        with m.If(dut.start):
            self.assume(outside & ~valid)
        ran, before = Signal(), self.past(dut.payload)
        m.d.sync += ran.eq(1)
        self.assume(~ran | dut.start | (dut.payload == before))

        # Model of the position.
        any_target, appended = Signal(), Signal(range(entries + lanes + 1))  # of items done with, bias included
        void = Signal()
        m.d.comb += void.eq(f.fetch & ~any_target)
        number, target_number, psum = Signal(range(config.lists)), Signal(range(config.lists + 1)), Signal.like(dut.psum)
        flags = ones(item.flags)
        total = Signal.like(appended)  # with those of the current item
        m.d.comb += total.eq(Mux(is_head, f.bias, appended + Mux(is_list & ~void, flags, 0)))
        # a list has room for all its entries
        self.assume(~(valid & (is_list | is_head)) | (total <= entries))
        closed = Signal()
        m.d.comb += closed.eq(retired & item.tag.last & (is_head | is_list))
        with m.If(retired):
            m.d.sync += appended.eq(total)
            with m.If(is_target):
                m.d.sync += any_target.eq(any_target | item.flags.any())
            with m.If(is_head):
                m.d.sync += target_number.eq(Mux(target_number == config.lists, 0, target_number + 1))
        with m.If(closed):
            m.d.sync += [any_target.eq(0), number.eq(Mux(number == config.lists - 1, 0, number + 1)), psum.eq(psum + f.t_count)]
        with m.If(dut.start):
            m.d.sync += [any_target.eq(0), number.eq(0), target_number.eq(0), psum.eq(f.psum_addr)]

        # Lemmas: the unit's registers are the model's.
        inside = self.inside
        self.check((valid == inside.valid) & (any_target == inside.any_target) & (psum == inside.psum))
        self.check((number == dut.slot) & (number < config.lists))
        self.check((target_number == dut.target_slot) & (target_number <= config.lists))
        self.check(~in_list | ~between)
        self.check(~outside | ~in_list)
        with m.If(valid):
            below = [ones(item.flags[:lane]) if lane else 0 for lane in range(lanes)]
            left = Cat(item.flags[lane] & (below[lane] >= age) for lane in range(lanes))
            self.check((dut.item.tag == item.tag) & (dut.item.words == item.words))
            self.check(dut.item.flags == Mux(is_list, left, item.flags))
            self.check(Mux(is_list & ~void & item.flags.any(), age < flags, age == 0))
            self.check(~is_list | (inside.count == appended + age))
            with m.If(is_head | is_list):
                self.check(~in_list == item.tag.last)
            with m.If(is_target):
                self.check(~in_list & ~between)
            self.check(is_end == outside)
        with m.Elif(in_list):
            self.check(inside.count == appended)
        self.check(appended <= entries)

        # Rate: one cycle for each item, one for each flag, and the head waits for its list.
        with m.Switch(item.tag.kind):
            with m.Case(Kind.TARGET, Kind.END):
                self.check(retired == valid)
            with m.Case(Kind.HEAD):
                self.check(retired == (valid & dut.free.bit_select(number, 1)))
            with m.Case(Kind.LIST):
                self.check(retired == (valid & (void | (age + 1 >= flags))))
        self.check(dut.i.ready == (~valid | retired))

        # Targets: each brick for one cycle, unchanged; the claim when the head's list is free.
        self.check(dut.target == (valid & is_target))
        with m.If(dut.target):
            self.check(dut.item == item)
        self.check(dut.claim == (valid & is_head & retired))
        with m.If(dut.claim):
            self.check(dut.free.bit_select(dut.slot, 1))
        ended = Signal()
        with m.If(dut.start):
            m.d.sync += ended.eq(0)
        with m.Elif(valid & is_end):
            m.d.sync += ended.eq(1)
        self.check(dut.ended == ended)

        # Writes: only to the list that was claimed free and is not yet open, at the next address.
        owned = Signal(config.lists)
        with m.If(dut.open):
            m.d.sync += owned.bit_select(dut.e_list, 1).eq(0)
        with m.If(dut.claim):
            m.d.sync += owned.bit_select(dut.slot, 1).eq(1)
        appends = valid & Mux(is_head, retired, is_list & ~void & item.flags.any())
        writes, head_write = self.past(appends), self.past(appends & is_head)
        self.check(dut.e_en == writes)
        self.check(~dut.e_en | owned.bit_select(dut.e_list, 1))
        self.check(~dut.open | owned.bit_select(dut.e_list, 1))
        # lemma: owned is the list under construction, and the one that opens
        open_list = Mux(dut.open, 1 << dut.e_list, 0)
        self.check(owned == (open_list | Mux((in_list & ~(valid & is_head)) | (valid & is_list), 1 << number, 0)))

        next_address, written = Signal(range(entries + 1)), Signal(range(entries + 2))  # behind the entries written
        m.d.comb += written.eq(Mux(dut.e_en, Mux(head_write, self.past(f.bias), next_address + 1), next_address))
        m.d.sync += next_address.eq(written)
        with m.If(dut.e_en):
            self.check(dut.e_addr == Mux(head_write, 0, next_address))
        with m.If(valid & is_list):  # lemma
            self.check(written == appended + age)
        with m.Elif(in_list & ~valid):
            self.check(written == appended)
        with m.If(head_write):  # the bias, or a zero that the first entry overwrites
            self.check(dut.e_entry.k == Mux(f.bias, f.k_bias[:k_bits], 0))
            self.check(dut.e_entry.value == Mux(f.bias, 1 << config.formats.act_frac, 0))

        # Opening: once a position, in the cycle behind the last write.
        self.check(dut.open == self.past(closed))
        with m.If(dut.open):
            self.check(dut.e_list == self.past(number))
            self.check(dut.length == Mux(self.past(total) == 0, 1, self.past(total)))
            self.check(dut.psum == self.past(psum))
            self.check(dut.void == (self.past(void) | (f.outer & (self.past(total) == 0))))
            self.check(written == self.past(total))  # all that count are written, and no more

        # One word of one item, whichever: written once, as it came, in its place.
        lane, chosen = AnyConst(range(lanes)), self.free("choose", 1)
        self.assume(lane < lanes)
        word = Array(i.words)[lane]
        rank = Array([Const(0), *(ones(i.flags[:j]) for j in range(1, lanes))])[lane]
        away, current, done = 0, 1, 2  # not chosen; the current item; done with, its list not yet open
        state, seen = Signal(2), Signal(2)
        w_k, w_value, w_rank = Signal(k_bits), Signal(config.formats.act_bits), Signal(range(lanes))
        w_list, w_void, w_base = Signal.like(number), Signal(), Signal.like(appended)
        address = Signal.like(appended)
        m.d.comb += address.eq(w_base + w_rank)
        hit = Signal()
        m.d.comb += hit.eq((state != away) & dut.e_en & ~head_write & (dut.e_list == w_list) & (dut.e_addr == address))
        m.d.sync += seen.eq(seen + hit)
        with m.If(hit):
            self.check((dut.e_entry.k == w_k) & (dut.e_entry.value == w_value))
        with m.If((state == current) & retired):
            m.d.sync += state.eq(done)
        with m.If((state == done) & dut.open):
            self.check(dut.e_list == w_list)
            self.check(seen + hit == Mux(w_void, 0, 1))
            m.d.sync += state.eq(away)
        with m.If((state == away) & chosen & taken & (tag.kind == Kind.LIST) & i.flags.bit_select(lane, 1)):
            offset = Array((f.t_count * j)[:k_bits] for j in range(lanes))[lane]
            later = Mux(retired, total, appended)  # entries before this item
            m.d.sync += [state.eq(current), seen.eq(0), w_k.eq(tag.k + offset), w_value.eq(word), w_rank.eq(rank),
                         w_list.eq(number), w_void.eq(f.fetch & ~any_target), w_base.eq(later)]
        # lemmas
        self.check(state != 3)
        with m.If(state == current):
            self.check(valid & is_list & item.flags.bit_select(lane, 1) & (w_list == number) & (w_void == void))
            self.check((w_base == appended) & (w_value == Array(item.words)[lane]))
            self.check(w_rank == Array([Const(0), *(ones(item.flags[:j]) for j in range(1, lanes))])[lane])
            self.check(w_k == (item.tag.k + Array((f.t_count * j)[:k_bits] for j in range(lanes))[lane])[:k_bits])
            self.check(seen + hit == Mux(w_void, 0, age > w_rank))
        with m.If(state == done):
            self.check(Mux(dut.open, dut.e_list == w_list, (number == w_list) & Mux(valid, is_list, in_list)))
            self.check(dut.open | ((w_void == void) & (w_void | (address < appended))))
            self.check(seen + hit == Mux(w_void, 0, 1))

        self.cover(dut.open & (dut.length == 5))
        self.cover((state == done) & dut.open & ~w_void & f.fetch & f.bias)
        self.cover((state == done) & dut.open & w_void)
        self.cover(dut.ended & (self.past(number) == 1))
