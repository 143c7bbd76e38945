"""The walk over positions and their windows."""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from gradgate.arch.commands import Opcode
from gradgate.hw.array.item import Kind, request_layout
from gradgate.hw.array.positions import Positions
from gradgate.hw.array.run_check import RunCheck
from gradgate.hw.array.window_state import Phase, WindowState
from gradgate.hw.parts.command import layout
from gradgate.hw.parts.registers import Unreset, delays
from gradgate.hw.parts.shapes import outside


class Window(wiring.Component):
    """Walks over all positions of a tile and, for each, over its targets and the bricks of its list.

    Addresses and k are calculated modulo 2**16, as wide as their fields, and checked.

    Members
    -------
    start : In(1), one cycle: a RUN begins
    fields : In(fields of RUN), stable from ``SETTLE`` cycles before ``start`` on
    slots : In(12), images this row works on (0: none); stable from ``start`` on
    k_most : In(signed), largest legal k of a full brick, of :class:`RunCheck`
    k_most_tail : In(signed), the same for a pixel's last brick
    o : Out, stream of requests: items whose bricks are still to be read
    fault : Out(1), three cycles after an item whose brick lies outside the row memory, or its words' weights
        outside the banks, or with ``swap`` a target that no lane has room for

    Items of a position: ``t_count`` x TARGET if ``fetch``, HEAD, then LIST for each brick of the window
    inside the image. With ``swap``: TARGET for each brick of the window inside the image, HEAD, then
    ``t_count`` x LIST. After the last position END.
    Latency: first item ``LATENCY`` = 3 cycles after ``start``.
    Throughput: one item a cycle, without gaps between positions.
    Resources: no DSP, no block RAM.
    Example: docs/examples.md#window
    """

    LATENCY = Positions.LATENCY + 1
    #: cycles that the fields stand before ``start``
    SETTLE = Positions.SETTLE

    def __init__(self, config):
        self.config = config
        super().__init__({
            "start": In(1),
            "fields": In(layout(Opcode.RUN)),
            "slots": In(12),
            "k_most": In(RunCheck.k_shape(config)),
            "k_most_tail": In(RunCheck.k_shape(config)),
            "o": Out(stream.Signature(request_layout(config))),
            "fault": Out(1),
        })

    def elaborate(self, platform):
        m = Module()
        f = self.fields
        m.submodules.positions = positions = Positions(self.config)
        m.d.comb += [
            positions.start.eq(self.start),
            positions.fields.eq(self.fields),
            positions.slots.eq(self.slots),
        ]
        at = WindowState(self.config)
        here = positions.o
        phase = Signal(Phase)
        aim = Signal()  # after this cycle, the walk is at the position that is ``here`` now
        closes = Signal()  # the item is the last of its position
        single_point = Unreset()
        before_last = Unreset(len(f.t_count))
        m.d.sync += single_point.eq(f.t_count == 1)
        m.d.sync += before_last.eq(f.t_count - 2)
        walk = self._items(m, f, at, phase, aim, closes)
        m.d.comb += positions.step.eq(aim)

        one_brick = Unreset()  # at a pixel
        two_bricks = Unreset()
        m.d.sync += one_brick.eq(f.l_bricks == 1)
        m.d.sync += two_bricks.eq(f.l_bricks == 2)
        last_column = at.last_brick & at.last_wx
        # Of the next brick: whether it is its pixel's last, in the last column, in the last row.
        following = (
            Mux(at.last_brick, one_brick, at.next_last_brick),
            Mux(last_column, at.one_column, Mux(at.last_brick, at.wx_left == 2, at.last_wx)),
            Mux(last_column, at.wy_left == 2, at.last_wy),
        )
        self._phases(m, f, at, here, phase, aim, closes, single_point, before_last, following)
        self._walk(m, f, at, walk, two_bricks, last_column, following)
        self._aim(m, at, here, aim, one_brick, two_bricks)
        self._check(m, f, at, phase)
        return m

    def _items(self, m, f, at, phase, aim, closes):
        """The items of all phases; whether the window goes on by a brick."""
        aiming, points, heads, windows, ends = phase.as_value()
        tag = self.o.payload.tag
        brick_kind = Mux(points ^ f.swap, Kind.TARGET, Kind.LIST)
        walk = Signal()
        m.d.comb += [
            self.o.valid.eq(points | heads | windows | ends),
            self.o.payload.addr.eq(Mux(points, at.t_addr, at.brick)),
            tag.turn.eq(Mux(f.swap, at.turn, 0)),
            tag.t.eq(at.t),
            tag.k.eq(Mux(points, at.t * self.config.lanes, at.k)),
            tag.tail.eq(Mux(points, at.last_point, at.last_brick)),
            tag.last.eq(closes),
            tag.kind.eq(Mux(heads, Kind.HEAD, Mux(ends, Kind.END, brick_kind))),
            aim.eq(aiming | (self.o.ready & closes)),
            walk.eq(self.o.ready & windows),
        ]
        return walk

    def _phases(self, m, f, at, here, phase, aim, closes, single_point, before_last, following):
        """From one phase to the next, from one position to the next, and through the bricks at a position."""
        _, points, heads, windows, ends = phase.as_value()
        soon = Signal()
        m.d.sync += soon.eq(self.start)
        with m.If(soon):
            m.d.sync += phase.eq(Phase.AIM)
            m.d.sync += at.over.eq(self.slots == 0)
        with m.If(self.o.ready):
            with m.If(points):
                m.d.sync += [
                    at.t_addr.eq(at.t_addr + 1),
                    at.t.eq(at.t + 1),
                    at.last_point.eq(at.t == before_last),
                    closes.eq(f.swap & (at.t == before_last)),
                ]
                with m.If(at.last_point):
                    m.d.sync += phase.eq(Phase.HEAD)
                    m.d.sync += closes.eq(at.no_window)
            with m.If(heads):
                m.d.sync += [
                    at.t.eq(0),
                    at.last_point.eq(single_point),
                    phase.eq(Mux(f.swap, Phase.POINT, Phase.WINDOW)),
                    closes.eq(Mux(f.swap, single_point, at.last_window)),
                ]
            with m.If(windows):
                m.d.sync += at.t.eq(at.t + 1)
                m.d.sync += closes.eq(~f.swap & Cat(following).all())
                with m.If(at.last_window):
                    m.d.sync += phase.eq(Phase.HEAD)
                    m.d.sync += closes.eq(0)
            with m.If(ends):
                m.d.sync += phase.eq(Phase.IDLE)
        with m.If(aim):
            swapped = Mux(here.some, Phase.WINDOW, Phase.HEAD)
            m.d.sync += [
                at.t_addr.eq(here.t_addr),
                at.t.eq(0),
                at.last_point.eq(single_point),
                at.over.eq(here.last),
                at.no_window.eq(~here.some),
                at.columns.eq(here.columns),
                at.one_column.eq(here.one_column),
                closes.eq(~f.swap & ~f.fetch & ~here.some),
                phase.eq(Mux(f.swap, swapped, Mux(f.fetch, Phase.POINT, Phase.HEAD))),
            ]
            with m.If(at.over):
                m.d.sync += phase.eq(Phase.END)
                m.d.sync += closes.eq(0)

    def _next(self, m, f, at, last_column):
        """Brick, k and turn of the window's next brick, with one adder each."""
        gap = Unreset(16)  # between the bricks of a pixel that belong to the tile, and the next pixel's
        m.d.sync += gap.eq(f.l_col - f.l_bricks)
        brick_step = Signal(16)
        next_brick = Signal(16)
        next_k = Signal(16)
        next_turn = Signal(len(at.turn))
        brick_base = Mux(last_column, at.window_row, at.brick)
        k_step = Mux(last_column, f.k_row, Mux(at.last_brick, f.k_tap, f.k_brick))
        m.d.comb += [
            brick_step.eq(Mux(last_column, f.l_pitch, Mux(at.last_brick, gap, 0))),
            # The bit below the sum carries a one into it where the row goes on: the next brick.
            next_brick.eq((Cat(1, brick_base) + Cat(~last_column, brick_step)) >> 1),
            next_k.eq(Mux(last_column, at.k_row, Mux(at.last_brick, at.k_tap, at.k)) + k_step),
            next_turn.eq(Mux(last_column, at.turn_row, at.turn) + Mux(last_column, f.turn_row, f.turn_tap)),
        ]
        return next_brick, next_k, next_turn

    def _walk(self, m, f, at, walk, two_bricks, last_column, following):
        """Through the window. A register further out in the loops keeps what an inner one begins with."""
        next_brick, next_k, next_turn = self._next(m, f, at, last_column)
        with m.If(walk):
            m.d.sync += [
                at.brick.eq(next_brick),
                at.k.eq(next_k),
                at.bricks.eq(at.bricks + 1),
                Cat(at.last_brick, at.last_wx, at.last_wy).eq(Cat(following)),
                at.last_window.eq(Cat(following).all()),
                at.next_last_brick.eq(Mux(at.last_brick, two_bricks, at.bricks == f.l_bricks)),
            ]
            with m.If(at.last_brick):
                m.d.sync += [
                    at.k_tap.eq(next_k),
                    at.turn.eq(next_turn),
                    at.bricks.eq(3),
                    at.wx_left.eq(Mux(last_column, at.columns, at.wx_left - 1)),
                ]
            with m.If(last_column):
                m.d.sync += [
                    at.window_row.eq(next_brick),
                    at.k_row.eq(next_k),
                    at.turn_row.eq(next_turn),
                    at.wy_left.eq(at.wy_left - 1),
                ]

    def _aim(self, m, at, here, aim, one_brick, two_bricks):
        """To the first brick of the next position's window."""
        with m.If(aim):
            m.d.sync += [
                at.brick.eq(here.brick),
                at.window_row.eq(here.brick),
                at.k.eq(here.k),
                at.k_tap.eq(here.k),
                at.k_row.eq(here.k),
                at.turn.eq(here.turn),
                at.turn_row.eq(here.turn),
                at.bricks.eq(3),
                at.wx_left.eq(here.columns),
                at.wy_left.eq(here.rows),
                at.last_brick.eq(one_brick),
                at.next_last_brick.eq(two_bricks),
                at.last_wx.eq(here.one_column),
                at.last_wy.eq(here.one_row),
                at.last_window.eq(here.single),
            ]

    def _check(self, m, f, at, phase):
        """No list word and no target without its brick; no word, zero or not, without room in the banks."""
        _, points, _, windows, _ = phase.as_value()
        depth, targets = self.config.act_bricks, self.config.targets
        most = Mux(at.last_brick, self.k_most_tail, self.k_most)
        low = len(most) - 1  # bits that a legal k may have
        in_window = delays(m, windows, 2, Signal, "in_window")[-1]
        at_point = delays(m, points, 2, Signal, "at_point")[-1]
        k_seen = Unreset(16)
        most_seen = Unreset(most.shape())
        brick_seen = Unreset(16)
        t_seen = Unreset(at.t.shape())
        t_addr_seen = Unreset(16)
        m.d.sync += [
            k_seen.eq(at.k),
            most_seen.eq(most),
            brick_seen.eq(at.brick),
            t_seen.eq(at.t),
            t_addr_seen.eq(at.t_addr),
        ]
        k_lost = Unreset()
        brick_lost = Unreset()
        target_lost = Unreset()
        point_lost = Unreset()
        m.d.sync += [
            k_lost.eq(k_seen[low:].any() | (most_seen - k_seen[:low])[-1]),
            brick_lost.eq(outside(brick_seen, depth)),
            target_lost.eq(f.swap & (t_seen >= targets - f.bias)),
            point_lost.eq(outside(t_addr_seen, depth)),
            self.fault.eq((in_window & (k_lost | brick_lost | target_lost)) | (at_point & point_lost)),
        ]
