"""Cycles of the other commands of the array."""

from gradgate.arch.commands import POST_LEVELS

POST_LATENCY = 11  #: cycles of POST beyond its beats


def post_cycles(command) -> int:
    """Cycles of a POST command, ``start`` to ``done``: one for each beat of its loops, and the pipeline.

    Two for each beat where a mask and another word come from row memory.
    """
    beats = 2 if command.mask and (command.add or command.rows) else 1
    for level in POST_LEVELS:
        beats *= command.fields[f"{level}_count"]
    return beats + POST_LATENCY


def clear_cycles(words: int) -> int:
    """Cycles of a CLEAR command: one for each of the ``words`` accumulators of a lane, and one to start."""
    return words + 1
