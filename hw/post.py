"""Post-processing of one row: sums to words."""

from amaranth.hdl import Module, Mux, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from gradgate.arch import latency
from gradgate.hw.post_walk import beat_layout


class Post(wiring.Component):
    """Rounds, saturates, rectifies or masks, and pools the sums of a row, one brick of sums a cycle.

    ``word = saturate((sum + 2**(s-1)) >> s)`` with ``s = weight_frac``: sums and words then have the same point in forward
    (Q5.10) and backward-data passes (Q2.13). The first maximum of a pooling window wins.

    Members
    -------
    expand, relu, mask, pool, tail : In, fields of POST
    owns : In, the row owns an image in the last slot
    valid, beat : In, of the walk
    src_addr, row_addr, aux_addr : Out, read addresses of sums, row and argmax memory
    sums : In, brick of sums; row : In, brick of the row memory; choices : In, argmax brick; all ``latency.RAM`` cycles later
    w_en, w_addr, w_data : Out, row memory write; c_en, c_data : Out, argmax write at ``c_addr``
    overflow : Out, number of final sums of this beat whose two top bits differ

    Latency: ``WRITE`` = 5 cycles from a beat to its write, 6 to ``overflow``. Throughput: one beat a cycle.
    Resources: about 110 LUT a lane, no DSP, no block RAM.
    """

    WRITE = latency.RAM + 3

    def __init__(self, config):
        self.config = config
        formats, lanes = config.formats, config.lanes
        self.brick = data.ArrayLayout(formats.act_bits, lanes)
        choices = data.ArrayLayout(2, lanes)
        super().__init__({
            "expand": In(1), "relu": In(1), "mask": In(1), "pool": In(1), "tail": In(5), "owns": In(1),
            "valid": In(1), "beat": In(beat_layout(config)),
            "src_addr": Out(range(config.psum_words)), "row_addr": Out(range(config.act_bricks)),
            "aux_addr": Out(range(config.argmax_bricks)),
            "sums": In(data.ArrayLayout(formats.acc_bits, lanes)), "row": In(self.brick), "choices": In(choices),
            "w_en": Out(1), "w_addr": Out(range(config.act_bricks)), "w_data": Out(self.brick),
            "c_en": Out(1), "c_addr": Out(range(config.argmax_bricks)), "c_data": Out(choices),
            "overflow": Out(range(lanes + 1)),
        })

    def elaborate(self, platform):
        m = Module()
        formats, lanes = self.config.formats, self.config.lanes
        drop, bits = formats.weight_frac, formats.act_bits
        m.d.comb += [
            self.src_addr.eq(self.beat.src), self.aux_addr.eq(self.beat.aux),
            self.row_addr.eq(Mux(self.expand, self.beat.src, self.beat.aux)),
        ]
        # p0: beat; p2: data; p3: rounded; p4: saturated; p5: written
        beats, valids = [self.beat], [self.valid]
        for stage in range(1, self.WRITE + 1):
            beats.append(Signal(beat_layout(self.config), name=f"beat{stage}"))
            valids.append(Signal(name=f"valid{stage}"))
            m.d.sync += [beats[-1].eq(beats[-2]), valids[-1].eq(valids[-2])]
        beat4, beat5 = beats[4], beats[5]

        row4, choices4 = Signal(self.brick), Signal(data.ArrayLayout(2, lanes))
        row3, choices3 = Signal(self.brick), Signal(data.ArrayLayout(2, lanes))
        m.d.sync += [row3.eq(self.row), row4.eq(row3), choices3.eq(self.choices), choices4.eq(choices3)]

        low, high = -(1 << bits - 1), (1 << bits - 1) - 1
        wraps = Signal(lanes)
        for lane in range(lanes):
            total = self.sums[lane].as_signed()
            rounded = Signal(signed(formats.acc_bits + 1 - drop), name=f"rounded{lane}")
            word4 = Signal(signed(bits), name=f"word{lane}")
            wrap3, wrap4 = Signal(name=f"wrap3_{lane}"), Signal(name=f"wrap4_{lane}")
            m.d.sync += [
                rounded.eq((total + (1 << drop - 1)) >> drop), wrap3.eq(self.sums[lane][-1] ^ self.sums[lane][-2]), wrap4.eq(wrap3),
                word4.eq(Mux(rounded > high, high, Mux(rounded < low, low, rounded))),
            ]
            inside = ~beat4.tail | (lane < self.tail)
            masked = self.mask & (row4[lane] == 0)
            value = Signal(signed(bits), name=f"value{lane}")
            with m.If(~inside | masked):
                m.d.comb += value.eq(0)
            with m.Elif(self.expand):
                m.d.comb += value.eq(Mux(choices4[lane] == beat4.place, row4[lane].as_signed(), 0))
            with m.Elif(self.relu & (word4 < 0)):
                m.d.comb += value.eq(0)
            with m.Else():
                m.d.comb += value.eq(word4)
            best = self.w_data[lane].as_signed()
            with m.If(valids[4] & (~self.pool | beat4.first | (value > best))):
                m.d.sync += [self.w_data[lane].eq(value), self.c_data[lane].eq(beat4.place)]
            m.d.comb += wraps[lane].eq(wrap4 & valids[4] & inside & ~masked & ~self.expand & (self.owns | ~beat4.last_slot))
        m.d.sync += self.overflow.eq(sum(wraps[lane] for lane in range(lanes)))
        m.d.comb += [
            self.w_en.eq(valids[5] & (beat5.last | ~self.pool)), self.w_addr.eq(beat5.dst),
            self.c_en.eq(self.w_en & self.pool), self.c_addr.eq(beat5.aux),
        ]
        return m


assert Post.WRITE == 5, "the stages p0 to p5 are laid out for this latency"
