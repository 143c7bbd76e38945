"""Layer tables of network files: orders that mean the same, and what other frameworks call them."""

import numpy as np
import pytest

from gradgate.arch.checks import ConfigError
from gradgate.arch.layers import LAYER_KEYS, REFUSED, SPELLINGS
from gradgate.arch.network import Network
from gradgate.golden import layers
from gradgate.golden.floating import FloatModel
from gradgate.golden.scaling import IMAGES, scaled
from gradgate.training.datasets import digits

CONV, RELU, POOL, DENSE = {"type": "conv", "out": 3, "padding": 1}, {"type": "relu"}, {"type": "maxpool"}, {"type": "dense", "out": 4}


def build(*table, shape=(8, 8, 1)):
    """A network of these layers."""
    return Network.build("test", shape, list(table))


def test_pooling_before_a_relu():
    """It is the same network as the other order, and so are the functions."""
    assert build(CONV, POOL, RELU, DENSE) == build(CONV, RELU, POOL, DENSE)
    assert build(CONV, POOL, RELU, CONV, RELU, CONV, POOL, RELU, DENSE) == build(CONV, RELU, POOL, CONV, RELU, CONV, RELU, POOL, DENSE)
    x = np.random.default_rng(0).normal(size=(5, 6, 4, 3))
    assert (layers.pool(layers.relu(x))[0] == layers.relu(layers.pool(x)[0])).all()


def test_pooling_without_a_relu():
    """Errors name the layer by its number in the file, whatever the order in which layers are taken."""
    with pytest.raises(ConfigError, match=r"^layer 1 \(maxpool\) must follow a relu layer, or come right before one$"):
        build(CONV, POOL, DENSE)
    with pytest.raises(ConfigError, match=r"^layer 3 \(maxpool\) must not follow another one, or pooling"):
        build(CONV, POOL, RELU, POOL, DENSE)
    with pytest.raises(ConfigError, match=r"^layer 1 \(maxpool\): unknown key 'stride'; known are size, type$"):
        build(CONV, {"type": "maxpool", "stride": 2}, RELU, DENSE)
    with pytest.raises(ConfigError, match=r"^layer 1 \(relu\) must follow a conv or dense layer$"):
        build(POOL, RELU, DENSE)


@pytest.mark.parametrize("kind, meant", [
    ("Conv2d", "conv"), ("CONV", "conv"), ("Conv2D", "conv"), ("Linear", "dense"), ("nn.Linear", "dense"), ("MaxPool2d", "maxpool"),
    ("MaxPooling2D", "maxpool"), ("max_pool", "maxpool"), ("AvgPool2d", "avgpool"), ("AdaptiveAvgPool2d", "avgpool"),
    ("DepthwiseConv2D", "depthwise"), ("ReLU", "relu"), ("Dense", "dense"), ("Gemm", "dense"), ("Add", "add")])
def test_names_of_frameworks(kind, meant):
    with pytest.raises(ConfigError) as error:
        build({"type": kind, "out": 4})
    assert str(error.value) == f"layer 0 type must be '{meant}', which is meant here, not '{kind}'"


@pytest.mark.parametrize("kind", ["batchnorm", "BatchNorm2d", "BatchNormalization", "batch_norm", "Dropout", "Flatten", "Softmax"])
def test_layers_that_are_not_built(kind):
    """They are refused with what to do instead."""
    with pytest.raises(ConfigError) as error:
        build(CONV, {"type": kind}, DENSE)
    assert str(error.value).startswith(f"layer 1 ({kind}): ") and ("leave it out" in str(error.value) or "fold" in str(error.value))


@pytest.mark.parametrize("kind", ["lstm", "conv3d", "", 3, None, ["conv"], "con v2", "transformer"])
def test_unknown_layers(kind):
    with pytest.raises(ConfigError, match="^layer 0 type must be one of conv, "):
        build({"type": kind})


def test_spellings_lead_somewhere():
    assert set(SPELLINGS.values()) <= set(LAYER_KEYS) and not (set(SPELLINGS) | set(REFUSED)) & set(LAYER_KEYS)


@pytest.mark.parametrize("seed", [0, 7])
def test_scaled_weights(seed):
    """Before ReLU and residual, each channel of each layer has mean 0 and deviation 1, over the images they are made from."""
    pair = [{"type": "depthwise", "padding": 1}, RELU, {"type": "conv", "kernel": 1, "out": 6}, RELU]
    network = build({**CONV, "name": "stem"}, RELU, *pair, CONV, {"type": "add", "from": "stem"}, RELU, {"type": "avgpool"}, DENSE)
    images = digits(seed).train_x
    weights = scaled(network, seed, images)
    model = FloatModel(network, dtype=np.float64)
    model.set_weights(weights)
    trace = model.forward(images[:IMAGES])
    for block, w in zip(network.weighted, weights):
        columns = trace[block.name][0]
        columns = columns.reshape(*columns.shape[:3], -1, block.cout) if block.kind == "depthwise" else columns[..., None]
        sums = ((columns * w[:, :-1].T).sum(axis=3) + w[:, -1]).reshape(-1, block.cout)
        assert np.abs(sums.mean(axis=0)).max() < 2 ** -8 and np.abs(sums.std(axis=0) - 1).max() < 2 ** -8, block.name
        assert (w[:, -1] * 256 == np.rint(w[:, -1] * 256)).all()


def test_scaled_weights_of_dark_images():
    """A channel that is the same everywhere keeps its weights, and gets no bias that is not finite."""
    network = build(CONV, RELU, DENSE)
    first, _ = scaled(network, 0, np.zeros((4, 8, 8, 1)))
    assert np.isfinite(first).all() and (first[:, -1] == 0).all() and first[:, :-1].std() > 0.1
