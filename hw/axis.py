"""Where windows lie along one axis of an image."""

from amaranth.hdl import Module, Mux, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from gradgate.hw.registers import Unreset, behind


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
