"""Cores in simulation for the tests: one simulator a configuration and process, random networks, training steps."""

import functools

import numpy as np

from gradgate.arch.checks import ConfigError
from gradgate.arch.config import Config
from gradgate.arch.network import Network
from gradgate.compiler.compile import compile_step
from gradgate.compiler.passes import SPARSE
from gradgate.golden.model import GoldenModel
from gradgate.host.driver import Driver
from gradgate.sim.compare import Bench, Tally
from gradgate.sim.simulator import Simulator

TINY = Config.load("tiny")
#: Odd arrays with small memories, so that small networks already need many tiles.
ODD = [
    Config(name="1x2", rows=1, lanes=2, lists=1, targets=5, act_bricks=2048, weight_bricks=2048, bank_words=128, psum_words=100,
           argmax_bricks=300),
    Config(name="3x4", rows=3, lanes=4, lists=3, targets=3, act_bricks=1000, weight_bricks=1500, bank_words=128, psum_words=64),
    Config(name="2x8", rows=2, lanes=8, lists=4, targets=16, act_bricks=700, weight_bricks=1024, bank_words=256, psum_words=50),
]


@functools.cache
def bench_of(config) -> Bench:
    """A bench on a simulated core; kept for the whole process, so that every test finds the state another left."""
    sim = Simulator(config)
    return Bench(config, sim, Driver(sim, config))


def random_network(rng, lanes) -> Network:
    """A small random network: one to three convolutions with what may follow them, and a dense layer."""
    height, width = (int(n) for n in rng.integers(3, 9, 2))
    layers = []
    for number in range(int(rng.integers(1, 4))):
        kernel, stride = int(rng.choice([1, 2, 3, 3, 5])), int(rng.choice([1, 1, 2]))
        out = int(rng.integers(1, 2 * lanes + 2))
        layers.append({"type": "conv", "name": f"c{number}", "out": out, "kernel": kernel, "padding": int(rng.integers(0, kernel)),
                       "stride": stride})
        if rng.random() < 0.8:
            layers.append({"type": "relu"})
            if rng.random() < 0.4:
                layers.append({"type": "maxpool"})
            elif rng.random() < 0.4:  # a residual: around one convolution, or with a convolution of its own on the way
                layers.append({"type": "conv", "name": f"r{number}", "out": out, "kernel": 3, "padding": 1})
                if rng.random() < 0.5:
                    layers.append({"type": "conv", "from": f"c{number}", "out": out, "kernel": 1})
                    layers.append({"type": "add", "from": f"r{number}"})
                else:
                    layers.append({"type": "add", "from": f"c{number}"})
                layers.append({"type": "relu"})
        if rng.random() < 0.3:
            layers.append({"type": "avgpool", "size": "global" if rng.random() < 0.3 else 2})
    layers.append({"type": "dense", "out": int(rng.integers(2, 14))})
    return Network.build("random", (height, width, int(rng.integers(1, lanes + 3))), layers)


def legal_case(config, rng, most_batch=8):
    """A random network and batch that fit ``config``, and its program."""
    for _ in range(200):
        batch = 1 << int(rng.integers(0, most_batch.bit_length()))
        try:
            network = random_network(rng, config.lanes)
            compile_step(network, config, batch=batch)
            return network, batch
        except ConfigError:
            continue
    raise AssertionError("no random network fits")


def random_batch(rng, network, batch, kind="sparse"):
    """Images and labels; ``kind``: sparse, zero, saturated, negative."""
    shape = (batch, network.height, network.width, network.channels)
    x = {"sparse": lambda: np.where(rng.random(shape) < 0.5, rng.integers(0, 2000, shape), 0),
         "zero": lambda: np.zeros(shape, np.int64),
         "saturated": lambda: rng.choice([32767, -32768], shape),
         "negative": lambda: -rng.integers(1, 2000, shape)}[kind]()
    return x.astype(np.int64), rng.integers(0, network.classes, batch)


def train(bench, network, batches, *, lr_shift=2, switches=(SPARSE,), seed=0, golden=None) -> Tally:
    """Train on ``batches`` = [(x, labels)], compared at every step; a fresh tally is returned."""
    golden = golden or GoldenModel(network, bench.config.formats, seed)
    bench.tally = Tally()
    programs = {}
    for number, (x, labels) in enumerate(batches):
        key = len(x), number % len(switches)
        if key not in programs:
            programs[key] = compile_step(network, bench.config, batch=len(x), lr_shift=lr_shift, switches=switches[key[1]])
        if not number:
            bench.write_weights(programs[key], network, golden.masters)
        bench.step(programs[key], network, x, labels, golden.step(x, labels, lr_shift))
        if not bench.tally.exact:
            break
    return bench.tally


def assert_exact(tally: Tally, steps: int) -> None:
    """All words and all cycle counts agreed, in all steps."""
    assert tally.first is None and not tally.first_cycles, f"{tally.first}; {tally.first_cycles}"
    assert tally.exact and tally.steps == steps and tally.compared_words > 0
    assert tally.rtl_cycles == tally.model_cycles
