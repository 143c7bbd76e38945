"""Random networks on simulated cores of odd shapes, compared with the golden models."""

import functools
import itertools
from dataclasses import dataclass, field

import numpy as np

from gradgate.arch.checks import ConfigError
from gradgate.arch.commands import Opcode
from gradgate.arch.config import Config
from gradgate.arch.network import Network
from gradgate.compiler.compile import compile_step
from gradgate.compiler.context import DENSE, SPARSE, Switches
from gradgate.compiler.weight_gradient import can_swap
from gradgate.golden.model import GoldenModel
from gradgate.host.driver import Driver
from gradgate.sim.compare import Bench, Tally
from gradgate.sim.simulator import Simulator

SWITCHES = (SPARSE, DENSE, Switches(input_skip=False), Switches(output_skip=False, overlap=False))
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


def swapped(network, config) -> tuple:
    """Further switch settings: the weight-gradient roles of all blocks that can be are swapped."""
    names = frozenset(block.name for block in network.weighted if can_swap(config, block))
    every = Switches(swapped=names), Switches(swapped=names, input_skip=False), Switches(swapped=names, tap_spread=False)
    return every if names else ()


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
            layers.append({"type": "depthwise", "kernel": kernel, "padding": kernel // 2, "stride": int(rng.choice([1, 2]))})
            layers += [{"type": "relu"}] if rng.random() < 0.5 else []
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


def train(bench, network, batches, *, lr_shift=2, switches=(SPARSE,), momentum=(0,), seed=0, golden=None) -> Tally:
    """Train on ``batches`` = [(x, labels)], compared at every step; a fresh tally is returned.

    ``switches`` and ``momentum`` are taken in turn, one a step.
    """
    golden = golden or GoldenModel(network, bench.config.formats, seed)
    bench.tally = Tally()
    programs = {}
    for number, (x, labels) in enumerate(batches):
        key = len(x), number % len(switches), momentum[number % len(momentum)]
        if key not in programs:
            programs[key] = compile_step(network, bench.config, batch=len(x), lr_shift=lr_shift, switches=switches[key[1]],
                                         momentum=key[2])
        if not number:
            bench.write_weights(programs[key], network, golden.masters)
            bench.write_velocities(programs[key], network, golden.velocities)
        bench.step(programs[key], network, x, labels, golden.step(x, labels, lr_shift, momentum=key[2]))
        if not bench.tally.exact:
            break
    return bench.tally


@dataclass
class Soak:
    """What a run over random networks found. ``failures``: a line each, with what is needed to repeat it."""

    networks: int = 0
    steps: int = 0
    compared_words: int = 0
    commands: int = 0
    cycles: int = 0
    kinds: dict = field(default_factory=dict)  #: how many networks had what
    failures: list = field(default_factory=list)

    def count(self, network, program) -> None:
        """Note what a network and its program exercise."""
        notes, commands = program.notes, program.commands
        beside = {(one.opcode, other.opcode) for one, other in zip(commands, commands[1:]) if one.opcode not in other.waits}
        has = {
            "residual": any(b.add for b in network.blocks), "average": any(not b.weighted for b in network.blocks),
            "depthwise": any(b.kind == "depthwise" for b in network.blocks),
            "maxpool": any(b.pool for b in network.blocks), "stride 2": any(b.stride == 2 and b.weighted for b in network.blocks),
            "swapped weight-gradient": any(c.opcode == Opcode.RUN and c.swap for c in commands),
            "LOAD beside a RUN": (Opcode.RUN, Opcode.LOAD) in beside, "CLEAR beside a RUN": (Opcode.RUN, Opcode.CLEAR) in beside,
            "POST beside an UPDATE": (Opcode.UPDATE, Opcode.POST) in beside,
            "5x5 kernel": any(b.kh == 5 for b in network.blocks), "1x1 kernel": any(b.kh == b.kw == 1 for b in network.blocks),
            "several K tiles": any(n.tile.startswith("k") and not n.tile.startswith("k0") for n in notes),
            "several N tiles": any(" n" in n.tile and " n0" not in n.tile for n in notes),
            "several M tiles": any(" s" in n.tile and (" s0" not in n.tile or " y0" not in n.tile) for n in notes),
        }
        for name, present in has.items():
            self.kinds[name] = self.kinds.get(name, 0) + present


def soak(networks: int, seed: int, configs=None, progress=lambda done: None) -> Soak:
    """Train ``networks`` random networks a few steps each, in all switch settings, on the cores of ``configs`` in turn.

    A core is neither reset nor rebuilt between networks. Nothing stops at a failure.
    """
    result = Soak()
    for number, config in zip(range(networks), itertools.cycle(configs or ODD)):
        rng = np.random.default_rng([seed, number])
        network, batch = legal_case(config, rng)
        kinds = ["sparse", "sparse", "sparse", str(rng.choice(["zero", "saturated", "negative", "sparse"]))]
        batches = [random_batch(rng, network, batch, kind) for kind in kinds]
        switches = SWITCHES + swapped(network, config)
        batches += batches[:len(switches) - len(batches)]
        tally = train(bench_of(config), network, batches, switches=switches, seed=number)
        result.networks += 1
        result.steps += tally.steps
        result.compared_words += tally.compared_words
        result.commands += tally.steps * len(bench_of(config)._program.commands)
        result.cycles += tally.rtl_total
        result.count(network, bench_of(config)._program)
        if not tally.exact:
            result.failures.append(f"seed {seed}, network {number} on {config.name}: {tally.first}; {tally.first_cycles}")
        progress(number + 1)
    return result
