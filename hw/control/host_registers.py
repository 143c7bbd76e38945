"""The registers of the host port: what the host reads and writes in region CSR."""

from amaranth.hdl import Cat, Const, Mux, Signal

from gradgate.arch.commands import WORD
from gradgate.arch.fingerprint import fingerprint
from gradgate.arch.memorymap import ID_VALUE, STOP_NONE, Csr


class HostRegisters:
    """Control and status registers, as statements in a :class:`~gradgate.hw.control.hostport.HostPort`.

    Parameters
    ----------
    config : the core's :class:`~gradgate.arch.config.Config`
    control : ControlSignature (seen from here)

    Members
    -------
    values : ``{Csr: Signal(32)}``, what each register but CONTROL, which cannot be read, shows
    """

    def __init__(self, config, control):
        self.config = config
        self.control = control
        self.values = {csr: Signal(WORD, name=csr.name) for csr in Csr if csr != Csr.CONTROL}

    def elaborate(self, m, writes, offset, word, refused, correct, overflow):
        """Add the statements; returns the register at ``offset``, a cycle after it.

        writes : ``{Csr: bit}``, ``word`` is written to this register in this cycle
        refused : the register for bit 2 of STATUS, which the host port sets; it is cleared here
        correct, overflow : see :class:`~gradgate.hw.control.hostport.HostPort`
        """
        self._range(m, writes, word)
        order = self._order(m, writes, word)
        self._counts(m, order, refused, correct, overflow)
        self._state(m, refused)
        shown = Signal(WORD)
        with m.Switch(offset[:4]):
            for csr, value in self.values.items():
                with m.Case(csr):
                    m.d.sync += shown.eq(value)
        return shown

    def _range(self, m, writes, word):
        """START, STOP, WATCHDOG.

        START follows the program; the sequencer's ``pc`` moves when a command is issued.
        """
        control = self.control
        start = Signal.like(control.pc)
        moved = Signal()  # ``pc`` may have moved a cycle ago
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

    def _order(self, m, writes, word):
        """CONTROL; returns its bits in the cycle in which it is written."""
        order = Signal(2)
        m.d.comb += order.eq(Mux(writes[Csr.CONTROL], word, 0))
        m.d.sync += self.control.go.eq(order[0])
        return order

    def _counts(self, m, order, refused, correct, overflow):
        """CORRECT, OVERFLOW."""
        values = self.values
        correct_now = Signal.like(correct, name="correct")
        overflow_now = Signal.like(overflow, name="overflow")
        m.d.sync += [
            correct_now.eq(correct),
            overflow_now.eq(overflow),
            values[Csr.CORRECT].eq(values[Csr.CORRECT] + correct_now),
            values[Csr.OVERFLOW].eq(values[Csr.OVERFLOW] + overflow_now),
        ]
        with m.If(order[1]):
            m.d.sync += [
                refused.eq(0),
                values[Csr.CORRECT].eq(0),
                values[Csr.OVERFLOW].eq(0),
            ]

    def _state(self, m, refused):
        """The registers that show what is elsewhere."""
        control, values = self.control, self.values
        busy = control.busy | control.go
        ended = control.ended & ~control.go
        error = Mux(control.go, 0, control.error)
        m.d.comb += [
            values[Csr.ID].eq(ID_VALUE),
            values[Csr.START].eq(control.start_at),
            values[Csr.STOP].eq(control.stop_at),
            values[Csr.STATUS].eq(Cat(busy, ended, refused, Const(0, 5), error)),
            values[Csr.INDEX].eq(control.index),
            values[Csr.PC].eq(control.pc),
            values[Csr.CYCLES].eq(control.now),
            values[Csr.WATCHDOG].eq(control.watchdog),
            values[Csr.FINGERPRINT].eq(fingerprint(self.config)),
        ]
