"""Many random networks in one run."""

import pytest

from gradgate.sim.soak import ODD, soak


@pytest.mark.full
def test_three_hundred_random_networks():
    """No difference in words or cycles, nothing hangs, and every kind of layer and tiling occurred."""
    result = soak(300, seed=1)
    assert not result.failures
    assert result.networks == 300 and 4 * 300 < result.steps <= 7 * 300
    assert min(result.kinds.values()) >= 10, result.kinds


def test_a_few_random_networks():
    result = soak(3 * len(ODD), seed=2)
    assert not result.failures and 4 * 3 * len(ODD) < result.steps <= 7 * 3 * len(ODD)
