"""The address walk of post-processing, shared by all rows."""

from functools import reduce
from operator import or_

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import Out

from gradgate.arch.commands import POST_LEVELS, Opcode
from gradgate.hw.parts.command import UnitSignature, layout
from gradgate.hw.parts.registers import Unreset


def beat_layout(config) -> data.StructLayout:
    """One word a lane on its way: addresses, and its place in the pooling window.

    src: sums memory; row: what is read of row memory in this cycle; aux: argmax memory; dst: row memory; first, last: of the
    window; place: 2 * wy + wx; tail: last brick of the tile; last_slot: last slot of the tile.
    """
    bricks = range(config.act_bricks)
    return data.StructLayout({
        "src": range(config.psum_words), "row": bricks, "aux": range(config.argmax_bricks), "dst": bricks,
        "first": 1, "last": 1, "place": 2, "tail": 1, "last_slot": 1})


class PostWalk(wiring.Component):
    """Six nested loops, one beat a cycle; addresses follow by adding the step of the loop that advances.

    A beat reads row memory at most once, but twice where a mask meets a residual or a source in row memory: then it takes two
    cycles, the mask is read in the first and ``valid`` comes with the second.

    Members
    -------
    unit : UnitSignature, fields of POST
    active : Out, row memory is read for this unit; valid, beat : Out, to the post-processors of all rows; double : Out
    fault : Out, in the cycle behind a beat of which an address lies outside its memory

    Latency: first beat one cycle after ``start`` (two if double). A command takes its beats (twice) and ``LATENCY`` = 11 cycles
    more. Throughput: one beat a cycle, or every two. Resources: no DSP, no block RAM.
    """

    LATENCY = 11

    def __init__(self, config):
        self.config = config
        super().__init__({"unit": Out(UnitSignature()), "active": Out(1), "valid": Out(1), "double": Out(1),
                          "beat": Out(beat_layout(config)), "fault": Out(1)})

    def elaborate(self, platform):
        m = Module()
        config = self.config
        f = layout(Opcode.POST)(self.unit.payload)
        levels = len(POST_LEVELS)
        left = [Unreset(16, name=f"{name}_left") for name in POST_LEVELS]
        at_end = [Unreset(name=f"{name}_at_end") for name in POST_LEVELS]  # the loop's last: one is left
        two_left, all_one, all_two = ([Unreset(name=f"{name}_{what}") for name in POST_LEVELS] for what in ("two_left", "is_one", "is_two"))
        counts = [f[f"{name}_count"] for name in POST_LEVELS]
        src = Unreset(16)
        dst = Unreset(16)
        aux = Unreset(16)
        add = Unreset(16)
        last = Unreset()
        second = Signal()
        m.d.sync += self.double.eq(f.mask & (f.add | f.rows))
        m.d.comb += [
            self.valid.eq(self.active & (second | ~self.double)),
        ]
        # The innermost loop that has not ended advances, and those within it start again. Which one that will be is known a beat ahead.
        advances = Unreset(levels)
        ends = Signal(levels)  # at_end in the next beat
        m.d.sync += [Cat(all_one).eq(Cat(total == 1 for total in counts)), Cat(all_two).eq(Cat(total == 2 for total in counts))]
        with m.If(self.unit.start):
            m.d.comb += ends.eq(Cat(all_one))
            m.d.sync += [one.eq(total) for one, total in zip(left, counts)]
            m.d.sync += [one.eq(total) for one, total in zip(two_left, all_two)]
        with m.Else():
            for level in range(levels):
                with m.If(Cat(at_end[:level]).all()):
                    m.d.comb += ends[level].eq(Mux(at_end[level], all_one[level], two_left[level]))
                    with m.If(self.valid):
                        m.d.sync += [left[level].eq(Mux(at_end[level], counts[level], left[level] - 1)),
                                     two_left[level].eq(Mux(at_end[level], all_two[level], left[level] == 3))]
                with m.Else():
                    m.d.comb += ends[level].eq(at_end[level])
        with m.If(self.unit.start | self.valid):
            m.d.sync += [Cat(at_end).eq(ends), last.eq(ends.all())]
            m.d.sync += advances.eq(Cat(ends[:level].all() & ~ends[level] for level in range(levels)))

        def step(address):
            return reduce(or_, (Mux(advances[level], f[f"{name}_{address}"], 0) for level, name in enumerate(POST_LEVELS)))

        src_step, dst_step, aux_step = Signal(16), Signal(16), Signal(16)
        aux_steps = [Unreset(16, name=f"{name}_aux") for name in POST_LEVELS]
        m.d.sync += [one.eq(Mux(f.choose, f[f"{name}_src"], f[f"{name}_dst"])) for name, one in zip(POST_LEVELS, aux_steps)]
        m.d.comb += [src_step.eq(step("src")), dst_step.eq(step("dst")),
                     aux_step.eq(reduce(or_, (Mux(advances[level], one, 0) for level, one in enumerate(aux_steps))))]
        drain = Signal(range(self.LATENCY))
        m.d.sync += self.unit.done.eq(drain == 2)
        with m.If(self.active):
            m.d.sync += second.eq(~second)
        with m.If(self.valid):
            m.d.sync += [src.eq(src + src_step), dst.eq(dst + dst_step), add.eq(add + dst_step),
                         aux.eq(aux + aux_step), second.eq(0)]
            with m.If(last):
                m.d.sync += [self.active.eq(0), drain.eq(self.LATENCY - 1)]
        with m.If(drain != 0):
            m.d.sync += drain.eq(drain - 1)
        with m.If(self.unit.start):
            m.d.sync += [self.active.eq(1), second.eq(0),
                         src.eq(f.src_addr), dst.eq(f.dst_addr), aux.eq(f.aux_addr), add.eq(f.add_addr)]

        row = Signal(16)
        with m.If(f.mask & ~second):
            m.d.comb += row.eq(aux)
        with m.Elif(f.add):
            m.d.comb += row.eq(add)
        with m.Else():
            m.d.comb += row.eq(src)
        beat = self.beat
        m.d.comb += [
            beat.src.eq(src[:len(beat.src)]), beat.row.eq(row[:len(beat.row)]), beat.aux.eq(aux[:len(beat.aux)]),
            beat.dst.eq(dst[:len(beat.dst)]),
            beat.first.eq((left[0] == counts[0]) & (left[1] == counts[1])), beat.last.eq(at_end[0] & at_end[1]),
            beat.place[0].eq(left[0] != counts[0]), beat.place[1].eq(left[1] != counts[1]),
            beat.tail.eq(at_end[2]), beat.last_slot.eq(at_end[levels - 1]),
        ]
        was_active = Signal()
        lost = Unreset(4)
        m.d.sync += [was_active.eq(self.active), lost.eq(Cat(
            dst >= config.act_bricks, (f.rows | f.add | f.mask) & (row >= config.act_bricks), ~f.rows & (src >= config.psum_words),
            (f.pool | f.choose) & (aux >= config.argmax_bricks)))]
        m.d.comb += self.fault.eq(was_active & lost.any())
        return m
