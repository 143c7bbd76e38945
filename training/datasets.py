"""Data sets, and the order in which training sees them. Everything follows from seeds."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from gradgate.arch.formats import Formats
from gradgate.golden import fixed

DIGITS_TEST = 360  #: images of the digits that are held out, of 1797


@dataclass(frozen=True)
class Dataset:
    """Images are floats in 0..1 of shape (N, H, W, C), labels int64 of shape (N,)."""

    train_x: np.ndarray
    train_y: np.ndarray
    test_x: np.ndarray
    test_y: np.ndarray


def digits(seed: int = 0) -> Dataset:
    """1437 training and 360 test images (8, 8, 1) of handwritten digits, grey levels in steps of 1/16.

    ``seed`` shuffles before the split. Source: scikit-learn's copy of the UCI set "optical recognition of handwritten
    digits".
    """
    from sklearn.datasets import load_digits  # takes a second to import, which commands without data should not pay

    bunch = load_digits()
    order = np.random.default_rng(seed).permutation(len(bunch.target))
    x, y = (bunch.images[order] / 16)[..., None], bunch.target[order].astype(np.int64)
    return Dataset(x[:-DIGITS_TEST], y[:-DIGITS_TEST], x[-DIGITS_TEST:], y[-DIGITS_TEST:])


def quantise(x: np.ndarray, formats: Formats) -> np.ndarray:
    """Images as integers with ``act_frac`` bits after the point, rounded and saturated to ``act_bits``."""
    return fixed.quantise(x, formats.act_frac, formats.act_bits)


def batches(n: int, batch: int, rng: np.random.Generator) -> Iterator[np.ndarray]:
    """One epoch over ``n`` images: index arrays of ``batch`` images, from a fresh permutation.

    The last ``n % batch`` images of the permutation are left out. Raises :class:`ValueError` where ``batch`` is not 1
    to ``n``.
    """
    if not 1 <= batch <= n:
        raise ValueError(f"the batch must be 1 to {n} images, not {batch}")
    order = rng.permutation(n)
    return iter(order[:n - n % batch].reshape(-1, batch))
