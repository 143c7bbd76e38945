"""Data sets, and the order in which training sees them. Everything follows from seeds."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from gradgate.arch.checks import ConfigError
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


def require_data(data: Dataset, network, batch: int) -> None:
    """Raise :class:`ConfigError`, which says what and where, unless ``network`` can be trained on ``data``, ``batch`` images a step."""
    shape = (network.height, network.width, network.channels)
    for part, images, labels in (("training", data.train_x, data.train_y), ("test", data.test_x, data.test_y)):
        _require_images(part, np.asarray(images), shape)
        _require_labels(part, np.asarray(labels), len(images), network.classes)
    if len(data.train_x) < batch:
        raise ConfigError(f"batch must be at most the {len(data.train_x)} training images, not {batch}")


def _require_images(part, images, shape):
    if images.ndim != 4 or images.dtype.kind not in "fiu":
        raise ConfigError(f"{part} images must be numbers of shape (images, height, width, channels), not {images.dtype} of shape "
                          f"{images.shape}")
    if not len(images):
        raise ConfigError(f"{part} images must be at least one, not none")
    if images.shape[1:] != shape:
        raise ConfigError(f"input must be {list(images.shape[1:])}, the {part} images of the data set, not {list(shape)}")
    wrong = np.argwhere(~np.isfinite(images))
    if len(wrong):
        image, *pixel = map(int, wrong[0])
        raise ConfigError(f"{part} image {image} must have finite values, not {images[image, *pixel]} at [row, column, channel] {pixel}")


def _require_labels(part, labels, images, classes):
    if labels.ndim != 1 or labels.dtype.kind not in "iu":
        raise ConfigError(f"{part} labels must be integers of shape (images,), not {labels.dtype} of shape {labels.shape}")
    if len(labels) != images:
        raise ConfigError(f"{part} labels must be as many as the {images} {part} images, not {len(labels)}")
    wrong = np.flatnonzero((labels < 0) | (labels >= classes))
    if len(wrong):
        raise ConfigError(f"{part} label {wrong[0]} must be 0 to {classes - 1}, for the last layer has {classes} outputs, not "
                          f"{labels[wrong[0]]}; labels here are {labels.min()} to {labels.max()}")


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
