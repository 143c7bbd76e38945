"""Compresses windows into lists of non-zeros."""

from functools import reduce
from operator import or_

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from gradgate.arch.commands import Opcode
from gradgate.hw.command import PAYLOAD, layout
from gradgate.hw.item import Kind, item_layout
from gradgate.hw.shapes import below, beyond


def entry_layout(config) -> data.StructLayout:
    """A list entry: ``k`` (bank index of the value's weight for target brick 0) and the 16-bit two's-complement ``value``."""
    return data.StructLayout({"k": (config.bank_weights - 1).bit_length(), "value": config.formats.act_bits})


class ListBuilder(wiring.Component):
    """Appends one non-zero a cycle to the list of the current position and opens the list when it is complete.

    Members
    -------
    start : In, one cycle; payload : In, fields of RUN
    i : In, stream of items
    free : In(lists), the list's memory may be written
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
        lanes = config.lanes
        item = self.item
        valid = Signal()
        pending = item.flags  # flags of the current item not yet appended

        is_head = item.tag.kind == Kind.HEAD
        def first(flags):
            return Cat(flags[lane] & ~flags[:lane].any() for lane in range(lanes))

        lowest = Signal(lanes)
        rest = Signal(lanes)
        single = Signal()  # of the current item's flags, one is pending or none
        some = Signal()  # .. at least one
        m.d.comb += [lowest.eq(first(pending)), rest.eq(pending & ~lowest)]
        value = reduce(or_, (item.words[lane] & lowest[lane].replicate(config.formats.act_bits) for lane in range(lanes)))
        # lane * t_count, by adding: a product would cost a DSP
        pitch = Signal.like(f.t_count)
        m.d.comb += pitch.eq(Mux(f.swap, 1, f.t_count))
        pitch3 = Signal(len(pitch) + 2)
        m.d.comb += pitch3.eq(pitch + (pitch << 1))
        near, far = Signal(len(pitch3)), Signal(len(item.tag.k) - 2)
        m.d.comb += [
            near.eq(reduce(or_, (times & (lowest[i::4].any() & ~is_head).replicate(len(near))
                                 for i, times in ((1, pitch), (2, pitch << 1), (3, pitch3)) if i < lanes))),
            far.eq(sum((pitch & (Cat(lowest[i] for i in range(lanes) if i >> bit & 1).any() & ~is_head).replicate(len(pitch))) << bit - 2
                       for bit in range(2, (lanes - 1).bit_length()))),
        ]
        lane_k = Signal(len(item.tag.k))
        m.d.comb += lane_k.eq(Cat(near[:2], near[2:] + far))

        any_target = Signal()
        bias = f.bias & ~f.swap  # is an entry of every list; with swap it is a target
        void = f.fetch & ~any_target & ~(f.swap & f.bias)
        count = Signal(range(config.list_entries + 1))
        grown = Signal.like(count)
        psum_wide = Signal(17)
        psum_end = Signal(17)
        psum = psum_wide[:len(self.psum)]
        done = Signal()  # the current item is done with this cycle
        append = Signal()
        empty = Signal()  # the list so far
        still_empty = Mux(is_head, ~bias, empty & ~append)

        m.d.comb += [self.i.ready.eq(done | ~valid), grown.eq(count)]
        with m.If(self.i.ready):
            flags = self.i.payload.flags
            m.d.sync += [valid.eq(self.i.valid), item.eq(self.i.payload), some.eq(flags.any()), single.eq((flags & ~first(flags)) == 0)]
        with m.If(valid):
            with m.Switch(item.tag.kind):
                with m.Case(Kind.TARGET):
                    m.d.comb += [done.eq(1), self.target.eq(1)]
                    m.d.sync += any_target.eq(any_target | some)
                with m.Case(Kind.HEAD):
                    m.d.comb += [done.eq(self.free.bit_select(self.slot, 1)), self.claim.eq(done), append.eq(done),
                                 grown.eq(bias)]
                    with m.If(done):
                        m.d.sync += self.target_slot.eq(Mux(self.target_slot == config.lists, 0, self.target_slot + 1))
                with m.Case(Kind.LIST):
                    m.d.comb += [done.eq(void | single), append.eq(~void & some), grown.eq(Mux(append, count + 1, count))]
                    with m.If(~done):
                        m.d.sync += [item.flags.eq(rest), single.eq((rest & ~first(rest)) == 0)]
                with m.Case(Kind.END):
                    m.d.comb += done.eq(1)
                    m.d.sync += self.ended.eq(1)

        complete = valid & done & item.tag.last & (is_head | (item.tag.kind == Kind.LIST))
        with m.If(done | append):
            m.d.sync += [count.eq(grown), empty.eq(still_empty)]
        m.d.sync += [
            self.e_en.eq(append), self.e_list.eq(self.slot), self.e_addr.eq(Mux(is_head, 0, count)),
            self.e_entry.k.eq(Mux(is_head, Mux(bias, f.k_bias, 0), item.tag.k) + lane_k),
            self.e_entry.value.eq(Mux(is_head, Mux(bias, 1 << config.formats.act_frac, 0), value)),
            self.open.eq(complete),
            self.fault.eq((append & ~is_head & (count == config.list_entries)) | (complete & ~f.outer
                                                                                  & beyond(psum_end, config.psum_words))),
        ]
        m.d.comb += psum_end.eq(psum_wide + f.t_count)
        with m.If(complete):
            m.d.sync += [
                self.length.eq(grown | still_empty), self.psum.eq(psum), psum_wide.eq(psum_end),
                self.void.eq(void | (f.outer & still_empty)), any_target.eq(0),
                self.slot.eq(Mux(self.slot == config.lists - 1, 0, self.slot + 1)),
            ]
        with m.If(self.start):
            m.d.sync += [self.ended.eq(0), psum_wide.eq(f.psum_addr), any_target.eq(0), self.slot.eq(0), self.target_slot.eq(0)]
        return m

