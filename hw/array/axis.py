"""Where windows lie along one axis of an image."""

from amaranth.hdl import Module, Mux, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from gradgate.hw.parts.registers import Unreset, behind


class AxisFields(wiring.Signature):
    """Fields of RUN along one axis (seen from who gives them). The rows of a window are its columns there.

    stride : Out(2), image rows from one position to the next
    kernel : Out(4), rows of a window
    skip : Out(4), window rows of the first position in front of the image
    room : Out(12), window rows of the first position up to the image's end
    pitch : Out(16), bricks from one image row to the next
    k_step : Out(16), k from one window row to the next
    k_first : Out(16), k of the first position's first row inside the image
    turn_step : Out(range(lanes)), lanes from one window row to the next
    turn_first : Out(range(lanes)), lanes of the first position's first row inside the image
    """

    def __init__(self, lanes):
        super().__init__({
            "stride": Out(2),
            "kernel": Out(4),
            "skip": Out(4),
            "room": Out(12),
            "pitch": Out(16),
            "k_step": Out(16),
            "k_first": Out(16),
            "turn_step": Out(range(lanes)),
            "turn_first": Out(range(lanes)),
        })


class AxisPlace(wiring.Signature):
    """A position along one axis (seen from the axis).

    offset : Out(16), brick of the window's first row inside the image
    k : Out(16), k of that row (times t_count)
    turn : Out(range(lanes)), lanes by which that row is turned
    inside : Out(4), window rows inside the image
    any : Out(1), there are some
    """

    def __init__(self, lanes):
        super().__init__({
            "offset": Out(16),
            "k": Out(16),
            "turn": Out(range(lanes)),
            "inside": Out(4),
            "any": Out(1),
        })


class Axis(wiring.Component):
    """Where the window lies along one axis (rows or columns) of the image.

    Keeps, for the current position, the first window row inside the image and how many there are, without
    a multiplier: everything follows by adding steps. A position has ``skip`` window rows in front of the
    image and ``room`` up to its end; how many lie between is worked out in three steps, so each is begun
    three positions ahead.

    Members
    -------
    load : In(1), go to the first position in the next cycle
    step : In(1), go to the next position in the next cycle
    fields : In(AxisFields), stable from ``SETTLE`` = 3 cycles before ``load`` on
    first : In(16), brick from which ``offset`` counts; valid with ``load``
    o : Out(AxisPlace), of the current position

    Latency: 1 cycle from ``step``. Resources: no DSP, no block RAM.
    Example: docs/examples.md#axis
    """

    #: cycles that the fields stand before the first ``load``
    SETTLE = 3

    def __init__(self, lanes):
        super().__init__({
            "load": In(1),
            "step": In(1),
            "fields": In(AxisFields(lanes)),
            "first": In(16),
            "o": Out(AxisPlace(lanes)),
        })

    def elaborate(self, platform):
        m = Module()
        skips, rooms, ends, spans = self._first(m)
        # Of the third position ahead, of the second, of the next, of the current one.
        skip3 = Unreset(4)
        room3 = Unreset(signed(14))
        skip2 = Unreset(4)
        end2 = Unreset(4)
        skip1 = Unreset(4)
        span1 = Unreset(4)
        skip = Unreset(4)
        inside = behind(m, self.o.inside, "inside")
        some = behind(m, self.o.any, "some")
        offset = behind(m, self.o.offset, "offset")
        k = behind(m, self.o.k, "k")
        turn = behind(m, self.o.turn, "turn")
        enters = Unreset()  # the next step enters the image, or goes on in it
        with m.If(self.load):
            m.d.sync += [
                skip3.eq(skips[3]),
                room3.eq(rooms[3]),
                skip2.eq(skips[2]),
                end2.eq(ends[2]),
                skip1.eq(skips[1]),
                span1.eq(spans[1]),
                skip.eq(skips[0]),
                inside.eq(spans[0]),
                some.eq(spans[0].any()),
                enters.eq(self.fields.skip < self.fields.stride),
            ]
        with m.Elif(self.step):
            m.d.sync += [
                skip3.eq(self._shorter(skip3)),
                room3.eq(room3 - self.fields.stride),
                skip2.eq(skip3),
                end2.eq(self._end(room3)),
                skip1.eq(skip2),
                span1.eq(self._span(end2, skip2)),
                skip.eq(skip1),
                inside.eq(span1),
                some.eq(span1.any()),
                enters.eq(skip1 < self.fields.stride),
            ]
        self._place(m, skip, enters, offset, k, turn)
        return m

    def _first(self, m):
        """Of the first positions, from the fields: rows in front of the image, up to its end, inside."""
        room = Signal(signed(14))
        m.d.comb += room.eq(self.fields.room)
        skips = [self.fields.skip]
        rooms = [room]
        for number in range(1, 4):
            shorter_room = (rooms[-1] - self.fields.stride)[:14].as_signed()
            skips.append(_register(m, self._shorter(skips[-1]), f"first_skip{number}"))
            rooms.append(_register(m, shorter_room, f"first_room{number}"))
        ends = [_register(m, self._end(rooms[number]), f"first_end{number}") for number in range(3)]
        inside = [self._span(ends[number], skips[number]) for number in range(2)]
        spans = [_register(m, rows, f"first_span{number}") for number, rows in enumerate(inside)]
        return skips, rooms, ends, spans

    def _place(self, m, skip, enters, offset, k, turn):
        """Brick, k and turn of the first row inside the image."""
        f = self.fields
        two = f.stride == 2
        enter = self.step & ~self.load & enters
        # What becomes zero comes first: it is the reset of a register then.
        with m.If(enter):
            m.d.sync += k.eq(0)
            m.d.sync += turn.eq(0)
        with m.Elif(self.load):
            m.d.sync += k.eq(f.k_first)
            m.d.sync += turn.eq(f.turn_first)
        with m.Elif(self.step):
            m.d.sync += k.eq(k - Mux(two, f.k_step << 1, f.k_step))
            m.d.sync += turn.eq(turn - Mux(two, f.turn_step << 1, f.turn_step))
        with m.If(self.load):
            m.d.sync += offset.eq(self.first)
        with m.Elif(enter):  # a stride of two over a skip of one enters the image by one row only
            m.d.sync += offset.eq(offset + Mux(two & (skip != 1), f.pitch << 1, f.pitch))

    def _shorter(self, skip):
        """The window rows in front of the image, a position on."""
        return Mux(skip >= self.fields.stride, skip - self.fields.stride, 0)

    def _end(self, room):
        """Window rows up to the image's end, 0 to kernel."""
        kernel = self.fields.kernel
        return Mux(room[-1], 0, Mux(room[4:-1].any() | (room[:4] >= kernel), kernel, room[:4]))

    def _span(self, end, skip):
        """Window rows inside the image."""
        return Mux(end > skip, end - skip, 0)[:4]


def _register(m, value, name):
    """``value`` of a cycle ago."""
    result = Unreset(value.shape(), name=name)
    m.d.sync += result.eq(value)
    return result
