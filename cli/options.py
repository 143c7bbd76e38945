"""Types of options, and options that several commands have."""

import re
from pathlib import Path

import click

from gradgate.arch.checks import ConfigError, parse_integer
from gradgate.arch.config import PRESETS

NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]{1,3})?")


class Strict:
    """For a type of click: only what people write as a number, and not all that Python takes (``1_0``, other scripts' digits, ``nan``)."""

    def convert(self, value, param, ctx):
        if isinstance(value, str):
            try:
                value = self.parse(value)
            except ValueError:
                self.fail(f"{value!r} is not a valid {self.name.removesuffix(' range')}.", param, ctx)
        return super().convert(value, param, ctx)


class StrictInteger(Strict, click.types.IntParamType):
    """An integer."""

    parse = staticmethod(parse_integer)


class StrictIntegerRange(Strict, click.IntRange):
    """An integer in a range."""

    name = "integer"  # help has the range itself
    parse = staticmethod(parse_integer)


class StrictNumber(Strict, click.types.FloatParamType):
    """A decimal number."""

    @staticmethod
    def parse(text):
        if not NUMBER.fullmatch(text):
            raise ValueError(text)
        return float(text)


class StrictNumberRange(Strict, click.FloatRange):
    """A decimal number in a range."""

    name = "float"
    parse = staticmethod(StrictNumber.parse)


class Name(click.Path):
    """A path that can be shown in a line: not empty, and without control characters. ``what``: "file" or "directory"."""

    def __init__(self, what: str, exists: bool = False):
        super().__init__(exists=exists, file_okay=what == "file", dir_okay=what == "directory", path_type=Path)
        self.what = what

    def convert(self, value, param, ctx):
        text = str(value)
        option = param.opts[0].lstrip("-") if param else "path"
        if not text:
            raise ConfigError(f"{option} must name a {self.what}, not {text!r}")
        if any(ord(c) < 32 or ord(c) == 127 for c in text):
            raise ConfigError(f"{option} must name a {self.what} without control characters, not {text!r}")
        return super().convert(value, param, ctx)


def integer(low: int | None = None, high: int | None = None) -> click.ParamType:
    """The type of an option that takes integers from ``low`` to ``high``; None: no bound."""
    return StrictInteger() if low is None and high is None else StrictIntegerRange(low, high)


def number(low: float | None = None, high: float | None = None) -> click.ParamType:
    """The type of an option that takes numbers from ``low`` to ``high``; None: no bound."""
    return StrictNumber() if low is None and high is None else StrictNumberRange(low, high)


FILE, DIRECTORY = Name("file"), Name("directory")  #: to write
EXISTING_FILE, EXISTING_DIRECTORY = Name("file", exists=True), Name("directory", exists=True)  #: to read
SEED = integer(0, 2**32 - 1)


def config_option(what: str = "", **given):
    """``--config``, as ``config_name``: a preset or a file. ``what``: said before that; ``given``: what ``click.option`` takes instead."""
    return click.option("--config", "config_name", **{"default": "small", **given},
                        help=f"{what}Preset ({', '.join(PRESETS)}) or TOML file.")


def parse_lr_shifts(text: str | None, epochs: int) -> tuple | None:
    """``--lr-shift``: one number, or one for each epoch; None when it is not given."""
    if text is None:
        return None
    try:
        shifts = tuple(parse_integer(part.strip(" ")) for part in text.split(","))
    except ValueError:
        raise ConfigError(f"lr-shift must be an integer, or one for each epoch separated by commas, not {text!r}") from None
    if len(shifts) == 1:
        return shifts * epochs
    if len(shifts) != epochs:
        raise ConfigError(f"lr-shift must be one value or {epochs}, one for each epoch, not {len(shifts)}")
    return shifts


#: ``--lr-shift``, as a text or None.
lr_shift_option = click.option(
    "--lr-shift", default=None, show_default="2 + log2(16 / batch), 1 at least",
    help="Learning rate 2^-N; or one N for each epoch: 2,2,2,3,4.")

goals_option = click.option("--goals", type=EXISTING_FILE, default=None, help="TOML file of goals, judged by the figures.")

init_option = click.option("--init", type=click.Choice(["he", "scaled"]), default="he",
                           help="Initial weights. scaled: every channel begins with mean 0 and deviation 1, as batchnorm would have it.")
