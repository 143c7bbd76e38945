"""Fetches commands, starts their units one after the other, counts their cycles."""

from functools import reduce
from operator import or_

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from gradgate.arch import commands, latency
from gradgate.arch.commands import WORD, Error, Opcode
from gradgate.arch.memorymap import STOP_NONE, WATCHDOG_DEFAULT
from gradgate.hw.parts.command import PAYLOAD, UnitSignature
from gradgate.hw.parts.copy import Copy
from gradgate.hw.parts.registers import Unreset, delays

#: Name of the unit of every opcode that has one.
UNITS = {op: op.name.lower() for op in Opcode if op != Opcode.END}
INDEX_BITS = 16


class ControlSignature(wiring.Signature):
    """What the host port and the sequencer share (seen from the sequencer).

    go : In(1), one cycle, ignored while ``busy``: start at program word ``start_at``. A start at 0 sets
        ``index`` to 0; one beyond the program memory is an error like a missing ``END``.
    start_at : In(range(program_words + 1)), valid in the cycle of ``go``
    stop_at : In(16), index of the command after which to stop, 0xffff for none; looked at in a command's last
        cycle
    watchdog : In(32), cycles that a command may take; looked at in every cycle
    busy : Out(1), from the cycle after ``go`` to the last cycle of the last command
    ended : Out(1), an ``END`` was executed; cleared by ``go``
    error : Out(Error), why the program stopped; cleared by ``go``
    index : Out(16), number of the command under way, or of the next; with an error of the one at fault
    pc : Out(range(program_words + 1)), program word at which that command begins
    p_addr : Out(range(program_words)), word of the program memory to read
    p_data : In(32), the word at the ``p_addr`` of ``latency.RAM`` cycles ago
    c_en : Out(1), write the counter memory; in the cycle after a command's last
    c_addr : Out(range(counters)), index of that command; valid with ``c_en``
    c_data : Out(32), cycles that it took; valid with ``c_en``
    """

    def __init__(self, config):
        pc = range(config.program_words + 1)
        super().__init__({
            "go": In(1),
            "start_at": In(pc),
            "stop_at": In(INDEX_BITS, init=STOP_NONE),
            "watchdog": In(WORD, init=WATCHDOG_DEFAULT),
            "busy": Out(1),
            "ended": Out(1),
            "error": Out(Error),
            "index": Out(INDEX_BITS),
            "pc": Out(pc),
            "p_addr": Out(range(config.program_words)),
            "p_data": In(WORD),
            "c_en": Out(1),
            "c_addr": Out(range(config.counters)),
            "c_data": Out(WORD),
        })


class Sequencer(wiring.Component):
    """Executes a program: fetches a command, starts its unit, waits for its ``done``, goes on.

    A header must be exactly the opcode and length of a known command (else ``Error.ILLEGAL``), and the whole
    command must lie in the program memory (else ``Error.NO_END``): the sequencer stops before such a command
    does anything, with ``index`` and ``pc`` on it. A ``fault`` of the unit under way (``Error.ADDRESS``), or
    a command that takes more than ``watchdog`` cycles from its first fetch to its ``done``
    (``Error.WATCHDOG``), stops it likewise, and ``abort`` resets all units. It stops after ``END``, which
    counts as a command, and after the command whose index is ``stop_at``; ``index`` and ``pc`` are then on
    the next command.

    Parameters
    ----------
    config : the core's :class:`~gradgate.arch.config.Config`

    Members
    -------
    control : ControlSignature
    units : one UnitSignature for each opcode but ``END``, named like the opcode in lower case, seen from the
        sequencer; all share the payload, only the unit of the opcode sees ``start`` and is listened to
    failed : In(1), a LOAD ahead is at fault: counts as a fault of the command under way, or of the next
    abort : Out(1), the last cycle but one that a program is busy when a unit was at fault or too slow: all
        units are to be reset

    Latency: ``abort`` comes two cycles after a ``fault``, and ``watchdog + 1`` cycles after a command's first
    fetch. A command of L words takes ``L + 5`` cycles (L, ``latency.RAM``, and 3 registers: of the word, of
    what it is, on the way to the unit) from its first fetch up to the cycle before ``start``; ``END`` takes 7
    cycles. A command ends a cycle after ``done``. The first fetch follows ``go``, or the last cycle of the
    command before, so that the counters of a program add up to the cycles it is busy. The counter of a
    command has the cycles from its first fetch to its last, both included; commands with an index of
    ``config.counters`` or more are not recorded. Throughput: one command at a time; no fetch ahead.
    Resources: a register of the longest command's bits, and one for each unit; no DSP, no block RAM.

        pc -> p_addr .. p_data -> word -> header -> hit (opcode, one-hot) -> | -> start
                                     \\-> payload words, by beat -----------> | -> payload, one for each unit

    Source: own.
    """

    READY = latency.RAM + 2  #: beat in which the header is in its register
    DECIDED = READY + 1  #: beat in which it is known to be legal or not
    LENGTHS = {op: commands.length(op) for op in Opcode}  #: words of each command

    def __init__(self, config):
        self.config = config
        super().__init__({
            "control": Out(ControlSignature(config)),
            "failed": In(1),
            "abort": Out(1),
            "units": Out(wiring.Signature({name: In(UnitSignature()) for name in UNITS.values()})),
        })

    def elaborate(self, platform):
        m = Module()
        units = {op: getattr(self.units, name) for op, name in UNITS.items()}

        fetching = Signal()
        fetch = Signal.like(self.control.pc)  # word that is fetched
        beat = Signal(range(max(self.LENGTHS.values()) + self.DECIDED))  # cycles since the first fetch
        word = Unreset(WORD)
        header = Signal(WORD)
        payload = Signal(PAYLOAD)
        beyond_word = self._fetch(m, fetching, fetch)
        missing = Signal()  # the header lies beyond the program memory
        hit = {op: Signal(name=f"hit_{op.name}") for op in Opcode}  # what the header is, one-hot
        self._decode(m, fetching, beat, word, header, beyond_word, missing, hit, payload)
        checked, complete = self._due(m, fetching, beat, hit)

        next_pc = Signal.like(self.control.pc)
        elapsed = Signal(WORD)
        finished = Signal()
        stops = Signal()
        fault = Signal()
        late = Signal()
        self._watch(m, units, hit, next_pc, elapsed, finished, stops, fault, late)

        launch = {op: Signal(name=f"launch_{op.name}") for op in units}
        self._launch(m, units, payload, launch, fault | late)

        refused = (checked & missing) | (complete & ~hit[Opcode.END] & beyond_word)
        with m.FSM():
            self._wait(m, fetch, beat, elapsed)
            with m.State("FETCH"):
                m.d.comb += fetching.eq(1)
                with m.If(refused):
                    self._refuse(m, Error.NO_END)
                with m.Elif(checked & ~Cat(hit.values()).any()):
                    self._refuse(m, Error.ILLEGAL)
                with m.Elif(complete):
                    m.d.sync += [launch[op].eq(hit[op]) for op in units]
                    m.next = "RUN"
            self._run(m, fetch, beat, hit, next_pc, elapsed, finished, stops, fault, late)
        return m

    def _fetch(self, m, fetching, fetch):
        """An address each cycle up to the end of the memory.

        Returns whether the word before the one in ``word`` is beyond the memory.
        """
        c, program_words = self.control, self.config.program_words
        beyond = Signal()
        m.d.comb += c.p_addr.eq(fetch)
        m.d.comb += beyond.eq(fetch >= program_words)
        with m.If(fetching & ~beyond):
            m.d.sync += fetch.eq(fetch + 1)
        return delays(m, beyond, self.READY, Signal, "beyond")[-1]

    def _decode(self, m, fetching, beat, word, header, beyond_word, missing, hit, payload):
        """What the words are: beat ``READY`` + i has payload word i in ``word``."""
        ready = self.READY
        m.d.sync += word.eq(self.control.p_data)
        with m.If(fetching):
            m.d.sync += beat.eq(beat + 1)
            with m.If(beat == ready - 1):
                m.d.sync += header.eq(word)
            with m.If(beat == ready):
                m.d.sync += missing.eq(beyond_word)
                m.d.sync += [hit[op].eq(header == (op | length << 8)) for op, length in self.LENGTHS.items()]
            for index in range(PAYLOAD // WORD):
                with m.If(beat == ready + index):
                    m.d.sync += payload.word_select(index, WORD).eq(word)

    def _due(self, m, fetching, beat, hit):
        """Whether the header is known in this beat, and whether the whole command is there in it."""
        last_beat = {op: max(self.DECIDED, self.READY + length - 1) for op, length in self.LENGTHS.items()}
        due = {last: Signal(name=f"beat_{last}") for last in {self.DECIDED, *last_beat.values()}}
        m.d.sync += [reached.eq(fetching & (beat == last - 1)) for last, reached in due.items()]
        complete = Cat(hit[op] & due[last_beat[op]] for op in Opcode).any()
        return due[self.DECIDED], complete

    def _watch(self, m, units, hit, next_pc, elapsed, finished, stops, fault, late):
        """The way on: where the next command is, and whether the unit is done, at fault, or too slow."""
        c = self.control
        m.d.sync += next_pc.eq(c.pc + reduce(or_, (Mux(hit[op], self.LENGTHS[op], 0) for op in Opcode)))
        m.d.sync += finished.eq(Cat(hit[op] & unit.done for op, unit in units.items()).any())
        m.d.comb += stops.eq((c.index == c.stop_at) & (c.stop_at != STOP_NONE))
        m.d.sync += fault.eq(Cat(hit[op] & unit.fault for op, unit in units.items()).any() | self.failed)
        m.d.sync += late.eq(elapsed >= c.watchdog)  # after a cycle with ``elapsed`` = n: n + 1 is too many
        m.d.sync += [
            elapsed.eq(elapsed + 1),
            c.c_en.eq(0),
            c.c_addr.eq(c.index),
            c.c_data.eq(elapsed),
            self.abort.eq(0),
        ]

    def _launch(self, m, units, payload, launch, held):
        """Start and payload, from a register for each unit; no start while ``held``."""
        for op, unit in units.items():
            m.submodules[f"payload_{op.name}"] = copy = Copy(PAYLOAD)
            m.d.comb += copy.i.eq(payload)
            m.d.comb += unit.payload.eq(copy.o)
            m.d.sync += launch[op].eq(0)
            m.d.sync += unit.start.eq(launch[op] & ~held)

    def _wait(self, m, fetch, beat, elapsed):
        """State IDLE: no program runs."""
        c = self.control
        with m.State("IDLE"):
            m.d.sync += elapsed.eq(1)
            m.d.sync += beat.eq(0)
            with m.If(c.go):
                m.d.sync += [
                    c.busy.eq(1),
                    c.ended.eq(0),
                    c.error.eq(Error.NONE),
                    c.pc.eq(c.start_at),
                    fetch.eq(c.start_at),
                ]
                with m.If(c.start_at == 0):
                    m.d.sync += c.index.eq(0)
                m.next = "FETCH"

    def _refuse(self, m, error):
        """Stop before the command does anything."""
        m.d.sync += self.control.error.eq(error)
        m.d.sync += self.control.busy.eq(0)
        m.next = "IDLE"

    def _run(self, m, fetch, beat, hit, next_pc, elapsed, finished, stops, fault, late):
        """States RUN, ABORT, RESET: a unit is under way, and then the next command or the end."""
        c = self.control
        ending = hit[Opcode.END] | finished
        with m.State("RUN"):
            m.d.sync += fetch.eq(next_pc)  # whether it goes on or not
            m.d.sync += beat.eq(0)
            with m.If(ending):
                m.d.sync += elapsed.eq(1)
            with m.If(fault | late):
                m.d.sync += c.error.eq(Mux(fault, Error.ADDRESS, Error.WATCHDOG))
                m.d.sync += self.abort.eq(1)
                m.next = "ABORT"
            with m.Elif(ending):
                m.d.sync += [
                    c.c_en.eq(c.index < self.config.counters),
                    c.index.eq(c.index + 1),
                    c.pc.eq(next_pc),
                ]
                m.next = "FETCH"
                with m.If(hit[Opcode.END] | stops):
                    m.d.sync += c.busy.eq(0)
                    m.d.sync += c.ended.eq(hit[Opcode.END])
                    m.next = "IDLE"
        with m.State("ABORT"):
            m.next = "RESET"
        with m.State("RESET"):
            m.d.sync += c.busy.eq(0)
            m.next = "IDLE"
