"""Softmax cross-entropy: gradient of the logits and number of correct predictions."""

from amaranth.hdl import Array, Module, Mux, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import Out

from gradgate.arch.commands import Opcode
from gradgate.hw.control.softmax import E_BITS, Divider, Exponential
from gradgate.hw.parts.command import UnitSignature, layout
from gradgate.hw.parts.registers import delays
from gradgate.hw.parts.rowport import RowPortSignature
from gradgate.hw.parts.shapes import outside

CLASSES = 32  #: most classes


class _State:
    """The registers of :class:`Loss` that its parts share, and in which phase it is."""

    def __init__(self, config, fields, rows):
        # Which image, and the bricks of its row and slot.
        self.image = Signal(len(fields.images))  # counted from 1
        self.row = Signal.like(rows.row)
        bases = ("labels", "logits", "grads")
        self.bases = {name: Signal(len(fields[name]), name=f"{name}_base") for name in bases}

        # The walk over words: label and logits on the way in, gradients on the way out.
        self.addr = Signal(len(fields.logits))  # brick
        self.lane = Signal(range(config.lanes))
        self.get = Signal(len(fields.classes))  # number of the word that is asked for; 0 is the label
        self.put = Signal(range(CLASSES))  # class of the word that comes
        self.last_get = self.get == fields.classes
        self.next_word = [
            self.lane.eq(self.lane + 1),  # lanes is a power of two: lane wraps
            self.addr.eq(self.addr + self.lane.all()),
        ]

        self.reading = Signal()  # label and logits are asked for
        self.scaling = Signal()  # logits are made exponentials
        self.dividing = Signal()  # exponentials are made gradients

        # Of the image.
        self.label = Signal(config.formats.act_bits)
        self.best = Signal.like(self.put)  # class of the largest logit so far
        self.largest = Signal(signed(config.formats.act_bits))
        self.total = Signal(15 + len(fields.classes) + 1)  # of the exponentials


class Loss(wiring.Component):
    """Softmax cross-entropy of the images of a batch, one word at a time.

    For image i in row i mod R, slot i div R: reads the label (word 0 of its brick) and the logits z, takes
    the first maximum as the prediction and counts it if it is the label. Then, if the field ``grad`` is set,
    it computes ``e_j = exp(zmax - z_j)`` as in :class:`Exponential` and ``p_j = floor((e_j << grad_frac) /
    sum(e))``, and writes the gradient ``p_j - (j == label)``, with ``grad_frac`` bits after the point, for
    every class; words after the last class in its brick become zero. A label that is no class (as an unsigned
    word) is never predicted and is subtracted nowhere. An address outside the row memory is a fault, and so
    is a number of classes that is not 2 to 32.

    Parameters
    ----------
    config : the core's :class:`~gradgate.arch.config.Config`

    Members
    -------
    unit : UnitSignature, fields of ``Opcode.LOSS``; images may be 0
    rows : RowPortSignature, used from ``start`` to ``done``
    correct : Out(1), one cycle for each correct prediction, between ``start`` and ``done``

    Latency: ``2 + images * (classes + 10)`` cycles without, ``2 + images * (3 * classes + grad_frac + 20)``
    with gradient, from ``start`` to ``done``, both included. Throughput: one image at a time.
    Resources: 1 DSP, no block RAM, 32 words of distributed memory for logits, then exponentials. Source: own.

     rows -> word -> (max, memory z) -> zmax-z -> Exponential -> (sum, memory e) -> Divider -- - label -> rows

    Example: docs/examples.md#loss
    """

    def __init__(self, config):
        self.config = config
        super().__init__({
            "unit": Out(UnitSignature()),
            "rows": Out(RowPortSignature(config)),
            "correct": Out(1),
        })

    def elaborate(self, platform):
        m = Module()
        config, formats = self.config, self.config.formats
        fields = data.View(layout(Opcode.LOSS), self.unit.payload)
        state = _State(config, fields, self.rows)
        m.submodules.exponential = exponential = Exponential(formats)
        m.submodules.divider = divider = Divider(bits=len(state.total), frac=formats.grad_frac)
        m.submodules.words = words = Memory(shape=max(formats.act_bits, E_BITS), depth=CLASSES, init=[])
        read = words.read_port(domain="comb")
        write = words.write_port()

        some = Signal()  # there are images
        self._addresses(m, fields, state, some)
        word, word_valid, word_label, word_last = self._words(m, state)
        e_valid, e_last = self._exponentials(m, state, exponential, divider, read)
        m.d.comb += read.addr.eq(state.get - 1)  # the words after ``get`` count from 1, the memory from 0
        m.d.comb += write.addr.eq(state.put)
        m.d.comb += write.data.eq(Mux(e_valid, exponential.o, word))
        self._collect(m, state, write, word, word_valid, word_label, exponential, e_valid)
        q_last = self._gradients(m, state, divider)
        self._control(m, fields, state, some, word_last, e_last, q_last)
        return m

    def _addresses(self, m, fields, state, some):
        """The row memories' address, and whether it or the number of classes is wrong.

        The address is that of a word to read; before gradients come out of the divider, that of their first
        word.
        """
        rows, bricks = self.rows, self.config.act_bricks
        stored = Signal.like(state.addr)
        last_addr = Signal(len(state.addr) + 1)
        lane_bits = (self.config.lanes - 1).bit_length()
        too_few = fields.classes < 2
        too_many = fields.classes > CLASSES
        m.d.sync += stored.eq(state.addr)
        m.d.comb += [
            rows.row.eq(state.row),
            rows.addr.eq(Mux(rows.en.any(), stored, state.addr)),
            last_addr.eq(state.addr + ((fields.classes - 1) >> lane_bits)[:5]),
        ]
        m.d.sync += [
            some.eq(fields.images != 0),
            self.unit.fault.eq(
                (self.unit.start & (too_few | too_many))
                | (state.reading & outside(state.addr, bricks))
                | (state.dividing & (state.get == 1) & outside(last_addr, bricks))
            ),
        ]

    def _words(self, m, state):
        """Inwards: the word that the port shows now, in a register, and what it is."""
        word = Signal(signed(self.config.formats.act_bits))
        bricks = Array(self.rows.r_data[i] for i in range(self.config.lanes))
        lane = _delayed(m, "lane", state.lane, RowPortSignature.READ)
        m.d.sync += word.eq(bricks[lane])
        delay = RowPortSignature.READ + 1
        valid = _delayed(m, "word_valid", state.reading, delay)
        label = _delayed(m, "word_label", state.reading & (state.get == 0), delay)
        last = _delayed(m, "word_last", state.reading & state.last_get, delay)
        return word, valid, label, last

    def _exponentials(self, m, state, exponential, divider, read):
        """From logits to their exponentials; returns when one comes, and when the last."""
        shown = Signal.like(state.largest)
        distance = Signal(self.config.formats.act_bits)
        delay = 2 + exponential.LATENCY
        valid = _delayed(m, "e_valid", state.scaling, delay)
        last = _delayed(m, "e_last", state.scaling & state.last_get, delay)
        m.d.comb += [
            exponential.i.eq(distance),
            divider.denominator.eq(state.total),
            divider.numerator.eq(read.data),
        ]
        m.d.sync += shown.eq(read.data)
        m.d.sync += distance.eq(state.largest - shown)
        return valid, last

    def _collect(self, m, state, write, word, word_valid, word_label, exponential, e_valid):
        """Label, largest logit and its class; the sum of the exponentials."""
        put = state.put
        with m.If(word_label):
            m.d.sync += state.label.eq(word)
            m.d.sync += put.eq(0)
        with m.Elif(word_valid):
            m.d.comb += write.en.eq(1)
            m.d.sync += put.eq(put + 1)
            with m.If((put == 0) | (word > state.largest)):
                m.d.sync += state.largest.eq(word)
                m.d.sync += state.best.eq(put)
        with m.If(e_valid):
            m.d.comb += write.en.eq(1)
            m.d.sync += put.eq(put + 1)
            m.d.sync += state.total.eq(state.total + exponential.o)

    def _gradients(self, m, state, divider):
        """Outwards: the first word of a brick clears the others. Returns when the last one comes."""
        config, rows, lane = self.config, self.rows, state.lane
        is_label = _delayed(m, "is_label", state.label + 1 == state.get, divider.latency)
        valid = _delayed(m, "q_valid", state.dividing, divider.latency)
        last = _delayed(m, "q_last", state.dividing & state.last_get, divider.latency)
        gradient = Signal(signed(config.formats.act_bits))
        m.d.comb += gradient.eq(divider.quotient - (is_label << config.formats.grad_frac))
        m.d.sync += [
            rows.en.eq(Mux(valid, Mux(lane == 0, ~0, 1 << lane), 0)),
            self.correct.eq(0),
            rows.w_data[0].eq(gradient),
        ]
        m.d.sync += [rows.w_data[i].eq(Mux(lane == 0, 0, gradient)) for i in range(1, config.lanes)]
        with m.If(valid):
            m.d.sync += state.next_word
        return last

    def _control(self, m, fields, state, some, word_last, e_last, q_last):
        """The phases of an image, one after the other."""
        with m.FSM():
            self._start(m, fields, state, some)
            self._predict(m, fields, state, word_last)
            self._differentiate(m, state, e_last, q_last)
            self._go_on(m, fields, state)

    def _start(self, m, fields, state, some):
        """State IDLE: ready for the first image."""
        with m.State("IDLE"):
            m.d.sync += [
                state.row.eq(0),
                state.image.eq(1),
                state.get.eq(0),
                state.lane.eq(0),
                state.addr.eq(fields.labels),
            ]
            m.d.sync += [base.eq(fields[name]) for name, base in state.bases.items()]
            with m.If(self.unit.start):
                m.next = "DONE"
                with m.If(some):
                    m.next = "READ"

    def _predict(self, m, fields, state, word_last):
        """States READ, SCAN, MATCH: label and logits come in; the prediction is counted."""
        with m.State("READ"):
            m.d.comb += state.reading.eq(1)
            m.d.sync += [
                state.get.eq(state.get + 1),
                *state.next_word,
            ]
            with m.If(state.get == 0):
                m.d.sync += state.lane.eq(0)
                m.d.sync += state.addr.eq(state.bases["logits"])
            with m.If(state.last_get):
                m.next = "SCAN"
        with m.State("SCAN"):
            with m.If(word_last):
                m.next = "MATCH"
        with m.State("MATCH"):
            m.d.sync += [
                self.correct.eq(state.label == state.best),
                state.put.eq(0),
                state.get.eq(1),
                state.total.eq(0),
            ]
            m.next = "NEXT"
            with m.If(fields.grad):
                m.next = "SCALE"

    def _differentiate(self, m, state, e_last, q_last):
        """States SCALE, SUM, DIVIDE, STORE: exponentials and their sum, then gradients."""
        with m.State("SCALE"):
            m.d.comb += state.scaling.eq(1)
            m.d.sync += state.get.eq(state.get + 1)
            with m.If(state.last_get):
                m.next = "SUM"
        with m.State("SUM"):
            m.d.sync += [
                state.get.eq(1),
                state.addr.eq(state.bases["grads"]),
                state.lane.eq(0),
            ]
            with m.If(e_last):
                m.next = "DIVIDE"
        with m.State("DIVIDE"):
            m.d.comb += state.dividing.eq(1)
            m.d.sync += state.get.eq(state.get + 1)
            with m.If(state.last_get):
                m.next = "STORE"
        with m.State("STORE"):
            with m.If(q_last):
                m.next = "NEXT"

    def _go_on(self, m, fields, state):
        """States NEXT, DONE: to the next row, or to the first row and the next slot; or the end."""
        with m.State("NEXT"):
            m.d.sync += [
                state.image.eq(state.image + 1),
                state.row.eq(state.row + 1),
                state.get.eq(0),
                state.lane.eq(0),
                state.addr.eq(state.bases["labels"]),
            ]
            with m.If(state.row == self.config.rows - 1):
                m.d.sync += state.row.eq(0)
                m.d.sync += state.addr.eq(state.bases["labels"] + fields.labels_slot)
                m.d.sync += [base.eq(base + fields[f"{name}_slot"]) for name, base in state.bases.items()]
            m.next = "READ"
            with m.If(state.image == fields.images):
                m.next = "DONE"
        with m.State("DONE"):
            m.d.comb += self.unit.done.eq(1)
            m.next = "IDLE"


def _delayed(m, name, value, cycles):
    """``value`` of ``cycles`` cycles ago; a reset clears the registers, which are called ``name0``, .."""
    return delays(m, value, cycles, Signal, name)[-1]
