"""Loading ahead: weights of a tile are loaded while the tile before is computed.

A bank has one read and one write port, and a RUN of RED turns only reads. So the LOAD of the next RUN can go on meanwhile, if the
weights of both have room in the banks. Two weights share a word, so the parts begin at even addresses.
"""

from gradgate.arch.commands import Command, Opcode

#: What may lie between the two RUNs: these leave banks and weight memory alone.
HARMLESS = (Opcode.POST, Opcode.LOSS, Opcode.MOVE)


def load_ahead(config, program) -> None:
    """Move LOADs of ``program`` in front of the RUN before, where that is possible, and the weights in the banks with them.

    Only LOADs that are alone between two RUNs move, so each RUN has one at its side at most.
    """
    commands, notes = program.commands, program.notes
    base = size = 0  # weights in use: where they lie
    last_run = None  # the RUN before, if nothing but what is harmless came behind it
    loads = []  # since then
    for i in range(len(commands)):
        command = commands[i]
        if command.opcode == Opcode.LOAD:
            loads.append(i)
        elif command.opcode == Opcode.RUN and not command.outer:
            room = None
            if len(loads) == 1 and last_run is not None:
                room = _room(config, base, size, _bricks(commands[loads[0]]))
            if loads:
                size = sum(_bricks(commands[n]) for n in loads)
                base = room or 0
            if base:
                commands[i] = _with(command, bank_addr=command.bank_addr + base)
            if room is not None:
                load, note = commands.pop(loads[0]), notes.pop(loads[0])
                commands.insert(last_run, _with(load, bank_addr=load.bank_addr + base))
                notes.insert(last_run, note)
            last_run, loads = i, []
        elif command.opcode not in HARMLESS:
            base = size = 0
            last_run, loads = None, []


def _bricks(load) -> int:
    return load.t_count * load.inner_count * load.outer_count


def _room(config, base, size, wanted) -> int | None:
    """Where ``wanted`` weights have room beside those at ``base``."""
    if wanted <= base:
        return 0
    end = base + size + (base + size) % 2
    return end if end + wanted <= config.bank_weights else None


def _with(command, **fields) -> Command:
    """The command with some fields changed."""
    return Command(command.opcode, command.fields | fields)
