"""Data that cannot be trained on is refused before anything is built: one line with what, where, and what is legal."""

from dataclasses import replace

import numpy as np
import pytest

from gradgate.arch.checks import ConfigError
from gradgate.arch.config import Config
from gradgate.arch.network import Network
from gradgate.training.datasets import Dataset, digits, require_data
from gradgate.training.run import Trainer
from gradgate.training.schedule import Schedule

DIGITS = Network.load("digits")


def at(array, index, value, dtype=None):
    """A copy with another value at one place."""
    copy = np.array(array, dtype)
    copy[index] = value
    return copy


CASES = {
    "negative label": (lambda d: {"train_y": at(d.train_y, 19, -1)},
                       "training label 19 must be 0 to 9, for the last layer has 10 outputs, not -1; labels here are -1 to 9"),
    "large label": (lambda d: {"test_y": at(d.test_y, 359, 10)},
                    "test label 359 must be 0 to 9, for the last layer has 10 outputs, not 10; labels here are 0 to 10"),
    "float labels": (lambda d: {"train_y": d.train_y.astype(float)},
                     "training labels must be integers of shape (images,), not float64 of shape (1437,)"),
    "one-hot labels": (lambda d: {"test_y": np.eye(10, dtype=int)[d.test_y]},
                       "test labels must be integers of shape (images,), not int64 of shape (360, 10)"),
    "too few labels": (lambda d: {"train_y": d.train_y[:-1]}, "training labels must be as many as the 1437 training images, not 1436"),
    "not a number": (lambda d: {"train_x": at(d.train_x, (7, 3, 2, 0), np.nan)},
                     "training image 7 must have finite values, not nan at [row, column, channel] [3, 2, 0]"),
    "infinite": (lambda d: {"test_x": at(d.test_x, (0, 0, 0, 0), -np.inf)},
                 "test image 0 must have finite values, not -inf at [row, column, channel] [0, 0, 0]"),
    "no channel axis": (lambda d: {"train_x": d.train_x[..., 0]},
                        "training images must be numbers of shape (images, height, width, channels), not float64 of shape (1437, 8, 8)"),
    "texts": (lambda d: {"train_x": d.train_x.astype(str)}, "training images must be numbers of shape"),
    "complex": (lambda d: {"train_x": d.train_x.astype(complex)}, "training images must be numbers of shape"),
    "other test images": (lambda d: {"test_x": d.test_x[:, :7]}, "input must be [7, 8, 1], the test images of the data set, not [8, 8, 1]"),
    "no test images": (lambda d: {"test_x": d.test_x[:0], "test_y": d.test_y[:0]}, "test images must be at least one, not none"),
    "no training images": (lambda d: {"train_x": d.train_x[:0], "train_y": d.train_y[:0]},
                           "training images must be at least one, not none"),
    "fewer than a batch": (lambda d: {"train_x": d.train_x[:15], "train_y": d.train_y[:15]},
                           "batch must be at most the 15 training images, not 16"),
}


@pytest.mark.parametrize("name", CASES)
def test_data_that_cannot_be(name):
    change, message = CASES[name]
    data = replace(digits(0), **change(digits(0)))
    schedule = Schedule(network=DIGITS, config=Config.load("small"), batch=16, lr_shifts=(2,), backend="rtl")
    with pytest.raises(ConfigError) as error:
        Trainer(schedule, data)
    assert str(error.value).startswith(message) and "\n" not in str(error.value)


@pytest.mark.parametrize("field, value, message", [
    ("lr_shifts", (), "lr_shifts must be a tuple with an integer for each epoch, not ()"),
    ("lr_shifts", 2, "lr_shifts must be a tuple with an integer for each epoch, not 2"),
    ("lr_shifts", (2, 2.5), "lr_shift must be -64 to 64, not 2.5"),
    ("batch", 0, "batch must be 1 to 4096, not 0"),
    ("batch", 16.0, "batch must be 1 to 4096, not 16.0"),
    ("max_steps", 0, "max_steps must be 1 to 1000000000, not 0"),
    ("init", "zero", "init must be one of he, scaled, not 'zero'"),
])
def test_schedule_that_cannot_be(field, value, message):
    given = {"network": DIGITS, "config": Config.load("small"), "batch": 16, "lr_shifts": (2,), field: value}
    with pytest.raises(ConfigError) as error:
        Schedule(**given)
    assert str(error.value) == message


def test_data_that_can_be():
    """Integer images, small unsigned labels, and lists are taken."""
    data = digits(0)
    require_data(data, DIGITS, 16)
    require_data(Dataset((16 * data.train_x).astype(np.uint8), data.train_y.astype(np.uint8), data.test_x.tolist(), data.test_y.tolist()),
                 DIGITS, 1437)
