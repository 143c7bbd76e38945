"""The positions of a tile."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from gradgate.arch.commands import Opcode
from gradgate.hw.axis import Axis
from gradgate.hw.command import PAYLOAD, layout
from gradgate.hw.registers import Unreset, behind


def position_layout(config) -> data.StructLayout:
    """t_addr: brick of the first target; brick, k, turn: of the first brick of the window inside the image; rows, columns: how many
    rows and columns of the window are inside; one_row, one_column: that is one; single, some: that there is one such brick, or more;
    last: position of the tile.
    """
    return data.StructLayout({"t_addr": 16, "brick": 16, "k": 16, "turn": range(config.lanes), "rows": 4, "columns": 4,
                              "one_row": 1, "one_column": 1, "single": 1, "some": 1, "last": 1})


class Positions(wiring.Component):
    """Walks over images, rows and columns of positions, ahead of the walk over each position's window.

    Members
    -------
    start : In, one cycle; payload : In, fields of RUN, stable from ``SETTLE`` cycles before ``start`` on; slots : In, images, 0: what
        ``o`` shows is to be ignored
    o : Out, a position, the first ``LATENCY`` = 2 cycles behind ``start``; step : In, the next one takes its place in the next cycle

    Throughput: one position a cycle. One more is kept behind ``o``, so that the walk does not look at ``step``.
    Resources: no DSP, no block RAM.
    """

    LATENCY = 2
    #: cycles that the fields stand before ``start``
    SETTLE = Axis.SETTLE

    def __init__(self, config):
        self.config = config
        super().__init__({"start": In(1), "payload": In(PAYLOAD), "slots": In(12), "step": In(1), "o": Out(position_layout(config))})

    def elaborate(self, platform):
        m = Module()
        f = layout(Opcode.RUN)(self.payload)
        m.submodules.rows = rows = Axis(self.config.lanes)
        m.submodules.columns = columns = Axis(self.config.lanes)
        for axis, fields in (
            (rows, (f.kh, f.skip_y, f.room_y, f.l_pitch, f.k_row, f.k_first_y, f.turn_row, f.turn_first_y)),
            (columns, (f.kw, f.skip_x, f.room_x, f.l_col, f.k_tap, f.k_first_x, f.turn_tap, f.turn_first_x)),
        ):
            inputs = (axis.kernel, axis.skip, axis.room, axis.pitch, axis.k_step, axis.k_first, axis.turn_step, axis.turn_first)
            m.d.comb += [axis.stride.eq(f.stride)] + [a.eq(b) for a, b in zip(inputs, fields)]

        # The position that the walk is at.
        slot_base = Unreset(16)
        t_addr = Unreset(16)
        slots, y, x = (Unreset(12, name=name) for name in ("slots", "y", "x"))  # up to the next one
        last_slot, last_y, last_x = (Unreset(name=f"last_{name}") for name in ("slot", "y", "x"))  # the current one
        there = Signal()
        here = Signal(self.o.shape())
        one_brick = Unreset()  # at a pixel
        m.d.sync += one_brick.eq(f.l_bricks == 1)
        one_row, one_column = rows.inside == 1, columns.inside == 1
        m.d.comb += [
            here.t_addr.eq(t_addr), here.brick.eq(rows.offset + columns.offset), here.k.eq(rows.k + columns.k),
            here.turn.eq(rows.turn + columns.turn), here.rows.eq(rows.inside), here.columns.eq(columns.inside),
            here.one_row.eq(one_row), here.one_column.eq(one_column), here.some.eq(rows.any & columns.any),
            here.single.eq(one_row & one_column & one_brick), here.last.eq(last_x & last_y & last_slot),
        ]

        # It goes to ``o``, or waits in ``spare`` while ``o`` is in use.
        o = behind(m, self.o, "position")
        spare = Unreset(self.o.shape(), name="spare")
        empty, full = Signal(), Signal()  # there is nothing in ``o``; there is something in ``spare``
        move = Signal()
        m.d.comb += move.eq(there & ~full)
        with m.If(~full):
            m.d.sync += spare.eq(here)
        with m.If(self.step | empty):
            m.d.sync += [o.eq(Mux(full, spare, here)), full.eq(0), empty.eq(~full & ~there)]
        with m.Elif(move):
            m.d.sync += full.eq(1)
        with m.If(move & here.last):
            m.d.sync += there.eq(0)
        with m.If(self.start):
            m.d.sync += [there.eq(1), empty.eq(1), full.eq(0)]

        m.d.comb += rows.first.eq(Mux(self.start, f.l_addr, slot_base + f.l_slot))
        with m.If(rows.load):
            m.d.sync += slot_base.eq(rows.first)
        with m.If(self.start):
            m.d.sync += t_addr.eq(f.t_addr)
        with m.Elif(move):
            m.d.sync += t_addr.eq(t_addr + Mux(last_x, Mux(last_y, f.t_slot, f.t_y), f.t_x))
        with m.If(self.start | (move & last_x)):
            m.d.sync += [x.eq(2), last_x.eq(f.x_count == 1)]
        with m.Elif(move):
            m.d.sync += [x.eq(x + 1), last_x.eq(x == f.x_count)]
        with m.If(self.start | (move & last_x & last_y)):
            m.d.sync += [y.eq(2), last_y.eq(f.y_count == 1)]
        with m.Elif(move & last_x):
            m.d.sync += [y.eq(y + 1), last_y.eq(y == f.y_count)]
        with m.If(self.start):
            m.d.sync += [slots.eq(2), last_slot.eq(self.slots == 1)]
        with m.Elif(move & last_x & last_y):
            m.d.sync += [slots.eq(slots + 1), last_slot.eq(slots == self.slots)]
        m.d.comb += [
            columns.step.eq(move), columns.load.eq(self.start | (move & last_x)),
            rows.step.eq(move & last_x), rows.load.eq(self.start | (move & last_x & last_y)),
        ]
        return m
