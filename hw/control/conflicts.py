"""Which memory ports a command uses, and which are in use: a command that would meet another is refused."""

from amaranth.hdl import Cat

from gradgate.arch.units import UNITS
from gradgate.hw.control.command_fetch import UNIT
from gradgate.hw.parts.command import layout

#: ``(opcode, field or None): ports``: what a unit uses in all its commands, or where the field is not 0.
USERS = {
    (op, field): ports
    for op, unit in UNITS.items() for field, ports in ((None, unit.ports), *unit.more_ports.items())
}


def meets(opcode, payload):
    """A bit for each of ``USERS`` but its own unit: the command shares a port with it.

    opcode : the command's, one-hot
    payload : its fields
    """
    return Cat(
        Cat(_uses(opcode, payload, op, ports) for op in UNIT if op != user).any()
        for (user, _), ports in USERS.items()
    )


def using(busy, payloads):
    """A bit for each of ``USERS``: its ports are in use.

    busy : a bit for each unit of ``UNIT``
    payloads : ``{opcode: fields}`` of the command of each
    """
    return Cat(
        busy[UNIT[op]] & (layout(op)(payloads[op])[field].any() if field else 1)
        for op, field in USERS
    )


def _uses(opcode, payload, op, ports):
    """Whether the command is ``op`` and uses some of ``ports``."""
    unit = UNITS[op]
    if unit.ports & ports:
        return opcode[op]
    fields = layout(op)(payload)
    more = (fields[name].any() for name, each in unit.more_ports.items() if each & ports)
    return opcode[op] & Cat(more).any()
