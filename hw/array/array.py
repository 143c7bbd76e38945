"""The rows together, and the units that only need them: RUN, CLEAR, POST."""

from amaranth.hdl import Array as Choice
from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from gradgate.arch import latency
from gradgate.arch.commands import Opcode
from gradgate.hw.array.lane import Lane
from gradgate.hw.array.post_walk import PostWalk
from gradgate.hw.array.row import Row
from gradgate.hw.array.run_check import RunCheck
from gradgate.hw.parts.command import UnitSignature
from gradgate.hw.parts.memoryport import ReadPortSignature, WritePortSignature
from gradgate.hw.parts.registers import Unreset, delays
from gradgate.hw.parts.rowport import ChoicePortSignature, RowPortSignature


class Array(wiring.Component):
    """``rows`` x ``lanes`` PEs with their memories.

    Members
    -------
    run : UnitSignature; for a fault see :class:`RunCheck` and :class:`Row`
    clear : UnitSignature; a fault: ``words`` is not 1 to the depth of the banks
    post : UnitSignature; for a fault see :class:`PostWalk`
    port : RowPortSignature (seen from here), one row at a time, while no command of this array is active
    choices : In(ChoicePortSignature), one row at a time, while no POST is active
    banks : In(WritePortSignature), a weight for each lane, the same for all rows, to a bank weight; not
        in a CLEAR
    accs : In(ReadPortSignature), rows x lanes accumulators of a bank word, ``latency.ROW`` cycles later;
        while no RUN is active
    overflow : Out(range(pes + 1)), number of final sums of this cycle whose two top bits differ

    Cycles: RUN: ``RUN_LATENCY`` more than from ``start`` to the last lane's last control cycle; rows begin
    ``Row.SETTLE`` = 3 cycles after ``start``. CLEAR: words + 1. POST: see :class:`PostWalk`.
    Resources: ``rows * lanes`` DSPs; block RAM of the rows.
    """

    #: cycles from the last control cycle to ``done``
    RUN_LATENCY = 9

    def __init__(self, config):
        self.config = config
        formats, lanes = config.formats, config.lanes
        weights = data.ArrayLayout(formats.act_bits, lanes)
        accumulators = data.ArrayLayout(data.ArrayLayout(formats.acc_bits, lanes), config.rows)
        super().__init__({
            "run": Out(UnitSignature(Opcode.RUN)),
            "clear": Out(UnitSignature(Opcode.CLEAR)),
            "post": Out(UnitSignature(Opcode.POST)),
            "port": In(RowPortSignature(config)),
            "choices": In(ChoicePortSignature(config)),
            "banks": In(WritePortSignature(range(config.bank_weights), weights)),
            "accs": In(ReadPortSignature(range(config.bank_words), accumulators)),
            "overflow": Out(range(config.pes + 1)),
        })

    def elaborate(self, platform):
        m = Module()
        m.submodules.post_walk = walk = PostWalk(self.config)
        m.submodules.run_check = check = RunCheck(self.config)
        m.d.comb += [
            walk.unit.start.eq(self.post.start),
            walk.unit.payload.eq(self.post.payload),
            self.post.done.eq(walk.unit.done),
            check.fields.eq(self.run.payload),
        ]
        m.d.sync += self.post.fault.eq(walk.fault)
        # A row adds the last register itself.
        *_, row_start, begin = delays(m, self.run.start, Row.SETTLE, Signal, "begin")
        running = Signal()
        clearing = Signal()
        clear_addr = Signal(range(self.config.bank_words))
        rows = self._rows(m, walk, check, row_start, running, clearing, clear_addr)
        self._run(m, check, rows, begin, running)
        self._clear(m, clearing, clear_addr)
        return m

    def _fill(self, m, clearing, clear_addr):
        """What is written to the banks of all rows: zeros by CLEAR, or weights to one half of a word."""
        banks = self.banks
        fill_en = Signal(2)
        fill_addr = Unreset(range(self.config.bank_words))
        fill_data = Unreset(banks.data.shape())
        half = Mux(banks.addr[0], 0b10, 0b01)
        m.d.sync += [
            fill_en.eq(Mux(clearing, 0b11, Mux(banks.en, half, 0))),
            fill_addr.eq(Mux(clearing, clear_addr, banks.addr[1:])),
            fill_data.eq(Mux(clearing, 0, banks.data)),
        ]
        return fill_en, fill_addr, fill_data

    def _rows(self, m, walk, check, row_start, running, clearing, clear_addr):
        """The rows, and registers for what goes to them."""
        config = self.config
        fill_en, fill_addr, fill_data = self._fill(m, clearing, clear_addr)
        port_row = delays(m, self.port.row, 1, name="port_row")[-1]
        port_addr = delays(m, self.port.addr, 1, name="port_addr")[-1]
        port_data = delays(m, self.port.w_data, 1, name="port_data")[-1]
        choice_row = delays(m, self.choices.row, 1, name="choice_row")[-1]
        choice_addr = delays(m, self.choices.addr, 1, name="choice_addr")[-1]
        rows = []
        for r in range(config.rows):
            m.submodules[f"row{r}"] = row = Row(config, r)
            rows.append(row)
            port_en = Signal(config.lanes, name=f"port_en{r}")
            m.d.sync += port_en.eq(Mux(self.port.row == r, self.port.en, 0))
            m.d.comb += [
                row.run.start.eq(row_start),
                row.run.running.eq(running),
                row.run.k_most.eq(check.k_most),
                row.run.k_most_tail.eq(check.k_most_tail),
                row.run.fields.eq(self.run.payload),
                row.post_fields.eq(self.post.payload),
                row.post_active.eq(walk.active),
                row.port.addr.eq(port_addr),
                row.port.en.eq(port_en),
                row.port.w_data.eq(port_data),
                row.choices.addr.eq(choice_addr),
                row.fill.en.eq(fill_en),
                row.fill.addr.eq(fill_addr),
                row.fill.data.eq(fill_data),
                row.accs.addr.eq(self.accs.addr),
                self.accs.data[r].eq(row.accs.data),
            ]
            wiring.connect(m, walk.o, row.post)
        self._answers(m, rows, port_row, choice_row)
        return rows

    def _answers(self, m, rows, port_row, choice_row):
        """What one row has read and all have counted, in registers; the choice follows the row's latency."""
        row_select = delays(m, port_row, latency.ROW, name="row_select")[-1]
        choice_select = delays(m, choice_row, latency.ROW, name="choice_select")[-1]
        m.d.sync += [
            self.port.r_data.eq(Choice(row.port.r_data.as_value() for row in rows)[row_select]),
            self.choices.data.eq(Choice(row.choices.data.as_value() for row in rows)[choice_select]),
            self.overflow.eq(sum(row.overflow for row in rows)),
        ]

    def _run(self, m, check, rows, begin, running):
        """RUN ends when all rows have, and their pipelines are empty."""
        drain = Signal(range(self.RUN_LATENCY))
        finished = running & Cat(row.run.done for row in rows).all() & (drain == 0)
        with m.If(begin):
            m.d.sync += running.eq(1)
        with m.If(finished):
            m.d.sync += drain.eq(self.RUN_LATENCY - 3)
        with m.If(drain != 0):
            m.d.sync += drain.eq(drain - 1)
        m.d.sync += self.run.done.eq(drain == 2)
        with m.If(self.run.done):
            m.d.sync += running.eq(0)

        *_, checked = delays(m, self.run.start, 2, Signal, "checked")
        faults = Cat(row.run.fault for row in rows)
        m.d.sync += self.run.fault.eq((checked & check.illegal) | faults.any())

    def _clear(self, m, clearing, clear_addr):
        """CLEAR writes zeros to one word of all banks after the other."""
        words = self.clear.payload.words
        clear_left = Signal.like(words)  # words from this one on
        illegal_words = Unreset()
        single_word = Unreset()
        m.d.sync += illegal_words.eq((words == 0) | (words > self.config.bank_words))
        m.d.sync += single_word.eq(words == 1)
        m.d.sync += self.clear.fault.eq(self.clear.start & illegal_words)
        m.d.sync += self.clear.done.eq(0)
        with m.If(self.clear.start):
            m.d.sync += [
                clearing.eq(~illegal_words),
                clear_addr.eq(0),
                clear_left.eq(words),
                self.clear.done.eq(single_word),
            ]
        with m.Elif(clearing):
            m.d.sync += [
                clear_addr.eq(clear_addr + 1),
                clear_left.eq(clear_left - 1),
                self.clear.done.eq(clear_left == 2),
            ]
            with m.If(self.clear.done):
                m.d.sync += clearing.eq(0)


assert Array.RUN_LATENCY >= Lane.DRAIN - 1, "the last result must be in memory when RUN ends"
