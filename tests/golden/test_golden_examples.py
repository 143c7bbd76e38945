"""The value model's examples of docs/examples.md."""

import numpy as np
from support.examples import core, grids, table

from gradgate.golden import fixed, layers
from gradgate.golden.loss import LOG2E, LOG2E_FRAC, softmax_cross_entropy

CONFIG = core()
FORMATS = CONFIG.formats


def image(rows):
    """A grid as one image with one channel."""
    return np.array(rows)[None, :, :, None]


def plane(tensor):
    """The grid of one image with one channel."""
    return tensor[0, :, :, 0].tolist()


def test_rounding():
    for row in table("Rounding", "sum", "rounded", "word"):
        assert fixed.requantise(row["sum"], FORMATS.weight_frac, FORMATS.acc_bits) == row["rounded"], row
        assert fixed.requantise(row["sum"], FORMATS.weight_frac, FORMATS.act_bits) == row["word"], row


def test_weight_update():
    for row in table("Weight update", "gradient", "shift", "step", "master", "new master"):
        assert -fixed.update(0, row["gradient"], row["shift"], FORMATS.master_bits) == row["step"], row
        assert fixed.update(row["master"], row["gradient"], row["shift"], FORMATS.master_bits) == row["new master"], row


def test_momentum():
    for row in table("Weight update", "gradient", "shift", "step", "velocity", "decay", "kept", "new velocity", "master", "new master"):
        assert fixed.decayed(row["velocity"], row["decay"]) == row["kept"], row
        assert -fixed.update(0, row["gradient"], row["shift"], FORMATS.master_bits) == row["step"], row
        found = fixed.update_momentum(row["master"], row["velocity"], row["gradient"], row["shift"], row["decay"], FORMATS.master_bits)
        assert found == (row["new master"], row["new velocity"]), row


def test_convolution():
    shown = grids("Convolution", "image", "kernel", "bias", "sums", "words", "gradient", "to the image", "to the kernel", "to the bias")
    x, kernel, gradient = image(shown["image"]), image(shown["kernel"]), image(shown["gradient"])
    sums = layers.forward(x, kernel, np.array(shown["bias"][0]), 1, 0, FORMATS)
    assert plane(sums) == shown["sums"]
    assert plane(fixed.requantise(sums, FORMATS.weight_frac, FORMATS.act_bits)) == shown["words"]
    assert plane(layers.backward_data(gradient, kernel, 3, 3, 1, 0, FORMATS)) == shown["to the image"]
    weights, bias = layers.weight_gradient(x, gradient, 2, 2, 1, 0, FORMATS)
    assert plane(weights) == shown["to the kernel"] and [bias.tolist()] == shown["to the bias"]


def test_pooling():
    shown = grids("Pooling", "words", "pooled", "place", "pooled gradient", "gradient")
    pooled, place = layers.pool(image(shown["words"]))
    assert plane(pooled) == shown["pooled"] and plane(place) == shown["place"]
    assert plane(layers.expand(image(shown["pooled gradient"]), place, 2, 4)) == shown["gradient"]


def test_softmax_loss():
    rows = table("Softmax loss", "image", "class", "logit", "d", "t", "n", "f", "e", "p", "dz")
    images = table("Softmax loss", "image", "label", "predicted")
    logits = np.array([row["logit"] for row in rows]).reshape(len(images), -1)
    loss = softmax_cross_entropy(logits, np.array([row["label"] for row in images]), FORMATS)
    assert list(enumerate(loss.predicted)) == [(row["image"], row["predicted"]) for row in images]
    assert loss.correct == sum(row["label"] == row["predicted"] for row in images)
    for row in rows:
        at, largest = (row["image"], row["class"]), logits[row["image"]].max()
        assert (loss.p[at], loss.dz[at]) == (row["p"], row["dz"]), row
        t = (largest - row["logit"]) * LOG2E >> LOG2E_FRAC  # the steps between, as docs/numbers.md has them
        assert (row["d"], row["t"], row["n"], row["f"]) == (largest - row["logit"], t, t >> 2, t & 3), row
        assert row["e"] == (1 << 15) * (8 - row["f"]) // 8 >> row["n"], row
