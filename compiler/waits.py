"""For which units a command waits: those whose commands it would meet at a memory port or at words of the banks.

The table of units says which ports a command uses. A port leads to all words of its memory, so that commands which share none leave
each other's words alone; but the banks have a port to read and one to write, and the words at which two commands may meet through
these are compared here. They are counted in accumulators; two weights lie in each.
"""

from dataclasses import replace

from gradgate.arch.commands import WITH_UNIT, Opcode
from gradgate.arch.units import Port, conflict, ports

BANKS = frozenset((Port.BANK_READ, Port.BANK_WRITE))


def bricks(command) -> int:
    """Bricks of a LOAD or UPDATE."""
    return command.t_count * command.inner_count * command.outer_count


def weight_words(first: int, count: int) -> range:
    """Words of a bank in which ``count`` weights from number ``first`` on lie."""
    return range(first // 2, -(-(first + count) // 2))


def _run_words(run):
    """Words with the weights of RED turns. OUT turns share a port with every other user of the banks."""
    window = (run.kh - 1) * run.k_row + (run.kw - 1) * run.k_tap + (run.l_bricks - 1) * run.k_brick + run.l_tail * run.t_count
    return weight_words(run.bank_addr, max(window, (run.k_bias if run.bias else 0) + run.t_count))


#: Words of a bank that a command uses, by opcode; a command that uses the banks and has no entry uses all.
WORDS = {
    Opcode.LOAD: lambda load: weight_words(load.bank_addr, bricks(load)),
    Opcode.CLEAR: lambda clear: range(clear.words),
    Opcode.RUN: _run_words,
    Opcode.UPDATE: lambda update: range(update.bank_addr, update.bank_addr + bricks(update)),
}


def _meet(one, other) -> bool:
    """Whether one of two commands writes words of the banks that the other uses."""
    used = ports(one) & BANKS, ports(other) & BANKS
    if not all(used) or Port.BANK_WRITE not in used[0] | used[1]:
        return False
    spans = [WORDS[command.opcode](command) for command in (one, other) if command.opcode in WORDS]
    return len(spans) < 2 or max(span.start for span in spans) < min(span.stop for span in spans)


def in_the_way(command, other) -> bool:
    """Whether ``command`` must not be under way together with ``other``."""
    return conflict(command, other) or _meet(command, other)


def under_way(before: dict, command, waits) -> dict:
    """What may be under way, ``{opcode: command}``, once ``command`` is issued that waits for the units ``waits``."""
    return {opcode: other for opcode, other in before.items() if opcode not in waits and opcode != command.opcode} | {
        command.opcode: command}


def required(before: dict, command) -> frozenset:
    """Units for which ``command`` must wait, beside its own, when the last command of each is in ``before``."""
    return frozenset(opcode for opcode, other in before.items() if opcode != command.opcode and in_the_way(command, other))


def add_waits(program, overlap: bool = True) -> None:
    """Make every command of ``program`` wait for the units whose last command before it is in its way; without ``overlap`` for all."""
    last = {}
    for index, command in enumerate(program.commands):
        if command.opcode != Opcode.END:
            waits = required(last, command) if overlap else WITH_UNIT
            last[command.opcode] = program.commands[index] = replace(command, waits=waits)


def check_waits(commands) -> None:
    """Raises :class:`ValueError` where a command does not wait for one in its way that may be under way: the compiler is wrong."""
    running = {}
    for index, command in enumerate(commands):
        running = under_way(running, command, command.waits)
        for other in running.values():
            if other is not command and in_the_way(command, other):
                raise ValueError(f"command {index} ({command.opcode.name}) must wait for {other.opcode.name}, which is in its way, and "
                                 f"waits only for {', '.join(op.name for op in sorted(command.waits)) or 'none'}")
