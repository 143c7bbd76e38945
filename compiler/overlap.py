"""What may run beside each other: where weights lie in the banks, and the order of commands.

A bank has one read and one write port, and a RUN of RED turns only reads. So what is written next, weights or zeros, can be written
meanwhile, if it lies beside the weights in use. Two weights share a word, so parts begin at even addresses. Commands are issued in
order: one that could begin at once must not stand after one that has to wait.
"""

from dataclasses import replace

from gradgate.arch.commands import Opcode
from gradgate.arch.units import UNITS
from gradgate.compiler.waits import BANKS, bricks, required, under_way

#: What LOAD and CLEAR may be moved before: units that leave banks and weight memory alone.
HARMLESS = frozenset(opcode for opcode, unit in UNITS.items() if not unit.ports & (BANKS | UNITS[Opcode.LOAD].ports))


def clear_together(config, program) -> None:
    """Let one CLEAR do for all the weight gradients whose accumulators have room beside each other, as long as nothing else lies in the
    banks; the others are dropped."""
    joined = None  # place of the CLEAR that others may join
    base, kept = 0, []
    for command, note in zip(program.commands, program.notes):
        if command.opcode == Opcode.CLEAR:
            base = kept[joined][0].words if joined is not None else 0
            if base and base + command.words <= config.bank_words:
                kept[joined] = _with(kept[joined][0], words=base + command.words), kept[joined][1]
                continue
            joined, base = len(kept), 0
        elif command.opcode == Opcode.UPDATE or command.opcode == Opcode.RUN and command.outer:
            command = _with(command, bank_addr=command.bank_addr + base)
            if note.sums:
                lane, word, *others = note.sums
                note = replace(note, sums=(lane, word + base, *others))
        elif command.opcode not in HARMLESS:
            joined = None
        kept.append((command, note))
    program.commands[:], program.notes[:] = map(list, zip(*kept))


def _with(command, **fields):
    """The command with some fields changed."""
    return replace(command, fields=command.fields | fields)


def place_weights(config, program) -> None:
    """Give the weights of RUNs of RED turns places in the banks: beside those of the RUN before, and beside the accumulators that
    are cleared next. Where there is not room for all, that of the accumulators is used first."""
    commands = program.commands
    base, in_use = 0, range(0)  # weights of the RUN before
    loads = []  # since then
    for index, command in enumerate(commands):
        if command.opcode == Opcode.LOAD:
            loads.append(index)
        elif command.opcode == Opcode.RUN and not command.outer:
            if loads:
                size = sum(bricks(commands[n]) for n in loads)
                base = _place(config, size, in_use, _cleared_next(commands, index))
                in_use = range(base, base + size)
            for n in (*loads, index):
                commands[n] = _with(commands[n], bank_addr=commands[n].bank_addr + base)
            loads = []
        elif command.opcode not in HARMLESS:
            base, in_use, loads = 0, range(0), []


def _cleared_next(commands, index) -> range:
    """Weights in whose place the next CLEAR writes; none where a LOAD comes before it."""
    for command in commands[index:]:
        if command.opcode == Opcode.CLEAR:
            return range(2 * command.words)
        if command.opcode == Opcode.LOAD:
            break
    return range(0)


def _place(config, size, in_use, cleared) -> int:
    """First of ``size`` weights, at an even place."""
    for avoided in ((in_use, cleared), (in_use,), (cleared,)):
        for first in sorted({0, *(part.stop + part.stop % 2 for part in avoided)}):
            if first + size <= config.bank_weights and all(first + size <= part.start or part.stop <= first for part in avoided):
                return first
    return 0


def advance(program) -> None:
    """Move LOADs and CLEARs before the POSTs, LOSSes and MOVEs that stand before them, if they need not wait for what is then under
    way, but for their own unit."""
    commands, notes = program.commands, program.notes
    states = [{}]  # what may be under way before each command
    for index in range(len(commands)):
        command, first = commands[index], index
        if command.opcode in (Opcode.LOAD, Opcode.CLEAR):
            while first and commands[first - 1].opcode in HARMLESS:
                first -= 1
            if required(states[first], command):
                first = index
        commands.insert(first, commands.pop(index))
        notes.insert(first, notes.pop(index))
        del states[first + 1:]
        for command in commands[first:index + 1]:
            states.append(under_way(states[-1], command, required(states[-1], command)))
