"""The table of units: which commands may run beside each other, and that no opcode is forgotten."""

import subprocess
import sys
from itertools import product

import pytest

from gradgate.arch.commands import Command, Opcode, layout
from gradgate.arch.units import UNITS, Port, complete, conflict, ports

#: Commands that may be under way together, by the memories as they are built; all other pairs meet at a port. OUT is a RUN with
#: ``outer``.
TOGETHER = {
    ("MOVE", "LOAD"), ("MOVE", "CLEAR"), ("MOVE", "UPDATE"),
    ("LOAD", "RUN"), ("LOAD", "POST"), ("LOAD", "LOSS"),
    ("CLEAR", "RUN"), ("CLEAR", "POST"), ("CLEAR", "LOSS"), ("CLEAR", "UPDATE"),
    ("POST", "UPDATE"),
    ("LOSS", "UPDATE"),
}


def command(name):
    """A command by its name in ``TOGETHER``."""
    opcode = Opcode.RUN if name == "OUT" else Opcode[name]
    return Command(opcode, dict.fromkeys(layout(opcode), 0) | ({"outer": 1} if name == "OUT" else {}))


NAMES = [opcode.name for opcode in UNITS] + ["OUT"]


@pytest.mark.parametrize("one, other", list(product(NAMES, NAMES)))
def test_pairs(one, other):
    """Two commands conflict unless both leave each other's ports alone, in either order."""
    together = (one, other) in TOGETHER or (other, one) in TOGETHER
    assert conflict(command(one), command(other)) == (not together)


def test_end_uses_no_port():
    assert ports(Command(Opcode.END, {})) == frozenset()


def test_every_port_is_used():
    used = frozenset().union(*(unit.ports.union(*unit.more_ports.values()) for unit in UNITS.values()))
    assert used == frozenset(Port)


def test_incomplete_table():
    """A table without an entry for an opcode is an error that names it; END has no unit."""
    complete("a table", UNITS)
    with pytest.raises(ValueError, match="^a table must have an entry for POST$"):
        complete("a table", {opcode: 0 for opcode in UNITS if opcode != Opcode.POST})


TOY = """
from enum import IntEnum
from gradgate.arch import commands
commands.Opcode = IntEnum("Opcode", {op.name: int(op) for op in commands.Opcode} | {"TOY": 8})
import gradgate.arch.units
"""


def test_an_opcode_without_a_unit_fails_at_import():
    run = subprocess.run([sys.executable, "-c", TOY], capture_output=True, text=True)
    assert run.returncode == 1
    assert run.stderr.splitlines()[-1] == "ValueError: UNITS must have an entry for TOY"
