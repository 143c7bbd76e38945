"""The host's way in: registers, program, counters, staging memory, and single words of the data memories."""

from functools import reduce
from operator import or_

from amaranth.hdl import Array, Cat, Const, Module, Mux, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from gradgate.arch import latency
from gradgate.arch.commands import WORD
from gradgate.arch.fingerprint import fingerprint
from gradgate.arch.memorymap import ADDRESS_BITS, CSR_DOC, ID_VALUE, REGION_SHIFT, STOP_NONE, Csr, Region, windows
from gradgate.hw.control.move import StageSignature
from gradgate.hw.control.sequencer import ControlSignature
from gradgate.hw.parts.ram import Ram
from gradgate.hw.parts.rowport import RowPortSignature
from gradgate.hw.parts.shapes import below
from gradgate.hw.weights.weights import HostWeightSignature

#: Regions that answer only while no program runs.
DATA_REGIONS = (Region.STAGING, Region.WEIGHTS, Region.ROWS, Region.ARGMAX, Region.VELOCITY)
#: What each memory is for, as in ``CSR_DOC``.
ACCESS = {Region.PROGRAM: "w", Region.COUNTERS: "r", Region.ARGMAX: "r"}


class BusSignature(wiring.Signature):
    """The host bus (seen from its master). A transfer is done in the cycle with both ``valid`` and ``ready``.

    valid, write, addr, w_data : Out, a request; once ``valid`` it stays as it is up to and with the cycle with
        ``ready``
    ready : In; may depend on ``write``, not on ``valid``
    r_data : In, the word read, valid in the cycle with ``ready`` of a read
    """

    def __init__(self):
        super().__init__({
            "valid": Out(1), "write": Out(1), "addr": Out(ADDRESS_BITS), "w_data": Out(WORD),
            "ready": In(1), "r_data": In(WORD)})


class HostPort(wiring.Component):
    """Control and status registers, program, counter and staging memory, and the host's window on the data memories.

    Addresses are those of ``arch.memorymap``. Words of less than 32 bits are read with their sign (pooling choices
    without) and written without their top bits; START and STOP take values too large for them as "behind the program"
    and "none". Every access is answered. One that cannot be done reads as 0, writes nothing and sets bit 2 of STATUS:
    outside every register and memory, against its direction (``CSR_DOC``; the program is only written, counters and
    choices are only read), a data memory or a write to START while the core is busy. Program and counters answer
    while it is busy; words that the sequencer may fetch in that moment, and counters that it may write, should be
    left alone.

    Parameters
    ----------
    config : the core's :class:`~gradgate.arch.config.Config`
    weight_read, choice_read : cycles (at least 1) from address to data of ``weights`` and ``choices``

    Members
    -------
    bus : BusSignature (seen from here)
    busy : Out, the sequencer is busy, or a write is on its way: high from the cycle behind the transfer that starts a
        program to the program's last cycle
    control : ControlSignature (seen from here); stage : StageSignature (seen from here), used by a unit while busy
    rows : RowPortSignature; weights : HostWeightSignature; driven at any time, but writing only while not busy
    choice_row, choice_addr : Out; choices : In, brick of 2-bit words, ``choice_read`` cycles later
    correct : In, counted in CORRECT; overflow : In, added to OVERFLOW, in every cycle

    Latency: a write is accepted in the cycle of its request and done 2 cycles later, in order with all other
    accesses; a read takes ``4 + n`` cycles, its request's and its answer's included: n = 1 registers, 2 counters and
    staging, 7 rows, ``choice_read + 1`` choices, ``weight_read`` weights and velocities. Throughput: one write a cycle; one read at
    a time.
    Resources: block RAM for program (32 bits a word), counters (32) and staging (``act_bits``), no DSP; 4x8: 12
    (8 program, 2 counters, 2 staging).

        bus -> address, data -> which memory, allowed? -> write | read .. word of each memory -> choice -> r_data

    Source: own.
    """

    def __init__(self, config, *, weight_read, choice_read):
        self.config = config
        self.latency = {
            Region.CSR: 1, Region.COUNTERS: latency.RAM, Region.STAGING: latency.RAM, Region.WEIGHTS: weight_read,
            Region.ROWS: RowPortSignature.READ + 1, Region.ARGMAX: choice_read + 1,
        }
        if config.momentum:
            self.latency[Region.VELOCITY] = weight_read
        super().__init__({
            "bus": In(BusSignature()), "busy": Out(1), "control": In(ControlSignature(config)),
            "stage": In(StageSignature(config)), "rows": Out(RowPortSignature(config)),
            "weights": Out(HostWeightSignature(config)),
            "choice_row": Out(below(config.rows)), "choice_addr": Out(range(config.argmax_bricks)),
            "choices": In(data.ArrayLayout(2, config.lanes)),
            "correct": In(1), "overflow": In(range(config.pes + 1)),
        })

    def elaborate(self, platform):
        m = Module()
        bus, busy = self.bus, self.control.busy | self.control.go

        # Request, in registers.
        reading = Signal()
        answer = Signal()
        asked = Signal()
        ask_write = Signal()
        ask_addr = Signal(ADDRESS_BITS)
        ask_data = Signal(WORD)
        m.d.comb += bus.ready.eq(Mux(reading, answer, bus.write))
        accept = bus.valid & ~reading
        m.d.sync += asked.eq(accept)
        with m.If(accept):
            m.d.sync += [reading.eq(~bus.write), ask_write.eq(bus.write), ask_addr.eq(bus.addr)]
            m.d.sync += ask_data.eq(bus.w_data)
        with m.If(answer):
            m.d.sync += reading.eq(0)

        # Which memory, and whether it has the word; kept until the next request.
        regions = [Region.CSR, *(region for region, window in windows(self.config).items() if window.words)]
        act = Signal()
        write = Signal()
        offset = Signal(REGION_SHIFT)
        word = Signal(WORD)
        hit = {region: Signal(name=f"hit_{region.name}") for region in regions}
        has = {region: self.has(region, ask_write, ask_addr) for region in regions}
        has_csr = {csr: has[Region.CSR] & ask_write & (ask_addr[:REGION_SHIFT] == csr)
                   for csr, (access, _) in CSR_DOC.items() if "w" in access}
        written = {region: Signal(name=f"written_{region.name}") for region in regions}
        writes_to = {csr: Signal(name=f"writes_to_{csr.name}") for csr in has_csr}
        idle_only = Signal()
        m.d.sync += act.eq(asked)
        with m.If(asked):
            m.d.sync += [write.eq(ask_write), offset.eq(ask_addr), word.eq(ask_data)]
            m.d.sync += [hit[region].eq(found) for region, found in has.items()]
            m.d.sync += [written[region].eq(found & ask_write) for region, found in has.items()]
            m.d.sync += [writes_to[csr].eq(found) for csr, found in has_csr.items()]
            m.d.sync += idle_only.eq(Cat(has[region] for region in DATA_REGIONS if region in has).any() | has_csr[Csr.START])
        allowed = ~(busy & idle_only)
        refused = Signal()
        m.d.comb += self.busy.eq(busy | (asked & ask_write) | (act & write))
        writes = {region: act & written[region] & (~busy if region in DATA_REGIONS else 1) for region in regions}
        with m.If(act & ~(allowed & Cat(hit.values()).any())):
            m.d.sync += refused.eq(1)

        # Reads: the word of every memory; the one asked for is taken when it is there.
        words = self.elaborate_memories(m, writes, offset, word)
        if Region.VELOCITY in hit:
            m.d.comb += self.weights.velocity.eq(hit[Region.VELOCITY])
            words[Region.VELOCITY] = words[Region.WEIGHTS]
        words[Region.CSR] = self.elaborate_registers(
            m, {csr: act & here & (~busy if csr == Csr.START else 1) for csr, here in writes_to.items()}, offset, word, refused)
        given = {region: Signal(name=f"given_{region.name}") for region in words}
        with m.If(act):
            m.d.sync += [given[region].eq(hit[region] & allowed) for region in words]
        ages = Signal(max(self.latency.values()))  # bit n - 1: n cycles ago a read was decided on, and is not answered
        nothing = ages[0] & ~Cat(given.values()).any()
        there = Signal()
        m.d.comb += there.eq(nothing | Cat(given[region] & ages[n - 1] for region, n in self.latency.items()).any())
        m.d.sync += [ages.eq(Mux(there, 0, Cat(act & ~write, ages))), answer.eq(there)]
        m.d.sync += bus.r_data.eq(reduce(or_, (Mux(given[region], value, 0) for region, value in words.items())))
        return m

    def has(self, region, write, address):
        """Whether ``region`` is addressed, has the word, and lets it be read or written as asked."""
        config, offset = self.config, address[:REGION_SHIFT]
        here = address[REGION_SHIFT:] == region
        if region == Region.CSR:
            return here & reduce(or_, (
                (offset == csr) & Mux(write, "w" in access, "r" in access) for csr, (access, _) in CSR_DOC.items()))
        inside = offset < windows(config)[region].words
        bricks = {Region.ROWS: config.act_bricks, Region.ARGMAX: config.argmax_bricks}.get(region)
        if bricks is not None:
            inside &= self.place(bricks, offset)[1] < bricks
        return here & inside & {"r": ~write, "w": write}.get(ACCESS.get(region), 1)

    def place(self, bricks, offset):
        """``(row, brick, lane)`` of a word in row memories of ``bricks`` bricks."""
        lane_bits, brick_bits = (self.config.lanes - 1).bit_length(), (bricks - 1).bit_length()
        return offset[lane_bits + brick_bits:], offset[lane_bits:lane_bits + brick_bits], offset[:lane_bits]

    def elaborate_memories(self, m, writes, offset, word):
        """The memories; returns the word that each shows, ``self.latency`` cycles behind its ``offset``."""
        config, control, stage, lanes = self.config, self.control, self.stage, range(self.config.lanes)
        act_bits, master_bits = config.formats.act_bits, config.formats.master_bits

        m.submodules.program = program = Ram(width=WORD, depth=config.program_words)
        m.submodules.counters = counters = Ram(width=WORD, depth=config.counters)
        m.submodules.staging = staging = Ram(width=act_bits, depth=config.staging_words)
        m.d.comb += [
            program.w_addr.eq(offset), program.w_data.eq(word), program.w_en.eq(writes[Region.PROGRAM]),
            program.r_addr.eq(control.p_addr), control.p_data.eq(program.r_data),
            counters.w_addr.eq(control.c_addr), counters.w_data.eq(control.c_data), counters.w_en.eq(control.c_en),
            counters.r_addr.eq(offset), stage.r_data.eq(staging.r_data),
        ]
        with m.If(control.busy):
            m.d.comb += [staging.r_addr.eq(stage.addr), staging.w_addr.eq(stage.w_addr),
                         staging.w_data.eq(stage.w_data), staging.w_en.eq(stage.w_en)]
        with m.Else():
            m.d.comb += [staging.r_addr.eq(offset), staging.w_addr.eq(offset),
                         staging.w_data.eq(word), staging.w_en.eq(writes[Region.STAGING])]

        weights, rows = self.weights, self.rows
        row, brick, lane = self.place(config.act_bricks, offset)
        choice_row, choice_brick, choice_lane = self.place(config.argmax_bricks, offset)
        row_word = Signal(signed(act_bits))
        choice_word = Signal(2)
        m.d.comb += [
            weights.bank.eq(offset), weights.addr.eq(offset[len(weights.bank):]),
            weights.w_data.eq(word),
            weights.we.eq(reduce(or_, (writes[region] for region in (Region.WEIGHTS, Region.VELOCITY) if region in writes))),
            rows.row.eq(row), rows.addr.eq(brick), rows.en.eq(Mux(writes[Region.ROWS], 1 << lane, 0)),
            self.choice_row.eq(choice_row), self.choice_addr.eq(choice_brick),
            *(rows.w_data[i].eq(word) for i in lanes),
        ]
        m.d.sync += [row_word.eq(Array(rows.r_data[i] for i in lanes)[lane]),
                     choice_word.eq(Array(self.choices[i] for i in lanes)[choice_lane])]

        def extended(value, bits):
            result = Signal(signed(WORD))
            m.d.comb += result.eq(value[:bits].as_signed())
            return result.as_unsigned()

        return {
            Region.COUNTERS: counters.r_data, Region.STAGING: extended(staging.r_data, act_bits),
            Region.WEIGHTS: extended(weights.r_data, master_bits), Region.ROWS: extended(row_word, act_bits),
            Region.ARGMAX: choice_word,
        }

    def elaborate_registers(self, m, writes, offset, word, refused):
        """The registers, written where ``writes`` says; returns the one addressed, a cycle behind its ``offset``."""
        control = self.control
        values = {csr: Signal(WORD, name=csr.name) for csr in Csr if csr != Csr.CONTROL}

        # START follows the program; the sequencer's registers move in a command's last cycle.
        start = Signal.like(control.pc)
        moved = Signal()
        m.d.sync += moved.eq(control.busy)
        with m.If(writes[Csr.START]):
            m.d.sync += start.eq(Mux(word[len(start):].any(), ~0, word))
        with m.Elif(control.busy | moved):
            m.d.sync += start.eq(control.pc)
        m.d.comb += control.start_at.eq(Mux(moved, control.pc, start))
        with m.If(writes[Csr.STOP]):
            m.d.sync += control.stop_at.eq(Mux(word[len(control.stop_at):].any(), STOP_NONE, word))
        with m.If(writes[Csr.WATCHDOG]):
            m.d.sync += control.watchdog.eq(word)

        order = Signal(2)  # bits of CONTROL
        m.d.comb += order.eq(Mux(writes[Csr.CONTROL], word, 0))
        m.d.sync += control.go.eq(order[0])
        correct = Signal.like(self.correct)
        overflow = Signal.like(self.overflow)
        m.d.sync += [
            correct.eq(self.correct), overflow.eq(self.overflow),
            values[Csr.CORRECT].eq(values[Csr.CORRECT] + correct),
            values[Csr.OVERFLOW].eq(values[Csr.OVERFLOW] + overflow),
        ]
        with m.If(order[1]):
            m.d.sync += [refused.eq(0), values[Csr.CORRECT].eq(0), values[Csr.OVERFLOW].eq(0)]
        with m.If(control.busy):
            m.d.sync += values[Csr.CYCLES].eq(values[Csr.CYCLES] + 1)
        with m.Elif(control.go):
            m.d.sync += values[Csr.CYCLES].eq(0)

        m.d.comb += [
            values[Csr.ID].eq(ID_VALUE), values[Csr.START].eq(control.start_at), values[Csr.STOP].eq(control.stop_at),
            values[Csr.STATUS].eq(Cat(control.busy | control.go, control.ended & ~control.go, refused, Const(0, 5),
                                      Mux(control.go, 0, control.error))),
            values[Csr.INDEX].eq(control.index), values[Csr.PC].eq(control.pc), values[Csr.WATCHDOG].eq(control.watchdog),
            values[Csr.FINGERPRINT].eq(fingerprint(self.config)),
        ]
        shown = Signal(WORD)
        with m.Switch(offset[:4]):
            for csr, value in values.items():
                with m.Case(csr):
                    m.d.sync += shown.eq(value)
        return shown
