"""Compresses windows into lists of non-zeros."""

from functools import reduce
from operator import or_

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from gradgate.arch.commands import Opcode
from gradgate.hw.command import PAYLOAD, layout
from gradgate.hw.item import Kind, item_layout
from gradgate.hw.registers import Unreset, behind
from gradgate.hw.shapes import below, beyond, ones


def entry_layout(config) -> data.StructLayout:
    """A list entry: ``k`` (bank index of the value's weight for target brick 0) and the 16-bit two's-complement ``value``."""
    return data.StructLayout({"k": (config.bank_weights - 1).bit_length(), "value": config.formats.act_bits})


class ListBuilder(wiring.Component):
    """Appends one non-zero a cycle to the list of the current position and opens the list when it is complete.

    Members
    -------
    start : In, one cycle; payload : In, fields of RUN
    i : In, stream of items
    free : In(lists), the list's memory may be written from the next cycle on
    e_en, e_list, e_addr, e_entry : Out, list write, one register behind the decision
    open : Out, one cycle: list ``e_list`` is complete; with it ``length`` (entries), ``psum`` (address of the position's
        sums) and ``void`` (no lane has anything to do)
    claim : Out, one cycle: the position begins; its targets are complete
    slot : Out, number of the list under construction; target_slot : Out, the same for its targets, of which one more is kept
    target : Out, one cycle: the current item is a brick of targets; ``item`` : Out, the current item
    ended : Out, all positions are done
    fault : Out, one cycle behind an entry that the list has no room for, or the end of a position whose sums lie outside the
        sums memory

    Cycles of a position: 1 for the head (list entry 0: the bias, or a zero that stands for an empty list; waits for ``free``),
    and for each brick max(1, number of flags), or 1 where no lane has a target; before it 1 for each brick of targets.
    Latency: 1 cycle from ``i`` to the current item; 1 from there to the list write. No DSP, no block RAM.
    Source: gradient output sparsity (arXiv 2109.07710), non-zero lists.
    """

    def __init__(self, config):
        self.config = config
        super().__init__({
            "start": In(1), "payload": In(PAYLOAD), "i": In(stream.Signature(item_layout(config))),
            "free": In(config.lists), "slot": Out(below(config.lists)),
            "e_en": Out(1), "e_list": Out(below(config.lists)), "e_addr": Out(range(config.list_entries)),
            "e_entry": Out(entry_layout(config)),
            "open": Out(1), "length": Out(range(config.list_entries + 1)), "psum": Out(range(config.psum_words)),
            "void": Out(1), "claim": Out(1), "target_slot": Out(range(config.lists + 1)), "target": Out(1),
            "item": Out(item_layout(config)), "ended": Out(1), "fault": Out(1),
        })

    def elaborate(self, platform):
        m = Module()
        config, f = self.config, layout(Opcode.RUN)(self.payload)
        lanes, act_bits = config.lanes, config.formats.act_bits

        # Of the fields: the bias is an entry of every list, or with swap a target; lane * t_count, by adding, not with a DSP.
        bias = Unreset()
        first_k = Unreset(len(self.i.payload.tag.k))
        pitch = Unreset(f.t_count.shape())
        m.d.sync += pitch.eq(Mux(f.swap, 1, f.t_count))
        multiples = [Unreset(len(first_k), name=f"multiple{lane}") for lane in range(lanes)]
        of_list = f.bias & ~f.swap
        m.d.sync += [bias.eq(of_list), first_k.eq(Mux(of_list, f.k_bias, 0))]
        m.d.sync += [multiple.eq(sum(pitch << bit for bit in range(lane.bit_length()) if lane >> bit & 1))
                     for lane, multiple in enumerate(multiples)]

        # The current item; what has to be known of it is decided while it is taken.
        item = behind(m, self.item, "item")
        kinds = is_target, is_head, is_list, is_end = [Signal(name=f"is_{kind.name.lower()}") for kind in Kind]  # and there is one
        quick = Signal(init=1)  # there is no item, or this is its last cycle; heads wait
        rest = Unreset(lanes)  # flags of the item above the lowest
        adds = Signal()  # of a list: this cycle appends
        ends = Signal()  # an item that is the last of its list
        void = Unreset()  # no lane has a target
        none_void = f.fetch & ~(f.swap & f.bias)
        done = Signal()
        free = Signal()  # the list under construction, or the next, may be filled
        m.d.comb += [done.eq(quick | (is_head & free)), self.i.ready.eq(done)]
        come, tag = self.i.payload, self.i.payload.tag
        with m.If(done):
            m.d.sync += [
                item.eq(come), rest.eq(come.flags & ~come.lowest),
                *(one.eq(self.i.valid & (tag.kind == kind)) for one, kind in zip(kinds, Kind)),
                quick.eq(~self.i.valid | Mux(tag.kind == Kind.LIST, come.single | void, tag.kind != Kind.HEAD)),
                adds.eq(self.i.valid & (tag.kind == Kind.LIST) & come.some & ~void),
                ends.eq(self.i.valid & tag.last & ((tag.kind == Kind.HEAD) | (tag.kind == Kind.LIST))),
            ]
            with m.If(tag.kind == Kind.HEAD):
                m.d.sync += [item.tag.k.eq(first_k), item.lowest.eq(0)]
        with m.Elif(is_list):
            none, one = ones(rest)
            first = Cat(rest[lane] & ~rest[:lane].any() for lane in range(lanes))
            m.d.sync += [item.lowest.eq(first), rest.eq(rest & ~first), quick.eq(none | one)]

        # The list so far.
        count = Unreset(range(config.list_entries + 1))
        empty = Unreset()
        psum_wide = Unreset(17)
        psum_end = Signal(17)
        complete = Signal()
        next_slot = Mux(self.slot == config.lists - 1, 0, self.slot + 1)
        still_empty = Mux(is_head, ~bias, empty & ~adds)
        length, e_addr, e_entry, e_list, psum = (
            behind(m, getattr(self, name), name) for name in ("length", "e_addr", "e_entry", "e_list", "psum"))
        open_void = behind(m, self.void, "open_void")
        m.d.comb += [
            complete.eq(ends & done), psum_end.eq(psum_wide + f.t_count), self.target.eq(is_target), self.claim.eq(is_head & done),
        ]
        with m.If(is_target & item.some):
            m.d.sync += void.eq(0)
        with m.If(is_head):
            m.d.sync += [count.eq(bias), empty.eq(~bias)]
        with m.Elif(adds):
            m.d.sync += [count.eq(count + 1), empty.eq(0)]
        with m.If(is_end):
            m.d.sync += self.ended.eq(1)
        with m.If(self.claim):
            m.d.sync += self.target_slot.eq(Mux(self.target_slot == config.lists, 0, self.target_slot + 1))

        word = reduce(or_, (item.words[lane] & item.lowest[lane].replicate(act_bits) for lane in range(lanes)))
        lane_k = reduce(or_, (multiple & item.lowest[lane].replicate(len(multiple)) for lane, multiple in enumerate(multiples)))
        m.d.sync += [
            self.e_en.eq(self.claim | adds), e_list.eq(self.slot), e_addr.eq(Mux(is_head, 0, count)),
            e_entry.k.eq(item.tag.k + lane_k), e_entry.value.eq(Mux(is_head, Mux(bias, 1 << config.formats.act_frac, 0), word)),
            self.open.eq(complete),
            self.fault.eq((adds & (count == config.list_entries)) | (complete & ~f.outer & beyond(psum_end, config.psum_words))),
        ]
        with m.If(complete):
            m.d.sync += [
                length.eq(Mux(is_head, 1, Mux(adds, count + 1, count | empty))), psum.eq(psum_wide), psum_wide.eq(psum_end),
                open_void.eq(void | (f.outer & still_empty)), void.eq(none_void),
                self.slot.eq(next_slot), free.eq(self.free.bit_select(next_slot, 1)),
            ]
        with m.Else():
            m.d.sync += free.eq(self.free.bit_select(self.slot, 1))
        with m.If(self.start):
            m.d.sync += [self.ended.eq(0), psum_wide.eq(f.psum_addr), void.eq(none_void), self.slot.eq(0), self.target_slot.eq(0)]
        return m
