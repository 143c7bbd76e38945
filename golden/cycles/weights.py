"""Cycles of LOAD and UPDATE."""

LOAD_LATENCY = 10  #: cycles of LOAD beyond one for each brick: walk, request, weight memory, rotator, rounding
UPDATE_LATENCY = 5  #: the same for UPDATE, beyond the longer of its two pipelines
MASTER = 8  #: pipeline of the master weight: request, address, memory, rotator
GRADIENT = 7  #: pipeline of the gradient: row, rounding, shift; and one for each level of the adder tree over the rows
MOMENTUM = 1  #: with momentum in the core, one more in that pipeline, whether a command uses it or not


def _bricks(command) -> int:
    return command.t_count * command.inner_count * command.outer_count


def load_cycles(command) -> int:
    """Cycles of a LOAD command, ``start`` to ``done``."""
    return _bricks(command) + LOAD_LATENCY


def update_latency(config) -> int:
    """Cycles of an UPDATE command beyond one for each brick: the pipeline."""
    gradient = GRADIENT + (config.rows - 1).bit_length() + (MOMENTUM if config.momentum else 0)
    return UPDATE_LATENCY + max(MASTER, gradient)


def update_cycles(config, command) -> int:
    """Cycles of an UPDATE command, ``start`` to ``done``."""
    return _bricks(command) + update_latency(config)
