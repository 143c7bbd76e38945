"""The roles of weight-gradient passes: what they cost, who chooses, what is refused."""

import numpy as np
import pytest

from gradgate.arch.checks import ConfigError
from gradgate.arch.config import Config
from gradgate.arch.network import Network
from gradgate.compiler.compile import compile_step
from gradgate.compiler.context import Switches
from gradgate.compiler.weight_gradient import can_swap, swapped_tiles
from gradgate.golden.cycles.program import program_costs, program_times
from gradgate.golden.model import GoldenModel
from gradgate.tune.roles import cheaper_roles

TINY = Config.load("tiny")
LAYERS = [
    {"type": "conv", "name": "dense_gradient", "out": 6, "kernel": 3, "padding": 1},
    {"type": "conv", "name": "pooled", "out": 5, "kernel": 3, "padding": 1}, {"type": "relu"}, {"type": "maxpool"},
    {"type": "dense", "name": "last", "out": 3},
]


@pytest.fixture(scope="module")
def case():
    """A network one of whose gradients is sparse, and a step of it."""
    network, rng = Network.build("roles", (6, 6, 2), LAYERS), np.random.default_rng(1)
    x = rng.integers(1, 2000, (4, 6, 6, 2)) * (rng.random((4, 6, 6, 2)) < 0.1)
    step = GoldenModel(network, TINY.formats, 0).step(x, rng.integers(0, 3, 4), 4)
    return network, step.tensors


def test_the_cheapest_is_chosen(case):
    """No other choice takes fewer cycles; lists of the sparse gradient do, and lists of the other, whose images are sparse, do not."""
    network, tensors = case
    config = TINY.replace(targets=32)

    def cycles(names):
        program = compile_step(network, config, batch=4, switches=Switches(swapped=frozenset(names)))
        return program_times(program, program_costs(config, program, tensors))[-1].end

    able = [b.name for b in network.weighted if can_swap(config, b)]
    every = [[name for i, name in enumerate(able) if bits >> i & 1] for bits in range(1 << len(able))]
    best = cheaper_roles(network, config, 4, tensors).swapped
    assert "pooled" in best and set(able) >= {"pooled", "dense_gradient"} > best
    assert cycles(best) == min(cycles(names) for names in every) < cycles([])


def test_a_program_without_room_stays_plain(case):
    """Swapped roles take more commands here."""
    network, tensors = case
    config = TINY.replace(targets=32)
    words = len(compile_step(network, config, batch=4).words())
    assert cheaper_roles(network, config, 4, tensors).swapped
    assert not cheaper_roles(network, config.replace(program_words=words), 4, tensors).swapped


def test_other_switches_stay(case):
    """Only the roles are chosen."""
    network, tensors = case
    chosen = cheaper_roles(network, TINY, 4, tensors, Switches(output_skip=False, tap_spread=False))
    assert not chosen.output_skip and not chosen.tap_spread and chosen.input_skip


@pytest.mark.parametrize("targets, most", [(1, None), (9, None), (10, 1), (18, 1), (19, 2)])
def test_tiles_fit(case, targets, most):
    """Input bricks of a tile of a 3x3 kernel: 9 targets each, and one for the bias."""
    block, config = case[0].weighted[1], TINY.replace(targets=targets)
    assert can_swap(config, block) == (most is not None)
    if most is None:
        with pytest.raises(ConfigError, match=rf"10 targets \(targets\).*has {targets} and 512"):
            swapped_tiles(config, block)
    else:
        inputs, _ = swapped_tiles(config, block)
        assert max(span.count for span in inputs) == most and sum(span.count for span in inputs) == 2


def test_what_cannot_be_swapped_is_told(case):
    """Names that are none; momentum."""
    with pytest.raises(ConfigError, match="swapped must name convolutions or dense layers of the network, not 'none'"):
        compile_step(case[0], TINY, batch=4, switches=Switches(swapped=frozenset(["none"])))
    with pytest.raises(ConfigError, match="pooled weight-gradient: momentum must be 0 where the roles are swapped, not 3"):
        compile_step(case[0], TINY.replace(momentum=True), batch=4, momentum=3, switches=Switches(swapped=frozenset(["pooled"])))
