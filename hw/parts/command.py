"""Commands as gateware sees them: layouts from the one table, and the handshake of every unit."""

from amaranth.hdl import signed, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from gradgate.arch import commands
from gradgate.arch.commands import Opcode

#: Bits of the register that holds the fields of the longest command.
PAYLOAD = commands.WORD * (max(commands.length(op) for op in Opcode) - 1)


def layout(opcode: Opcode) -> data.FlexibleLayout:
    """The fields of ``opcode`` as a view on the command register."""
    return data.FlexibleLayout(PAYLOAD, {
        name: data.Field(signed(f.bits) if f.signed else unsigned(f.bits), offset)
        for name, (offset, f) in commands.layout(opcode).items()})


class UnitSignature(wiring.Signature):
    """What the sequencer sees of a unit (seen from the unit).

    start : In(1), one cycle
    payload : In(fields of ``opcode``), stable from the cycle before ``start`` up to and with ``done``;
        for the sequencer, which knows no fields, In(PAYLOAD)
    done : Out(1), one cycle, in the unit's last cycle, at the earliest one cycle after ``start``
    fault : Out(1), an address lies outside its memory, or a count is out of its range; from a register, after
        ``start`` and not after ``done``. The unit is reset in the next cycle; what it would write outside
        comes two cycles later or never.

    A command costs the unit the cycles from ``start`` to ``done``, both included.
    """

    def __init__(self, opcode=None):
        super().__init__({
            "start": In(1),
            "payload": In(PAYLOAD if opcode is None else layout(opcode)),
            "done": Out(1),
            "fault": Out(1),
        })
