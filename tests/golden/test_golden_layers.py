"""Golden arithmetic and layers against loops over Python's unbounded integers, and by hand at the edges."""

import numpy as np
import pytest

from gradgate.arch.formats import Formats
from gradgate.golden import fixed, layers

FORMATS = Formats()
NARROW = Formats(act_bits=8, act_frac=4, weight_frac=4, grad_frac=5, master_bits=12, master_frac=8, acc_bits=16)

#: images, height, width, cin, cout, kh, kw, stride, padding
SHAPES = [
    (2, 5, 5, 3, 4, 3, 3, 1, 1),
    (1, 6, 4, 2, 3, 3, 2, 1, 0),
    (2, 4, 7, 1, 2, 2, 5, 1, 1),
    (1, 7, 6, 3, 2, 3, 3, 2, 1),
    (2, 6, 7, 2, 3, 3, 3, 2, 0),
    (1, 5, 8, 2, 2, 2, 4, 2, 1),
    (1, 5, 6, 1, 3, 5, 5, 1, 4),
    (1, 4, 3, 2, 2, 3, 3, 2, 2),
    (3, 2, 3, 4, 5, 2, 3, 1, 0),
    (2, 3, 3, 3, 2, 1, 1, 2, 0),
]
CASES = [pytest.param(shape, seed, formats, id=f"{'x'.join(map(str, shape))}-seed{seed}-acc{formats.acc_bits}")
         for seed, shape in enumerate(SHAPES, 100) for formats in (FORMATS, NARROW)]


def ref_wrap(value, bits):
    """Two's complement by its definition."""
    value %= 1 << bits
    return value - (1 << bits) if value >> (bits - 1) else value


def ref_taps(shape):
    """Every (y, x, ky, kx, oy, ox) where output (oy, ox) sees input (y, x), both inside."""
    _, height, width, _, _, kh, kw, stride, padding = shape
    oh, ow = (height + 2 * padding - kh) // stride + 1, (width + 2 * padding - kw) // stride + 1
    taps = [(oy * stride - padding + ky, ox * stride - padding + kx, ky, kx, oy, ox)
            for oy in range(oh) for ox in range(ow) for ky in range(kh) for kx in range(kw)]
    return oh, ow, [t for t in taps if 0 <= t[0] < height and 0 <= t[1] < width]


def random_case(shape, seed, formats):
    """Random x, weights, bias, dy of a shape over the whole range of ``act_bits``, a third of them zero."""
    images, height, width, cin, cout, kh, kw, _, _ = shape
    oh, ow, _ = ref_taps(shape)
    rng = np.random.default_rng(seed)

    def draw(*size):
        limit = 1 << (formats.act_bits - 1)
        return rng.integers(-limit, limit, size) * (rng.random(size) > 0.3)
    return draw(images, height, width, cin), draw(cout, kh, kw, cin), draw(cout), draw(images, oh, ow, cout)


@pytest.mark.parametrize(("shape", "seed", "formats"), CASES)
def test_forward_equals_loops(shape, seed, formats):
    x, w, bias, _ = random_case(shape, seed, formats)
    oh, ow, taps = ref_taps(shape)
    got = layers.forward(x, w, bias, *shape[7:], formats)
    sums = {}
    for b in range(shape[0]):
        for co in range(shape[4]):
            for oy in range(oh):
                for ox in range(ow):
                    sums[b, oy, ox, co] = int(bias[co]) * 2 ** formats.act_frac
            for y, xx, ky, kx, oy, ox in taps:
                for ci in range(shape[3]):
                    sums[b, oy, ox, co] += int(x[b, y, xx, ci]) * int(w[co, ky, kx, ci])
    assert got.shape == (shape[0], oh, ow, shape[4]) and got.dtype == np.int64
    assert {i: int(v) for i, v in np.ndenumerate(got)} == {i: ref_wrap(v, formats.acc_bits) for i, v in sums.items()}


@pytest.mark.parametrize(("shape", "seed", "formats"), CASES)
def test_backward_data_equals_loops(shape, seed, formats):
    x, w, _, dy = random_case(shape, seed, formats)
    _, _, taps = ref_taps(shape)
    got = layers.backward_data(dy, w, *shape[1:3], *shape[7:], formats)
    sums = {i: 0 for i in np.ndindex(x.shape)}
    for b in range(shape[0]):
        for y, xx, ky, kx, oy, ox in taps:
            for ci in range(shape[3]):
                for co in range(shape[4]):
                    sums[b, y, xx, ci] += int(dy[b, oy, ox, co]) * int(w[co, ky, kx, ci])
    assert got.shape == x.shape and got.dtype == np.int64
    assert {i: int(v) for i, v in np.ndenumerate(got)} == {i: ref_wrap(v, formats.acc_bits) for i, v in sums.items()}


@pytest.mark.parametrize(("shape", "seed", "formats"), CASES)
def test_weight_gradient_equals_loops(shape, seed, formats):
    x, w, bias, dy = random_case(shape, seed, formats)
    _, _, taps = ref_taps(shape)
    dw, db = layers.weight_gradient(x, dy, *shape[5:], formats)
    sums = {i: 0 for i in np.ndindex(w.shape)}
    for b in range(shape[0]):
        for y, xx, ky, kx, oy, ox in taps:
            for ci in range(shape[3]):
                for co in range(shape[4]):
                    sums[co, ky, kx, ci] += int(dy[b, oy, ox, co]) * int(x[b, y, xx, ci])
    assert dw.shape == w.shape and db.shape == bias.shape and dw.dtype == db.dtype == np.int64
    assert {i: int(v) for i, v in np.ndenumerate(dw)} == {i: ref_wrap(v, formats.acc_bits) for i, v in sums.items()}
    assert db.tolist() == [ref_wrap(sum(dy[..., co].ravel().tolist()) * 2 ** formats.act_frac, formats.acc_bits)
                           for co in range(shape[4])]


def test_sums_wrap_modulo_the_accumulator():
    """64 products of 2**30 are 2**36: zero in the default accumulator; 32 of them are its most negative number."""
    low = -(1 << 15)
    x, w = np.full((1, 1, 1, 64), low), np.full((1, 1, 1, 64), low)
    none = np.zeros(1, np.int64)
    assert layers.forward(x, w, none, 1, 0, FORMATS).item() == 0
    half = layers.forward(x[..., :32], w[..., :32], none, 1, 0, FORMATS)
    assert half.item() == -(1 << 35) and fixed.count_overflow(half, 36) == 1
    wide = np.full((64, 1, 1, 1), low)
    assert layers.backward_data(x, wide, 1, 1, 1, 0, FORMATS).item() == 0
    dw, db = layers.weight_gradient(wide, wide, 1, 1, 1, 0, FORMATS)
    assert dw.item() == 0 and db.item() == -(1 << 31)
    many = np.full((2048, 1, 1, 1), low)
    for images, total in ((2048, 0), (1024, -(1 << 35)), (1023, -(1 << 35) + (1 << 25))):
        _, db = layers.weight_gradient(many[:images], many[:images], 1, 1, 1, 0, FORMATS)
        assert db.item() == total


def test_product_leaves_float_exactly_where_it_must():
    """A sum above 2**53 with odd low bits is right, and wraps modulo 2**64 like one of unbounded integers."""
    big = np.array([[(1 << 31) + 1] * 3])
    for odd in ((1 << 31) - 1, (1 << 22) - 1, 3):
        b = np.array([[odd], [1], [-1]])
        assert layers.exact_product(big, b).item() == ((1 << 31) + 1) * odd
    ones = np.array([[1 << 40, 1]])
    assert layers.exact_product(ones, np.array([[1 << 30], [1]])).item() == ref_wrap((1 << 70) + 1, 64)
    assert layers.exact_product(np.array([[1 << 26, 1, 0]]), np.array([[1 << 27], [1], [0]])).item() == (1 << 53) + 1
    assert layers.exact_product(np.zeros((0, 3), np.int64), np.ones((3, 2), np.int64)).shape == (0, 2)


def test_windows_and_scatter_are_transposes():
    """<windows(x), c> = <x, scatter(c)> for every stride and padding, exactly."""
    rng = np.random.default_rng(7)
    for shape in SHAPES:
        images, height, width, cin, _, kh, kw, stride, padding = shape
        x = rng.integers(-9, 9, (images, height, width, cin))
        columns = layers.windows(x, kh, kw, stride, padding)
        c = rng.integers(-9, 9, columns.shape)
        assert (columns * c).sum() == (x * layers.scatter(c, height, width, kh, kw, stride, padding)).sum()


@pytest.mark.parametrize("seed", range(3), ids="seed{}".format)
@pytest.mark.parametrize(("height", "width"), [(4, 4), (5, 4), (2, 7), (3, 3)])
def test_pool_and_expand_equal_loops(height, width, seed):
    """Few distinct values, so that ties are common; the first maximum wins, and odd borders get no gradient."""
    rng = np.random.default_rng(seed)
    x = rng.integers(0, 3, (2, height, width, 3))
    out, choice = layers.pool(x)
    grad = rng.integers(-99, 99, out.shape)
    expanded = layers.expand(grad, choice, height, width)
    want = np.zeros_like(x)
    assert out.shape == choice.shape == (2, height // 2, width // 2, 3)
    for b, y, xx, c in np.ndindex(out.shape):
        window = [int(x[b, 2 * y + dy, 2 * xx + dx, c]) for dy in range(2) for dx in range(2)]
        assert out[b, y, xx, c] == max(window)
        assert choice[b, y, xx, c] == window.index(max(window))
        want[b, 2 * y + choice[b, y, xx, c] // 2, 2 * xx + choice[b, y, xx, c] % 2, c] = grad[b, y, xx, c]
    assert (expanded == want).all()


def test_pool_of_equal_values_takes_the_first():
    x = np.array([[[0, 0], [0, 0]], [[1, 2], [2, 2]], [[1, 1], [2, 2]], [[1, 1], [1, 2]], [[-3, -3], [-4, -3]]])
    assert layers.pool(x[..., None])[1].ravel().tolist() == [0, 1, 2, 3, 0]


def test_wrap_equals_the_definition():
    values = [s * (1 << n) + d for n in (0, 15, 16, 35, 36, 62) for s in (1, -1) for d in (-1, 0, 1)]
    for bits in (2, 16, 36, 63):
        assert fixed.wrap(np.array(values), bits).tolist() == [ref_wrap(v, bits) for v in values]


def test_saturate_keeps_the_limits():
    values = np.array([-129, -128, -1, 0, 127, 128, 1 << 40])
    assert fixed.saturate(values, 8).tolist() == [-128, -128, -1, 0, 127, 127, 127]


def test_requantise_rounds_halves_up():
    """Halves go towards plus infinity; a sum just below them stays."""
    half = 1 << 11
    acc = np.array([0, half - 1, half, 3 * half - 1, 3 * half, -half, -half - 1, -3 * half, -3 * half - 1, -1])
    assert fixed.requantise(acc, 12, 16).tolist() == [0, 0, 1, 1, 2, 0, -1, -1, -2, 0]
    assert fixed.requantise(np.array([-2, -1, 0, 1, 2]), 1, 16).tolist() == [-1, 0, 0, 1, 1]


def test_requantise_saturates_and_does_not_wrap():
    """Rounding the largest 36-bit sum must not turn it negative; the last value that does not saturate is kept."""
    high, low = 32767 << 12, -32768 << 12
    acc = np.array([(1 << 35) - 1, -(1 << 35), high - 2049, high + 2047, high + 2048,
                    low + 2048, low - 2048, low - 2049])
    assert fixed.requantise(acc, 12, 16).tolist() == [32767, -32768, 32766, 32767, 32767, -32767, -32768, -32768]
    assert fixed.requantise(np.array([(1 << 35) - 1]), 1, 36).tolist() == [(1 << 34)]


def test_working_weights_round_and_saturate():
    masters = np.array([0, 127, 128, -128, -129, (1 << 23) - 1, (1 << 23) - 129, -(1 << 23)])
    assert fixed.working(masters, FORMATS).tolist() == [0, 0, 1, 0, -1, 32767, 32767, -32768]
    one = Formats(act_bits=16, master_bits=17, master_frac=13)
    assert fixed.working(np.array([1, -1, 2, 65535]), one).tolist() == [1, 0, 1, 32767]


def test_update_rounds_the_step_and_saturates():
    """The step is ``(dW + half) >> shift``: +half makes a step of -1, -half makes none."""
    masters = np.array([100, 100, 100, 100, 8388607, -8388608, -8388608])
    gradient = np.array([64, 63, -64, -65, -(1 << 20), 1 << 20, -(1 << 20)])
    kept = masters.copy()
    assert fixed.update(masters, gradient, 7, 24).tolist() == [99, 100, 100, 101, 8388607, -8388608, -8388608 + 8192]
    assert (masters == kept).all()
    assert fixed.update(np.array([0, 0]), np.array([(1 << 35) - 1, -(1 << 35)]), 1, 24).tolist() == [-8388608, 8388607]
    assert fixed.update(np.array([0]), np.array([1 << 30]), 31, 24).tolist() == [-1]


def test_overflow_counts_sums_whose_top_bits_differ():
    quarter = 1 << 34
    acc = np.array([0, -1, quarter - 1, quarter, 2 * quarter - 1, -quarter, -quarter - 1, -2 * quarter])
    assert fixed.count_overflow(acc, 36) == 4
    assert fixed.count_overflow(np.zeros((2, 0)), 36) == 0


def test_quantise_rounds_to_the_nearest_and_saturates():
    assert fixed.quantise([0.0, 0.5 / 1024, -0.5 / 1024, 1 / 16, 31.9999, 32, -32, -99, 1e300], 10, 16).tolist() == [
        0, 1, 0, 64, 32767, 32767, -32768, -32768, 32767]
    for bad in (np.nan, np.inf, -np.inf):
        with pytest.raises(ValueError, match="finite"):
            fixed.quantise([0.0, bad], 10, 16)
