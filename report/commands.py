"""The page ``docs/commands.md``, from the tables of commands and units."""

from gradgate.arch import commands
from gradgate.arch.commands import COMMANDS, ERROR_DOC, WAIT_BIT, WORD, layout, length
from gradgate.arch.units import UNITS, Port
from gradgate.report.tables import table


def markdown() -> str:
    """The page."""
    how = " ".join(commands.__doc__.split("\n", 2)[2].split())
    lines = ["# Command set", "", "Written by `gradgate docs` from the tables in `arch/commands.py` and `arch/units.py`; do not edit. "
             f"{how}", ""]
    for opcode, (doc, _) in COMMANDS.items():
        waits = f", header bit {WAIT_BIT[opcode]} waits for it" if opcode in WAIT_BIT else ""
        lines += [f"## {opcode.name} (opcode {int(opcode)}, {length(opcode)} words{waits})", "", doc, ""]
        rows = [[1 + offset // WORD, offset % WORD, f.bits, f"`{name}`", f.doc] for name, (offset, f) in layout(opcode).items()]
        if rows:
            lines += [*table(["word", "bit", "bits", "field", "meaning"], rows), ""]
    lines += ["## Units and ports", "", "Two commands that use the same port must not be under way together: the later one waits for the "
              "unit of the other, or stops the program with `CONFLICT`.", "",
              *table(["unit", "uses"], [[opcode.name, _ports(unit)] for opcode, unit in UNITS.items()]), "",
              *table(["port", "is"], [[port.name, port.value] for port in Port]), "",
              "## Error codes", "", *table(["code", "name", "meaning"], [[int(e), f"`{e.name}`", doc] for e, doc in ERROR_DOC.items()]), ""]
    return "\n".join(lines)


def _ports(unit) -> str:
    """The ports of a unit, in the order of the table."""
    def names(ports):
        return ", ".join(port.name for port in Port if port in ports)

    return "; ".join([names(unit.ports), *(f"with `{field}` {names(more)}" for field, more in unit.more_ports.items())])
