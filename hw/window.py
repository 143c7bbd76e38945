"""The walk over positions and their windows."""

from amaranth.hdl import Module, Mux, Signal, signed
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from gradgate.arch.commands import Opcode
from gradgate.hw.command import PAYLOAD, layout
from gradgate.hw.item import Kind, tag_layout
from gradgate.hw.run_check import RunCheck
from gradgate.hw.shapes import outside


class Axis(wiring.Component):
    """Where the window lies along one axis (rows or columns) of the image.

    Keeps, for the current position, the first window row inside the image and how many there are, without a multiplier:
    everything follows by adding steps.

    Members
    -------
    load : In, go to the first position; step : In, go to the next (both take effect in the next cycle)
    stride, kernel, skip, room, pitch, k_step, k_first : In, fields of RUN for this axis
    offset : Out, bricks from the first position's first row inside the image; k : Out, k of that row (times t_count)
    inside : Out, window rows inside the image (0: none)

    Latency: 1 cycle from ``step``. Resources: about 60 LUT, no DSP, no block RAM.
    """

    def __init__(self):
        super().__init__({
            "load": In(1), "step": In(1), "stride": In(2), "kernel": In(4), "skip": In(4), "room": In(12),
            "pitch": In(16), "k_step": In(16), "k_first": In(16), "offset": Out(16), "k": Out(16), "inside": Out(4),
        })

    def elaborate(self, platform):
        m = Module()
        skip = Signal(4)
        room = Signal(signed(14))
        limit = Signal(signed(14))
        m.d.comb += [
            limit.eq(Mux(room < self.kernel, room, self.kernel)),
            self.inside.eq(Mux(limit > skip, limit - skip, 0)),
        ]
        with m.If(self.load):
            m.d.sync += [skip.eq(self.skip), room.eq(self.room), self.offset.eq(0), self.k.eq(self.k_first)]
        with m.Elif(self.step):
            m.d.sync += room.eq(room - self.stride)
            with m.If(skip >= self.stride):
                m.d.sync += skip.eq(skip - self.stride)
                m.d.sync += self.k.eq(Mux(self.stride == 2, self.k - (self.k_step << 1), self.k - self.k_step))
            with m.Else():
                # a stride of two over a skip of one enters the image by one row only
                half = (self.stride == 1) | (skip == 1)
                m.d.sync += [skip.eq(0), self.k.eq(0),
                             self.offset.eq(self.offset + Mux(half, self.pitch, self.pitch << 1))]
        return m


class Window(wiring.Component):
    """Walks over all positions of a tile and, for each, over its targets and the bricks of its window inside the image.

    Addresses and k are calculated modulo 2**16, as wide as their fields, and checked.

    Members
    -------
    start : In, one cycle; payload : In, fields of RUN, stable while busy; slots : In, images this row works on (0: none)
    k_most, k_most_tail : In, of :class:`RunCheck`
    o : Out, stream of tags; addr : Out, brick of the item (row memory), valid with ``o``
    fault : Out, in the cycle behind an item whose brick lies outside the row memory, or its words' weights outside the banks

    Items of a position: ``t_count`` x TARGET if ``fetch``, HEAD, then LIST for each brick; after the last position END.
    Latency: first item one cycle after ``start``. Throughput: one item a cycle, without gaps between positions.
    Resources: about 350 LUT, no DSP, no block RAM.
    """

    def __init__(self, config):
        self.config = config
        super().__init__({
            "start": In(1), "payload": In(PAYLOAD), "slots": In(12),
            "k_most": In(RunCheck.k_shape(config)), "k_most_tail": In(RunCheck.k_shape(config)),
            "o": Out(stream.Signature(tag_layout(config))), "addr": Out(range(config.act_bricks)), "fault": Out(1),
        })

    def elaborate(self, platform):
        m = Module()
        f = layout(Opcode.RUN)(self.payload)
        tag = self.o.payload
        m.submodules.rows = rows = Axis()
        m.submodules.columns = columns = Axis()
        for axis, fields in (
            (rows, (f.kh, f.skip_y, f.room_y, f.l_pitch, f.k_row, f.k_first_y)),
            (columns, (f.kw, f.skip_x, f.room_x, f.l_col, f.k_tap, f.k_first_x)),
        ):
            inputs = (axis.kernel, axis.skip, axis.room, axis.pitch, axis.k_step, axis.k_first)
            m.d.comb += [axis.stride.eq(f.stride)] + [a.eq(b) for a, b in zip(inputs, fields)]

        # of the current slot; of the current position
        slot_base = Signal(16)
        t_base = Signal(16)
        slots_left = Signal(12)
        y_left = Signal(12)
        x_left = Signal(12)
        bricks_left = Signal(12)
        wx_left = Signal(4)
        wy_left = Signal(4)
        brick = Signal(16)
        window_row = Signal(16)
        k = Signal(16)
        k_tap = Signal(16)
        k_row = Signal(16)
        t_addr = Signal(16)
        t = Signal(range(self.config.targets))
        has_list = (rows.inside != 0) & (columns.inside != 0)

        first = Mux(f.fetch, Kind.TARGET, Kind.HEAD)
        kind = Signal(Kind)
        busy = Signal()
        go = self.o.ready & busy
        ends = Signal()  # this item is the last of its position
        m.d.comb += [self.o.valid.eq(busy), tag.kind.eq(kind), tag.k.eq(k), tag.t.eq(t)]

        with m.If(go):
            with m.Switch(kind):
                with m.Case(Kind.TARGET):
                    m.d.sync += [t_addr.eq(t_addr + 1), t.eq(t + 1)]
                    with m.If(tag.tail):
                        m.d.sync += [kind.eq(Kind.HEAD), t.eq(0)]
                with m.Case(Kind.HEAD):
                    start_addr = Signal(16)
                    start_k = Signal(16)
                    m.d.comb += [start_addr.eq(slot_base + rows.offset + columns.offset), start_k.eq(rows.k + columns.k),
                                 ends.eq(~has_list)]
                    m.d.sync += [kind.eq(Kind.LIST), brick.eq(start_addr), window_row.eq(start_addr),
                                 k.eq(start_k), k_tap.eq(start_k), k_row.eq(start_k),
                                 bricks_left.eq(f.l_bricks), wx_left.eq(columns.inside), wy_left.eq(rows.inside)]
                with m.Case(Kind.LIST):
                    m.d.sync += [brick.eq(brick + 1), k.eq(k + f.k_brick), bricks_left.eq(bricks_left - 1)]
                    with m.If(bricks_left == 1):
                        m.d.sync += [bricks_left.eq(f.l_bricks), wx_left.eq(wx_left - 1),
                                     brick.eq(brick + f.l_col - f.l_bricks + 1), k.eq(k_tap + f.k_tap),
                                     k_tap.eq(k_tap + f.k_tap)]
                        with m.If(wx_left == 1):
                            m.d.sync += [wx_left.eq(columns.inside), wy_left.eq(wy_left - 1),
                                         brick.eq(window_row + f.l_pitch), window_row.eq(window_row + f.l_pitch),
                                         k.eq(k_row + f.k_row), k_tap.eq(k_row + f.k_row), k_row.eq(k_row + f.k_row)]
                            m.d.comb += ends.eq(wy_left == 1)
                with m.Case(Kind.END):
                    m.d.sync += busy.eq(0)
        with m.Switch(kind):
            with m.Case(Kind.TARGET):
                m.d.comb += [self.addr.eq(t_addr), tag.tail.eq(t == f.t_count - 1)]
            with m.Case(Kind.HEAD):
                m.d.comb += tag.last.eq(~has_list)
            with m.Case(Kind.LIST):
                m.d.comb += [self.addr.eq(brick), tag.tail.eq(bricks_left == 1),
                             tag.last.eq((bricks_left == 1) & (wx_left == 1) & (wy_left == 1))]

        # no list word and no target without its brick; no word of a brick, zero or not, without its place in the banks
        depth = self.config.act_bricks
        lost = (k > Mux(bricks_left == 1, self.k_most_tail, self.k_most)) | outside(brick, depth)
        m.d.sync += self.fault.eq(busy & (((kind == Kind.LIST) & lost) | ((kind == Kind.TARGET) & outside(t_addr, depth))))

        next_t = Signal(16)
        with m.If(ends):
            m.d.sync += [kind.eq(first), x_left.eq(x_left - 1), t_base.eq(next_t), t_addr.eq(next_t)]
            m.d.comb += [columns.step.eq(1), next_t.eq(t_base + f.t_x)]
            with m.If(x_left == 1):
                m.d.sync += [x_left.eq(f.x_count), y_left.eq(y_left - 1)]
                m.d.comb += [columns.load.eq(1), rows.step.eq(1), next_t.eq(t_base + f.t_y)]
                with m.If(y_left == 1):
                    m.d.sync += [y_left.eq(f.y_count), slots_left.eq(slots_left - 1), slot_base.eq(slot_base + f.l_slot)]
                    m.d.comb += [rows.load.eq(1), next_t.eq(t_base + f.t_slot)]
                    with m.If(slots_left == 1):
                        m.d.sync += kind.eq(Kind.END)
        with m.If(self.start):
            m.d.comb += [rows.load.eq(1), columns.load.eq(1)]
            m.d.sync += [busy.eq(1), kind.eq(Mux(self.slots == 0, Kind.END, first)), t.eq(0),
                         slots_left.eq(self.slots), y_left.eq(f.y_count), x_left.eq(f.x_count),
                         slot_base.eq(f.l_addr), t_base.eq(f.t_addr), t_addr.eq(f.t_addr)]
        return m
