"""Which role of the weight-gradient pass is the cheaper one, block by block."""

from dataclasses import replace

from gradgate.compiler.compile import compile_step
from gradgate.compiler.context import SPARSE, Switches
from gradgate.compiler.weight_gradient import can_swap
from gradgate.sim.costs import program_costs


def cheaper_roles(network, config, batch: int, tensors: dict, switches: Switches = SPARSE) -> Switches:
    """``switches`` with ``swapped`` such that a step with the zeros of the golden ``tensors`` takes the fewest cycles.

    Roles of blocks do not depend on each other, so two programs are enough to compare all. Not for momentum, which needs plain roles.
    """
    names = frozenset(block.name for block in network.weighted if can_swap(config, block))
    cost = []
    for swapped in (frozenset(), names):
        program = compile_step(network, config, batch=batch, switches=replace(switches, swapped=swapped))
        cycles = dict.fromkeys(names, 0)
        for note, (spent, _) in zip(program.notes, program_costs(config, program, tensors)):
            if note.block in names:
                cycles[note.block] += spent
        cost.append(cycles)
    return replace(switches, swapped=frozenset(name for name in names if cost[1][name] < cost[0][name]))
