"""Compresses windows into lists of non-zeros."""

from functools import reduce
from operator import or_

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from gradgate.arch.commands import Opcode
from gradgate.hw.array.item import Kind, item_layout
from gradgate.hw.array.lists import BuildSignature
from gradgate.hw.parts.command import layout
from gradgate.hw.parts.registers import Unreset, behind
from gradgate.hw.parts.shapes import beyond, ones


class _Current:
    """What is known of the current item. Registers."""

    def __init__(self):
        # There is one, and it is of this kind.
        self.is_target = Signal()
        self.is_head = Signal()
        self.is_list = Signal()
        self.is_end = Signal()
        self.adds = Signal()  # this cycle appends one of its words
        self.ends = Signal()  # it is the last one of its list


class _New:
    """What is known of the list under construction. Registers."""

    def __init__(self, config):
        self.free = Signal()  # it, or the next one, may be filled
        self.count = Unreset(range(config.list_entries + 1))  # entries so far
        self.empty = Unreset()  # there are none
        self.void = Unreset()  # no lane has a target
        self.psum = Unreset(17)  # address of its position's sums, or of words after the sums memory


class ListBuilder(wiring.Component):
    """Appends one non-zero a cycle to the current position's list and opens the list when it is complete.

    Members
    -------
    start : In(1), one cycle: a RUN begins
    fields : In(fields of RUN), stable from the cycle before ``start`` to ``ended``
    i : In, stream of items
    build : Out(BuildSignature), to the carousel; ``w_en`` and ``open`` come a cycle after the decision
    target : Out(1), one cycle: the current item is a brick of targets
    item : Out(item), the current item
    ended : Out(1), all positions are done; until the next ``start``
    fault : Out(1), one cycle after an entry that the list has no room for, or after the end of a position
        whose sums lie outside the sums memory

    Cycles of a position: 1 for the head (list entry 0: the bias, or a zero that stands for an empty list;
    waits for ``free``), and for each brick max(1, number of flags), or 1 where no lane has a target; before
    it 1 for each brick of targets.
    Latency: 1 cycle from ``i`` to the current item; 1 from there to the list write. No DSP, no block RAM.
    Source: gradient output sparsity (arXiv 2109.07710), non-zero lists.
    Example: docs/examples.md#listbuilder
    """

    def __init__(self, config):
        self.config = config
        super().__init__({
            "start": In(1),
            "fields": In(layout(Opcode.RUN)),
            "i": In(stream.Signature(item_layout(config))),
            "build": Out(BuildSignature(config)),
            "target": Out(1),
            "item": Out(item_layout(config)),
            "ended": Out(1),
            "fault": Out(1),
        })

    def elaborate(self, platform):
        m = Module()
        f, build = self.fields, self.build
        bias, first_k, multiples = self._fields(m, f)
        item = behind(m, self.item, "item")
        current = _Current()
        new = _New(self.config)
        done = self._take(m, item, current, new, first_k)

        psum_end = Signal(17)  # address of the next position's sums
        complete = Signal()  # this cycle is the last one of a list
        m.d.comb += [
            complete.eq(current.ends & done),
            psum_end.eq(new.psum + f.t_count),
            self.target.eq(current.is_target),
            build.claim.eq(current.is_head & done),
        ]
        with m.If(current.is_target & item.some):
            m.d.sync += new.void.eq(0)
        self._count(m, current, new, bias)
        with m.If(current.is_end):
            m.d.sync += self.ended.eq(1)
        with m.If(build.claim):
            last_slot = build.target_slot == self.config.lists
            m.d.sync += build.target_slot.eq(Mux(last_slot, 0, build.target_slot + 1))
        self._write(m, item, current, new, bias, multiples)
        none_void = f.fetch & ~(f.swap & f.bias)
        self._open(m, f, current, new, bias, complete, psum_end, none_void)
        with m.If(self.start):
            m.d.sync += [
                self.ended.eq(0),
                new.psum.eq(f.psum_addr),
                new.void.eq(none_void),
                build.slot.eq(0),
                build.target_slot.eq(0),
            ]
        return m

    def _fields(self, m, f):
        """Of the fields: whether lists begin with the bias, the k of their heads, each lane's part of k."""
        bias = Unreset()
        first_k = Unreset(len(self.i.payload.tag.k))
        pitch = Unreset(f.t_count.shape())  # between the k of one word of a brick and the next
        m.d.sync += pitch.eq(Mux(f.swap, 1, f.t_count))
        multiples = [Unreset(len(first_k), name=f"multiple{lane}") for lane in range(self.config.lanes)]
        of_list = f.bias & ~f.swap  # with swap, the bias is a target
        m.d.sync += bias.eq(of_list)
        m.d.sync += first_k.eq(Mux(of_list, f.k_bias, 0))
        for lane, multiple in enumerate(multiples):
            # By adding, not with a DSP.
            m.d.sync += multiple.eq(sum(pitch << bit for bit in range(lane.bit_length()) if lane >> bit & 1))
        return bias, first_k, multiples

    def _take(self, m, item, current, new, first_k):
        """The current item; what has to be known of it is decided while it is taken.

        Returns whether this is its last cycle.
        """
        quick = Signal(init=1)  # there is no item, or this is its last cycle; heads wait
        rest = Unreset(self.config.lanes)  # flags of the item above the lowest
        done = Signal()
        m.d.comb += done.eq(quick | (current.is_head & new.free))
        m.d.comb += self.i.ready.eq(done)
        come, tag, valid = self.i.payload, self.i.payload.tag, self.i.valid
        with m.If(done):
            m.d.sync += [
                item.eq(come),
                rest.eq(come.flags & ~come.lowest),
                current.is_target.eq(valid & (tag.kind == Kind.TARGET)),
                current.is_head.eq(valid & (tag.kind == Kind.HEAD)),
                current.is_list.eq(valid & (tag.kind == Kind.LIST)),
                current.is_end.eq(valid & (tag.kind == Kind.END)),
                quick.eq(~valid | Mux(tag.kind == Kind.LIST, come.single | new.void, tag.kind != Kind.HEAD)),
                current.adds.eq(valid & (tag.kind == Kind.LIST) & come.some & ~new.void),
                current.ends.eq(valid & tag.last & ((tag.kind == Kind.HEAD) | (tag.kind == Kind.LIST))),
            ]
            with m.If(tag.kind == Kind.HEAD):
                m.d.sync += item.tag.k.eq(first_k)
                m.d.sync += item.lowest.eq(0)
        with m.Elif(current.is_list):
            none, one = ones(rest)
            first = Cat(rest[lane] & ~rest[:lane].any() for lane in range(self.config.lanes))
            m.d.sync += [
                item.lowest.eq(first),
                rest.eq(rest & ~first),
                quick.eq(none | one),
            ]
        return done

    def _count(self, m, current, new, bias):
        """Entries of the list so far, and whether there are none."""
        with m.If(current.is_head):
            m.d.sync += new.count.eq(bias)
            m.d.sync += new.empty.eq(~bias)
        with m.Elif(current.adds):
            m.d.sync += new.count.eq(new.count + 1)
            m.d.sync += new.empty.eq(0)

    def _write(self, m, item, current, new, bias, multiples):
        """An entry for each head, the bias or a zero, and for each word that counts."""
        build = self.build
        w_addr = behind(m, build.w_addr, "w_addr")
        w_entry = behind(m, build.w_entry, "w_entry")
        number = behind(m, build.list, "list")
        word, lane_k = self._lowest(item, multiples)
        bias_word = Mux(bias, 1 << self.config.formats.act_frac, 0)
        m.d.sync += [
            build.w_en.eq(build.claim | current.adds),
            number.eq(build.slot),
            w_addr.eq(Mux(current.is_head, 0, new.count)),
            w_entry.k.eq(item.tag.k + lane_k),
            w_entry.value.eq(Mux(current.is_head, bias_word, word)),
        ]

    def _lowest(self, item, multiples):
        """The word of the item's lowest flag, and its lane's part of k."""
        lowest = item.lowest
        words = [word & lowest[lane].replicate(len(word)) for lane, word in enumerate(item.words)]
        parts = [multiple & lowest[lane].replicate(len(multiple)) for lane, multiple in enumerate(multiples)]
        return reduce(or_, words), reduce(or_, parts)

    def _open(self, m, f, current, new, bias, complete, psum_end, none_void):
        """A list opens when it is complete; the next one follows. A fault if it or its sums had no room."""
        build = self.build
        length = behind(m, build.length, "length")
        psum = behind(m, build.psum, "psum")
        open_void = behind(m, build.void, "open_void")
        full = new.count == self.config.list_entries
        sums_outside = beyond(psum_end, self.config.psum_words)
        m.d.sync += [
            build.open.eq(complete),
            self.fault.eq((current.adds & full) | (complete & ~f.outer & sums_outside)),
        ]
        still_empty = Mux(current.is_head, ~bias, new.empty & ~current.adds)
        more = Mux(current.adds, new.count + 1, new.count | new.empty)
        next_slot = Mux(build.slot == self.config.lists - 1, 0, build.slot + 1)
        with m.If(complete):
            m.d.sync += [
                length.eq(Mux(current.is_head, 1, more)),
                psum.eq(new.psum),
                new.psum.eq(psum_end),
                open_void.eq(new.void | (f.outer & still_empty)),
                new.void.eq(none_void),
                build.slot.eq(next_slot),
                new.free.eq(build.free.bit_select(next_slot, 1)),
            ]
        with m.Else():
            m.d.sync += new.free.eq(build.free.bit_select(build.slot, 1))
