"""The proofs of ``tests/formal``: they hold, what they speak of can happen, and each finds the bugs planted for it."""

import pytest
from amaranth.hdl import Signal
from formal.proof import Proof, decide, small
from formal.prove import JOBS, OUT, cover, find, found, prove

from gradgate.hw.array import targets

#: Covers that a solver needs more than ten seconds for.
LONG_COVERS = ("list_builder",)


def cases(numbers):
    """A case for each job and number, those behind the first only in a full run."""
    return [pytest.param(name, number, marks=[pytest.mark.full] if number else [], id=f"{name} {number}")
            for name, job in JOBS.items() for number in range(numbers(job))]


@pytest.mark.parametrize("name, number", cases(lambda job: len(job.configs)))
def test_proof(name, number):
    """By induction, for each configuration."""
    result = prove(name, number)
    assert result.status == "PASS", result


@pytest.mark.parametrize("name", [pytest.param(name, marks=[pytest.mark.full] if name in LONG_COVERS else []) for name in JOBS])
def test_covers(name):
    """Assumptions leave room for what the proof is about."""
    result = cover(name)
    assert result.status == "PASS", result


@pytest.mark.parametrize("name, number", cases(lambda job: len(job.bugs + job.deep)))
def test_planted_bug(name, number):
    """Each is found, by a promise and not by a lemma."""
    result = find(name, number)
    assert found(name, number, result), result


class Hopeful(Proof):
    """Targets, of which something is said that does not hold, and something that cannot happen."""

    def __init__(self, check, cover):
        self.says = check, cover
        super().__init__(targets.Targets(small()))

    def properties(self, m):
        check, cover = self.says
        count = Signal(8)
        m.d.sync += count.eq(count + self.unit.append.en)
        self.check(check(count))
        self.cover(cover(count))


def test_a_wrong_promise_is_not_proved():
    """One that is wrong soon; one that is wrong later than the search; one that is right but not by induction."""
    place = OUT / "hopeful"
    assert decide(Hopeful(lambda n: n < 3, lambda n: n == 0), "prove", 5, place).status == "FAIL"
    assert decide(Hopeful(lambda n: n < 200, lambda n: n == 0), "prove", 5, place).status == "UNKNOWN"
    assert decide(Hopeful(lambda n: n < 256, lambda n: n == 0), "prove", 5, place).status == "PASS"


def test_what_cannot_happen_is_not_covered():
    """Within the cycles that are looked at."""
    place = OUT / "hopeful_cover"
    assert decide(Hopeful(lambda n: 1, lambda n: n == 3), "cover", 6, place).status == "PASS"
    result = decide(Hopeful(lambda n: 1, lambda n: n == 7), "cover", 6, place)
    assert result.status == "FAIL" and "test_formal.py" in result.failed[0]


def test_a_bug_must_be_a_change():
    """A planted bug whose place in the source is gone is an error, not a bug that is not found."""
    with pytest.raises(ValueError, match="0 times, not once"):
        JOBS["list_builder"].make(bug=("no such source", ""))
