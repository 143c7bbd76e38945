"""The positions of a tile."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from gradgate.arch.commands import Opcode
from gradgate.hw.array.axis import Axis
from gradgate.hw.parts.command import layout
from gradgate.hw.parts.registers import Unreset, behind


def position_layout(config) -> data.StructLayout:
    """A position.

    t_addr : brick of its first target
    brick, k, turn : of the first brick of its window inside the image
    rows : rows of the window inside the image
    columns : columns of the window inside the image
    one_row, one_column : there is one of them
    single : one brick of the window is inside
    some : at least one brick of the window is inside
    last : this is the last position of the tile
    """
    return data.StructLayout({
        "t_addr": 16, "brick": 16, "k": 16, "turn": range(config.lanes), "rows": 4, "columns": 4,
        "one_row": 1, "one_column": 1, "single": 1, "some": 1, "last": 1,
    })


class Positions(wiring.Component):
    """Walks over images, rows and columns of positions, ahead of the walk over each position's window.

    Members
    -------
    start : In(1), one cycle: a RUN begins
    fields : In(fields of RUN), stable from ``SETTLE`` cycles before ``start`` on
    slots : In(12), images; 0: what ``o`` shows is to be ignored
    step : In(1), the next position takes the place of ``o`` in the next cycle
    o : Out(position), a position; the first is valid ``LATENCY`` = 2 cycles after ``start``

    Throughput: one position a cycle. One more than ``o`` is kept, so that the walk does not look at ``step``.
    Resources: no DSP, no block RAM.
    Example: docs/examples.md#positions
    """

    LATENCY = 2
    #: cycles that the fields stand before ``start``
    SETTLE = Axis.SETTLE

    def __init__(self, config):
        self.config = config
        super().__init__({
            "start": In(1),
            "fields": In(layout(Opcode.RUN)),
            "slots": In(12),
            "step": In(1),
            "o": Out(position_layout(config)),
        })

    def elaborate(self, platform):
        m = Module()
        f = self.fields
        m.submodules.rows = rows = Axis(self.config.lanes)
        m.submodules.columns = columns = Axis(self.config.lanes)
        m.d.comb += [
            rows.fields.stride.eq(f.stride),
            rows.fields.kernel.eq(f.kh),
            rows.fields.skip.eq(f.skip_y),
            rows.fields.room.eq(f.room_y),
            rows.fields.pitch.eq(f.l_pitch),
            rows.fields.k_step.eq(f.k_row),
            rows.fields.k_first.eq(f.k_first_y),
            rows.fields.turn_step.eq(f.turn_row),
            rows.fields.turn_first.eq(f.turn_first_y),
            columns.fields.stride.eq(f.stride),
            columns.fields.kernel.eq(f.kw),
            columns.fields.skip.eq(f.skip_x),
            columns.fields.room.eq(f.room_x),
            columns.fields.pitch.eq(f.l_col),
            columns.fields.k_step.eq(f.k_tap),
            columns.fields.k_first.eq(f.k_first_x),
            columns.fields.turn_step.eq(f.turn_tap),
            columns.fields.turn_first.eq(f.turn_first_x),
        ]
        t_addr = Unreset(16)
        last_slot = Unreset()
        last_y = Unreset()
        last_x = Unreset()
        here = Signal(self.o.shape())
        one_brick = Unreset()  # at a pixel
        m.d.sync += one_brick.eq(f.l_bricks == 1)
        one_row = rows.o.inside == 1
        one_column = columns.o.inside == 1
        m.d.comb += [
            here.t_addr.eq(t_addr),
            here.brick.eq(rows.o.offset + columns.o.offset),
            here.k.eq(rows.o.k + columns.o.k),
            here.turn.eq(rows.o.turn + columns.o.turn),
            here.rows.eq(rows.o.inside),
            here.columns.eq(columns.o.inside),
            here.one_row.eq(one_row),
            here.one_column.eq(one_column),
            here.some.eq(rows.o.any & columns.o.any),
            here.single.eq(one_row & one_column & one_brick),
            here.last.eq(last_x & last_y & last_slot),
        ]
        move = self._queue(m, here)
        self._walk(m, f, rows, columns, move, t_addr, last_slot, last_y, last_x)
        return m

    def _queue(self, m, here):
        """A position goes to ``o``, or waits in ``spare`` while ``o`` is in use; whether the walk goes on."""
        o = behind(m, self.o, "position")
        spare = Unreset(self.o.shape())
        empty = Signal()  # there is nothing in ``o``
        full = Signal()  # there is something in ``spare``
        there = Signal()  # the walk is at a position
        move = Signal()
        m.d.comb += move.eq(there & ~full)
        with m.If(~full):
            m.d.sync += spare.eq(here)
        with m.If(self.step | empty):
            m.d.sync += [
                o.eq(Mux(full, spare, here)),
                full.eq(0),
                empty.eq(~full & ~there),
            ]
        with m.Elif(move):
            m.d.sync += full.eq(1)
        with m.If(move & here.last):
            m.d.sync += there.eq(0)
        with m.If(self.start):
            m.d.sync += [
                there.eq(1),
                empty.eq(1),
                full.eq(0),
            ]
        return move

    def _walk(self, m, f, rows, columns, move, t_addr, last_slot, last_y, last_x):
        """From one position to the next."""
        slot_base = Unreset(16)  # first brick of the image
        # Numbers of the next image, row and column, from 1.
        slots = Unreset(12)
        y = Unreset(12)
        x = Unreset(12)
        m.d.comb += rows.first.eq(Mux(self.start, f.l_addr, slot_base + f.l_slot))
        with m.If(rows.load):
            m.d.sync += slot_base.eq(rows.first)
        with m.If(self.start):
            m.d.sync += t_addr.eq(f.t_addr)
        with m.Elif(move):
            m.d.sync += t_addr.eq(t_addr + Mux(last_x, Mux(last_y, f.t_slot, f.t_y), f.t_x))
        with m.If(self.start | (move & last_x)):
            m.d.sync += x.eq(2)
            m.d.sync += last_x.eq(f.x_count == 1)
        with m.Elif(move):
            m.d.sync += x.eq(x + 1)
            m.d.sync += last_x.eq(x == f.x_count)
        with m.If(self.start | (move & last_x & last_y)):
            m.d.sync += y.eq(2)
            m.d.sync += last_y.eq(f.y_count == 1)
        with m.Elif(move & last_x):
            m.d.sync += y.eq(y + 1)
            m.d.sync += last_y.eq(y == f.y_count)
        with m.If(self.start):
            m.d.sync += slots.eq(2)
            m.d.sync += last_slot.eq(self.slots == 1)
        with m.Elif(move & last_x & last_y):
            m.d.sync += slots.eq(slots + 1)
            m.d.sync += last_slot.eq(slots == self.slots)
        m.d.comb += [
            columns.step.eq(move),
            columns.load.eq(self.start | (move & last_x)),
            rows.step.eq(move & last_x),
            rows.load.eq(self.start | (move & last_x & last_y)),
        ]
