"""Units: what executes each command, the memory ports it uses, and which commands may therefore not run beside each other.

Every opcode but ``END`` has a unit of its own. A unit uses its ports from a command's start to its end; two commands that use the
same port must not be under way together. The compiler makes a command wait for those that are in its way, and the sequencer refuses
to start one that would meet another at a port (``Error.CONFLICT``).
"""

from dataclasses import dataclass, field
from enum import Enum

from gradgate.arch.commands import COMMANDS, Opcode


class Port(Enum):
    """One side of a memory, or of all memories of a kind, which a single command uses at a time. The value says what it is."""

    ROW_READ = "row memories, read side"
    ROW_WRITE = "row memories, write side; LOSS and MOVE address both sides by one port"
    SUMS = "sums memories, both sides"
    ARGMAX = "argmax memories, both sides"
    BANK_READ = "banks, read side"
    BANK_WRITE = "banks, write side"
    WEIGHT_READ = "weight memory, read side"
    WEIGHT_WRITE = "weight memory, write side; velocities, both sides"
    STAGING = "staging memory, both sides"


@dataclass(frozen=True, kw_only=True)
class Unit:
    """What executes the commands of one opcode.

    domain : the part of the core with a reset of its own in which the unit lies: one reset for all units of a domain
    phase : its name in reports; ``None`` where the note of a command says more (``RUN``: ``FW``, ``BD`` or ``WG``)
    ports : what it uses in every command
    more_ports : ``{field: ports}`` that it uses, too, in commands in which the field is not 0
    """

    domain: str
    phase: str | None
    ports: frozenset
    more_ports: dict = field(default_factory=dict)


def _unit(domain, phase, *ports, **more_ports):
    return Unit(domain=domain, phase=phase, ports=frozenset(ports), more_ports={name: frozenset(more) for name, more in more_ports.items()})


UNITS = {
    Opcode.MOVE: _unit("move", "move", Port.ROW_READ, Port.ROW_WRITE, Port.STAGING),
    Opcode.LOAD: _unit("weights", "load", Port.WEIGHT_READ, Port.BANK_WRITE),
    Opcode.CLEAR: _unit("array", "load", Port.BANK_WRITE),
    Opcode.RUN: _unit("array", None, Port.ROW_READ, Port.SUMS, Port.BANK_READ, outer=(Port.BANK_WRITE,)),
    Opcode.POST: _unit("array", "post", Port.ROW_READ, Port.ROW_WRITE, Port.SUMS, Port.ARGMAX),
    Opcode.LOSS: _unit("loss", "loss", Port.ROW_READ, Port.ROW_WRITE),
    Opcode.UPDATE: _unit("weights", "update", Port.WEIGHT_READ, Port.WEIGHT_WRITE, Port.BANK_READ),
}


def complete(name: str, table) -> None:
    """Check that ``table``, called ``name``, has an entry for the unit of every opcode.

    Raises :class:`ValueError` with the opcode's name. Tables call this when they are imported.
    """
    for opcode in Opcode:
        if opcode != Opcode.END and opcode not in table:
            raise ValueError(f"{name} must have an entry for {opcode.name}")


def ports(command) -> frozenset:
    """The ports that ``command`` uses while it is under way: of its opcode, and of its fields. ``END`` uses none."""
    if command.opcode == Opcode.END:
        return frozenset()
    unit = UNITS[command.opcode]
    return unit.ports.union(*(more for name, more in unit.more_ports.items() if command.fields[name]))


def conflict(command, other) -> bool:
    """Whether the two commands share a port, so that one of them must wait until the other has ended."""
    return bool(ports(command) & ports(other))


complete("UNITS", UNITS)
for _opcode, _entry in UNITS.items():
    for _name in _entry.more_ports:
        if _name not in {f.name for f in COMMANDS[_opcode][1]}:
            raise ValueError(f"UNITS: {_opcode.name} has no field {_name!r}")
