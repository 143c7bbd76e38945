"""The walk over positions and their windows."""

from amaranth.hdl import Cat, Module, Mux, Signal, signed
from amaranth.lib import enum, stream, wiring
from amaranth.lib.wiring import In, Out

from gradgate.arch.commands import Opcode
from gradgate.hw.command import PAYLOAD, layout
from gradgate.hw.item import Kind, tag_layout
from gradgate.hw.registers import Unreset, behind
from gradgate.hw.run_check import RunCheck
from gradgate.hw.shapes import outside


class Axis(wiring.Component):
    """Where the window lies along one axis (rows or columns) of the image.

    Keeps, for the current position, the first window row inside the image and how many there are, without a multiplier:
    everything follows by adding steps. A position has ``skip`` window rows in front of the image and ``room`` up to its end; how
    many lie between is worked out in three steps, so each is begun three positions ahead.

    Members
    -------
    load : In, go to the first position; step : In, go to the next (both take effect in the next cycle)
    stride, kernel, skip, room, pitch, k_step, k_first, turn_step, turn_first : In, fields of RUN for this axis, stable from ``SETTLE``
        = 3 cycles before the first ``load`` on
    first : In, brick from which ``offset`` counts, taken at ``load``
    offset : Out, brick of the first row inside the image; k : Out, k of that row (times t_count)
    turn : Out, lanes by which that row is turned; inside : Out, window rows inside the image; any : Out, there are some

    Latency: 1 cycle from ``step``. Resources: no DSP, no block RAM.
    """

    #: cycles that the fields stand before the first ``load``
    SETTLE = 3

    def __init__(self, lanes):
        turn = range(lanes)
        super().__init__({
            "load": In(1), "step": In(1), "stride": In(2), "kernel": In(4), "skip": In(4), "room": In(12),
            "first": In(16), "pitch": In(16), "k_step": In(16), "k_first": In(16), "turn_step": In(turn), "turn_first": In(turn),
            "offset": Out(16), "k": Out(16), "turn": Out(turn), "inside": Out(4), "any": Out(1),
        })

    def elaborate(self, platform):
        m = Module()
        two = self.stride == 2

        def register(value, name):
            result = Unreset(value.shape(), name=name)
            m.d.sync += result.eq(value)
            return result

        def shorter(skip):
            return Mux(skip >= self.stride, skip - self.stride, 0)

        def end(room):
            """Window rows up to the image's end, 0 to kernel."""
            return Mux(room[-1], 0, Mux(room[4:-1].any() | (room[:4] >= self.kernel), self.kernel, room[:4]))

        def span(end, skip):
            """Window rows inside the image."""
            return Mux(end > skip, end - skip, 0)[:4]

        # what the first positions are, from the fields
        room = Signal(signed(14))
        m.d.comb += room.eq(self.room)
        skips, rooms = [self.skip], [room]
        for number in range(1, 4):
            skips.append(register(shorter(skips[-1]), f"first_skip{number}"))
            rooms.append(register((rooms[-1] - self.stride)[:14].as_signed(), f"first_room{number}"))
        ends = [register(end(room), f"first_end{number}") for number, room in enumerate(rooms[:3])]
        spans = [register(span(*both), f"first_span{number}") for number, both in enumerate(zip(ends[:2], skips))]

        # of the third position ahead, of the second, of the next, of the current one
        skip3, room3 = Unreset(4), Unreset(signed(14))
        skip2, end2 = Unreset(4), Unreset(4)
        skip1, span1 = Unreset(4), Unreset(4)
        skip = Unreset(4)
        inside, some, offset, k, turn = (behind(m, output, name) for name, output in (
            ("inside", self.inside), ("some", self.any), ("offset", self.offset), ("k", self.k), ("turn", self.turn)))
        enters = Unreset()  # the next step enters the image, or goes on in it
        with m.If(self.load):
            m.d.sync += [skip3.eq(skips[3]), room3.eq(rooms[3]), skip2.eq(skips[2]), end2.eq(ends[2]),
                         skip1.eq(skips[1]), span1.eq(spans[1]), skip.eq(skips[0]), inside.eq(spans[0]), some.eq(spans[0].any()),
                         enters.eq(self.skip < self.stride)]
        with m.Elif(self.step):
            m.d.sync += [skip3.eq(shorter(skip3)), room3.eq(room3 - self.stride), skip2.eq(skip3), end2.eq(end(room3)),
                         skip1.eq(skip2), span1.eq(span(end2, skip2)), skip.eq(skip1), inside.eq(span1), some.eq(span1.any()),
                         enters.eq(skip1 < self.stride)]

        enter = self.step & ~self.load & enters
        # what becomes zero comes first: it is the reset of a register then
        with m.If(enter):
            m.d.sync += [k.eq(0), turn.eq(0)]
        with m.Elif(self.load):
            m.d.sync += [k.eq(self.k_first), turn.eq(self.turn_first)]
        with m.Elif(self.step):
            m.d.sync += [k.eq(k - Mux(two, self.k_step << 1, self.k_step)), turn.eq(turn - Mux(two, self.turn_step << 1, self.turn_step))]
        with m.If(self.load):
            m.d.sync += offset.eq(self.first)
        with m.Elif(enter):  # a stride of two over a skip of one enters the image by one row only
            m.d.sync += offset.eq(offset + Mux(two & (skip != 1), self.pitch << 1, self.pitch))
        return m


class Phase(enum.Enum, shape=5):
    """What the walk is at, a bit each: the first address, the bricks at a position, its head, the bricks of its window, the end."""

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
    fault : Out, two cycles behind an item whose brick lies outside the row memory, or its words' weights outside the banks, or
        with ``swap`` a target that no lane has room for

    Items of a position: ``t_count`` x TARGET if ``fetch``, HEAD, then LIST for each brick of the window inside the image. With
    ``swap``: TARGET for each brick of the window inside the image, HEAD, then ``t_count`` x LIST. After the last position END.
    Latency: first item one cycle after ``start``, two with ``swap``. Throughput: one item a cycle, without gaps between positions.
    Resources: no DSP, no block RAM.
    """

    #: cycles that the fields stand before ``start``
    SETTLE = Axis.SETTLE

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
        m.submodules.rows = rows = Axis(lanes)
        m.submodules.columns = columns = Axis(lanes)
        for axis, fields in (
            (rows, (f.kh, f.skip_y, f.room_y, f.l_pitch, f.k_row, f.k_first_y, f.turn_row, f.turn_first_y)),
            (columns, (f.kw, f.skip_x, f.room_x, f.l_col, f.k_tap, f.k_first_x, f.turn_tap, f.turn_first_x)),
        ):
            inputs = (axis.kernel, axis.skip, axis.room, axis.pitch, axis.k_step, axis.k_first, axis.turn_step, axis.turn_first)
            m.d.comb += [axis.stride.eq(f.stride)] + [a.eq(b) for a, b in zip(inputs, fields)]

        # of the current slot; of the current position
        slot_base = Unreset(16)
        t_base = Unreset(16)
        slots, y, x, bricks = (Unreset(12, name=name) for name in ("slots", "y", "x", "bricks"))  # up to the next one
        last_slot, last_y, last_x, last_brick = (Unreset(name=f"last_{name}") for name in ("slot", "y", "x", "brick"))  # the current one
        single_point, before_last = Unreset(), Unreset(len(f.t_count))
        m.d.sync += [single_point.eq(f.t_count == 1), before_last.eq(f.t_count - 2)]
        wx_left, wy_left = Unreset(4), Unreset(4)
        last_wx, last_wy = Unreset(), Unreset()
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
        has_window = rows.any & columns.any

        phase = Signal(Phase)
        aiming, points, heads, windows, ends = phase.as_value()
        walk = Signal()  # the window goes on by a brick
        aim = Signal()  # the window's first brick is known behind this cycle
        move = Signal()  # the axes go to the next position
        over = Unreset()  # no position is left
        begin = Signal(Phase)  # where a position begins
        m.d.comb += begin.eq(Mux(f.swap, Mux(has_window, Phase.WINDOW, Phase.HEAD), Mux(f.fetch, Phase.POINT, Phase.HEAD)))

        last_column = last_brick & last_wx
        last_window = Unreset()  # last_column & last_wy
        m.d.comb += [
            self.o.valid.eq(points | heads | windows | ends), self.addr.eq(Mux(points, t_addr, brick)),
            tag.turn.eq(turn), tag.t.eq(t), tag.k.eq(Mux(points, t * lanes, k)), tag.tail.eq(Mux(points, last_point, last_brick)),
            tag.last.eq(Mux(heads, ~f.swap & ~has_window, Mux(points, f.swap & last_point, ~f.swap & last_window))),
            tag.kind.eq(Mux(heads, Kind.HEAD, Mux(ends, Kind.END, Mux(points ^ f.swap, Kind.TARGET, Kind.LIST)))),
        ]
        with m.If(aiming):
            m.d.comb += aim.eq(1)
            m.d.sync += phase.eq(begin)
        with m.If(self.o.ready & points):
            m.d.sync += [t_addr.eq(t_addr + 1), t.eq(t + 1), last_point.eq(t == before_last)]
            with m.If(last_point):
                m.d.comb += aim.eq(1)
                m.d.sync += [t.eq(0), last_point.eq(single_point), phase.eq(Phase.HEAD)]
                with m.If(f.swap):  # the axes have gone on at the head
                    m.d.sync += [t_addr.eq(t_base), phase.eq(Mux(over, Phase.END, begin))]
        with m.If(self.o.ready & heads):
            m.d.comb += [aim.eq(1), move.eq(f.swap | ~has_window)]
            m.d.sync += [t.eq(0), last_point.eq(single_point), phase.eq(Mux(f.swap, Phase.POINT, Phase.WINDOW))]
        with m.If(self.o.ready & windows):
            m.d.comb += walk.eq(1)
            with m.If(f.swap):
                m.d.sync += t.eq(t + 1)
            with m.If(last_window):
                m.d.comb += move.eq(~f.swap)
                with m.If(f.swap):
                    m.d.sync += phase.eq(Phase.HEAD)
        with m.If(self.o.ready & ends):
            m.d.sync += phase.eq(Phase.IDLE)

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
        with m.If(aim):
            m.d.comb += [next_brick.eq(rows.offset + columns.offset), next_k.eq(rows.k + columns.k),
                         next_turn.eq(rows.turn + columns.turn)]
        with m.If(aim | walk):
            m.d.sync += [brick.eq(next_brick), k.eq(next_k)]
        with m.If(aim | (walk & last_brick)):
            m.d.sync += [k_tap.eq(next_k), turn.eq(next_turn), bricks.eq(2),
                         wx_left.eq(Mux(aim | last_column, columns.inside, wx_left - 1))]
        with m.Elif(walk):
            m.d.sync += bricks.eq(bricks + 1)
        with m.If(aim | (walk & last_column)):
            m.d.sync += [window_row.eq(next_brick), k_row.eq(next_k), turn_row.eq(next_turn),
                         wy_left.eq(Mux(aim, rows.inside, wy_left - 1))]
        one_brick = Unreset()
        m.d.sync += one_brick.eq(f.l_bricks == 1)
        with m.If(aim | walk):
            lasts = [Signal(name=f"next_last_{name}") for name in ("brick", "wx", "wy")]
            m.d.comb += [
                lasts[0].eq(Mux(aim | last_brick, one_brick, bricks == f.l_bricks)),
                lasts[1].eq(Mux(aim | last_column, columns.inside == 1, Mux(last_brick, wx_left == 2, last_wx))),
                lasts[2].eq(Mux(aim, rows.inside == 1, Mux(last_column, wy_left == 2, last_wy))),
            ]
            m.d.sync += [Cat(last_brick, last_wx, last_wy).eq(Cat(lasts)), last_window.eq(Cat(lasts).all())]

        # no list word and no target without its brick; no word of a brick, zero or not, without its place in the banks
        depth = self.config.act_bricks
        most = Mux(last_brick, self.k_most_tail, self.k_most)
        low = len(most) - 1  # bits that a legal k may have
        in_window, at_point = Signal(), Signal()
        k_lost, brick_lost, target_lost, point_lost = (Unreset(name=f"{name}_lost") for name in ("k", "brick", "target", "point"))
        m.d.sync += [
            in_window.eq(windows), at_point.eq(points),
            k_lost.eq(k[low:].any() | (most - k[:low])[-1]), brick_lost.eq(outside(brick, depth)),
            target_lost.eq(f.swap & (t >= targets - f.bias)), point_lost.eq(outside(t_addr, depth)),
            self.fault.eq((in_window & (k_lost | brick_lost | target_lost)) | (at_point & point_lost)),
        ]

        m.d.comb += rows.first.eq(Mux(self.start, f.l_addr, slot_base + f.l_slot))
        with m.If(rows.load):
            m.d.sync += slot_base.eq(rows.first)
        next_t = Signal(16)
        m.d.comb += next_t.eq(t_base + Mux(last_x, Mux(last_y, f.t_slot, f.t_y), f.t_x))
        with m.If(self.start):
            m.d.comb += next_t.eq(f.t_addr)
        with m.If(self.start | move):
            m.d.sync += t_base.eq(next_t)
        with m.If(self.start | (move & ~f.swap)):
            m.d.sync += t_addr.eq(next_t)
        with m.If(self.start | (move & last_x)):
            m.d.sync += [x.eq(2), last_x.eq(f.x_count == 1)]
        with m.Elif(move):
            m.d.sync += [x.eq(x + 1), last_x.eq(x == f.x_count)]
        with m.If(self.start | (move & last_x & last_y)):
            m.d.sync += [y.eq(2), last_y.eq(f.y_count == 1)]
        with m.Elif(move & last_x):
            m.d.sync += [y.eq(y + 1), last_y.eq(y == f.y_count)]
        with m.If(move):
            m.d.comb += columns.step.eq(1)
            with m.If(~f.swap):
                m.d.sync += phase.eq(begin)
            with m.If(last_x):
                m.d.comb += [columns.load.eq(1), rows.step.eq(1)]
                with m.If(last_y):
                    m.d.sync += [slots.eq(slots + 1), last_slot.eq(slots == self.slots)]
                    m.d.comb += rows.load.eq(1)
                    with m.If(last_slot):
                        m.d.sync += over.eq(1)
                        with m.If(~f.swap):
                            m.d.sync += phase.eq(Phase.END)
        with m.If(self.start):
            m.d.comb += [rows.load.eq(1), columns.load.eq(1)]
            m.d.sync += [phase.eq(Mux(f.swap, Phase.AIM, begin)), t.eq(0), last_point.eq(single_point), over.eq(0), slots.eq(2),
                         last_slot.eq(self.slots == 1)]
            with m.If(self.slots == 0):
                m.d.sync += phase.eq(Phase.END)
        return m
