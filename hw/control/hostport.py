"""The host's way in: registers, memories of its own, and single words of the data memories."""

from functools import reduce
from operator import or_

from amaranth.hdl import Array, Cat, Module, Mux, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from gradgate.arch import latency
from gradgate.arch.commands import WORD
from gradgate.arch.memorymap import Csr, Region
from gradgate.hw.control.control import ControlSignature
from gradgate.hw.control.host_access import DATA_REGIONS, HostAccess, place
from gradgate.hw.control.host_registers import HostRegisters
from gradgate.hw.control.move import StageSignature
from gradgate.hw.parts.bus import BusSignature
from gradgate.hw.parts.ram import Ram
from gradgate.hw.parts.rowport import ChoicePortSignature, RowPortSignature
from gradgate.hw.parts.share import Share
from gradgate.hw.weights.weights import HostWeightSignature


class HostPort(wiring.Component):
    """Registers, memories for program, starts, ends and staging, and the host's window on the data memories.

    Addresses are those of ``arch.memorymap``. Words of less than 32 bits are read with their sign (pooling
    choices without) and written without their top bits; START and STOP take values too large for them as
    "after the program" and "none". Every access is answered. One that cannot be done reads as 0, writes
    nothing and sets bit 2 of STATUS: outside every register and memory, against its direction (``CSR_DOC``;
    the program is only written; starts, ends and choices are only read), a data memory or a write to START
    while the core is busy. Program, starts and ends answer while it is busy; words that the sequencer may
    fetch in that moment, and those that it may write, should be left alone.

    Parameters
    ----------
    config : the core's :class:`~gradgate.arch.config.Config`
    weight_read : cycles (at least 1) from address to data of ``weights``
    choice_read : cycles (at least 1) from address to data of ``choices``

    Members
    -------
    bus : BusSignature (seen from here)
    busy : Out(1), the sequencer is busy, or a write is on its way: high from the cycle after the transfer
        that starts a program to the program's last cycle
    control : ControlSignature (seen from here)
    stage : StageSignature (seen from here), used by a unit while busy
    rows : RowPortSignature, driven at any time, but writing only while not busy
    weights : HostWeightSignature, likewise
    choices : ChoicePortSignature, its ``data`` ``choice_read`` cycles later
    correct : In(1), counted in CORRECT, in every cycle
    overflow : In(range(pes + lanes + 1)), added to OVERFLOW, in every cycle

    Latency: a write is accepted in the cycle of its request and done 2 cycles later, in order with all other
    accesses; a read takes ``4 + n`` cycles, its request's and its answer's included: n = 1 registers, 2
    starts, ends and staging, 7 rows, ``choice_read + 1`` choices, ``weight_read`` weights and velocities.
    Throughput: one write a cycle; one read at a time.
    Resources: block RAM for program, starts and ends (32 bits a word) and staging (``act_bits``), no DSP;
    4x8: 14 (8 program, 2 starts, 2 ends, 2 staging).

        bus -> HostAccess: which memory, allowed? -> write | read .. word of each memory -> choice -> r_data

    Source: own.
    Example: docs/examples.md#hostport
    """

    def __init__(self, config, *, weight_read, choice_read):
        self.config = config
        #: cycles from an offset to the word there
        self.latency = {
            Region.CSR: 1,
            Region.STARTS: latency.RAM,
            Region.ENDS: latency.RAM,
            Region.STAGING: latency.RAM,
            Region.WEIGHTS: weight_read,
            Region.ROWS: RowPortSignature.READ + 1,
            Region.ARGMAX: choice_read + 1,
        }
        if config.momentum:
            self.latency[Region.VELOCITY] = weight_read
        super().__init__({
            "bus": In(BusSignature()),
            "busy": Out(1),
            "control": In(ControlSignature(config)),
            "stage": In(StageSignature(config)),
            "rows": Out(RowPortSignature(config)),
            "weights": Out(HostWeightSignature(config)),
            "choices": Out(ChoicePortSignature(config)),
            "correct": In(1),
            "overflow": In(range(config.pes + config.lanes + 1)),
        })

    def elaborate(self, platform):
        m = Module()
        busy = self.control.busy | self.control.go
        access = HostAccess(self.config)
        act, offset, word = access.act, access.offset, access.word
        access.elaborate(m, self.bus)
        allowed = ~(busy & access.idle_only)
        m.d.comb += self.busy.eq(busy | (access.asked & access.ask_write) | (act & access.write))
        writes = {
            region: act & written & (~busy if region in DATA_REGIONS else 1)
            for region, written in access.written.items()
        }
        writes_to = {
            csr: act & written & (~busy if csr == Csr.START else 1)
            for csr, written in access.writes_to.items()
        }
        refused = Signal()  # an access was, since this was last cleared
        with m.If(act & ~(allowed & Cat(access.hit.values()).any())):
            m.d.sync += refused.eq(1)

        words = self._memories(m, writes, offset, word)
        if Region.VELOCITY in access.hit:
            m.d.comb += self.weights.velocity.eq(access.hit[Region.VELOCITY])
            words[Region.VELOCITY] = words[Region.WEIGHTS]
        registers = HostRegisters(self.config, self.control)
        words[Region.CSR] = registers.elaborate(
            m, writes_to, offset, word, refused, self.correct, self.overflow)
        self._answer(m, access, allowed, words)
        return m

    def _memories(self, m, writes, offset, word):
        """The memories; returns the word that each shows, ``self.latency`` cycles after its ``offset``."""
        act_bits, master_bits = self.config.formats.act_bits, self.config.formats.master_bits
        starts, ends, staging = self._own_memories(m, writes, offset, word)
        row_word, choice_word = self._data_memories(m, writes, offset, word)
        return {
            Region.STARTS: starts.r_data,
            Region.ENDS: ends.r_data,
            Region.STAGING: _extended(m, staging.r_data, act_bits),
            Region.WEIGHTS: _extended(m, self.weights.r_data, master_bits),
            Region.ROWS: _extended(m, row_word, act_bits),
            Region.ARGMAX: choice_word,
        }

    def _own_memories(self, m, writes, offset, word):
        """Memories for program, starts, ends and staging; returns those that the host reads."""
        config, control = self.config, self.control
        m.submodules.program = program = Ram(width=WORD, depth=config.program_words)
        m.submodules.starts = starts = Ram(width=WORD, depth=config.counters)
        m.submodules.ends = ends = Ram(width=WORD, depth=config.counters)
        m.submodules.staging = staging = Ram(width=config.formats.act_bits, depth=config.staging_words)
        m.submodules.staging_port = share = Share(StageSignature(config), ("move", "host"))
        wiring.connect(m, share.move, wiring.flipped(self.stage))
        m.d.comb += [
            program.w_addr.eq(offset),
            program.w_data.eq(word),
            program.w_en.eq(writes[Region.PROGRAM]),
            program.r_addr.eq(control.p_addr),
            control.p_data.eq(program.r_data),
            starts.w_addr.eq(control.starts_addr),
            starts.w_data.eq(control.now),
            starts.w_en.eq(control.starts_en),
            starts.r_addr.eq(offset),
            ends.w_addr.eq(control.ends_addr),
            ends.w_data.eq(control.now),
            ends.w_en.eq(control.ends_en),
            ends.r_addr.eq(offset),
            share.granted.move.eq(control.busy),
            share.host.addr.eq(offset),
            share.host.w_addr.eq(offset),
            share.host.w_data.eq(word),
            share.host.w_en.eq(writes[Region.STAGING]),
            staging.r_addr.eq(share.port.addr),
            staging.w_addr.eq(share.port.w_addr),
            staging.w_data.eq(share.port.w_data),
            staging.w_en.eq(share.port.w_en),
            share.port.r_data.eq(staging.r_data),
        ]
        return starts, ends, staging

    def _data_memories(self, m, writes, offset, word):
        """The way to weights, rows and choices; returns the words that rows and choices show."""
        config, weights, rows, lanes = self.config, self.weights, self.rows, range(self.config.lanes)
        row, brick, lane = place(config, config.act_bricks, offset)
        choice_row, choice_brick, choice_lane = place(config, config.argmax_bricks, offset)
        row_word = Signal(signed(config.formats.act_bits))
        choice_word = Signal(2)
        write_weight = [writes[region] for region in (Region.WEIGHTS, Region.VELOCITY) if region in writes]
        m.d.comb += [
            weights.bank.eq(offset),
            weights.addr.eq(offset[len(weights.bank):]),
            weights.w_data.eq(word),
            weights.we.eq(reduce(or_, write_weight)),
            rows.row.eq(row),
            rows.addr.eq(brick),
            rows.en.eq(Mux(writes[Region.ROWS], 1 << lane, 0)),
            self.choices.row.eq(choice_row),
            self.choices.addr.eq(choice_brick),
            *(rows.w_data[i].eq(word) for i in lanes),
        ]
        m.d.sync += [
            row_word.eq(Array(rows.r_data[i] for i in lanes)[lane]),
            choice_word.eq(Array(self.choices.data[i] for i in lanes)[choice_lane]),
        ]
        return row_word, choice_word

    def _answer(self, m, access, allowed, words):
        """Reads: every memory shows a word; the one asked for is taken when it is there."""
        act = access.act
        given = {region: Signal(name=f"given_{region.name}") for region in words}
        with m.If(act):
            m.d.sync += [given[region].eq(access.hit[region] & allowed) for region in words]
        # Bit n - 1: n cycles ago a read was decided on, and is not answered.
        ages = Signal(max(self.latency.values()))
        nothing = ages[0] & ~Cat(given.values()).any()
        there = Signal()
        shown = Cat(given[region] & ages[n - 1] for region, n in self.latency.items()).any()
        m.d.comb += there.eq(nothing | shown)
        asked_for = (Mux(given[region], value, 0) for region, value in words.items())
        m.d.sync += [
            ages.eq(Mux(there, 0, Cat(act & ~access.write, ages))),
            access.answer.eq(there),
            self.bus.r_data.eq(reduce(or_, asked_for)),
        ]


def _extended(m, value, bits):
    """The lowest ``bits`` bits of ``value`` with their sign, as a word."""
    result = Signal(signed(WORD), name="result")
    m.d.comb += result.eq(value[:bits].as_signed())
    return result.as_unsigned()
