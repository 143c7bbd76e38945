"""Cores whose banks and lists are deeper than 512 words."""

import numpy as np
import pytest

from gradgate.arch.config import Config
from gradgate.arch.network import Network
from gradgate.sim.soak import SWITCHES, bench_of, random_batch, train


@pytest.mark.parametrize("words", [1024, 2048])
def test_lists_of_more_than_512_entries(words):
    """One tile whose list takes (nearly) the whole bank: words and cycles as in the models, skipping on and off."""
    config = Config(name=f"deep {words}", rows=1, lanes=2, lists=2, act_bricks=8192, weight_bricks=8192, bank_words=words, psum_words=64,
                    program_words=16384)
    channels = words // 9 - 1
    network = Network.build("deep", (3, 3, 2), [
        {"type": "conv", "name": "wide", "out": channels, "kernel": 1}, {"type": "relu"},
        {"type": "conv", "name": "deep", "out": 3, "kernel": 3, "padding": 1}, {"type": "relu"}, {"type": "dense", "out": 2}])
    rng = np.random.default_rng(words)
    tally = train(bench_of(config), network, [random_batch(rng, network, 2) for _ in SWITCHES], switches=SWITCHES)
    assert tally.exact, (tally.first, tally.first_cycles)
    program = bench_of(config)._program
    longest = [c.kh * c.kw * ((c.l_bricks - 1) * config.lanes + c.l_tail) + c.bias
               for c, note in zip(program.commands, program.notes) if note.phase in ("FW", "WG") and note.block == "deep"]
    assert max(longest) > words - 20
