"""The cycle model applied to a program and the tensors of one step."""

from dataclasses import dataclass

from gradgate.arch.commands import Opcode
from gradgate.arch.units import complete
from gradgate.golden.cycles.array import clear_cycles, post_cycles
from gradgate.golden.cycles.image import RowImage
from gradgate.golden.cycles.loss import loss_cycles
from gradgate.golden.cycles.move import move_cycles
from gradgate.golden.cycles.run import run_cost
from gradgate.golden.cycles.timeline import timeline
from gradgate.golden.cycles.weights import load_cycles, update_cycles


@dataclass(frozen=True)
class Cost:
    """cycles: of a command's unit, ``start`` to ``done``; macs: multiplications."""

    cycles: int
    macs: int = 0


class _Memory:
    """What formulas may know of the row memories: ``flags``, true where a word is not zero; ``times``: see ``run_cost``."""

    def __init__(self, config, times):
        self.config, self.times = config, times
        self._image, self._flags = RowImage(config), None

    def write(self, place, tensor):
        self._image.write(place, tensor)
        self._flags = None

    @property
    def flags(self):
        if self._flags is None:
            self._flags = self._image.flags
        return self._flags


def _run(config, command, memory):
    cost = run_cost(config, command, memory.flags, memory.flags, memory.times)
    return Cost(cost.cycles, cost.macs)


#: What a command costs its unit, by opcode: from the configuration, the command, and what lies in the row memories.
COSTS = {
    Opcode.MOVE: lambda config, move, _: Cost(move_cycles(config, move.channels * move.pixels * move.images)),
    Opcode.LOAD: lambda config, load, _: Cost(load_cycles(load)),
    Opcode.CLEAR: lambda config, clear, _: Cost(clear_cycles(clear.words)),
    Opcode.RUN: _run,
    Opcode.POST: lambda config, post, _: Cost(post_cycles(post)),
    Opcode.LOSS: lambda config, loss, _: Cost(loss_cycles(config, loss.images, loss.classes, loss.grad)),
    Opcode.UPDATE: lambda config, update, _: Cost(update_cycles(config, update)),
}
complete("COSTS", COSTS)


def program_costs(config, program, tensors: dict, times=None) -> list:
    """What the unit of every command of ``program`` costs in a step with the golden ``tensors``: a list of :class:`Cost`, that of END 0.

    A tensor counts as written from the command on that completes it. ``times``: see ``run_cost``.
    """
    memory = _Memory(config, times)
    memory.write(program.places["input"], tensors["input"])
    costs = []
    for command, note in zip(program.commands, program.notes):
        costs.append(COSTS[command.opcode](config, command, memory) if command.opcode != Opcode.END else Cost(0))
        for name in note.completes:
            if name in program.places:
                memory.write(program.places[name], tensors[name])
    return costs


def program_times(program, costs, stops=()) -> list:
    """:func:`timeline` of ``program`` with the ``costs`` of its commands."""
    return timeline(program.commands, [cost.cycles for cost in costs], stops)
