"""The units under mutation: what their tests do to them, and what counts of what they answer."""

from dataclasses import dataclass

import test_lane
import test_lists
from formal.proof import small

from mutation.record import Recorder


#: Narrow words, so that a solver can tell what became of a survivor; odd sizes.
CONFIG = small(lanes=4, lists=3, targets=3, act_bricks=100, bank_words=32, psum_words=50)


@dataclass(frozen=True)
class Unit:
    """A unit: ``record()`` runs its tests and returns the :class:`Recorder`; ``threshold``: least share of killed mutants."""

    record: object
    threshold: float


def observe_builder(values, watched):
    """A list write counts when it is one, and what goes with an event in the event's cycle."""
    yield from ("i__ready", "e_en", "open", "claim", "target", "ended")
    if values["e_en"]:
        yield from ("e_list", "e_addr", "e_entry")
    if values["open"]:
        yield from ("e_list", "length", "psum", "void")
    if values["claim"]:
        yield from ("slot", "target_slot")
    if values["target"]:
        yield from ("target_slot", "item")


def list_builder() -> Recorder:
    """The builder's tests, with four lanes and two lists."""
    recorder, config = Recorder(lambda top: top.builder, observe_builder), CONFIG
    for seed in range(2):
        for stall in (0, 0.4):
            recorder.run(test_lists.test_random_lists, config, seed, stall)
    recorder.run(test_lists.test_every_kind_of_list, config)
    for bias in (0, 1):
        recorder.run(test_lists.test_full_list, config, bias)
    recorder.run(test_lists.test_cycle_model, config, 0)
    return recorder


def observe_lane(values, watched):
    """Whether it is done with a list, and of results those that the test looks at."""
    yield "fin"
    yield from watched


def lane() -> Recorder:
    """The lane's tests, with two lists."""
    recorder, config = Recorder(lambda top: top, observe_lane), CONFIG
    for stall in (0, 0.5):
        recorder.run(test_lane.test_turns, config, 0, stall)
        recorder.run(test_lane.test_accumulators_updated_again, config, 0, stall)
    recorder.run(test_lane.test_sums_wrap, config)
    recorder.run(test_lane.test_nothing_to_do, config)
    return recorder


UNITS = {
    "list_builder": Unit(list_builder, 0.95),
    "lane": Unit(lane, 0.95),
}
