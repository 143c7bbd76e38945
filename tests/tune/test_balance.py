"""Channel balancing: the snake, and that nothing shows in results."""

import dataclasses

import numpy as np
import pytest

from gradgate.arch.config import Config
from gradgate.arch.network import Network
from gradgate.golden.model import GoldenModel
from gradgate.sim.soak import ODD, bench_of, legal_case, random_batch, train
from gradgate.training.datasets import digits
from gradgate.training.run import Trainer
from gradgate.training.schedule import Schedule
from gradgate.tune.balance import channel_orders, dealt, inverse, reorder

FORMATS = Config.load("tiny").formats


def test_dealt():
    """By hand: seven channels on three lanes."""
    density = [0.1, 0.9, 0.5, 0.3, 0.8, 0.2, 0.7]
    assert dealt(density, 3).tolist() == [1, 4, 6, 5, 3, 2, 0]


def test_dense_and_sparse_bricks_take_turns():
    """By hand: nine bricks of two lanes, densest channel first."""
    order = dealt(np.linspace(1, 0, 18), 2)
    assert order.tolist() == [0, 1, 3, 2, 12, 13, 15, 14, 4, 5, 7, 6, 8, 9, 11, 10, 16, 17]


@pytest.mark.parametrize("channels, lanes", [(64, 8), (32, 4), (48, 16)])
def test_dealing_balances(channels, lanes):
    """The lane with most is nearer to the mean than without; with an even number of bricks it is within a tenth."""
    density = np.random.default_rng(channels).random(channels) ** 2
    order = dealt(density, lanes)
    assert sorted(order) == list(range(channels))
    before, after = (d.reshape(-1, lanes).sum(axis=0).max() / (density.sum() / lanes) for d in (density, density[order]))
    assert after < before and (after < 1.1 or channels // lanes % 2)


@pytest.mark.parametrize("number", range(12))
def test_results_do_not_change(number):
    """A random network trained in two halves, channels reordered between them, and trained in one: the same, word for word.

    Images, batches and rates are the same; masters, velocities, correct predictions, overflows and the logits are compared.
    """
    rng = np.random.default_rng([5, number])
    config = ODD[number % len(ODD)]
    network, batch = legal_case(config, rng)
    batches = [random_batch(rng, network, batch, kind) for kind in ("sparse", "saturated", "sparse", "sparse")]
    plain, moved = GoldenModel(network, FORMATS, number), GoldenModel(network, FORMATS, number)
    orders = last = None
    for half, (x, labels) in enumerate(batches):
        if half == 2:
            orders = channel_orders(network, config.lanes, last.tensors)
            moved.set_masters(reorder(network, moved.masters, orders))
            moved.set_velocities(reorder(network, moved.velocities, orders))
        last, other = (model.step(x, labels, 3, momentum=2) for model in (plain, moved))
        assert (last.correct, last.overflow) == (other.correct, other.overflow)
        logits = f"{network.blocks[-1].name}.out"
        assert np.array_equal(last.tensors[logits], other.tensors[logits])
        for block in network.blocks:
            order = orders[block.name] if orders else slice(None)
            assert np.array_equal(last.tensors[f"{block.name}.out"][..., order], other.tensors[f"{block.name}.out"])
    assert any((order != np.arange(len(order))).any() for order in orders.values()) or len(network.blocks) < 3
    back = inverse(orders)
    for mine, theirs in ((plain.masters, moved.masters), (plain.velocities, moved.velocities)):
        assert all(np.array_equal(a, b) for a, b in zip(mine, reorder(network, theirs, back)))


def test_on_a_core():
    """A reordered network on a simulated core: no difference to its golden model."""
    rng, config = np.random.default_rng(3), ODD[2]
    network = Network.build("balanced", (6, 5, 3), [
        {"type": "conv", "name": "a", "out": 12, "kernel": 3, "padding": 1}, {"type": "relu"},
        {"type": "depthwise", "kernel": 3, "padding": 1}, {"type": "relu"},
        {"type": "conv", "name": "b", "out": 12, "kernel": 1}, {"type": "add", "from": "a"}, {"type": "relu"},
        {"type": "dense", "out": 4}])
    golden = GoldenModel(network, config.formats, 1)
    first = golden.step(*random_batch(rng, network, 4), 3)
    orders = channel_orders(network, config.lanes, first.tensors)
    assert np.array_equal(orders["a"], orders["b"]) and (orders["a"] != np.arange(12)).any()
    assert (orders[network.blocks[-1].name] == np.arange(4)).all()
    golden.set_masters(reorder(network, golden.masters, orders))
    tally = train(bench_of(config), network, [random_batch(rng, network, 4)] * 2, golden=golden)
    assert tally.exact and tally.steps == 2, (tally.first, tally.first_cycles)


def test_a_balanced_run():
    """Training with channels dealt anew between epochs: the same losses and accuracies, other orders of channels."""
    data = digits(0)
    data = dataclasses.replace(data, train_x=data.train_x[:64], train_y=data.train_y[:64])
    runs = []
    for balance in (False, True):
        schedule = Schedule(network=Network.load("digits"), config=Config.load("small"), batch=16, lr_shifts=(2, 2, 3), backend="golden",
                            balance=balance)
        trainer = Trainer(schedule, data)
        runs.append((trainer.run(), trainer.golden.masters))
    (plain, masters), (balanced, moved) = runs
    assert plain.losses == balanced.losses and plain.accuracy == balanced.accuracy
    assert any((a != b).any() for a, b in zip(masters, moved))
    assert all(sorted(a.ravel()) == sorted(b.ravel()) for a, b in zip(masters, moved))
