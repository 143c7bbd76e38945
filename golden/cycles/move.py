"""What a MOVE command costs."""

from gradgate.arch import latency

DRAIN = latency.PORT + 1  #: cycles from a word's row address to its cycle on the staging memory's write port


def move_cycles(config, words: int) -> int:
    """Cycles from the unit's start to its done, both included; ``words`` = channels * pixels * images, either way."""
    return 1 + words + DRAIN
