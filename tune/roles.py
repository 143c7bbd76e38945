"""Which role of the weight-gradient pass is the cheaper one, block by block."""

from dataclasses import replace

from gradgate.arch.checks import ConfigError
from gradgate.compiler.compile import compile_step
from gradgate.compiler.context import SPARSE, Switches
from gradgate.compiler.weight_gradient import can_swap
from gradgate.golden.cycles.program import program_costs, program_times
from gradgate.golden.cycles.timeline import advances


def cheaper_roles(network, config, batch: int, tensors: dict, switches: Switches = SPARSE) -> Switches:
    """``switches`` with ``swapped`` such that a step with the zeros of the golden ``tensors`` takes the fewest cycles.

    Roles of blocks hardly depend on each other, so two programs are enough to compare all. Where the program with swapped roles
    has no room in its memory, roles stay plain. Not for momentum, which needs plain roles.
    """
    plain = replace(switches, swapped=frozenset())
    names = frozenset(block.name for block in network.weighted if can_swap(config, block))

    def cycles(choice):
        program = compile_step(network, config, batch=batch, switches=choice)
        spent = dict.fromkeys(names, 0)
        times = program_times(program, program_costs(config, program, tensors))
        for note, added in zip(program.notes, advances(times)):
            if note.block in names:
                spent[note.block] += added
        return spent

    try:
        before, after = cycles(plain), cycles(replace(switches, swapped=names))
        best = replace(switches, swapped=frozenset(name for name in names if after[name] < before[name]))
        compile_step(network, config, batch=batch, switches=best)
    except ConfigError:
        return plain
    return best
