"""Fetches commands, starts their units one after the other, counts their cycles."""

from functools import reduce
from operator import or_

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from gradgate.arch import commands, latency
from gradgate.arch.commands import WORD, Error, Opcode
from gradgate.arch.memorymap import STOP_NONE, WATCHDOG_DEFAULT
from gradgate.hw.command import PAYLOAD, UnitSignature
from gradgate.hw.copy import Copy
from gradgate.hw.registers import Unreset, delays

#: Name of the unit of every opcode that has one.
UNITS = {op: op.name.lower() for op in Opcode if op != Opcode.END}
INDEX_BITS = 16


class ControlSignature(wiring.Signature):
    """What the host port and the sequencer share (seen from the sequencer).

    go : In, one cycle, ignored while ``busy``: start at program word ``start_at``. A start at 0 sets ``index`` to 0;
        one behind the program memory is an error like a missing ``END``.
    start_at : In, valid in the cycle of ``go``
    stop_at : In(16), index of the command behind which to stop, 0xffff for none; looked at in a command's last cycle
    watchdog : In, cycles that a command may take; looked at in every cycle
    busy : Out, from the cycle after ``go`` to the last cycle of the last command
    ended : Out, an ``END`` was executed; error : Out, why the program stopped; both cleared by ``go``
    index : Out(16), pc : Out, the command under way, or the next one; with an error the command at fault
    p_addr : Out, p_data : In, program memory, ``latency.RAM`` cycles from address to data
    c_en, c_addr, c_data : Out, counter memory: cycles of a command, written in the cycle after its last
    """

    def __init__(self, config):
        pc = range(config.program_words + 1)
        super().__init__({
            "go": In(1), "start_at": In(pc), "stop_at": In(INDEX_BITS, init=STOP_NONE),
            "watchdog": In(WORD, init=WATCHDOG_DEFAULT),
            "busy": Out(1), "ended": Out(1), "error": Out(Error), "index": Out(INDEX_BITS), "pc": Out(pc),
            "p_addr": Out(range(config.program_words)), "p_data": In(WORD),
            "c_en": Out(1), "c_addr": Out(range(config.counters)), "c_data": Out(WORD),
        })


class Sequencer(wiring.Component):
    """Executes a program: fetches a command, starts its unit, waits for its ``done``, goes on.

    A header must be exactly the opcode and length of a known command (else ``Error.ILLEGAL``), and the whole command
    must lie in the program memory (else ``Error.NO_END``): the sequencer stops before such a command does anything,
    with ``index`` and ``pc`` on it. A ``fault`` of the unit under way (``Error.ADDRESS``), or a command that takes more
    than ``watchdog`` cycles from its first fetch to its ``done`` (``Error.WATCHDOG``), stops it likewise, and ``abort``
    resets all units. It stops behind ``END``, which counts as a command, and behind the command whose index is
    ``stop_at``; ``index`` and ``pc`` are then on the next command.

    Parameters: config, the core's :class:`~gradgate.arch.config.Config`.

    Members
    -------
    control : ControlSignature
    units : one UnitSignature for each opcode but ``END``, named like the opcode in lower case, seen from the sequencer;
        all share the payload, only the unit of the opcode sees ``start`` and is listened to
    failed : In, a LOAD ahead is at fault: counts as a fault of the command under way, or of the next
    abort : Out, the last cycle but one that a program is busy when a unit was at fault or too slow: all units are to be reset

    Latency: ``abort`` comes two cycles behind a ``fault``, and ``watchdog + 1`` cycles behind a command's first fetch. A
    command of L words takes ``L + 5`` cycles (L, ``latency.RAM``, and 3 registers: of the word, of what it is, on the way to the
    unit) from its first fetch up to the cycle before ``start``; ``END`` takes 7 cycles. A command ends a cycle behind ``done``. The
    first fetch follows ``go``, or the last cycle of the command before, so that the counters of a program add up to the cycles it is
    busy. The counter of a command has the cycles from its first fetch to its last, both included; commands with an index of
    ``config.counters`` or more are not recorded.
    Throughput: one command at a time; no fetch ahead.
    Resources: a register of the longest command's bits, and one for each unit; no DSP, no block RAM.

        pc -> p_addr .. p_data -> word -> header -> hit (opcode, one-hot) -> | -> start
                                     \\-> payload words, by beat -----------> | -> payload, one for each unit

    Source: own.
    """

    def __init__(self, config):
        self.config = config
        super().__init__({
            "control": Out(ControlSignature(config)), "failed": In(1), "abort": Out(1),
            "units": Out(wiring.Signature({name: In(UnitSignature()) for name in UNITS.values()}))})

    def elaborate(self, platform):
        m = Module()
        c, program_words = self.control, self.config.program_words
        units = {op: getattr(self.units, name) for op, name in UNITS.items()}
        lengths = {op: commands.length(op) for op in Opcode}
        ready = latency.RAM + 2  # beat in which the header is in its register
        decided = ready + 1  # beat in which it is known to be legal or not

        # Fetch: an address each cycle up to the end of the memory; ``beyond`` says of a word that it is not there.
        fetching = Signal()
        fetch = Signal.like(c.pc)
        beyond = Signal()
        m.d.comb += [c.p_addr.eq(fetch), beyond.eq(fetch >= program_words)]
        with m.If(fetching & ~beyond):
            m.d.sync += fetch.eq(fetch + 1)
        beyond_word = delays(m, beyond, ready, Signal, "beyond")[-1]

        # Beat ``ready`` + i has payload word i in ``word``, and the ``beyond`` of the word before it in
        # ``beyond_word``.
        beat = Signal(range(max(lengths.values()) + decided))
        word = Unreset(WORD)
        header = Signal(WORD)
        missing = Signal()
        hit = {op: Signal(name=f"hit_{op.name}") for op in Opcode}
        payload = Signal(PAYLOAD)
        m.d.sync += word.eq(c.p_data)
        with m.If(fetching):
            m.d.sync += beat.eq(beat + 1)
            with m.If(beat == ready - 1):
                m.d.sync += header.eq(word)
            with m.If(beat == ready):
                m.d.sync += missing.eq(beyond_word)
                m.d.sync += [hit[op].eq(header == (op | length << 8)) for op, length in lengths.items()]
            for index in range(PAYLOAD // WORD):
                with m.If(beat == ready + index):
                    m.d.sync += payload.word_select(index, WORD).eq(word)
        # beats that matter, known a cycle ahead
        due = {last: Signal(name=f"beat_{last}") for last in {decided, *(max(decided, ready + length - 1) for length in lengths.values())}}
        m.d.sync += [one.eq(fetching & (beat == last - 1)) for last, one in due.items()]
        checked = due[decided]
        complete = Cat(hit[op] & due[max(decided, ready + lengths[op] - 1)] for op in Opcode).any()

        # The way on: where the next command is, whether there is one.
        next_pc = Signal.like(c.pc)
        elapsed = Signal(WORD)
        finished = Signal()
        stops = Signal()
        ending = hit[Opcode.END] | finished
        m.d.sync += next_pc.eq(c.pc + reduce(or_, (Mux(hit[op], lengths[op], 0) for op in Opcode)))
        m.d.sync += finished.eq(Cat(hit[op] & unit.done for op, unit in units.items()).any())
        m.d.comb += stops.eq((c.index == c.stop_at) & (c.stop_at != STOP_NONE))
        fault = Signal()
        late = Signal()
        m.d.sync += fault.eq(Cat(hit[op] & unit.fault for op, unit in units.items()).any() | self.failed)
        m.d.sync += late.eq(elapsed >= c.watchdog)  # behind a cycle with ``elapsed`` = n this says that n + 1 is too many

        m.d.sync += [elapsed.eq(elapsed + 1), c.c_en.eq(0), c.c_addr.eq(c.index), c.c_data.eq(elapsed), self.abort.eq(0)]
        launch = {op: Signal(name=f"launch_{op.name}") for op in units}
        for op, unit in units.items():
            m.submodules[f"payload_{op.name}"] = copy = Copy(PAYLOAD)
            m.d.comb += [copy.i.eq(payload), unit.payload.eq(copy.o)]
            m.d.sync += [launch[op].eq(0), unit.start.eq(launch[op] & ~(fault | late))]
        with m.FSM():
            with m.State("IDLE"):
                m.d.sync += [elapsed.eq(1), beat.eq(0)]
                with m.If(c.go):
                    m.d.sync += [c.busy.eq(1), c.ended.eq(0), c.error.eq(Error.NONE)]
                    m.d.sync += [c.pc.eq(c.start_at), fetch.eq(c.start_at)]
                    with m.If(c.start_at == 0):
                        m.d.sync += c.index.eq(0)
                    m.next = "FETCH"
            with m.State("FETCH"):
                m.d.comb += fetching.eq(1)
                with m.If((checked & missing) | (complete & ~hit[Opcode.END] & beyond_word)):
                    m.d.sync += [c.error.eq(Error.NO_END), c.busy.eq(0)]
                    m.next = "IDLE"
                with m.Elif(checked & ~Cat(hit.values()).any()):
                    m.d.sync += [c.error.eq(Error.ILLEGAL), c.busy.eq(0)]
                    m.next = "IDLE"
                with m.Elif(complete):
                    m.d.sync += [launch[op].eq(hit[op]) for op in units]
                    m.next = "RUN"
            with m.State("RUN"):
                m.d.sync += [fetch.eq(next_pc), beat.eq(0)]  # whether it goes on or not
                with m.If(ending):
                    m.d.sync += elapsed.eq(1)
                with m.If(fault | late):
                    m.d.sync += [c.error.eq(Mux(fault, Error.ADDRESS, Error.WATCHDOG)), self.abort.eq(1)]
                    m.next = "ABORT"
                with m.Elif(ending):
                    m.d.sync += [
                        c.c_en.eq(c.index < self.config.counters),
                        c.index.eq(c.index + 1), c.pc.eq(next_pc),
                    ]
                    m.next = "FETCH"
                    with m.If(hit[Opcode.END] | stops):
                        m.d.sync += [c.busy.eq(0), c.ended.eq(hit[Opcode.END])]
                        m.next = "IDLE"
            with m.State("ABORT"):
                m.next = "RESET"
            with m.State("RESET"):
                m.d.sync += c.busy.eq(0)
                m.next = "IDLE"
        return m
