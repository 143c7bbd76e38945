"""When the commands of a program begin and end, from the cycles of their units."""

from dataclasses import dataclass

from gradgate.arch.commands import WITH_UNIT, Opcode, length
from gradgate.golden.cycles import sequencer


@dataclass(frozen=True)
class Times:
    """When a command is issued, and when its end is recorded, in busy cycles since the program's start."""

    start: int
    end: int

    @property
    def cycles(self) -> int:
        """Cycles that the command is under way."""
        return self.end - self.start


class _UnderWay:
    """Commands whose ends are not recorded yet; one is each cycle, of several that could be the one of the lowest opcode."""

    def __init__(self):
        self.due = {}  # opcode: first cycle in which its end could be recorded
        self.ends = {}  # opcode: cycle in which that of its last command was
        self.last = -1  # cycle of the last record

    def settle(self, opcodes):
        """Record ends until none of ``opcodes`` is under way."""
        while self.due.keys() & opcodes:
            self.last = max(self.last + 1, min(self.due.values()))
            opcode = min(op for op, due in self.due.items() if due <= self.last)
            self.ends[opcode] = self.last
            del self.due[opcode]


def timeline(commands, cycles, stops=()) -> list:
    """Times of the ``commands`` of a program whose units take ``cycles`` (END's entry is not looked at).

    ``stops``: indices of commands after which the program stops, until all units are idle, and goes on.
    """
    units, starts, ends = _UnderWay(), [], [None] * len(commands)
    last = {}  # opcode: index of its last command
    before = 0  # the earliest cycle from which the next command can be fetched

    def settle(opcodes):
        units.settle(opcodes)
        for opcode, index in last.items():
            if opcode not in units.due:
                ends[index] = units.ends[opcode]

    for index, (command, unit) in enumerate(zip(commands, cycles)):
        awaited = command.waits | {command.opcode}
        settle(awaited)
        ready = before + sequencer.fetch_cycles(length(command.opcode))
        start = max([ready, *(units.ends[opcode] + sequencer.WAITED for opcode in awaited & units.ends.keys())])
        starts.append(start)
        if command.opcode == Opcode.END:
            ends[index] = start
            break
        units.due[command.opcode] = start + unit + sequencer.AROUND
        last[command.opcode] = index
        before = start
        if index in stops:
            settle(WITH_UNIT)
            before = units.last + sequencer.AGAIN
    settle(WITH_UNIT)
    return [Times(start, end) for start, end in zip(starts, ends)]


def advances(times) -> list:
    """Cycles by which each command moves the end of the program on: from the latest end before it to its own, or none. Together they
    are all cycles."""
    result, latest = [], 0
    for one in times:
        result.append(max(0, one.end - latest))
        latest = max(latest, one.end)
    return result
