"""Figures of other projects, from a file with source and date of each: see ``docs/published.toml``."""

from dataclasses import MISSING, dataclass, field, fields
from math import isfinite
from pathlib import Path

from gradgate.arch.checks import ConfigError, integer, label, only_keys, read_toml
from gradgate.report.tables import table


@dataclass(frozen=True, kw_only=True)
class Speedup:
    """What skipping zeros is worth elsewhere, least and most: in backpropagation, in a whole step. Empty: not reported."""

    of: str
    networks: str  #: how many, and which of their figures
    backpropagation: tuple = ()
    total: tuple = ()
    source: str
    date: str

    def __post_init__(self):
        _labels(self, "of", "networks", "source", "date")
        for name in ("backpropagation", "total"):
            value = getattr(self, name)
            if value and (len(value) != 2 or value[0] > value[1]):
                raise ConfigError(f"{name} must be the least and the most, not {list(value)!r}")


@dataclass(frozen=True, kw_only=True)
class Array:
    """An array of multipliers of somebody else's, on an FPGA."""

    name: str
    words: str  #: operands, and what they are summed in
    pes: int
    lut4: int
    ff: int
    dsp: int
    bram: int
    mhz: tuple  #: clocks, one a seed of place and route
    source: str  #: repository and commit
    date: str  #: of the measurement

    def __post_init__(self):
        _labels(self, "name", "words", "source", "date")
        for name in ("pes", "lut4", "ff", "dsp", "bram"):
            integer(name, getattr(self, name), 0, 10**9)
        if not self.mhz:
            raise ConfigError("mhz must be one clock or more, not none")

    @property
    def gmacs(self) -> float:
        """Dense, in GMAC/s, with the worst seed."""
        return self.pes * min(self.mhz) / 1000


@dataclass(frozen=True, kw_only=True)
class Published:
    """What is in a file: speedups; arrays, how they were measured, and what their figures do not say."""

    speedups: list = field(default_factory=list)
    arrays: list = field(default_factory=list)
    how: str = ""
    remarks: str = ""


def _labels(item, *names) -> None:
    for name in names:
        label(name, getattr(item, name))


def load(path: Path | None) -> Published:
    """The figures in the file ``path``; none without a file. Raises :class:`ConfigError`, which names the entry that is wrong."""
    if path is None:
        return Published()
    content = read_toml(Path(path))
    try:
        only_keys("published figures", content, {"speedup", "arrays"})
        arrays = content.get("arrays", {})
        only_keys("arrays", arrays, {"how", "remarks", "array"})
        return Published(speedups=_entries("speedup", content.get("speedup", []), Speedup),
                         arrays=_entries("array", arrays.get("array", []), Array),
                         **{name: _text(name, arrays[name]) for name in ("how", "remarks") if name in arrays})
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from None


def _text(name: str, value) -> str:
    if not isinstance(value, str):
        raise ConfigError(f"{name} must be a text, not {value!r}")
    return value.strip()


def _entries(what: str, tables, kind) -> list:
    """An object of class ``kind`` for each of the ``tables``."""
    if not isinstance(tables, list):
        raise ConfigError(f"{what} must be tables [[{what}]]")
    found, kinds = [], {f.name: f.type for f in fields(kind)}
    for number, entry in enumerate(tables, 1):
        where = f"{what} {number}"
        only_keys(where, entry, {f.name for f in fields(kind)})
        missing = [f.name for f in fields(kind) if f.default is MISSING and f.name not in entry]
        if missing:
            raise ConfigError(f"{where} needs {' and '.join(missing)}")
        try:
            found.append(kind(**{name: _numbers(name, entry[name]) if kinds[name] is tuple else entry[name] for name in entry}))
        except ConfigError as error:
            raise ConfigError(f"{where}: {error}") from None
    return found


def _numbers(name: str, value) -> tuple:
    if not isinstance(value, list) or not all(type(one) in (int, float) and isfinite(one) for one in value):
        raise ConfigError(f"{name} must be a list of numbers, not {value!r}")
    return tuple(value)


def array_section(published: Published) -> list:
    """Lines of the part of a page on arrays, none where there are none."""
    if not published.arrays:
        return []
    rows = [[one.name, one.words, one.pes, one.lut4, one.ff, one.dsp, one.bram, f"{min(one.mhz):.1f}",
             ", ".join(f"{mhz:.1f}" for mhz in one.mhz), f"{one.gmacs:.2f}", one.source, one.date] for one in published.arrays]
    heads = ["array", "operands", "PEs", "LUT4", "FF", "DSP", "BRAM", "Fmax, worst", "all seeds", "GMAC/s, dense", "source", "measured"]
    return ["## Arrays of others", "", *([published.how, ""] if published.how else []), *table(heads, rows), "",
            *([published.remarks, ""] if published.remarks else [])]


def speedup_section(published: Published) -> list:
    """Lines of the part of a page on speedups, none where there are none."""
    if not published.speedups:
        return []

    def span(pair):
        return " to ".join(f"{one:g}" for one in dict.fromkeys(pair))

    rows = [[one.of, one.networks, span(one.backpropagation), span(one.total), one.source, one.date] for one in published.speedups]
    return ["## What others report", "", *table(["speedup over dense", "networks", "backprop.", "total", "source", "date"], rows), "",
            "They measured other zeros, of networks trained on other images: these figures are neighbours, not a race.", ""]
