"""What tests of whole cores share; most of it is what `gradgate soak` uses."""

from gradgate.arch.config import Config
from gradgate.sim.compare import Tally
from gradgate.sim.soak import ODD, SWITCHES, bench_of, legal_case, random_batch, random_network, train

__all__ = ["ODD", "SWITCHES", "TINY", "assert_exact", "bench_of", "legal_case", "random_batch", "random_network", "train"]

TINY = Config.load("tiny")


def assert_exact(tally: Tally, steps: int) -> None:
    """All words and all cycle counts agreed, in all steps."""
    assert tally.first is None and not tally.first_cycles, f"{tally.first}; {tally.first_cycles}"
    assert tally.exact and tally.steps == steps and tally.compared_words > 0
    assert tally.rtl_cycles == tally.model_cycles and tally.rtl_total == tally.model_total
