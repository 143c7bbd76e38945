"""The walk over positions and their windows."""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import enum, stream, wiring
from amaranth.lib.wiring import In, Out

from gradgate.arch.commands import Opcode
from gradgate.hw.command import PAYLOAD, layout
from gradgate.hw.item import Kind, tag_layout
from gradgate.hw.positions import Positions
from gradgate.hw.registers import Unreset, delays
from gradgate.hw.run_check import RunCheck
from gradgate.hw.shapes import outside


class Phase(enum.Enum, shape=5):
    """What the walk is at, a bit each: the first position, the bricks at a position, its head, the bricks of its window, the end."""

    IDLE = 0
    AIM = 1
    POINT = 2
    HEAD = 4
    WINDOW = 8
    END = 16


class Window(wiring.Component):
    """Walks over all positions of a tile and, for each, over its targets and the bricks of its list.

    Addresses and k are calculated modulo 2**16, as wide as their fields, and checked.

    Members
    -------
    start : In, one cycle; payload : In, fields of RUN, stable from ``SETTLE`` cycles before ``start`` on; slots : In, images this
        row works on (0: none)
    k_most, k_most_tail : In, of :class:`RunCheck`
    o : Out, stream of tags; addr : Out, brick of the item (row memory), valid with ``o``
    fault : Out, three cycles behind an item whose brick lies outside the row memory, or its words' weights outside the banks, or
        with ``swap`` a target that no lane has room for

    Items of a position: ``t_count`` x TARGET if ``fetch``, HEAD, then LIST for each brick of the window inside the image. With
    ``swap``: TARGET for each brick of the window inside the image, HEAD, then ``t_count`` x LIST. After the last position END.
    Latency: first item ``LATENCY`` = 3 cycles after ``start``. Throughput: one item a cycle, without gaps between positions.
    Resources: no DSP, no block RAM.
    """

    LATENCY = Positions.LATENCY + 1
    #: cycles that the fields stand before ``start``
    SETTLE = Positions.SETTLE

    def __init__(self, config):
        self.config = config
        super().__init__({
            "start": In(1), "payload": In(PAYLOAD), "slots": In(12),
            "k_most": In(RunCheck.k_shape(config)), "k_most_tail": In(RunCheck.k_shape(config)),
            "o": Out(stream.Signature(tag_layout(config))), "addr": Out(range(config.act_bricks)), "fault": Out(1),
        })

    def elaborate(self, platform):
        m = Module()
        lanes, targets = self.config.lanes, self.config.targets
        f = layout(Opcode.RUN)(self.payload)
        tag = self.o.payload
        m.submodules.positions = positions = Positions(self.config)
        here = positions.o
        m.d.comb += [positions.start.eq(self.start), positions.payload.eq(self.payload), positions.slots.eq(self.slots)]

        # of the current position; of its window, or of the bricks at it
        bricks = Unreset(12)  # up to the one behind the next
        last_brick, next_last_brick = Unreset(), Unreset()  # the current one, the next one
        single_point, before_last = Unreset(), Unreset(len(f.t_count))
        m.d.sync += [single_point.eq(f.t_count == 1), before_last.eq(f.t_count - 2)]
        wx_left, wy_left = Unreset(4), Unreset(4)
        last_wx, last_wy = Unreset(), Unreset()
        columns, one_column = Unreset(4), Unreset()
        brick = Unreset(16)
        window_row = Unreset(16)
        k = Unreset(16)
        k_tap = Unreset(16)
        k_row = Unreset(16)
        turn = Unreset(range(lanes))
        turn_row = Unreset(range(lanes))
        t_addr = Unreset(16)
        t = Unreset(range(targets + 1))  # bricks at the position; with swap, in the window: bricks of targets
        last_point = Unreset()
        no_window = Unreset()
        last_window = Unreset()  # last_brick & last_wx & last_wy
        closes = Signal()  # the item is the last of its position
        over = Unreset()  # no position is left

        phase = Signal(Phase)
        aiming, points, heads, windows, ends = phase.as_value()
        walk = Signal()  # the window goes on by a brick
        aim = Signal()  # behind this cycle, the walk is at the position that is ``here`` now
        m.d.comb += [
            positions.step.eq(aim),
            self.o.valid.eq(points | heads | windows | ends), self.addr.eq(Mux(points, t_addr, brick)),
            tag.turn.eq(Mux(f.swap, turn, 0)), tag.t.eq(t), tag.k.eq(Mux(points, t * lanes, k)),
            tag.tail.eq(Mux(points, last_point, last_brick)),
            tag.last.eq(closes),
            tag.kind.eq(Mux(heads, Kind.HEAD, Mux(ends, Kind.END, Mux(points ^ f.swap, Kind.TARGET, Kind.LIST)))),
            aim.eq(aiming | (self.o.ready & closes)), walk.eq(self.o.ready & windows),
        ]
        one_brick, two_bricks = Unreset(), Unreset()  # at a pixel
        m.d.sync += [one_brick.eq(f.l_bricks == 1), two_bricks.eq(f.l_bricks == 2)]
        last_column = last_brick & last_wx
        lasts = (Mux(last_brick, one_brick, next_last_brick), Mux(last_column, one_column, Mux(last_brick, wx_left == 2, last_wx)),
                 Mux(last_column, wy_left == 2, last_wy))  # of the next brick
        soon = Signal()
        m.d.sync += soon.eq(self.start)
        with m.If(soon):
            m.d.sync += [phase.eq(Phase.AIM), over.eq(self.slots == 0)]
        with m.If(self.o.ready):
            with m.If(points):
                m.d.sync += [t_addr.eq(t_addr + 1), t.eq(t + 1), last_point.eq(t == before_last), closes.eq(f.swap & (t == before_last))]
                with m.If(last_point):
                    m.d.sync += [phase.eq(Phase.HEAD), closes.eq(no_window)]
            with m.If(heads):
                m.d.sync += [t.eq(0), last_point.eq(single_point), phase.eq(Mux(f.swap, Phase.POINT, Phase.WINDOW)),
                             closes.eq(Mux(f.swap, single_point, last_window))]
            with m.If(windows):
                m.d.sync += [t.eq(t + 1), closes.eq(~f.swap & Cat(lasts).all())]
                with m.If(last_window):
                    m.d.sync += [phase.eq(Phase.HEAD), closes.eq(0)]
            with m.If(ends):
                m.d.sync += phase.eq(Phase.IDLE)
        with m.If(aim):
            m.d.sync += [
                t_addr.eq(here.t_addr), t.eq(0), last_point.eq(single_point), over.eq(here.last), no_window.eq(~here.some),
                columns.eq(here.columns), one_column.eq(here.one_column), closes.eq(~f.swap & ~f.fetch & ~here.some),
                phase.eq(Mux(f.swap, Mux(here.some, Phase.WINDOW, Phase.HEAD), Mux(f.fetch, Phase.POINT, Phase.HEAD))),
            ]
            with m.If(over):
                m.d.sync += [phase.eq(Phase.END), closes.eq(0)]

        # One adder for each of brick, k and turn; a register further out in the loops keeps what an inner one begins with.
        gap = Unreset(16)  # between the bricks of a pixel that belong to the tile, and the next pixel's
        m.d.sync += gap.eq(f.l_col - f.l_bricks)
        brick_step, next_brick, next_k, next_turn = (Signal(len(one)) for one in (brick, brick, k, turn))
        m.d.comb += [
            brick_step.eq(Mux(last_column, f.l_pitch, Mux(last_brick, gap, 0))),
            next_brick.eq((Cat(1, Mux(last_column, window_row, brick)) + Cat(~last_column, brick_step)) >> 1),
            next_k.eq(Mux(last_column, k_row, Mux(last_brick, k_tap, k)) + Mux(last_column, f.k_row, Mux(last_brick, f.k_tap, f.k_brick))),
            next_turn.eq(Mux(last_column, turn_row, turn) + Mux(last_column, f.turn_row, f.turn_tap)),
        ]
        with m.If(walk):
            m.d.sync += [brick.eq(next_brick), k.eq(next_k), bricks.eq(bricks + 1),
                         Cat(last_brick, last_wx, last_wy).eq(Cat(lasts)), last_window.eq(Cat(lasts).all()),
                         next_last_brick.eq(Mux(last_brick, two_bricks, bricks == f.l_bricks))]
            with m.If(last_brick):
                m.d.sync += [k_tap.eq(next_k), turn.eq(next_turn), bricks.eq(3), wx_left.eq(Mux(last_column, columns, wx_left - 1))]
            with m.If(last_column):
                m.d.sync += [window_row.eq(next_brick), k_row.eq(next_k), turn_row.eq(next_turn), wy_left.eq(wy_left - 1)]
        with m.If(aim):
            m.d.sync += [
                *(one.eq(here.brick) for one in (brick, window_row)), *(one.eq(here.k) for one in (k, k_tap, k_row)),
                *(one.eq(here.turn) for one in (turn, turn_row)), bricks.eq(3), wx_left.eq(here.columns), wy_left.eq(here.rows),
                last_brick.eq(one_brick), next_last_brick.eq(two_bricks), last_wx.eq(here.one_column), last_wy.eq(here.one_row),
                last_window.eq(here.single),
            ]

        # no list word and no target without its brick; no word of a brick, zero or not, without its place in the banks
        depth = self.config.act_bricks
        most = Mux(last_brick, self.k_most_tail, self.k_most)
        low = len(most) - 1  # bits that a legal k may have
        in_window, at_point = delays(m, windows, 2, Signal)[-1], delays(m, points, 2, Signal)[-1]
        k_seen, most_seen, brick_seen, t_seen, t_addr_seen = (
            delays(m, one, 1, name=f"{name}_seen")[-1] for name, one in (
                ("k", k), ("most", most), ("brick", brick), ("t", t), ("t_addr", t_addr)))
        k_lost, brick_lost, target_lost, point_lost = (Unreset(name=f"{name}_lost") for name in ("k", "brick", "target", "point"))
        m.d.sync += [
            k_lost.eq(k_seen[low:].any() | (most_seen - k_seen[:low])[-1]), brick_lost.eq(outside(brick_seen, depth)),
            target_lost.eq(f.swap & (t_seen >= targets - f.bias)), point_lost.eq(outside(t_addr_seen, depth)),
            self.fault.eq((in_window & (k_lost | brick_lost | target_lost)) | (at_point & point_lost)),
        ]
        return m
