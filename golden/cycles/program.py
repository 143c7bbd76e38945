"""The cycle model applied to a program and the tensors of one step."""

from gradgate.arch.commands import Opcode, length
from gradgate.golden.cycles.array import clear_cycles, post_cycles
from gradgate.golden.cycles.image import RowImage
from gradgate.golden.cycles.loss import loss_cycles
from gradgate.golden.cycles.move import move_cycles
from gradgate.golden.cycles.run import run_cost
from gradgate.golden.cycles.sequencer import command_cycles, fetch_cycles
from gradgate.golden.cycles.weights import load_cycles, run_at_least, update_cycles


def program_costs(config, program, tensors: dict, times=None) -> list:
    """Cycles of every command of ``program`` for a step with the golden ``tensors``, and multiplications of the RUNs: a list of
    (cycles, multiplications). A tensor counts as written from the command on that completes it. ``times``: see ``run_cost``."""
    image, flags = RowImage(config), None
    image.write(program.places["input"], tensors["input"])
    costs = []
    ahead = None  # the LOAD that goes on beside the RUN
    for command, note in zip(program.commands, program.notes):
        unit, macs = 0, 0
        match command.opcode:
            case Opcode.MOVE:
                unit = move_cycles(config, command.channels * command.pixels * command.images)
            case Opcode.LOAD:
                unit = load_cycles(command)
                ahead = command if command.ahead else None
            case Opcode.UPDATE:
                unit = update_cycles(config, command)
            case Opcode.CLEAR:
                unit = clear_cycles(command.words)
            case Opcode.POST:
                unit = post_cycles(command)
            case Opcode.LOSS:
                unit = loss_cycles(config, command.images, command.classes, command.grad)
            case Opcode.RUN:
                flags = image.flags if flags is None else flags
                cost = run_cost(config, command, flags, flags, times)
                unit, macs = cost.cycles, cost.macs
                if ahead:
                    unit = max(unit, run_at_least(ahead, fetch_cycles(length(command.opcode))))
                    ahead = None
        costs.append((command_cycles(command.opcode, unit), macs))
        for name in note.completes:
            if name in program.places:
                image.write(program.places[name], tensors[name])
                flags = None
    return costs
