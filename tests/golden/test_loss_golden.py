"""The integer softmax cross-entropy: by hand, against Python integers, and against the true softmax."""

import numpy as np
import pytest

from gradgate.arch.formats import Formats
from gradgate.golden.loss import cross_entropy_nats, softmax_cross_entropy

FORMATS = Formats()
#: act_frac below, at and above the 14 bits of the mantissa
ALL_FORMATS = [
    pytest.param(FORMATS, id="act10-grad13"),
    pytest.param(Formats(act_frac=5, grad_frac=9), id="act5-grad9"),
    pytest.param(Formats(act_frac=14, grad_frac=14), id="act14-grad14"),
    pytest.param(Formats(act_bits=18, act_frac=16, master_frac=18, grad_frac=16), id="act16-grad16"),
]


def ref_loss(logits, label, formats):
    """One image in unbounded integers and exact powers of two: p, dz, predicted."""
    largest = max(logits)
    exponentials = []
    for z in logits:
        t = (largest - z) * 23637 // 2 ** 14
        n, f = divmod(t, 2 ** formats.act_frac)
        mantissa = 32768 - f * 2 ** 14 // 2 ** formats.act_frac
        exponentials.append(mantissa // 2 ** min(n, 20))
    p = [e * 2 ** formats.grad_frac // sum(exponentials) for e in exponentials]
    return p, [v - 2 ** formats.grad_frac * (i == label) for i, v in enumerate(p)], logits.index(largest)


@pytest.mark.parametrize("seed", range(3), ids="seed{}".format)
@pytest.mark.parametrize("formats", ALL_FORMATS)
def test_loss_equals_python_integers(formats, seed):
    rng = np.random.default_rng(seed)
    limit = 1 << (formats.act_bits - 1)
    for classes in (2, 10, 32):
        scale = rng.choice([limit, limit // 16, 3], (24, 1))
        logits, labels = rng.integers(-scale, scale, (24, classes)), rng.integers(0, classes, 24)
        got = softmax_cross_entropy(logits, labels, formats)
        want = [ref_loss(z, y, formats) for z, y in zip(logits.tolist(), labels.tolist())]
        assert got.p.tolist() == [w[0] for w in want]
        assert got.dz.tolist() == [w[1] for w in want]
        assert got.predicted.tolist() == [w[2] for w in want]
        assert got.correct == sum(w[2] == y for w, y in zip(want, labels.tolist()))


def test_loss_by_hand():
    """d = 0 and d = 1024: t = 1477, n = 1, f = 453; e = 32768 and (32768 - 7248) >> 1 = 12760; p = 8192 e / 45528."""
    got = softmax_cross_entropy(np.array([[1024, 0]]), np.array([1]), FORMATS)
    assert got.p.tolist() == [[5896, 2295]]
    assert got.dz.tolist() == [[5896, 2295 - 8192]]
    assert (got.predicted.tolist(), got.correct) == ([0], 0)


@pytest.mark.parametrize("formats", ALL_FORMATS)
def test_ties_share_alike_and_the_first_wins(formats):
    logits = np.array([[5, 5, 5, 5], [0, 7, 7, 0], [-9, -9, -9, -9]])
    got = softmax_cross_entropy(logits, np.array([0, 2, 3]), formats)
    assert got.predicted.tolist() == [0, 1, 0] and got.correct == 1
    assert got.p[0].tolist() == [1 << (formats.grad_frac - 2)] * 4
    assert got.p[1][1] == got.p[1][2] > got.p[1][0] == got.p[1][3]


@pytest.mark.parametrize("formats", ALL_FORMATS)
def test_saturated_logits(formats):
    """The farthest apart that words can be: the others' probability is exactly zero, as far as the format allows."""
    high, low = (1 << (formats.act_bits - 1)) - 1, -(1 << (formats.act_bits - 1))
    one = 1 << formats.grad_frac
    logits = np.array([[low, high, low], [high, high, high], [low, low, low]])
    got = softmax_cross_entropy(logits, np.array([1, 0, 0]), formats)
    if formats.act_bits - formats.act_frac > 5:
        assert got.p[0].tolist() == [0, one, 0] and got.dz[0].tolist() == [0, 0, 0]
        wrong = softmax_cross_entropy(np.array([[low, high, low]]), np.array([0]), formats)
        assert wrong.dz.tolist() == [[-one, one, 0]]
    assert got.p[1].tolist() == got.p[2].tolist() == [one // 3] * 3
    assert got.correct == 3


def test_gradient_fits_its_format():
    """Even with every bit of grad_frac in use, -1 and 1 fit a word."""
    formats = Formats(grad_frac=14)
    dz = softmax_cross_entropy(np.array([[32767, -32768]] * 2), np.array([0, 1]), formats).dz
    assert dz.tolist() == [[0, 0], [1 << 14, -(1 << 14)]]


@pytest.mark.parametrize("seed", range(3), ids="seed{}".format)
def test_probabilities_are_near_the_true_softmax(seed):
    """Within 6.15 % of itself, which is what the straight mantissa costs, and a few last places of the truncations.

    The mantissa's error is one-sided, so a ratio of two exponentials is off by a factor in [1/1.0615, 1.0615].
    Truncating ``t`` costs a factor of 2**(2**-10), each exponential up to 2**-15 of the largest, the quotient 2**-13.
    """
    rng = np.random.default_rng(seed)
    logits, labels = np.rint(rng.normal(0, 2500, (400, 10))).astype(np.int64), rng.integers(0, 10, 400)
    got = softmax_cross_entropy(logits, labels, FORMATS)
    z = logits / 1024
    exact = np.exp(z - z.max(axis=1, keepdims=True))
    exact /= exact.sum(axis=1, keepdims=True)
    factor = 1.0615 * 2 ** 2 ** -10 * (1 + 10 * 2.0 ** -15)
    assert (got.p / 8192 <= exact * factor).all()
    assert (got.p / 8192 >= exact / factor - 2.0 ** -13 - 2.0 ** -15).all()
    assert (got.p.sum(axis=1) <= 8192).all() and (got.p.sum(axis=1) > 8192 - 10).all()


def test_cross_entropy_for_reports():
    """p = 1 costs nothing, 1/2 costs ln 2, and 0 is taken for the last place, 2**-13."""
    p = np.array([[8192, 0], [4096, 4096], [8192, 0]])
    assert cross_entropy_nats(p[:1], np.array([0]), FORMATS) == pytest.approx(0)
    assert cross_entropy_nats(p[1:2], np.array([1]), FORMATS) == pytest.approx(np.log(2))
    assert cross_entropy_nats(p, np.array([0, 0, 1]), FORMATS) == pytest.approx((1 + 13) * np.log(2) / 3)
