"""What fetching a command costs, and ending a program."""

from gradgate.arch import commands, latency
from gradgate.arch.commands import Opcode

BACK = 1  #: cycles from a unit's ``done`` to the last of the command


def fetch_cycles(length: int) -> int:
    """Cycles from a command's first fetch up to the cycle before its unit's start; ``length`` in words with header.

    One cycle for each word, the memory's latency and a register behind it, one to check the header, one on the way to the unit.
    """
    return length + latency.RAM + 3


def command_cycles(opcode: Opcode, unit: int = 0) -> int:
    """What the counter of a command shows when its unit takes ``unit`` cycles from start to done, both included.

    ``END`` has no unit and takes one cycle behind its fetch. A command's first fetch follows the last cycle of the command
    before, so that a program's cycles are the sum over its commands.
    """
    return fetch_cycles(commands.length(opcode)) + (1 if opcode == Opcode.END else unit + BACK)
