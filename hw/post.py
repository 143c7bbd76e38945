"""Post-processing of one row: sums to words."""

from amaranth.hdl import Cat, Module, Mux, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from gradgate.arch import latency
from gradgate.hw.post_walk import beat_layout
from gradgate.hw.registers import Unreset, behind, delays

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

    Latency: ``WRITE`` = 7 cycles from a beat to its write, 6 to ``overflow``. Throughput: one beat a cycle.
    Resources: no DSP, no block RAM.
    """

    WRITE = latency.RAM + 5

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
        # p0: beat; p2: data, a register behind the memories; p3: saturated sum, and addend; p4: word; p5: pooled; p6: shifted, written
        beats, valids = delays(m, self.beat, self.WRITE, name="beat")[1:], delays(m, self.valid, self.WRITE, Signal, "valid")[1:]
        sums, row, choices = inputs = [Unreset(one.shape(), name=f"{name}2") for name, one in (
            ("sums", self.sums), ("row", self.row), ("choices", self.choices))]
        m.d.sync += [sums.eq(self.sums), row.eq(self.row), choices.eq(self.choices)]

        wraps = Signal(lanes)
        choice5 = Unreset(self.choice)
        begin = valids[3] & (beats[3].first | ~self.mean)  # p3: the word is the first of its sum
        fresh = Unreset()  # p4: the word counts, whatever it is
        m.d.sync += fresh.eq(beats[3].first | ~self.pool | self.mean)
        for lane in range(lanes):
            self.elaborate_lane(m, lane, [one[lane] for one in inputs], beats, valids, begin, fresh, choice5, wraps)
        m.d.sync += [behind(m, self.c_data, "choice6").eq(choice5), self.overflow.eq(sum(wraps[lane] for lane in range(lanes)))]
        m.d.comb += [
            self.w_en.eq(valids[6] & (beats[6].last | ~(self.pool | self.mean))), self.w_addr.eq(beats[6].dst),
            self.c_en.eq(self.w_en & self.pool), self.c_addr.eq(beats[6].aux),
        ]
        return m

    def elaborate_lane(self, m, lane, inputs, beats, valids, begin, fresh, choice5, wraps):
        """One lane, p2 to p6."""
        formats = self.config.formats
        drop, bits = formats.weight_frac, formats.act_bits

        def register(value, name, shape=1):
            result = Unreset(shape, name=f"{name}_{lane}")
            m.d.sync += result.eq(value)
            return result

        # p2: of the mask, only which words are zero travels on
        total, row, choices = inputs
        nonzero = [row.any()]  # at p2, p3, p4
        for stage in (3, 4):
            nonzero.append(register(nonzero[-1], f"nonzero{stage}"))
        choice3 = register(choices, "choice3", 2)
        # A sum too large for a word is known by its top bits, before it is rounded: rounding then changes only the largest word.
        whole, top = total[drop:drop + bits], total[drop + bits - 1:]
        over2 = top.any() & ~top.all()
        wrap3 = register(total[-1] ^ total[-2], "wrap3")
        sum3 = Unreset(bits, name=f"sum3_{lane}")
        half3 = Unreset(name=f"half3_{lane}")
        row3 = Unreset(bits, name=f"row3_{lane}")
        with m.If(self.rows):
            m.d.sync += [sum3.eq(0), half3.eq(0)]
        with m.Else():
            m.d.sync += [sum3.eq(Mux(over2, Cat((~total[-1]).replicate(bits - 1), total[-1]), whole)),
                         half3.eq(total[drop - 1] & ~over2 & ~(whole == (1 << bits - 1) - 1))]
        with m.If(self.rows | self.add):
            m.d.sync += row3.eq(row)
        with m.Else():
            m.d.sync += row3.eq(0)

        # p3
        marked = Mux(self.double, nonzero[2], nonzero[1])  # the mask is read a cycle before the other word
        inside = (~beats[3].tail | (lane < self.tail)) & (marked | ~self.mask)
        wrap4 = Signal(name=f"wrap4_{lane}")
        m.d.sync += wrap4.eq(wrap3 & valids[3] & inside & ~self.rows & (self.owns | ~beats[3].last_slot))
        both = Signal(signed(bits + 1), name=f"both{lane}")
        value = Unreset(signed(bits), name=f"value{lane}")
        m.d.comb += both.eq((Cat(1, sum3).as_signed() + Cat(half3, row3).as_signed()) >> 1)  # half3 is the carry in
        with m.If(~inside | (self.choose & (choice3 != beats[3].place)) | (self.relu & both[-1])):
            m.d.sync += value.eq(0)
        with m.Else():
            m.d.sync += value.eq(Mux(both[-1] ^ both[-2], Cat((~both[-1]).replicate(bits - 1), both[-1]), both[:bits]))

        # p4
        best = Unreset(signed(bits), name=f"best{lane}")
        pooled = Unreset(bits + POOL, name=f"pooled{lane}")
        before = Unreset(bits + POOL, name=f"before{lane}")  # what rounds halves up, and the words before
        after = Signal(bits + POOL, name=f"after{lane}")
        m.d.comb += after.eq(before + value)
        with m.If(begin):
            m.d.sync += before.eq(((1 << self.shift) >> 1)[:POOL])
        with m.Elif(valids[4]):
            m.d.sync += before.eq(after)
        with m.If(valids[4] & (fresh | (best - value)[-1])):
            m.d.sync += [best.eq(value), pooled.eq(after), choice5[lane].eq(beats[4].place)]

        # p5: the largest shift first, of no more bits than are left at the end
        shifted = pooled
        for level in reversed(range(len(self.shift))):
            width = bits + (1 << level) - 1
            shifted = Mux(self.shift[level], (shifted >> (1 << level))[:width], shifted[:width])
        m.d.sync += behind(m, self.w_data[lane], f"word6_{lane}").eq(shifted)
        m.d.comb += wraps[lane].eq(wrap4)


assert Post.WRITE == 7, "the stages p0 to p6 are laid out for this latency"
