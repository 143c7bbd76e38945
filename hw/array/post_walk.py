"""The address walk of post-processing, shared by all rows."""

from functools import reduce
from operator import or_

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import Out

from gradgate.arch.commands import POST_LEVELS, Opcode
from gradgate.hw.parts.command import UnitSignature
from gradgate.hw.parts.registers import Unreset


def beat_layout(config) -> data.StructLayout:
    """One word a lane on its way: addresses, and its place in the pooling window.

    src : word of the sums memory
    row : brick of row memory that is read in this cycle
    aux : brick of argmax memory
    dst : brick of row memory that is written
    first : of the window
    last : of the window
    place : 2 * wy + wx
    tail : last brick of the tile
    last_slot : last slot of the tile
    """
    bricks = range(config.act_bricks)
    return data.StructLayout({
        "src": range(config.psum_words), "row": bricks, "aux": range(config.argmax_bricks), "dst": bricks,
        "first": 1, "last": 1, "place": 2, "tail": 1, "last_slot": 1,
    })


class WalkSignature(wiring.Signature):
    """The walk as the post-processors of all rows see it (seen from the walk).

    valid : Out(1), ``beat`` is one to be worked on
    double : Out(1), a beat takes two cycles, the mask is read in the first; stable in a POST
    beat : Out(beat), the beat; its addresses count in the first cycle of a double beat, too
    """

    def __init__(self, config):
        super().__init__({
            "valid": Out(1),
            "double": Out(1),
            "beat": Out(beat_layout(config)),
        })


class _Loops:
    """The state of the loops. Registers, one for each loop, the innermost first."""

    def __init__(self):
        self.left = _each("left", 16)  # rounds from this one on
        self.at_end = _each("at_end")  # this round is the last: one is left
        self.two_left = _each("two_left")
        self.is_one = _each("is_one")  # the loop has one round
        self.is_two = _each("is_two")
        self.last = Unreset(name="last")  # all are in their last round


class _Place:
    """The addresses of a beat. Registers."""

    def __init__(self):
        self.src = Unreset(16)
        self.dst = Unreset(16)
        self.aux = Unreset(16)
        self.add = Unreset(16)


class PostWalk(wiring.Component):
    """Six nested loops, one beat a cycle; addresses follow by adding the step of the loop that advances.

    A beat reads row memory at most once, but twice where a mask meets a residual or a source in row memory:
    then it takes two cycles, the mask is read in the first and ``valid`` comes with the second.

    Members
    -------
    unit : UnitSignature, fields of POST
    active : Out(1), row memory is read for this unit
    o : Out(WalkSignature), to the post-processors of all rows
    fault : Out(1), one cycle after a beat of which an address lies outside its memory

    Latency: first beat one cycle after ``start`` (two if double). A command takes its beats (twice) and
    ``LATENCY`` = 11 cycles more. Throughput: one beat a cycle, or every two.
    Resources: no DSP, no block RAM.
    Example: docs/examples.md#postwalk-and-post
    """

    LATENCY = 11

    def __init__(self, config):
        self.config = config
        super().__init__({
            "unit": Out(UnitSignature(Opcode.POST)),
            "active": Out(1),
            "o": Out(WalkSignature(config)),
            "fault": Out(1),
        })

    def elaborate(self, platform):
        m = Module()
        f = self.unit.payload
        loops = _Loops()
        at = _Place()
        second = Signal()  # this is the second cycle of a double beat
        m.d.sync += self.o.double.eq(f.mask & (f.add | f.rows))
        m.d.comb += self.o.valid.eq(self.active & (second | ~self.o.double))
        advances = self._loops(m, f, loops)
        steps = self._steps(m, f, advances)
        self._control(m, f, loops.last, second, at, steps)
        row = self._row(m, f, second, at)
        self._beat(m, f, loops, at, row)
        self._check(m, f, at, row)
        return m

    def _loops(self, m, f, loops):
        """The innermost loop that has not ended advances, and those within it start again.

        Which one that will be is known a beat ahead: a bit for each loop.
        """
        levels = len(POST_LEVELS)
        counts = [f[f"{name}_count"] for name in POST_LEVELS]
        advances = Unreset(levels)
        ends = Signal(levels)  # at_end in the next beat
        m.d.sync += Cat(loops.is_one).eq(Cat(count == 1 for count in counts))
        m.d.sync += Cat(loops.is_two).eq(Cat(count == 2 for count in counts))
        with m.If(self.unit.start):
            m.d.comb += ends.eq(Cat(loops.is_one))
            m.d.sync += [left.eq(count) for left, count in zip(loops.left, counts)]
            m.d.sync += [two_left.eq(is_two) for two_left, is_two in zip(loops.two_left, loops.is_two)]
        with m.Else():
            for level in range(levels):
                at_end, left, two_left = loops.at_end[level], loops.left[level], loops.two_left[level]
                with m.If(Cat(loops.at_end[:level]).all()):
                    m.d.comb += ends[level].eq(Mux(at_end, loops.is_one[level], two_left))
                    with m.If(self.o.valid):
                        m.d.sync += left.eq(Mux(at_end, counts[level], left - 1))
                        m.d.sync += two_left.eq(Mux(at_end, loops.is_two[level], left == 3))
                with m.Else():
                    m.d.comb += ends[level].eq(at_end)
        with m.If(self.unit.start | self.o.valid):
            m.d.sync += Cat(loops.at_end).eq(ends)
            m.d.sync += loops.last.eq(ends.all())
            m.d.sync += advances.eq(Cat(ends[:level].all() & ~ends[level] for level in range(levels)))
        return advances

    def _steps(self, m, f, advances):
        """What the loop that advances adds to source, destination and auxiliary address."""
        src_step = Signal(16)
        dst_step = Signal(16)
        aux_step = Signal(16)
        aux_steps = _each("aux", 16)
        for name, step in zip(POST_LEVELS, aux_steps):
            m.d.sync += step.eq(Mux(f.choose, f[f"{name}_src"], f[f"{name}_dst"]))
        m.d.comb += [
            src_step.eq(_chosen(advances, [f[f"{name}_src"] for name in POST_LEVELS])),
            dst_step.eq(_chosen(advances, [f[f"{name}_dst"] for name in POST_LEVELS])),
            aux_step.eq(_chosen(advances, aux_steps)),
        ]
        return src_step, dst_step, aux_step

    def _control(self, m, f, last, second, at, steps):
        """From ``start`` to ``done``, and from beat to beat."""
        src_step, dst_step, aux_step = steps
        drain = Signal(range(self.LATENCY))
        m.d.sync += self.unit.done.eq(drain == 2)
        with m.If(self.active):
            m.d.sync += second.eq(~second)
        with m.If(self.o.valid):
            m.d.sync += [
                at.src.eq(at.src + src_step),
                at.dst.eq(at.dst + dst_step),
                at.add.eq(at.add + dst_step),
                at.aux.eq(at.aux + aux_step),
                second.eq(0),
            ]
            with m.If(last):
                m.d.sync += self.active.eq(0)
                m.d.sync += drain.eq(self.LATENCY - 1)
        with m.If(drain != 0):
            m.d.sync += drain.eq(drain - 1)
        with m.If(self.unit.start):
            m.d.sync += [
                self.active.eq(1),
                second.eq(0),
                at.src.eq(f.src_addr),
                at.dst.eq(f.dst_addr),
                at.aux.eq(f.aux_addr),
                at.add.eq(f.add_addr),
            ]

    def _row(self, m, f, second, at):
        """The brick of row memory that this cycle reads."""
        row = Signal(16)
        with m.If(f.mask & ~second):
            m.d.comb += row.eq(at.aux)
        with m.Elif(f.add):
            m.d.comb += row.eq(at.add)
        with m.Else():
            m.d.comb += row.eq(at.src)
        return row

    def _beat(self, m, f, loops, at, row):
        """The beat of this cycle."""
        beat = self.o.beat
        later_x = loops.left[0] != f.wx_count
        later_y = loops.left[1] != f.wy_count
        m.d.comb += [
            beat.src.eq(at.src[:len(beat.src)]),
            beat.row.eq(row[:len(beat.row)]),
            beat.aux.eq(at.aux[:len(beat.aux)]),
            beat.dst.eq(at.dst[:len(beat.dst)]),
            beat.first.eq((loops.left[0] == f.wx_count) & (loops.left[1] == f.wy_count)),
            beat.last.eq(loops.at_end[0] & loops.at_end[1]),
            beat.place[0].eq(later_x),
            beat.place[1].eq(later_y),
            beat.tail.eq(loops.at_end[2]),
            beat.last_slot.eq(loops.at_end[-1]),
        ]

    def _check(self, m, f, at, row):
        """No address outside its memory, of those that the command uses."""
        config = self.config
        was_active = Signal()
        lost = Unreset(4)
        outside = (
            at.dst >= config.act_bricks,
            (f.rows | f.add | f.mask) & (row >= config.act_bricks),
            ~f.rows & (at.src >= config.psum_words),
            (f.pool | f.choose) & (at.aux >= config.argmax_bricks),
        )
        m.d.sync += was_active.eq(self.active)
        m.d.sync += lost.eq(Cat(outside))
        m.d.comb += self.fault.eq(was_active & lost.any())


def _each(what, shape=1):
    """A register for each loop, the innermost first."""
    return [Unreset(shape, name=f"{level}_{what}") for level in POST_LEVELS]


def _chosen(advances, steps):
    """The step of the loop that advances, or 0."""
    return reduce(or_, (Mux(advances[level], step, 0) for level, step in enumerate(steps)))
