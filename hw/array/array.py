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
from gradgate.hw.parts.command import UnitSignature, layout
from gradgate.hw.parts.registers import Unreset, delays
from gradgate.hw.parts.rowport import RowPortSignature
from gradgate.hw.parts.shapes import below


class Array(wiring.Component):
    """``rows`` x ``lanes`` PEs with their memories.

    Members
    -------
    run : UnitSignature; for a fault see :class:`RunCheck` and :class:`Row`
    clear : UnitSignature; a fault: ``words`` is not 1 to the depth of the banks
    post : UnitSignature; for a fault see :class:`PostWalk`
    port : RowPortSignature (seen from here), one row at a time, while no command of this array is active
    choice_row : In(range(rows)), row of an argmax brick
    choice_addr : In(range(argmax_bricks)), the brick in its memory
    choices : Out(lanes x 2), the brick, ``RowPortSignature.READ`` cycles later
    w_en : In(1), write a weight to a bank of each row's lanes
    w_addr : In(range(bank_weights)), its bank weight; valid with ``w_en``
    w_data : In(brick), a weight for each lane, the same for all rows; valid with ``w_en``
    loading : In(1), a LOAD goes on, see :class:`~gradgate.hw.weights.loader.Loader`: RUN ends when it has; it
        must not go on in a CLEAR or a RUN of OUT turns
    acc_addr : In(range(bank_words)), word of the banks; valid while no RUN is active
    acc : Out(rows x lanes x acc_bits), rows x lanes accumulators, ``latency.ROW`` cycles later
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
        super().__init__({
            "run": Out(UnitSignature()), "clear": Out(UnitSignature()), "post": Out(UnitSignature()),
            "port": In(RowPortSignature(config)),
            "choice_row": In(below(config.rows)), "choice_addr": In(range(config.argmax_bricks)),
            "choices": Out(data.ArrayLayout(2, lanes)),
            "w_en": In(1), "w_addr": In(range(config.bank_weights)),
            "w_data": In(data.ArrayLayout(formats.act_bits, lanes)),
            "loading": In(1), "acc_addr": In(range(config.bank_words)),
            "acc": Out(data.ArrayLayout(data.ArrayLayout(formats.acc_bits, lanes), config.rows)),
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

    def _rows(self, m, walk, check, row_start, running, clearing, clear_addr):
        """The rows, and registers for what goes to them and what comes from them."""
        config = self.config
        fill_en = Signal(2)
        fill_addr = Unreset(range(config.bank_words))
        fill_data = Unreset(self.w_data.shape())
        half = Mux(self.w_addr[0], 0b10, 0b01)
        m.d.sync += [
            fill_en.eq(Mux(clearing, 0b11, Mux(self.w_en, half, 0))),
            fill_addr.eq(Mux(clearing, clear_addr, self.w_addr[1:])),
            fill_data.eq(Mux(clearing, 0, self.w_data)),
        ]
        port_row = delays(m, self.port.row, 1, name="port_row")[-1]
        port_addr = delays(m, self.port.addr, 1, name="port_addr")[-1]
        port_data = delays(m, self.port.w_data, 1, name="port_data")[-1]
        choice_row = delays(m, self.choice_row, 1, name="choice_row")[-1]
        choice_addr = delays(m, self.choice_addr, 1, name="choice_addr")[-1]
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
                row.post_active.eq(walk.active),
                row.port.addr.eq(port_addr),
                row.port.en.eq(port_en),
                row.port.w_data.eq(port_data),
                row.choices.addr.eq(choice_addr),
                row.fill.en.eq(fill_en),
                row.fill.addr.eq(fill_addr),
                row.fill.data.eq(fill_data),
                row.accs.addr.eq(self.acc_addr),
                self.acc[r].eq(row.accs.data),
            ]
            wiring.connect(m, walk.o, row.post)
        # Reads of one row: the choice follows the row's latency.
        row_select = delays(m, port_row, latency.ROW, name="row_select")[-1]
        choice_select = delays(m, choice_row, latency.ROW, name="choice_select")[-1]
        m.d.sync += [
            self.port.r_data.eq(Choice(row.port.r_data.as_value() for row in rows)[row_select]),
            self.choices.eq(Choice(row.choices.data.as_value() for row in rows)[choice_select]),
            self.overflow.eq(sum(row.overflow for row in rows)),
        ]
        return rows

    def _run(self, m, check, rows, begin, running):
        """RUN ends when all rows have, and their pipelines are empty."""
        drain = Signal(range(self.RUN_LATENCY))
        finished = running & Cat(row.run.done for row in rows).all() & (drain == 0) & ~self.loading
        with m.If(begin):
            m.d.sync += running.eq(1)
        with m.If(finished):
            m.d.sync += drain.eq(self.RUN_LATENCY - 3)
        with m.If(drain != 0):
            m.d.sync += drain.eq(drain - 1)
        m.d.sync += self.run.done.eq(drain == 2)
        with m.If(self.run.done):
            m.d.sync += running.eq(0)

        started = Signal()
        checked = Signal()
        outer = layout(Opcode.RUN)(self.run.payload).outer
        faults = Cat(row.run.fault for row in rows)
        loads_outer = started & outer & self.loading
        m.d.sync += [
            started.eq(self.run.start),
            checked.eq(started),
            self.run.fault.eq(loads_outer | (checked & check.illegal) | faults.any()),
        ]

    def _clear(self, m, clearing, clear_addr):
        """CLEAR writes zeros to one word of all banks after the other."""
        words = layout(Opcode.CLEAR)(self.clear.payload).words
        clear_left = Signal.like(words)  # words from this one on
        illegal_words = Unreset()
        single_word = Unreset()
        m.d.sync += illegal_words.eq((words == 0) | (words > self.config.bank_words))
        m.d.sync += single_word.eq(words == 1)
        clear_illegal = illegal_words | self.loading
        m.d.sync += self.clear.fault.eq(self.clear.start & clear_illegal)
        m.d.sync += self.clear.done.eq(0)
        with m.If(self.clear.start):
            m.d.sync += [
                clearing.eq(~clear_illegal),
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
