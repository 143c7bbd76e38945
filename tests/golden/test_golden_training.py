"""Data sets and their order, and training on the digits: as good in fixed point as in float32."""

import numpy as np
import pytest

from gradgate.arch.formats import Formats
from gradgate.arch.network import Network
from gradgate.golden.floating import FloatModel
from gradgate.golden.model import GoldenModel
from gradgate.training.datasets import batches, digits, quantise

FORMATS = Formats()


def test_batches_are_a_permutation_without_the_remainder():
    order = [b.tolist() for b in batches(23, 5, np.random.default_rng(1))]
    seen = [i for b in order for i in b]
    assert [len(b) for b in order] == [5] * 4
    assert len(set(seen)) == 20 and set(seen) <= set(range(23))
    assert [b.tolist() for b in batches(23, 5, np.random.default_rng(1))] == order
    assert [b.tolist() for b in batches(23, 5, np.random.default_rng(2))] != order


def test_batches_follow_the_generator_from_epoch_to_epoch():
    """The order is numpy's permutation, cut; the second epoch is another one, and both follow from the seed."""
    rng, want = np.random.default_rng(9), np.random.default_rng(9)
    epochs = [np.concatenate(list(batches(10, 2, rng))) for _ in range(2)]
    assert [e.tolist() for e in epochs] == [want.permutation(10).tolist() for _ in range(2)]
    assert epochs[0].tolist() != epochs[1].tolist()


@pytest.mark.parametrize("batch", [0, 11, -1])
def test_batches_rejects_a_batch_that_never_fills(batch):
    with pytest.raises(ValueError, match="the batch must be 1 to 10 images"):
        batches(10, batch, np.random.default_rng(0))


def test_digits_is_a_seeded_split():
    data = digits(4)
    assert data.train_x.shape == (1437, 8, 8, 1) and data.test_x.shape == (360, 8, 8, 1)
    assert data.train_y.shape == (1437,) and data.test_y.shape == (360,)
    assert data.train_x.min() == 0 and data.train_x.max() == 1
    assert set(data.train_y.tolist()) == set(data.test_y.tolist()) == set(range(10))
    again, other = digits(4), digits(5)
    assert (again.train_x == data.train_x).all() and (again.test_y == data.test_y).all()
    assert (other.test_y != data.test_y).any()

    def images(part):
        return sorted(x.tobytes() for d in [part] for x in np.concatenate([d.train_x, d.test_x]))
    assert images(data) == images(other), "every split holds the same images"


def test_quantise_is_exact_for_the_digits():
    """Grey levels are sixteenths: 64 last places of Q5.10 each."""
    data = digits(0)
    assert (quantise(data.test_x, FORMATS) == data.test_x * 1024).all()
    narrow = Formats(act_bits=8, act_frac=5, weight_frac=5, grad_frac=5, master_bits=16, master_frac=13)
    assert quantise(np.array([0.5, 99.0]), narrow).tolist() == [16, 127]


def test_training_on_digits_is_as_good_as_float32():
    """Two epochs (178 steps) at batch 16 and rate 1/4, the same images in the same order from the same start."""
    data, network = digits(0), Network.load("digits")
    golden, floating = GoldenModel(network, FORMATS, 1), FloatModel(network, 1)
    train_x, test_x = quantise(data.train_x, FORMATS), quantise(data.test_x, FORMATS)
    losses, accuracies = [], []
    rng = np.random.default_rng(1)
    for _ in range(2):
        order = list(batches(1437, 16, rng))
        losses.append((golden.train(train_x, data.train_y, order, 2),
                       floating.train(data.train_x, data.train_y, order, 0.25)))
        accuracies.append((golden.accuracy(test_x, data.test_y), floating.accuracy(data.test_x, data.test_y)))
    assert min(accuracies[0]) > 0.8
    assert losses[0][0] == pytest.approx(losses[0][1], rel=0.05) and losses[1][0] < 0.3 * losses[0][0]
    assert abs(accuracies[1][0] - accuracies[1][1]) < 0.05 and accuracies[1][0] > 0.92


def test_no_sum_of_the_digits_overflows():
    """36 bits leave room: 20 steps from the start, where gradients are largest."""
    data, network = digits(1), Network.load("digits")
    model, x = GoldenModel(network, FORMATS, 1), quantise(data.train_x, FORMATS)
    for i in batches(320, 16, np.random.default_rng(0)):
        assert model.step(x[i], data.train_y[i], 2).overflow == 0
