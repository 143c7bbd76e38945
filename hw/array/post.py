"""Post-processing of one row: sums to words."""

from amaranth.hdl import Cat, Module, Mux, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from gradgate.arch import latency
from gradgate.arch.commands import Opcode
from gradgate.hw.array.post_walk import WalkSignature
from gradgate.hw.parts.command import layout
from gradgate.hw.parts.memoryport import WritePortSignature
from gradgate.hw.parts.registers import Unreset, behind, delays

#: bits that a sum of up to 64 words has more than a word
POOL = 6
#: fields of POST that say what becomes of a word
FLAGS = ("rows", "choose", "add", "relu", "mask", "pool", "mean", "shift", "tail")


def flags_layout() -> data.StructLayout:
    """``FLAGS``, as the command has them."""
    return data.StructLayout({name: layout(Opcode.POST)[name].shape for name in FLAGS})


class Post(wiring.Component):
    """Post-processing of a row, one brick a beat.

    From sums: ``word = saturate((sum + 2**(s-1)) >> s)`` with ``s = weight_frac``; sums and words then have
    the same point in forward (Q5.10) and backward-data passes (Q2.13). Then ``word = saturate(word +
    addend)``, ReLU or mask, and pooling: the first maximum of a window wins, or the window is summed. What is
    written is shifted right, halves rounding up.

    Where something comes is said by stages: p0 is the cycle of a beat, p2 its data in a register after the
    memories, p3 the saturated sum and the addend, p4 the word, p5 the pooled word, p6 the shifted word, which
    is written. A signal's number is its stage.

    Parameters
    ----------
    config : the core's :class:`~gradgate.arch.config.Config`

    Members
    -------
    flags : In(flags_layout), fields of POST; stable while beats are on their way
    owns : In(1), the row owns an image in the last slot
    i : In(WalkSignature), of the walk
    sums : In(brick of acc_bits), what the beat of ``latency.RAM`` cycles ago reads of the sums
    row : In(brick of act_bits), likewise of row memory
    choices : In(brick of 2 bits), likewise of argmax memory
    w_row : Out(WritePortSignature), writes bricks of row memory
    w_choices : Out(WritePortSignature), writes bricks of argmax memory: places of the maximum
    overflow : Out(range(lanes + 1)), number of final sums of a beat whose two top bits differ

    Latency: ``WRITE`` = 7 cycles from a beat to its write, 6 to ``overflow``. Throughput: one beat a cycle.
    Resources: no DSP, no block RAM.
    Example: docs/examples.md#postwalk-and-post
    """

    WRITE = latency.RAM + 5

    def __init__(self, config):
        self.config = config
        formats, lanes = config.formats, config.lanes
        self.brick = data.ArrayLayout(formats.act_bits, lanes)
        self.choice = data.ArrayLayout(2, lanes)
        super().__init__({
            "flags": In(flags_layout()),
            "owns": In(1),
            "i": In(WalkSignature(config)),
            "sums": In(data.ArrayLayout(formats.acc_bits, lanes)),
            "row": In(self.brick),
            "choices": In(self.choice),
            "w_row": Out(WritePortSignature(range(config.act_bricks), self.brick)),
            "w_choices": Out(WritePortSignature(range(config.argmax_bricks), self.choice)),
            "overflow": Out(range(lanes + 1)),
        })

    def elaborate(self, platform):
        m = Module()
        lanes = range(self.config.lanes)
        beats = delays(m, self.i.beat, self.WRITE, name="beat")[1:]
        valids = delays(m, self.i.valid, self.WRITE, Signal, "valid")[1:]
        sums2 = Unreset(self.sums.shape())
        row2 = Unreset(self.row.shape())
        choices2 = Unreset(self.choices.shape())
        m.d.sync += [
            sums2.eq(self.sums),
            row2.eq(self.row),
            choices2.eq(self.choices),
        ]

        wraps = Signal(len(lanes))
        choice5 = Unreset(self.choice)
        begin = valids[3] & (beats[3].first | ~self.flags.mean)  # p3: the word is the first of its sum
        fresh = Unreset()  # p4: the word counts, whatever it is
        m.d.sync += fresh.eq(beats[3].first | ~self.flags.pool | self.flags.mean)
        for lane in lanes:
            nonzero = self._nonzero(m, lane, row2[lane])
            choice3 = self._register(m, choices2[lane], f"choice3_{lane}", 2)
            wrap3, sum3, half3 = self._sum(m, lane, sums2[lane])
            row3 = self._addend(m, lane, row2[lane])
            # The mask is read a cycle before the other word.
            marked = Mux(self.i.double, nonzero[2], nonzero[1])
            inside = (~beats[3].tail | (lane < self.flags.tail)) & (marked | ~self.flags.mask)
            wrap4 = Signal(name=f"wrap4_{lane}")
            last_slot = self.owns | ~beats[3].last_slot
            m.d.sync += wrap4.eq(wrap3 & valids[3] & inside & ~self.flags.rows & last_slot)
            dropped = ~inside | (self.flags.choose & (choice3 != beats[3].place))
            value = self._value(m, lane, sum3, half3, row3, dropped)
            pooled = self._pool(m, lane, value, begin, fresh, valids[4], beats[4].place, choice5[lane])
            self._write(m, lane, pooled)
            m.d.comb += wraps[lane].eq(wrap4)
        m.d.sync += behind(m, self.w_choices.data, "choice6").eq(choice5)
        m.d.sync += self.overflow.eq(sum(wraps[lane] for lane in lanes))
        m.d.comb += [
            self.w_row.en.eq(valids[6] & (beats[6].last | ~(self.flags.pool | self.flags.mean))),
            self.w_row.addr.eq(beats[6].dst),
            self.w_choices.en.eq(self.w_row.en & self.flags.pool),
            self.w_choices.addr.eq(beats[6].aux),
        ]
        return m

    def _register(self, m, value, name, shape=1):
        """``value``, a cycle later."""
        register = Unreset(shape, name=name)
        m.d.sync += register.eq(value)
        return register

    def _nonzero(self, m, lane, row):
        """Whether the word of row memory is not zero, at p2, p3 and p4: no more of a mask travels on."""
        nonzero2 = row.any()
        nonzero3 = self._register(m, nonzero2, f"nonzero3_{lane}")
        nonzero4 = self._register(m, nonzero3, f"nonzero4_{lane}")
        return nonzero2, nonzero3, nonzero4

    def _sum(self, m, lane, total):
        """p2: whether the sum has wrapped, the sum without its last bits and saturated, and its rounding bit.

        A sum too large for a word is known by its top bits, before it is rounded: rounding then changes only
        the largest word.
        """
        drop, bits = self.config.formats.weight_frac, self.config.formats.act_bits
        whole = total[drop:drop + bits]
        top = total[drop + bits - 1:]
        over2 = top.any() & ~top.all()
        wrap3 = self._register(m, total[-1] ^ total[-2], f"wrap3_{lane}")
        sum3 = Unreset(bits, name=f"sum3_{lane}")
        half3 = Unreset(name=f"half3_{lane}")
        with m.If(self.flags.rows):
            m.d.sync += sum3.eq(0)
            m.d.sync += half3.eq(0)
        with m.Else():
            m.d.sync += sum3.eq(Mux(over2, Cat((~total[-1]).replicate(bits - 1), total[-1]), whole))
            m.d.sync += half3.eq(total[drop - 1] & ~over2 & ~(whole == (1 << bits - 1) - 1))
        return wrap3, sum3, half3

    def _addend(self, m, lane, row):
        """p2: the word that is added to the sum."""
        row3 = Unreset(self.config.formats.act_bits, name=f"row3_{lane}")
        with m.If(self.flags.rows | self.flags.add):
            m.d.sync += row3.eq(row)
        with m.Else():
            m.d.sync += row3.eq(0)
        return row3

    def _value(self, m, lane, sum3, half3, row3, dropped):
        """p3: sum and addend, saturated, or 0."""
        bits = self.config.formats.act_bits
        both = Signal(signed(bits + 1), name=f"both{lane}")
        value = Unreset(signed(bits), name=f"value{lane}")
        # half3 is a carry.
        m.d.comb += both.eq((Cat(1, sum3).as_signed() + Cat(half3, row3).as_signed()) >> 1)
        with m.If(dropped | (self.flags.relu & both[-1])):
            m.d.sync += value.eq(0)
        with m.Else():
            clipped = Cat((~both[-1]).replicate(bits - 1), both[-1])
            m.d.sync += value.eq(Mux(both[-1] ^ both[-2], clipped, both[:bits]))
        return value

    def _pool(self, m, lane, value, begin, fresh, valid, place, choice):
        """p4: the largest word of a window, or the sum of all; ``choice`` becomes where the largest is."""
        bits = self.config.formats.act_bits
        best = Unreset(signed(bits), name=f"best{lane}")
        pooled = Unreset(bits + POOL, name=f"pooled{lane}")
        before = Unreset(bits + POOL, name=f"before{lane}")  # what rounds halves up, and the words before
        after = Signal(bits + POOL, name=f"after{lane}")
        m.d.comb += after.eq(before + value)
        with m.If(begin):
            m.d.sync += before.eq(((1 << self.flags.shift) >> 1)[:POOL])
        with m.Elif(valid):
            m.d.sync += before.eq(after)
        with m.If(valid & (fresh | (best - value)[-1])):
            m.d.sync += [
                best.eq(value),
                pooled.eq(after),
                choice.eq(place),
            ]
        return pooled

    def _write(self, m, lane, pooled):
        """p5: the largest shift first, of no more bits than are left at the end."""
        shifted = pooled
        for level in reversed(range(len(self.flags.shift))):
            width = self.config.formats.act_bits + (1 << level) - 1
            shifted = Mux(self.flags.shift[level], (shifted >> (1 << level))[:width], shifted[:width])
        m.d.sync += behind(m, self.w_row.data[lane], f"word6_{lane}").eq(shifted)


assert Post.WRITE == 7, "the stages p0 to p6 are laid out for this latency"
