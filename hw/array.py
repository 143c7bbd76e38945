"""The rows together, and the units that only need them: RUN, CLEAR, POST."""

from amaranth.hdl import Array as Choice
from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from gradgate.arch import latency
from gradgate.arch.commands import Opcode
from gradgate.hw.command import UnitSignature, layout
from gradgate.hw.lane import Lane
from gradgate.hw.post_walk import PostWalk
from gradgate.hw.registers import Unreset, delays
from gradgate.hw.row import Row
from gradgate.hw.rowport import RowPortSignature
from gradgate.hw.run_check import RunCheck
from gradgate.hw.shapes import below


class Array(wiring.Component):
    """``rows`` x ``lanes`` PEs with their memories.

    Members
    -------
    run, clear, post : UnitSignature; faults: see :class:`RunCheck`, :class:`Row`, :class:`PostWalk`; CLEAR: ``words`` not 1 to
        the depth of the banks
    port : RowPortSignature (seen from here), one row at a time, while no command of this array is active
    choice_row, choice_addr : In; choices : Out, argmax brick, ``RowPortSignature.READ`` cycles later
    w_en, w_addr, w_data : In, weight brick to all rows; loading : In, goes on, see :class:`~gradgate.hw.loader.Loader`: RUN ends
        when it has; it must not go on in a CLEAR or a RUN of OUT turns
    acc_addr : In; acc : Out, rows x lanes accumulators, ``latency.ROW`` cycles later
    overflow : Out, final sums of this cycle whose two top bits differ

    Cycles: RUN: ``RUN_LATENCY`` more than from ``start`` to the last lane's last control cycle; rows begin ``Row.SETTLE`` = 3 cycles
    behind ``start``. CLEAR: words + 1. POST: see :class:`PostWalk`. Resources: ``rows * lanes`` DSPs; block RAM of the rows.
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
            "w_en": In(1), "w_addr": In(range(config.bank_weights)), "w_data": In(data.ArrayLayout(formats.act_bits, lanes)),
            "loading": In(1), "acc_addr": In(range(config.bank_words)),
            "acc": Out(data.ArrayLayout(data.ArrayLayout(formats.acc_bits, lanes), config.rows)),
            "overflow": Out(range(config.pes + 1)),
        })

    def elaborate(self, platform):
        m = Module()
        config = self.config
        m.submodules.post_walk = walk = PostWalk(config)
        m.submodules.run_check = check = RunCheck(config)
        m.d.comb += [
            walk.unit.start.eq(self.post.start), walk.unit.payload.eq(self.post.payload), self.post.done.eq(walk.unit.done),
            check.payload.eq(self.run.payload),
        ]
        m.d.sync += self.post.fault.eq(walk.fault)

        *_, row_start, begin = delays(m, self.run.start, Row.SETTLE, Signal, "begin")  # a row adds the last register itself
        running = Signal()
        drain = Signal(range(self.RUN_LATENCY))
        clearing = Signal()
        clear_addr = Signal(range(config.bank_words))
        # what goes on to the rows
        fill_en, fill_addr, fill_data = Signal(2), Unreset(range(config.bank_words)), Unreset(self.w_data.shape())
        m.d.sync += [
            fill_en.eq(Mux(clearing, 0b11, Mux(self.w_en, Mux(self.w_addr[0], 0b10, 0b01), 0))),
            fill_addr.eq(Mux(clearing, clear_addr, self.w_addr[1:])), fill_data.eq(Mux(clearing, 0, self.w_data)),
        ]
        port_row, port_addr, port_data, choice_row, choice_addr = (delays(m, value, 1, name=name)[-1] for name, value in (
            ("port_row", self.port.row), ("port_addr", self.port.addr), ("port_data", self.port.w_data),
            ("choice_row", self.choice_row), ("choice_addr", self.choice_addr)))
        rows = []
        for r in range(config.rows):
            m.submodules[f"row{r}"] = row = Row(config, r)
            rows.append(row)
            port_en = Signal(config.lanes, name=f"port_en{r}")
            m.d.sync += port_en.eq(Mux(self.port.row == r, self.port.en, 0))
            m.d.comb += [
                row.start.eq(row_start), row.running.eq(running),
                row.k_most.eq(check.k_most), row.k_most_tail.eq(check.k_most_tail),
                row.payload.eq(self.run.payload),
                row.post_active.eq(walk.active), row.post_valid.eq(walk.valid), row.post_double.eq(walk.double),
                row.post_beat.eq(walk.beat),
                row.port_addr.eq(port_addr), row.port_en.eq(port_en), row.port_data.eq(port_data), row.choice_addr.eq(choice_addr),
                row.fill_en.eq(fill_en), row.fill_addr.eq(fill_addr), row.fill_data.eq(fill_data),
                row.acc_addr.eq(self.acc_addr), self.acc[r].eq(row.acc),
            ]

        # reads of one row: the choice follows the row's latency
        row_select, choice_select = (
            delays(m, select, latency.ROW, name=name)[-1] for name, select in (("row_select", port_row), ("choice_select", choice_row)))
        m.d.sync += [
            self.port.r_data.eq(Choice(row.port_read.as_value() for row in rows)[row_select]),
            self.choices.eq(Choice(row.choices.as_value() for row in rows)[choice_select]),
            self.overflow.eq(sum(row.overflow for row in rows)),
        ]

        # RUN: ends when all rows have, and their pipelines are empty
        finished = running & Cat(row.done for row in rows).all() & (drain == 0) & ~self.loading
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
        m.d.sync += [
            started.eq(self.run.start), checked.eq(started),
            self.run.fault.eq((started & outer & self.loading) | (checked & check.illegal) | Cat(row.fault for row in rows).any()),
        ]

        # CLEAR
        words = layout(Opcode.CLEAR)(self.clear.payload).words
        clear_left, illegal_words, single_word = Signal.like(words), Unreset(), Unreset()
        m.d.sync += [illegal_words.eq((words == 0) | (words > config.bank_words)), single_word.eq(words == 1)]
        clear_illegal = illegal_words | self.loading
        m.d.sync += self.clear.fault.eq(self.clear.start & clear_illegal)
        m.d.sync += self.clear.done.eq(0)
        with m.If(self.clear.start):
            m.d.sync += [clearing.eq(~clear_illegal), clear_addr.eq(0), clear_left.eq(words), self.clear.done.eq(single_word)]
        with m.Elif(clearing):
            m.d.sync += [clear_addr.eq(clear_addr + 1), clear_left.eq(clear_left - 1), self.clear.done.eq(clear_left == 2)]
            with m.If(self.clear.done):
                m.d.sync += clearing.eq(0)
        return m


assert Array.RUN_LATENCY >= Lane.DRAIN - 1, "the last result must be in memory when RUN ends"
