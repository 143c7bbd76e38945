"""The address walk of post-processing, shared by all rows."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import Out

from gradgate.arch.commands import POST_LEVELS, Opcode
from gradgate.hw.command import UnitSignature, layout


def beat_layout(config) -> data.StructLayout:
    """One sum a lane on its way: addresses, and its place in the pooling window.

    src: sums memory (expand: row memory); dst: row memory; aux: mask in row memory, or argmax memory; first, last: of the
    window; place: 2 * wy + wx; tail: last brick of the tile; last_slot: last slot of the tile.
    """
    bricks = range(max(config.act_bricks, config.psum_words, config.argmax_bricks))
    return data.StructLayout({"src": bricks, "dst": bricks, "aux": bricks, "first": 1, "last": 1, "place": 2, "tail": 1, "last_slot": 1})


class PostWalk(wiring.Component):
    """Six nested loops, one beat a cycle; addresses follow by adding the step of the loop that advances.

    Members
    -------
    unit : UnitSignature, fields of POST
    valid, beat : Out, to the post-processors of all rows

    Latency: first beat one cycle after ``start``. A command takes its beats and ``LATENCY`` = 7 cycles more.
    Throughput: one beat a cycle. Resources: about 250 LUT, no DSP, no block RAM.
    """

    LATENCY = 7

    def __init__(self, config):
        self.config = config
        super().__init__({"unit": Out(UnitSignature()),
                          "valid": Out(1), "beat": Out(beat_layout(config))})

    def elaborate(self, platform):
        m = Module()
        f = layout(Opcode.POST)(self.unit.payload)
        levels = len(POST_LEVELS)
        left = [Signal(16, name=f"{name}_left") for name in POST_LEVELS]
        at_end = [one == 1 for one in left]
        counts = [f[f"{name}_count"] for name in POST_LEVELS]
        width = len(self.beat.src)
        src, dst, aux = Signal(16), Signal(16), Signal(16)
        src_step, dst_step = Signal(16), Signal(16)
        last = Signal()
        for level in reversed(range(levels)):
            with m.If(~at_end[level]):
                m.d.comb += [src_step.eq(f[f"{POST_LEVELS[level]}_src"]), dst_step.eq(f[f"{POST_LEVELS[level]}_dst"])]
        # the innermost loop that has not ended advances, and those within it start again
        m.d.comb += last.eq(1)
        for level in range(levels):
            inner_end = 1
            for inner in range(level):
                inner_end = inner_end & at_end[inner]
            with m.If(self.valid & inner_end):
                m.d.sync += left[level].eq(Mux(at_end[level], counts[level], left[level] - 1))
            with m.If(~at_end[level]):
                m.d.comb += last.eq(0)
        drain = Signal(range(self.LATENCY))
        with m.If(self.valid):
            m.d.sync += [src.eq(src + src_step), dst.eq(dst + dst_step), aux.eq(aux + Mux(f.expand, src_step, dst_step))]
            with m.If(last):
                m.d.sync += [self.valid.eq(0), drain.eq(self.LATENCY - 1)]
        with m.If(drain != 0):
            m.d.sync += drain.eq(drain - 1)
        with m.If(self.unit.start):
            m.d.sync += [self.valid.eq(1), src.eq(f.src_addr), dst.eq(f.dst_addr), aux.eq(f.aux_addr)]
            m.d.sync += [one.eq(total) for one, total in zip(left, counts)]
        m.d.comb += [
            self.unit.done.eq(drain == 1),
            self.beat.src.eq(src[:width]), self.beat.dst.eq(dst[:width]), self.beat.aux.eq(aux[:width]),
            self.beat.first.eq((left[0] == counts[0]) & (left[1] == counts[1])),
            self.beat.last.eq(at_end[0] & at_end[1]),
            self.beat.place[0].eq(left[0] != counts[0]), self.beat.place[1].eq(left[1] != counts[1]),
            self.beat.tail.eq(at_end[2]), self.beat.last_slot.eq(at_end[levels - 1]),
        ]
        return m
