"""Post-processing of one row: sums to words."""

from amaranth.hdl import Module, Mux, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from gradgate.arch import latency
from gradgate.hw.post_walk import beat_layout


class Post(wiring.Component):
    """Post-processing of a row, one brick a beat.

    From sums: ``word = saturate((sum + 2**(s-1)) >> s)`` with ``s = weight_frac``; sums and words then have the same point in
    forward (Q5.10) and backward-data passes (Q2.13). Then ``word = saturate(word + addend)``, ReLU or mask, and pooling: the
    first maximum of a window wins, or the window is summed. What is written is shifted right, halves rounding up.

    Members
    -------
    rows, choose, add, relu, mask, pool, mean, shift, tail : In, fields of POST
    owns : In, the row owns an image in the last slot
    valid, double, beat : In, of the walk
    sums : In, brick of sums; row : In, brick of row memory; choices : In, argmax brick; all ``latency.RAM`` cycles after the beat
    w_en, w_addr, w_data : Out, row memory write; c_en, c_addr, c_data : Out, argmax write
    overflow : Out, number of final sums of this beat whose two top bits differ

    Latency: ``WRITE`` = 6 cycles from a beat to its write, 5 to ``overflow``. Throughput: one beat a cycle.
    Resources: about 200 LUT a lane, no DSP, no block RAM.
    """

    WRITE = latency.RAM + 4

    def __init__(self, config):
        self.config = config
        formats, lanes = config.formats, config.lanes
        self.brick = data.ArrayLayout(formats.act_bits, lanes)
        self.choice = data.ArrayLayout(2, lanes)
        super().__init__({
            "rows": In(1), "choose": In(1), "add": In(1), "relu": In(1), "mask": In(1), "pool": In(1), "mean": In(1),
            "shift": In(3), "tail": In(5), "owns": In(1),
            "valid": In(1), "double": In(1), "beat": In(beat_layout(config)),
            "sums": In(data.ArrayLayout(formats.acc_bits, lanes)), "row": In(self.brick), "choices": In(self.choice),
            "w_en": Out(1), "w_addr": Out(range(config.act_bricks)), "w_data": Out(self.brick),
            "c_en": Out(1), "c_addr": Out(range(config.argmax_bricks)), "c_data": Out(self.choice),
            "overflow": Out(range(lanes + 1)),
        })

    def elaborate(self, platform):
        m = Module()
        lanes = self.config.lanes
        # p0: beat; p2: data; p3: rounded; p4: saturated; p5: pooled; p6: shifted, written
        beats, valids = [self.beat], [self.valid]
        for stage in range(1, self.WRITE + 1):
            beats.append(Signal(beat_layout(self.config), name=f"beat{stage}"))
            valids.append(Signal(name=f"valid{stage}"))
            m.d.sync += [beats[-1].eq(beats[-2]), valids[-1].eq(valids[-2])]

        rows, choices = [self.row], [self.choices]  # at p2, p3, p4
        for stage in (3, 4, 5):
            rows.append(Signal(self.brick, name=f"row{stage}"))
            m.d.sync += rows[-1].eq(rows[-2])
        for stage in (3, 4):
            choices.append(Signal(self.choice, name=f"choices{stage}"))
            m.d.sync += choices[-1].eq(choices[-2])
        wraps = Signal(lanes)
        choice5 = Signal(self.choice)
        for lane in range(lanes):
            mask4 = Mux(self.double, rows[3][lane], rows[2][lane])  # read a cycle before the other word
            inside = (~beats[4].tail | (lane < self.tail)) & ~(self.mask & (mask4 == 0))
            self.elaborate_lane(m, lane, beats, valids, inside, rows[2][lane].as_signed(), choices[2][lane], choice5, wraps)
        m.d.sync += [self.c_data.eq(choice5), self.overflow.eq(sum(wraps[lane] for lane in range(lanes)))]
        m.d.comb += [
            self.w_en.eq(valids[6] & (beats[6].last | ~(self.pool | self.mean))), self.w_addr.eq(beats[6].dst),
            self.c_en.eq(self.w_en & self.pool), self.c_addr.eq(beats[6].aux),
        ]
        return m

    def elaborate_lane(self, m, lane, beats, valids, inside, row4, choice, choice5, wraps):
        """One lane, p2 to p6; ``inside``, ``row4`` and ``choice`` belong to p4."""
        formats = self.config.formats
        drop, bits = formats.weight_frac, formats.act_bits
        low, high = -(1 << bits - 1), (1 << bits - 1) - 1

        def saturated(value):
            return Mux(value > high, high, Mux(value < low, low, value))

        rounded = Signal(signed(formats.acc_bits + 1 - drop), name=f"rounded{lane}")
        sum4 = Signal(signed(bits), name=f"sum4_{lane}")
        wrap3 = Signal(name=f"wrap3_{lane}")
        wrap4 = Signal(name=f"wrap4_{lane}")
        m.d.sync += [
            rounded.eq((self.sums[lane].as_signed() + (1 << drop - 1)) >> drop), sum4.eq(saturated(rounded)),
            wrap3.eq(self.sums[lane][-1] ^ self.sums[lane][-2]), wrap4.eq(wrap3),
        ]
        word4 = Signal(signed(bits), name=f"word4_{lane}")
        both = Signal(signed(bits + 1), name=f"both{lane}")
        value = Signal(signed(bits), name=f"value{lane}")
        m.d.comb += [word4.eq(Mux(self.rows, row4, sum4)), both.eq(word4 + Mux(self.add, row4, 0))]
        with m.If(~inside | (self.choose & (choice != beats[4].place)) | (self.relu & (both < 0))):
            m.d.comb += value.eq(0)
        with m.Else():
            m.d.comb += value.eq(saturated(both))

        pooled = Signal(signed(bits + 6), name=f"pooled{lane}")  # up to 64 words
        fresh = beats[4].first | ~(self.pool | self.mean)
        with m.If(valids[4] & (fresh | self.mean | (value > pooled))):
            m.d.sync += [pooled.eq(Mux(fresh | ~self.mean, 0, pooled) + value), choice5[lane].eq(beats[4].place)]
        m.d.sync += self.w_data[lane].eq(((pooled + ((1 << self.shift) >> 1)) >> self.shift)[:bits])
        m.d.comb += wraps[lane].eq(wrap4 & valids[4] & inside & ~self.rows & (self.owns | ~beats[4].last_slot))


assert Post.WRITE == 6, "the stages p0 to p6 are laid out for this latency"
