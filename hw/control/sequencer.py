"""Issues commands to their units, in order, and says when each of them began and ended."""

from functools import reduce
from operator import or_

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from gradgate.arch.commands import WORD, Error, Opcode
from gradgate.arch.memorymap import STOP_NONE
from gradgate.hw.control import conflicts
from gradgate.hw.control.command_fetch import LENGTHS, UNIT, CommandFetch
from gradgate.hw.control.conflicts import USERS
from gradgate.hw.control.control import INDEX_BITS, ControlSignature
from gradgate.hw.parts.command import UnitSignature
from gradgate.hw.parts.copy import Copy
from gradgate.hw.parts.registers import Unreset


class _Units:
    """A bit for each unit of ``UNIT``."""

    def __init__(self):
        bits = len(UNIT)
        self.begun = Signal(bits)  # its command is issued in this cycle
        self.busy = Signal(bits)  # from the cycle after the issue to that of the record
        self.ended = Signal(bits)  # ``done``, and not recorded before this cycle
        self.record = Signal(bits)  # the one whose end is recorded in this cycle, if any
        self.fault = Signal(bits)
        self.some_fault = Signal()


class Sequencer(wiring.Component):
    """Executes a program: fetches commands, issues each to its unit when it may start, records ends.

    A command is *issued*, in the order of the program, when its own unit and the units that it waits for are
    idle; ``END`` waits for all. If a unit under way then uses a port that the command uses too, it is not
    issued (``Error.CONFLICT``). Commands are fetched while units are busy. A unit is busy until the end of
    its command is *recorded*; ends are recorded one a cycle, in the order of opcodes where several are due.

    A program stops after ``END``, which counts as a command; after the command whose index is ``stop_at``;
    and before a command that is illegal or not whole (see :class:`CommandFetch`) or has a conflict: in all
    these cases when no unit is busy any more. A ``fault`` of a busy unit (``Error.ADDRESS``) stops it at
    once, and so does the watchdog (``Error.WATCHDOG``), which counts the cycles since a unit was started or
    an end was recorded, while some unit is busy. ``index`` is then that of the unit at fault, or of a busy
    one; of several of the one with the lowest opcode. Ends that are not recorded yet are lost, and ``abort``
    resets all units.

    Parameters
    ----------
    config : the core's :class:`~gradgate.arch.config.Config`

    Members
    -------
    control : ControlSignature
    units : one UnitSignature for each opcode but ``END``, named like the opcode in lower case, seen from the
        sequencer; each has a payload of its own
    busy : Out(7), a bit for each unit of ``UNIT``, from the cycle of ``start`` up to the record
    abort : Out(1), one cycle: all units are to be reset

    Cycles, with L the words of a command (7 for L + 5 with ``END``):

    ======================================================  =====
    from ``go`` to the first issue                          L + 5
    from an issue to that of the next command, at least     L + 5
    from an issue to the unit's ``start``                   1
    from ``done`` to the record, at least                   1
    from a record to an issue that waited for it, at least  1
    from the last record to the last busy cycle, at a stop  1
    from the issue of ``END`` to its record                 0
    from a fault to ``abort``                               2
    from ``abort`` to the last busy cycle                   1
    ======================================================  =====

    The watchdog finds it too late ``watchdog`` cycles after the last start or record (one, if it is 0); from
    there on it is like a fault in that cycle. Commands with an index of ``config.counters`` or more are not
    recorded.
    Throughput: an issue and a record a cycle. Resources: a register of the fields of each command and one for
    the longest; a distributed memory of an index a unit; no DSP, no block RAM.

        p_data -> CommandFetch -> needs, meets -> | -> start, payload, index of the unit
                                                          done -> | -> ended, record -> ends

    Source: own.
    Example: docs/examples.md#sequencer
    """

    def __init__(self, config):
        self.config = config
        super().__init__({
            "control": Out(ControlSignature(config)),
            "busy": Out(len(UNIT)),
            "abort": Out(1),
            "units": Out(wiring.Signature({op.name.lower(): In(UnitSignature()) for op in UNIT})),
        })

    def elaborate(self, platform):
        m = Module()
        m.submodules.fetch = fetch = CommandFetch(self.config)
        units = _Units()
        needs = Unreset(len(UNIT))  # units that must be idle
        meets = Unreset(len(USERS))  # those of USERS with which the command shares a port
        next_pc = Signal.like(self.control.pc)  # where the next command begins
        self._look(m, fetch, needs, meets, next_pc)

        payloads = {op: self._unit(op).payload for op in UNIT}
        late = Signal()
        trouble = Signal()  # the program stops at once
        free = Signal()  # the units that the command needs are idle
        issue = Signal()
        m.d.comb += [
            trouble.eq(units.some_fault | late),
            free.eq(fetch.ready & ~(needs & units.busy).any() & ~trouble),
            issue.eq(free & ~(meets & conflicts.using(units.busy, payloads)).any()),
            units.begun.eq(Cat(issue & fetch.opcode[op] for op in UNIT)),
            self.busy.eq(units.busy),
        ]
        self._start(m, fetch, units)
        self._track(m, units, trouble)
        self._time(m, units, issue, trouble, late)
        recorded = self._indices(m, fetch, units, issue)
        self._record(m, fetch, units, issue, trouble, recorded)
        self._program(m, fetch, units, next_pc, free, issue, trouble, recorded)
        return m

    def _unit(self, op):
        return getattr(self.units, op.name.lower())

    def _look(self, m, fetch, needs, meets, next_pc):
        """What follows from the command that is fetched."""
        own = Cat(fetch.opcode[op] for op in UNIT)
        m.d.sync += needs.eq(fetch.waits | own)
        m.d.sync += meets.eq(conflicts.meets(fetch.opcode, fetch.payload))
        lengths = (Mux(fetch.opcode[op], LENGTHS[op], 0) for op in Opcode)
        m.d.sync += next_pc.eq(self.control.pc + reduce(or_, lengths))

    def _start(self, m, fetch, units):
        """What goes to a unit follows the command that is fetched, and stands while the unit is busy."""
        for op, bit in UNIT.items():
            unit = self._unit(op)
            m.submodules[f"payload_{op.name}"] = copy = Copy(WORD * (LENGTHS[op] - 1), held=True)
            m.d.comb += [
                copy.i.eq(fetch.payload),
                copy.en.eq(~units.busy[bit] | units.record[bit]),
                unit.payload.eq(copy.o),
            ]
            m.d.sync += unit.start.eq(units.begun[bit])

    def _track(self, m, units, trouble):
        """Which units are busy, have ended, are at fault."""
        done = Cat(self._unit(op).done for op in UNIT)
        fault = Cat(self._unit(op).fault for op in UNIT)
        ended = Signal.like(units.ended)
        m.d.comb += ended.eq((units.ended | (units.busy & done)) & ~units.record)
        m.d.sync += [
            units.ended.eq(ended),
            units.record.eq(_lowest(ended)),
            units.busy.eq((units.busy & ~units.record) | units.begun),
            units.fault.eq(Mux(trouble, 0, units.busy & fault)),
            units.some_fault.eq((units.busy & fault).any() & ~trouble),
            self.abort.eq(trouble),
        ]
        with m.If(trouble):
            # What is at fault takes the place of what has ended: its index is looked up in the same way.
            m.d.sync += [
                units.ended.eq(Mux(units.some_fault, units.fault, units.busy)),
                units.record.eq(0),
                units.busy.eq(0),
            ]

    def _time(self, m, units, issue, trouble, late):
        """Cycles of the program, and those since something happened."""
        c = self.control
        issued = Signal()
        happens = Signal()  # a unit was started or an end is recorded
        quiet = Signal(WORD)
        m.d.sync += issued.eq(issue)
        m.d.comb += happens.eq(issued | units.record.any())
        m.d.sync += quiet.eq(Mux(happens, 1, quiet + 1))
        m.d.sync += late.eq((quiet >= c.watchdog) & units.busy.any() & ~happens & ~trouble)
        with m.If(c.busy):
            m.d.sync += c.now.eq(c.now + 1)

    def _indices(self, m, fetch, units, issue):
        """The index of each unit's command; returns that of the one recorded in this cycle."""
        m.submodules.indices = indices = Memory(shape=INDEX_BITS, depth=max(Opcode) + 1, init=[])
        number = Unreset(range(max(Opcode) + 1))  # of the unit of the command that is fetched
        m.d.sync += number.eq(reduce(or_, (Mux(fetch.opcode[op], int(op), 0) for op in UNIT)))
        write = indices.write_port()
        read = indices.read_port(domain="comb")
        m.d.comb += [
            write.en.eq(issue),
            write.addr.eq(number),
            write.data.eq(self.control.index),
            read.addr.eq(reduce(or_, (Mux(units.record[bit], int(op), 0) for op, bit in UNIT.items()))),
        ]
        return read.data

    def _record(self, m, fetch, units, issue, trouble, recorded):
        """Starts and ends are written in the cycle after."""
        c, counters = self.control, self.config.counters
        ends = issue & fetch.opcode[Opcode.END]
        last = Unreset(INDEX_BITS)  # the command whose end was recorded
        some = Signal()
        m.d.sync += [
            c.starts_en.eq(issue & (c.index < counters)),
            c.starts_addr.eq(c.index),
            some.eq(ends | (units.record.any() & ~trouble & (c.error == Error.NONE))),
            last.eq(Mux(ends, c.index, recorded)),
        ]
        m.d.comb += c.ends_en.eq(some & (last < counters))
        m.d.comb += c.ends_addr.eq(last)

    def _program(self, m, fetch, units, next_pc, free, issue, trouble, recorded):
        """How a program begins, goes on and stops."""
        c = self.control
        reason = Unreset(Error)  # why it will have stopped, when no unit is busy
        stops = Unreset()  # after the command that is fetched
        m.d.sync += stops.eq((c.index == c.stop_at) & (c.stop_at != STOP_NONE))
        m.d.comb += [
            fetch.at.eq(next_pc),
            fetch.drop.eq(free | trouble | (fetch.refused != Error.NONE)),
            c.p_addr.eq(fetch.p_addr),
            fetch.p_data.eq(c.p_data),
        ]
        with m.FSM():
            with m.State("IDLE"):
                m.d.comb += fetch.at.eq(c.start_at)
                m.d.comb += fetch.begin.eq(c.go)
                with m.If(c.go):
                    self._begin(m)
                    m.next = "ISSUE"
            with m.State("ISSUE"):
                with m.If(issue):
                    m.d.sync += c.index.eq(c.index + 1)
                    m.d.sync += c.pc.eq(next_pc)
                    m.d.sync += reason.eq(Error.NONE)
                    with m.If(fetch.opcode[Opcode.END]):
                        m.d.sync += c.busy.eq(0)
                        m.d.sync += c.ended.eq(1)
                        m.next = "IDLE"
                    with m.Elif(stops):
                        m.next = "DRAIN"
                    with m.Else():
                        m.d.comb += fetch.begin.eq(1)
                with m.Elif(free):
                    m.d.sync += reason.eq(Error.CONFLICT)
                    m.next = "DRAIN"
                with m.Elif(fetch.refused != Error.NONE):
                    m.d.sync += reason.eq(fetch.refused)
                    m.next = "DRAIN"
                self._abort(m, units, trouble)
            with m.State("DRAIN"):
                with m.If(~units.busy.any()):
                    m.d.sync += c.busy.eq(0)
                    m.d.sync += c.error.eq(reason)
                    m.next = "IDLE"
                self._abort(m, units, trouble)
            with m.State("ABORT"):
                m.next = "RESET"
            with m.State("RESET"):
                m.d.sync += c.index.eq(recorded)
                m.d.sync += units.ended.eq(0)
                m.d.sync += units.record.eq(0)
                m.d.sync += c.busy.eq(0)
                m.next = "IDLE"

    def _begin(self, m):
        c = self.control
        m.d.sync += [
            c.busy.eq(1),
            c.ended.eq(0),
            c.error.eq(Error.NONE),
            c.pc.eq(c.start_at),
        ]
        with m.If(c.start_at == 0):
            m.d.sync += c.index.eq(0)
            m.d.sync += c.now.eq(0)

    def _abort(self, m, units, trouble):
        with m.If(trouble):
            m.d.sync += self.control.error.eq(Mux(units.some_fault, Error.ADDRESS, Error.WATCHDOG))
            m.next = "ABORT"


def _lowest(bits):
    """The lowest of ``bits`` alone."""
    return Cat(bits[i] & ~bits[:i].any() for i in range(len(bits)))
