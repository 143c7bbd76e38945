"""Softmax cross-entropy: gradient of the logits and number of correct predictions."""

from amaranth.hdl import Array, Cat, Const, Module, Mux, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from gradgate.arch import latency
from gradgate.arch.commands import Opcode
from gradgate.hw.command import UnitSignature, layout
from gradgate.hw.multiplier import Multiplier
from gradgate.hw.registers import delays
from gradgate.hw.rowport import RowPortSignature
from gradgate.hw.shapes import outside

CLASSES = 32  #: most classes
E_BITS = 16  #: an exponential is 0 to 2**15


class Exponential(wiring.Component):
    """``e = 2**15 * exp(-d)``, by a base-2 exponent with a linear mantissa.

    With F = act_frac: ``t = (d * 23637) >> 14`` is ``d * log2(e)``, ``n = t >> F``, ``f = t mod 2**F``,
    ``e = (2**15 - f') >> min(n, 20)`` where f' is f moved to 14 bits after the point.

    Members
    -------
    i : In(act_bits), d >= 0, ``act_frac`` bits after the point; o : Out(16)

    Latency: ``LATENCY`` = 6 cycles. Throughput: one a cycle. Resources: 1 DSP.

    d may need 18 bits without sign, one more than the DSP's operand has: it is multiplied as d - 2**17, a bit
    flipped, and 2**17 * 23637, whose low 14 bits are zero, is added behind. A shift by 16 or more leaves nothing.

    Source: own; the straight line is at most 6.2 % above 2**-f.
    """

    LATENCY = latency.MULTIPLY + 3
    WIDTH = 18
    LOG2E, LOG2E_FRAC = 23637, 14

    def __init__(self, formats):
        self.formats = formats
        super().__init__({"i": In(formats.act_bits), "o": Out(E_BITS)})

    def elaborate(self, platform):
        m = Module()
        frac, top = self.formats.act_frac, self.WIDTH - 1
        m.submodules.multiplier = multiplier = Multiplier(self.WIDTH)
        operand = Signal(self.WIDTH)
        m.d.comb += operand.eq(self.i)
        m.d.comb += [multiplier.a.eq(Cat(operand[:top], ~operand[top])), multiplier.b.eq(self.LOG2E)]

        exponent = Signal(self.WIDTH + 1)
        correction = (self.LOG2E << top) >> self.LOG2E_FRAC
        m.d.sync += exponent.eq((multiplier.o >> self.LOG2E_FRAC) + correction)

        whole, fraction = exponent[frac:], exponent[:frac]
        shift = Signal(4)
        gone = Signal()
        mantissa = Signal(E_BITS)
        half = fraction << (14 - frac) if frac <= 14 else fraction >> (frac - 14)
        m.d.sync += [mantissa.eq((1 << 15) - half), shift.eq(whole), gone.eq(whole[4:].any())]
        m.d.sync += self.o.eq(Mux(gone, 0, mantissa >> shift))
        return m


class Divider(wiring.Component):
    """Pipelined restoring divider for fractions up to one: ``floor((numerator << frac) / denominator)``.

    Parameters: bits, of the denominator; frac (at least 1), bits of the quotient after the point.

    Members
    -------
    numerator : In(16), at most the denominator
    denominator : In(bits), more than 0, the same from the first numerator to the last quotient
    quotient : Out(frac + 1), of the numerator of ``latency`` cycles ago

    Latency: ``latency`` = frac + 2 cycles. Throughput: one division a cycle.
    Resources: ``frac + 1`` subtractors of ``bits`` bits, with a row of registers behind each; no DSP.
    Source: restoring division is textbook.
    """

    def __init__(self, *, bits, frac):
        self.bits, self.frac, self.latency = bits, frac, frac + 2
        super().__init__({"numerator": In(E_BITS), "denominator": In(bits), "quotient": Out(frac + 1)})

    def elaborate(self, platform):
        m = Module()
        rest = Signal(self.bits + 1)
        m.d.sync += rest.eq(self.numerator)
        quotient = Const(0, 0)
        for step in range(self.frac + 1):
            difference = Signal(signed(self.bits + 2), name=f"difference{step}")
            fits = Signal(name=f"fits{step}")
            m.d.comb += [difference.eq(rest - self.denominator), fits.eq(difference >= 0)]
            left, longer = Signal(self.bits + 1, name=f"rest{step}"), Signal(step + 1, name=f"quotient{step}")
            m.d.sync += [left.eq(Mux(fits, difference, rest) << 1), longer.eq(Cat(fits, quotient))]
            rest, quotient = left, longer
        m.d.comb += self.quotient.eq(quotient)
        return m


class Loss(wiring.Component):
    """Softmax cross-entropy of the images of a batch, one word at a time.

    For image i in row i mod R, slot i div R: reads the label (word 0 of its brick) and the logits z, takes the first
    maximum as the prediction and counts it if it is the label. Then, if the field ``grad`` is set, it computes
    ``e_j = exp(zmax - z_j)`` as in :class:`Exponential` and ``p_j = floor((e_j << grad_frac) / sum(e))``, and writes
    the gradient ``p_j - (j == label)``, with ``grad_frac`` bits after the point, for every class; words behind the
    last class in its brick become zero. A label that is no class (as an unsigned word) is never predicted and is
    subtracted nowhere. An address outside the row memory is a fault, and so is a number of classes that is not 2 to 32.

    Parameters: config, the core's :class:`~gradgate.arch.config.Config`.

    Members
    -------
    unit : UnitSignature, fields of ``Opcode.LOSS``; images may be 0
    rows : RowPortSignature, used from ``start`` to ``done``
    correct : Out, one cycle for each correct prediction, between ``start`` and ``done``

    Latency: ``2 + images * (classes + 10)`` cycles without, ``2 + images * (3 * classes + grad_frac + 20)`` with
    gradient, from ``start`` to ``done``, both included. Throughput: one image at a time.
    Resources: 1 DSP, no block RAM, a distributed memory of 32 words for logits, then exponentials.

        rows -> word -> (max, memory z) -> zmax - z -> Exponential -> (sum, memory e) -> Divider -> - one -> rows

    Source: own.
    """

    def __init__(self, config):
        self.config = config
        super().__init__({"unit": Out(UnitSignature()), "rows": Out(RowPortSignature(config)), "correct": Out(1)})

    def elaborate(self, platform):
        m = Module()
        config, formats, rows = self.config, self.config.formats, self.rows
        fields = data.View(layout(Opcode.LOSS), self.unit.payload)
        sum_bits = 15 + len(fields.classes) + 1
        m.submodules.exponential = exponential = Exponential(formats)
        m.submodules.divider = divider = Divider(bits=sum_bits, frac=formats.grad_frac)
        m.submodules.words = words = Memory(shape=max(formats.act_bits, E_BITS), depth=CLASSES, init=[])
        read, write = words.read_port(domain="comb"), words.write_port()

        # Which image: counted from 1, and the bricks of its row and slot.
        image = Signal(len(fields.images))
        row = Signal.like(rows.row)
        bases = {name: Signal(len(fields[name]), name=f"{name}_base") for name in ("labels", "logits", "grads")}

        # The walk over words: label and logits on the way in, gradients on the way out.
        addr = Signal(len(fields.logits))
        lane = Signal(range(config.lanes))
        get = Signal(len(fields.classes))
        put = Signal(range(CLASSES))
        last_get = get == fields.classes
        next_word = [lane.eq(lane + 1), addr.eq(addr + lane.all())]  # lanes is a power of two: lane wraps
        stored = Signal.like(addr)
        m.d.sync += stored.eq(addr)

        # The address is that of a word to read; before gradients come out of the divider, that of their first word.
        reading = Signal()
        dividing = Signal()
        m.d.comb += [rows.row.eq(row), rows.addr.eq(Mux(rows.en.any(), stored, addr))]
        last_addr = Signal(len(addr) + 1)
        lane_bits = (config.lanes - 1).bit_length()
        too_few, too_many = fields.classes < 2, fields.classes > CLASSES
        some = Signal()
        m.d.sync += some.eq(fields.images != 0)
        m.d.comb += last_addr.eq(addr + ((fields.classes - 1) >> lane_bits)[:5])
        m.d.sync += self.unit.fault.eq((self.unit.start & (too_few | too_many)) | (reading & outside(addr, config.act_bricks)) | (
            dividing & (get == 1) & outside(last_addr, config.act_bricks)))

        def pipe(name, value, stages):
            return delays(m, value, stages, Signal, name)[-1]

        # Inwards: the word that the port shows now, in a register; the largest logit so far and its class.
        scaling = Signal()
        word = Signal(signed(formats.act_bits))
        bricks = Array(rows.r_data[i] for i in range(config.lanes))
        m.d.sync += word.eq(bricks[pipe("lane", lane, RowPortSignature.READ)])
        word_valid = pipe("word_valid", reading, RowPortSignature.READ + 1)
        word_label = pipe("word_label", reading & (get == 0), RowPortSignature.READ + 1)
        word_last = pipe("word_last", reading & last_get, RowPortSignature.READ + 1)
        label = Signal(formats.act_bits)
        best = Signal.like(put)
        largest = Signal.like(word)

        # Distance from the largest, exponential, sum.
        shown = Signal.like(word)
        distance = Signal(formats.act_bits)
        e_latency = 2 + exponential.LATENCY
        e_valid = pipe("e_valid", scaling, e_latency)
        e_last = pipe("e_last", scaling & last_get, e_latency)
        total = Signal(sum_bits)
        m.d.comb += [exponential.i.eq(distance), divider.denominator.eq(total), divider.numerator.eq(read.data)]
        m.d.sync += [shown.eq(read.data), distance.eq(largest - shown)]

        # The word numbers behind ``get`` count from 1, the memory from 0.
        m.d.comb += [read.addr.eq(get - 1), write.addr.eq(put), write.data.eq(Mux(e_valid, exponential.o, word))]
        with m.If(word_label):
            m.d.sync += [label.eq(word), put.eq(0)]
        with m.Elif(word_valid):
            m.d.comb += write.en.eq(1)
            m.d.sync += put.eq(put + 1)
            with m.If((put == 0) | (word > largest)):
                m.d.sync += [largest.eq(word), best.eq(put)]
        with m.If(e_valid):
            m.d.comb += write.en.eq(1)
            m.d.sync += [put.eq(put + 1), total.eq(total + exponential.o)]

        # Outwards: the first word of a brick clears the others.
        one = pipe("one", label + 1 == get, divider.latency)
        q_valid = pipe("q_valid", dividing, divider.latency)
        q_last = pipe("q_last", dividing & last_get, divider.latency)
        gradient = Signal(signed(formats.act_bits))
        m.d.comb += gradient.eq(divider.quotient - (one << formats.grad_frac))
        m.d.sync += [rows.en.eq(Mux(q_valid, Mux(lane == 0, ~0, 1 << lane), 0)), self.correct.eq(0)]
        m.d.sync += [rows.w_data[0].eq(gradient)]
        m.d.sync += [rows.w_data[i].eq(Mux(lane == 0, 0, gradient)) for i in range(1, config.lanes)]

        with m.If(q_valid):
            m.d.sync += next_word
        with m.FSM():
            with m.State("IDLE"):
                m.d.sync += [row.eq(0), image.eq(1), get.eq(0), lane.eq(0), addr.eq(fields.labels)]
                m.d.sync += [base.eq(fields[name]) for name, base in bases.items()]
                with m.If(self.unit.start):
                    m.next = "DONE"
                    with m.If(some):
                        m.next = "READ"
            with m.State("READ"):
                m.d.comb += reading.eq(1)
                m.d.sync += [get.eq(get + 1), *next_word]
                with m.If(get == 0):
                    m.d.sync += [lane.eq(0), addr.eq(bases["logits"])]
                with m.If(last_get):
                    m.next = "SCAN"
            with m.State("SCAN"):
                with m.If(word_last):
                    m.next = "MATCH"
            with m.State("MATCH"):
                m.d.sync += [self.correct.eq(label == best), put.eq(0), get.eq(1), total.eq(0)]
                m.next = "NEXT"
                with m.If(fields.grad):
                    m.next = "SCALE"
            with m.State("SCALE"):
                m.d.comb += scaling.eq(1)
                m.d.sync += get.eq(get + 1)
                with m.If(last_get):
                    m.next = "SUM"
            with m.State("SUM"):
                m.d.sync += [get.eq(1), addr.eq(bases["grads"]), lane.eq(0)]
                with m.If(e_last):
                    m.next = "DIVIDE"
            with m.State("DIVIDE"):
                m.d.comb += dividing.eq(1)
                m.d.sync += get.eq(get + 1)
                with m.If(last_get):
                    m.next = "STORE"
            with m.State("STORE"):
                with m.If(q_last):
                    m.next = "NEXT"
            with m.State("NEXT"):
                m.d.sync += [image.eq(image + 1), row.eq(row + 1), get.eq(0), lane.eq(0), addr.eq(bases["labels"])]
                with m.If(row == config.rows - 1):
                    m.d.sync += [row.eq(0), addr.eq(bases["labels"] + fields.labels_slot)]
                    m.d.sync += [base.eq(base + fields[f"{name}_slot"]) for name, base in bases.items()]
                m.next = "READ"
                with m.If(image == fields.images):
                    m.next = "DONE"
            with m.State("DONE"):
                m.d.comb += self.unit.done.eq(1)
                m.next = "IDLE"
        return m
