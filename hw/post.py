"""Post-processing of one row: sums to words."""

from amaranth.hdl import Cat, Module, Mux, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from gradgate.arch import latency
from gradgate.hw.post_walk import beat_layout

#: bits that a sum of up to 64 words has more than a word
POOL = 6


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
        # p0: beat; p2: data; p4: saturated sum and addend; p5: pooled; p6: shifted, written
        beats, valids = [self.beat], [self.valid]
        for stage in range(1, self.WRITE + 1):
            beats.append(Signal(beat_layout(self.config), name=f"beat{stage}"))
            valids.append(Signal(name=f"valid{stage}"))
            m.d.sync += [beats[-1].eq(beats[-2]), valids[-1].eq(valids[-2])]

        wraps = Signal(lanes)
        choice5 = Signal(self.choice)
        half = Signal(POOL)  # what rounds halves up
        m.d.comb += half.eq((1 << self.shift) >> 1)
        for lane in range(lanes):
            self.elaborate_lane(m, lane, beats, valids, half, choice5, wraps)
        m.d.sync += [self.c_data.eq(choice5), self.overflow.eq(sum(wraps[lane] for lane in range(lanes)))]
        m.d.comb += [
            self.w_en.eq(valids[6] & (beats[6].last | ~(self.pool | self.mean))), self.w_addr.eq(beats[6].dst),
            self.c_en.eq(self.w_en & self.pool), self.c_addr.eq(beats[6].aux),
        ]
        return m

    def elaborate_lane(self, m, lane, beats, valids, half, choice5, wraps):
        """One lane, p2 to p6."""
        formats = self.config.formats
        drop, bits = formats.weight_frac, formats.act_bits

        def register(value, name, shape=1):
            result = Signal(shape, name=f"{name}_{lane}")
            m.d.sync += result.eq(value)
            return result

        # p2: which words are zero travels on, the words themselves only as addends
        nonzero = [self.row[lane].any()]  # at p2, p3, p4
        for stage in (3, 4):
            nonzero.append(register(nonzero[-1], f"nonzero{stage}"))
        row3, choice3 = register(self.row[lane], "row3", bits), register(self.choices[lane], "choice3", 2)

        # A sum too large for a word is known by its top bits, before it is rounded: rounding then changes only the largest word.
        total = self.sums[lane]
        top = total[drop + bits - 1:]
        whole3, half3 = register(total[drop:], "whole3", bits), register(total[drop - 1], "half3")
        over3, low3 = register(top.any() & ~top.all(), "over3"), register(total[-1], "low3")
        wrap3 = register(total[-1] ^ total[-2], "wrap3")

        # p3
        marked = Mux(self.double, nonzero[2], nonzero[1])  # the mask is read a cycle before the other word
        inside = (~beats[3].tail | (lane < self.tail)) & (marked | ~self.mask)
        keep4 = register(inside & ~(self.choose & (choice3 != beats[3].place)), "keep4")
        wrap4 = register(wrap3 & valids[3] & inside & ~self.rows & (self.owns | ~beats[3].last_slot), "wrap4")
        sum4 = Signal(signed(bits), name=f"sum4_{lane}")
        half4 = Signal(name=f"half4_{lane}")
        row4 = Signal(signed(bits), name=f"row4_{lane}")
        with m.If(self.rows):
            m.d.sync += [sum4.eq(0), half4.eq(0)]
        with m.Else():
            m.d.sync += [sum4.eq(Mux(over3, Cat((~low3).replicate(bits - 1), low3), whole3)),
                         half4.eq(half3 & ~over3 & ~(whole3 == (1 << bits - 1) - 1))]
        with m.If(self.rows | self.add):
            m.d.sync += row4.eq(row3)
        with m.Else():
            m.d.sync += row4.eq(0)

        # p4
        both = Signal(signed(bits + 1), name=f"both{lane}")
        live = Signal(name=f"live{lane}")
        over = Signal(name=f"over{lane}")
        value = Signal(signed(bits), name=f"value{lane}")
        m.d.comb += [
            both.eq((Cat(1, sum4).as_signed() + Cat(half4, row4).as_signed()) >> 1),  # half4 is the carry in
            live.eq(keep4 & ~(self.relu & both[-1])), over.eq(both[-1] ^ both[-2]),
            value.eq(Cat((both[:bits - 1] & (live & ~over).replicate(bits - 1)) | (live & over & ~both[-1]).replicate(bits - 1),
                         both[-1] & live)),
        ]

        best = Signal(signed(bits), name=f"best{lane}")
        pooled = Signal(bits + POOL, name=f"pooled{lane}")
        fresh = beats[4].first | ~(self.pool | self.mean)
        with m.If(valids[4] & (fresh | self.mean | (value > best))):
            m.d.sync += [best.eq(value), pooled.eq(Mux(fresh | ~self.mean, half, pooled) + value), choice5[lane].eq(beats[4].place)]

        # p5: the largest shift first, of no more bits than are left at the end
        shifted = pooled
        for level in reversed(range(len(self.shift))):
            width = bits + (1 << level) - 1
            shifted = Mux(self.shift[level], (shifted >> (1 << level))[:width], shifted[:width])
        m.d.sync += self.w_data[lane].eq(shifted)
        m.d.comb += wraps[lane].eq(wrap4)


assert Post.WRITE == 6, "the stages p0 to p6 are laid out for this latency"
