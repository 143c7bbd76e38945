"""The golden training step: against a sequential model in Python integers, and against float64."""

import numpy as np
import pytest

from gradgate.arch.formats import Formats
from gradgate.arch.network import Network
from gradgate.golden import layers
from gradgate.golden.floating import FloatModel
from gradgate.golden.initial import he_normal
from gradgate.golden.loss import softmax_cross_entropy
from gradgate.golden.model import GoldenModel

FORMATS = Formats()
CONV, RELU, POOL = {"type": "conv", "kernel": 3, "padding": 1}, {"type": "relu"}, {"type": "maxpool"}
DENSE = {"type": "dense"}

NETWORKS = {
    "pooled": ((6, 4, 2), [{**CONV, "out": 3}, RELU, {**CONV, "out": 4}, RELU, POOL, {**DENSE, "out": 3}]),
    "strided": ((7, 6, 1), [{**CONV, "out": 3, "stride": 2}, {**CONV, "out": 2, "padding": 2}, RELU,
                            {**DENSE, "out": 2}]),
    "oddpool": ((7, 5, 1), [{**CONV, "out": 2}, RELU, POOL, {**DENSE, "out": 5}, RELU, {**DENSE, "out": 4}]),
    "plain": ((1, 1, 5), [{**DENSE, "out": 3}]),
}
NETWORKS = {name: Network.build(name, shape, blocks) for name, (shape, blocks) in NETWORKS.items()}
FORMAT_SETS = {
    "default": FORMATS,
    "narrow": Formats(act_bits=10, act_frac=5, weight_frac=6, master_bits=16, master_frac=12, grad_frac=7, acc_bits=20),
}


def case(network, formats, seed, batch=4, spread=1.0):
    """A model with nonzero biases and integer images and labels for it; ``spread`` scales weights and images."""
    rng = np.random.default_rng(seed)
    model = GoldenModel(network, formats, seed)
    limit = (1 << (formats.master_bits - 1)) - 1
    noisy = [spread * m + rng.normal(0, 0.05, m.shape) * 2.0 ** formats.master_frac for m in model.masters]
    model.set_masters([np.clip(np.rint(m), -limit, limit) for m in noisy])
    top = (1 << (formats.act_bits - 1)) - 1
    x = rng.random((batch, network.height, network.width, network.channels)) * (rng.random((batch, 1, 1, 1)) + .5)
    x = np.clip(np.rint(spread * x * 2.0 ** formats.act_frac), 0, top).astype(np.int64)
    return model, x, rng.integers(0, network.classes, batch)


class Reference:
    """One training step on nested dictionaries of Python integers, one multiplication at a time."""

    def __init__(self, network, formats, masters):
        self.network, self.formats, self.overflow = network, formats, 0
        self.masters = [m.tolist() for m in masters]
        half = 1 << (formats.master_drop - 1)
        self.weights = [[[self.limit((v + half) // (1 << formats.master_drop), formats.act_bits) for v in row]
                         for row in m] for m in self.masters]

    @staticmethod
    def limit(value, bits):
        return max(-(1 << (bits - 1)), min((1 << (bits - 1)) - 1, value))

    def final(self, total):
        """A finished sum in the accumulator, counted where its two top bits differ."""
        bits = self.formats.acc_bits
        raw = total % (1 << bits)
        self.overflow += (raw >> (bits - 1)) != (raw >> (bits - 2) & 1)
        return raw - (1 << bits) if raw >> (bits - 1) else raw

    def word(self, total):
        """A finished sum as a word."""
        drop = self.formats.weight_frac
        return self.limit((self.final(total) + (1 << (drop - 1))) // (1 << drop), self.formats.act_bits)

    def taps(self, block, oy, ox):
        """(y, x, column of the weights without the channel) of every pixel in the window that is inside the image."""
        return [(y, x, (ky * block.kw + kx) * block.cin) for ky in range(block.kh) for kx in range(block.kw)
                for y in [oy * block.stride - block.padding + ky] for x in [ox * block.stride - block.padding + kx]
                if 0 <= y < block.height and 0 <= x < block.width]

    def step(self, images, labels, shift):
        """All tensors of the step as numpy arrays by name."""
        result, one = {}, 1 << self.formats.act_frac
        inputs = [images]
        for block, w in zip(self.network.blocks, self.weights):
            x = inputs[-1]
            conv = np.zeros((len(images), block.out_height, block.out_width, block.cout), object)
            used = [size // 2 * 2 if block.pool else size for size in conv.shape[1:3]]
            for b, oy, ox, co in np.ndindex(conv.shape[0], *used, conv.shape[3]):
                total = w[co][-1] * one
                for y, xx, column in self.taps(block, oy, ox):
                    total += sum(int(x[b, y, xx, ci]) * w[co][column + ci] for ci in range(block.cin))
                value = self.word(total)
                conv[b, oy, ox, co] = max(value, 0) if block.relu else value
            if block.pool:
                out, choices = np.zeros((2, len(images), *block.final_shape), object)
                for b, y, xx, c in np.ndindex(out.shape):
                    corners = [conv[b, 2 * y + dy, 2 * xx + dx, c] for dy in (0, 1) for dx in (0, 1)]
                    out[b, y, xx, c], choices[b, y, xx, c] = max(corners), corners.index(max(corners))
                result[f"{block.name}.argmax"] = choices
            else:
                out = conv
            result[f"{block.name}.out"] = out
            inputs.append(out)
        logits = inputs[-1].reshape(len(images), -1).astype(np.int64)
        grad = softmax_cross_entropy(logits, labels, self.formats).dz[:, None, None]
        for index in reversed(range(len(self.weights))):
            block, w, x = self.network.blocks[index], self.weights[index], inputs[index]
            result[f"{block.name}.grad"] = grad
            if block.pool:
                expanded = np.zeros((len(images), block.out_height, block.out_width, block.cout), object)
                for b, y, xx, c in np.ndindex(grad.shape):
                    choice = result[f"{block.name}.argmax"][b, y, xx, c]
                    expanded[b, 2 * y + choice // 2, 2 * xx + choice % 2, c] = grad[b, y, xx, c]
                result[f"{block.name}.expanded"] = grad = expanded
            dw = np.zeros((block.cout, block.k + 1), object)
            dx = np.zeros(x.shape, object)
            for b, oy, ox, co in np.ndindex(grad.shape):
                dy = int(grad[b, oy, ox, co])
                dw[co, -1] += dy * one
                for y, xx, column in self.taps(block, oy, ox):
                    for ci in range(block.cin):
                        dw[co, column + ci] += dy * int(x[b, y, xx, ci])
                        dx[b, y, xx, ci] += dy * w[co][column + ci]
            for i in np.ndindex(dw.shape):
                dw[i] = self.final(dw[i])
            if index:
                for i in np.ndindex(dx.shape):
                    dx[i] = 0 if block.input_relu and x[i] == 0 else self.word(dx[i])
            grad = dx
            result[f"{block.name}.wgrad"] = dw
            master = np.array(self.masters[index], object)
            for i in np.ndindex(dw.shape):
                step = (dw[i] + (1 << (shift - 1))) // (1 << shift)
                master[i] = self.limit(master[i] - step, self.formats.master_bits)
            result[f"{block.name}.master"] = master
        return {"input": images, **result}


@pytest.mark.parametrize("seed", range(2), ids="seed{}".format)
@pytest.mark.parametrize("formats", FORMAT_SETS)
@pytest.mark.parametrize("name", NETWORKS)
def test_step_equals_python_integers(name, formats, seed):
    """Two steps on every tensor and the overflow counter; the narrow formats saturate, and their sums wrap."""
    network, formats = NETWORKS[name], FORMAT_SETS[formats]
    model, x, labels = case(network, formats, seed, spread=1.0 if formats is FORMATS else 3.0)
    for lr_shift in (1, 0):
        reference = Reference(network, formats, model.masters)
        want = reference.step(x, labels, formats.update_shift(len(x), lr_shift))
        got = model.step(x, labels, lr_shift)
        assert set(got.tensors) == set(want)
        for key, value in got.tensors.items():
            assert value.dtype == np.int64 and value.shape == want[key].shape, key
            assert (value == want[key]).all(), key
        assert got.overflow == reference.overflow
        assert all((m == want[f"{b.name}.master"]).all() for m, b in zip(model.masters, network.blocks))


def test_the_narrow_cases_saturate_and_overflow():
    """What the test above relies on: its narrow formats do reach both limits and the counter."""
    formats, seen, overflow = FORMAT_SETS["narrow"], set(), 0
    for network in NETWORKS.values():
        for seed in range(2):
            model, x, labels = case(network, formats, seed, spread=3.0)
            step = model.step(x, labels, 1)
            overflow += step.overflow
            seen |= {v for k, t in step.tensors.items() if k.endswith((".out", ".grad")) for v in t.ravel().tolist()}
    assert {-512, 511} <= seen and overflow > 0


def test_inference_takes_any_number_of_images_and_changes_nothing():
    model, x, labels = case(NETWORKS["pooled"], FORMATS, 5, batch=7)
    masters = [m.copy() for m in model.masters]
    step = model.step(x, labels, train=False)
    assert list(step.tensors) == ["input", "conv1.out", "conv2.out", "conv2.argmax", "dense3.out"]
    assert all((a == b).all() for a, b in zip(masters, model.masters))
    alone = [model.step(x[i:i + 1], labels[i:i + 1], train=False) for i in range(7)]
    assert sum(s.correct for s in alone) == step.correct
    assert sum(s.overflow for s in alone) == step.overflow
    assert (np.concatenate([s.predicted for s in alone]) == step.predicted).all()
    assert np.mean([s.loss() for s in alone]) == pytest.approx(step.loss())
    assert model.accuracy(x, labels, batch=3) == step.correct / 7


@pytest.mark.parametrize(("relu", "overflow"), [([RELU], 1), ([], 2)], ids=["masked", "unmasked"])
def test_overflow_of_backward_data_ignores_what_the_mask_hides(relu, overflow):
    """Two equal sums 2 * 32767**2 in 32 bits, of which a ReLU hides one; no other sum of the step is large."""
    network = Network.build("wide", (1, 1, 1), [{"type": "dense", "out": 2}, *relu, {"type": "dense", "out": 2},
                                                {"type": "dense", "out": 2}])
    formats = Formats(acc_bits=32)
    model, one, high = GoldenModel(network, formats), 1 << 20, (1 << 23) - 1
    model.set_masters([[[one, 0], [-one, 0]], [[high, high, 0]] * 2, [[high, high, 0], [-high, -high, 0]]])
    step = model.step(np.full((1, 1, 1, 1), 4), np.array([1]), 0)
    assert step.tensors["dense1.out"].ravel().tolist() == [4, 0 if relu else -4]
    assert step.tensors["dense2.grad"].ravel().tolist() == [32767, 32767]
    assert step.tensors["dense1.grad"].ravel().tolist() == [32767, 0 if relu else 32767]
    assert step.overflow == overflow


def test_overflow_ignores_what_pooling_drops():
    """A sum of 2**30 in 32 bits at each of 3x3 positions, of which the pooling window takes four."""
    point = {"type": "conv", "kernel": 1, "out": 1}
    network = Network.build("odd", (3, 3, 1), [point, RELU, POOL, {**DENSE, "out": 2}])
    model = GoldenModel(network, Formats(acc_bits=32))
    model.set_masters([[[-(1 << 23), 0]], np.zeros((2, 2), int)])
    x = np.full((2, 3, 3, 1), -32768)
    assert model.step(x, np.array([0, 1]), train=False).overflow == 8


@pytest.mark.parametrize(("labels", "overflow"), [([0] * 8, 1), ([0, 0, 0, 0, 1, 1, 1, 1], 0)], ids=["same", "cancel"])
def test_overflow_of_a_weight_gradient_is_that_of_the_total(labels, overflow):
    """Eight images give 2**27 each: 2**30 is the first sum of 32 bits that counts, -2**30 does not yet."""
    network = Network.build("two", (1, 1, 1), [{"type": "dense", "out": 2}])
    model = GoldenModel(network, Formats(acc_bits=32))
    model.set_masters([np.zeros((2, 2), int)])
    step = model.step(np.full((8, 1, 1, 1), -32768), np.array(labels), 0)
    total = 1 << 30 if overflow else 0
    assert step.tensors["dense1.wgrad"][:, 0].tolist() == [total, -total]
    assert step.overflow == overflow


@pytest.mark.parametrize(("batch", "lr_shift", "message"), [
    (3, 2, "the batch must be a power of two images for training, not 3"),
    (4, None, "lr_shift must be -64 to 64, not None"),
    (4, -5, r"the update shift must be 1 to 31, not 0 \(batch 4, lr_shift -5\)"),
    (4, 27, r"the update shift must be 1 to 31, not 32 \(batch 4, lr_shift 27\)"),
])
def test_training_rejects_what_the_update_cannot_do(batch, lr_shift, message):
    model, x, labels = case(NETWORKS["plain"], FORMATS, 1, batch=batch)
    masters = [m.copy() for m in model.masters]
    with pytest.raises(ValueError, match=message):
        model.step(x, labels, lr_shift)
    assert all((a == b).all() for a, b in zip(masters, model.masters))


def test_the_limits_of_the_update_shift_are_legal():
    for lr_shift in (-4, 26):
        model, x, labels = case(NETWORKS["plain"], FORMATS, 1)
        model.step(x, labels, lr_shift)


@pytest.mark.parametrize(("change", "message"), [
    (lambda x, y: (x[:, :, :, :4], y), "x must be integers of shape"),
    (lambda x, y: (x[:0], y[:0]), "x must be integers of shape"),
    (lambda x, y: (x / 2, y), "x must be integers of shape"),
    (lambda x, y: (x + (1 << 15), y), "x must fit 16 bits"),
    (lambda x, y: (x, y[:3]), "labels must be integers of shape"),
    (lambda x, y: (x, y * 0 + 3), "labels must be 0 to 2, not 3 to 3"),
    (lambda x, y: (x, y * 0 - 1), "labels must be 0 to 2, not -1 to -1"),
])
def test_step_rejects_wrong_inputs(change, message):
    model, x, labels = case(NETWORKS["plain"], FORMATS, 1)
    with pytest.raises(ValueError, match=message):
        model.step(*change(x, labels), 2)


def test_set_masters_copies_and_checks():
    model = GoldenModel(NETWORKS["plain"], FORMATS)
    given = np.arange(18).reshape(3, 6)
    model.set_masters([given])
    given[:] = 0
    assert model.masters[0].tolist() == np.arange(18).reshape(3, 6).tolist()
    with pytest.raises(ValueError, match="shapes"):
        model.set_masters([given[:, :5]])
    with pytest.raises(ValueError, match="masters of dense1 must fit 24 bits"):
        model.set_masters([given + (1 << 23)])
    with pytest.raises(ValueError, match="shapes"):
        FloatModel(NETWORKS["plain"]).set_weights([given[:2]])


def test_initial_weights_are_he_normal_and_follow_the_seed():
    network = Network.load("digits")
    weights = he_normal(network, 3)
    masters, floats = GoldenModel(network, FORMATS, 3).masters, FloatModel(network, 3, np.float64).weights
    for block, w, m, f in zip(network.blocks, weights, masters, floats):
        assert w.shape == (block.cout, block.k + 1) and not w[:, -1].any()
        assert w[:, :-1].std() == pytest.approx(np.sqrt(2 / block.k), rel=0.2)
        assert np.abs(m / 2 ** 20 - w).max() <= 2.0 ** -21 and (f == w).all()
    assert (he_normal(network, 3)[1] == weights[1]).all() and (he_normal(network, 4)[1] != weights[1]).any()


@pytest.mark.parametrize("seed", range(3), ids="seed{}".format)
@pytest.mark.parametrize("name", NETWORKS)
def test_float64_gradient_equals_finite_differences(name, seed):
    """Central differences at 40 random weights of every block; no ReLU or maximum sits on its edge by chance."""
    network, h = NETWORKS[name], 1e-6
    rng = np.random.default_rng(seed)
    model = FloatModel(network, seed, np.float64)
    model.set_weights([w + rng.normal(0, 0.1, w.shape) for w in model.weights])
    x = rng.normal(0, 1, (4, network.height, network.width, network.channels))
    labels = rng.integers(0, network.classes, 4)
    _, gradients = model.gradients(x, labels)
    for w, g in zip(model.weights, gradients):
        for _ in range(40):
            i = tuple(rng.integers(0, w.shape))
            kept = w[i]
            values = []
            for w[i] in (kept + h, kept - h):
                values.append(model.gradients(x, labels)[0])
            w[i] = kept
            assert g[i] == pytest.approx((values[0] - values[1]) / (2 * h), rel=1e-5, abs=1e-8)


@pytest.mark.parametrize("seed", range(3), ids="seed{}".format)
@pytest.mark.parametrize("name", NETWORKS)
def test_integer_outputs_are_within_rounding_of_float64(name, seed):
    """Rounding adds half a last place to an output; a layer passes on at most sum(abs(weight)) times its input's error.

    ReLU and maximum pass on at most what they get, so this is a strict bound for every element.
    """
    network = NETWORKS[name]
    golden, x, labels = case(network, FORMATS, seed)
    reference = FloatModel(network, dtype=np.float64)
    reference.set_weights([((m + 128) >> 8) / 4096 for m in golden.masters])
    tensors = golden.step(x, labels, 2).tensors
    error = np.zeros(x.shape)
    for block, w, (_, out, _) in zip(network.blocks, reference.weights, reference.forward(x / 1024).values()):
        error = layers.windows(error, block.kh, block.kw, block.stride, block.padding) @ np.abs(w[:, :-1]).T
        error += 2.0 ** -11
        if block.pool:
            error = layers.pool(error)[0]
        got = tensors[f"{block.name}.out"] / 1024
        assert np.abs(got).max() < 32 - 2.0 ** -10, "saturated: the bound does not hold"
        assert (np.abs(got - out) <= error + 1e-12).all()


@pytest.mark.parametrize("seed", range(3), ids="seed{}".format)
@pytest.mark.parametrize("name", NETWORKS)
def test_integer_gradients_are_within_rounding_of_float64(name, seed):
    """Backward passes from the same outputs, choices and masks; a strict bound for every element.

    A probability is off by at most 6.25 % of itself (straight mantissa and truncated exponent) and two last places; a
    layer passes on at most sum(abs(weight)) times its error and adds half a last place; a weight gradient adds nothing.
    """
    network = NETWORKS[name]
    golden, x, labels = case(network, FORMATS, seed, batch=8)
    reference = FloatModel(network, dtype=np.float64)
    reference.set_weights([((m + 128) >> 8) / 4096 for m in golden.masters])
    tensors = golden.step(x, labels, 2).tensors
    grad = np.exp(tensors[f"{network.blocks[-1].name}.out"] / 1024)
    grad /= grad.sum(axis=-1, keepdims=True)
    error = 0.0625 * grad + 2.0 ** -12
    grad[np.arange(8), 0, 0, labels] -= 1
    for index in reversed(range(len(network.blocks))):
        block, w = network.blocks[index], reference.weights[index][:, :-1]
        got = tensors[f"{block.name}.grad"] / 8192
        assert np.abs(got).max() < 4 - 2.0 ** -13, "saturated: the bound does not hold"
        assert (np.abs(got - grad) <= error + 1e-12).all()
        if block.pool:
            choice, size = tensors[f"{block.name}.argmax"], (block.out_height, block.out_width)
            grad, error = layers.expand(grad, choice, *size), layers.expand(error, choice, *size)
        source = tensors[f"{network.blocks[index - 1].name}.out"] if index else x
        columns = layers.windows(source / 1024, block.kh, block.kw, block.stride, block.padding).reshape(-1, block.k)
        columns = np.column_stack([columns, np.ones(len(columns))])
        flat, flat_error = grad.reshape(-1, block.cout), error.reshape(-1, block.cout)
        off = np.abs(tensors[f"{block.name}.wgrad"] / 2.0 ** 23 - flat.T @ columns)
        assert (off <= flat_error.T @ np.abs(columns) + 1e-9).all()
        mask = source != 0 if block.input_relu else np.ones(source.shape, bool)
        where = block.height, block.width, block.kh, block.kw, block.stride, block.padding
        grad = layers.scatter(grad @ w, *where) * mask
        error = (layers.scatter(error @ np.abs(w), *where) + 2.0 ** -14) * mask
