"""Goals: figures that somebody wants, read from a file, and whether recorded figures reach them.

A file of goals is TOML, with a table for each goal::

    [[goal]]
    what = "accuracy of the demo, counted on chip, %"    # what the page says
    figure = "demo.test_accuracy"                        # see gradgate.report.figures
    at_least = 96                                        # or at_most
    bound = "demo.limit"       # optional: the figure that says what is possible at all
    bound_above = 6.0          # optional: the goal is one only where the bound is larger than this
"""

from dataclasses import dataclass, fields
from difflib import get_close_matches
from math import isfinite
from pathlib import Path

from gradgate.arch.checks import ConfigError, label, only_keys, read_toml
from gradgate.report.figures import GROUPS
from gradgate.report.tables import table


@dataclass(frozen=True, kw_only=True)
class Goal:
    """A figure to reach.

    what : the figure, with its unit, as a page says it
    figure : its key, a group of :data:`~gradgate.report.figures.GROUPS` and a name: ``"soak.networks"``
    at_least, at_most : the smallest, or the largest, that will do; one of them is None
    bound : key of the figure that says what is possible at all, or None
    bound_above : the goal is one only where the bound is larger than this, or None

    Raises :class:`ConfigError`.
    """

    what: str
    figure: str
    at_least: float | None = None
    at_most: float | None = None
    bound: str | None = None
    bound_above: float | None = None

    def __post_init__(self):
        label("what", self.what)
        for name, key in (("figure", self.figure), ("bound", self.bound)):
            if key is None and name == "bound":
                continue
            label(name, key)
            if key.partition(".")[0] not in GROUPS:
                raise ConfigError(f"{name} must begin with one of {', '.join(f'{group}.' for group in GROUPS)}, not {key!r}")
        for name in ("at_least", "at_most", "bound_above"):
            value = getattr(self, name)
            if value is not None and (isinstance(value, bool) or not isinstance(value, (int, float)) or not isfinite(value)):
                raise ConfigError(f"{name} must be a number, not {value!r}")
        if (self.at_least is None) == (self.at_most is None):
            raise ConfigError("at_least or at_most must be given, and not both")
        if self.bound_above is not None and self.bound is None:
            raise ConfigError("bound_above needs a bound")

    @property
    def wanted(self) -> float:
        """The figure that will just do."""
        return self.at_least if self.at_most is None else self.at_most


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """A goal, and what was reached.

    got : the figure; None where there is none, for a run that failed: missed
    bound : the figure of the goal's bound, or None
    """

    goal: Goal
    got: float | None
    bound: float | None = None

    @property
    def met(self) -> bool:
        """It was reached."""
        wanted = self.goal.wanted
        return self.got is not None and (self.got >= wanted if self.goal.at_most is None else self.got <= wanted)

    def __str__(self) -> str:
        """Met, or missed and by how much."""
        wanted = self.goal.wanted
        if self.met:
            return "met"
        if self.got is None:
            return "missed: no figure"
        text = f"missed by {100 * abs(self.got / wanted - 1):.1f} %" if wanted else "missed"
        bounded = self.bound is not None and self.bound < wanted
        return f"{text}; possible is {self.bound:.2f}" if bounded else text

    def cells(self) -> list:
        """Its line of :func:`verdict_table`: what, wanted, reached, verdict."""
        limit = "at least" if self.goal.at_most is None else "at most"
        return [self.goal.what, f"{limit} {_number(self.goal.wanted)}", _number(self.got), str(self)]


def _number(value) -> str:
    """Integers in full, others with four digits."""
    if value is None:
        return "none"
    return f"{value:,}" if isinstance(value, int) else f"{value:.4g}" if abs(value) < 1000 else f"{value:,.0f}"


def load(path: Path | None, known: dict) -> list:
    """The goals in the file ``path``; none without a file. Raises :class:`ConfigError`, which names the goal that is wrong.

    known : ``{group: names of its figures}`` of the groups whose names are known
    """
    if path is None:
        return []
    content = read_toml(Path(path))
    try:
        only_keys("goals", content, {"goal"})
        entries = content.get("goal", [])
        if not isinstance(entries, list):
            raise ConfigError("goals must be tables [[goal]]")
        return [_goal(f"goal {number}", entry, known) for number, entry in enumerate(entries, 1)]
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from None


def _goal(where: str, entry, known: dict) -> Goal:
    """The goal that the table ``entry`` describes."""
    only_keys(where, entry, {f.name for f in fields(Goal)})
    missing = [name for name in ("what", "figure") if name not in entry]
    if missing:
        raise ConfigError(f"{where} needs {' and '.join(missing)}")
    try:
        goal = Goal(**entry)
        for key in filter(None, (goal.figure, goal.bound)):
            _require_figure(key, known)
    except ConfigError as error:
        raise ConfigError(f"{where}: {error}") from None
    return goal


def _require_figure(key: str, known: dict) -> None:
    """Raise :class:`ConfigError` where there is no figure ``key``."""
    group, _, name = key.partition(".")
    if name not in known.get(group, (name,)):
        near = ", ".join(f"{group}.{one}" for one in get_close_matches(name, known[group], 3, 0))
        raise ConfigError(f"there is no figure {key!r}; near it are {near or 'none'}")


def judge(goals: list, figures: dict) -> list:
    """A :class:`Verdict` on each goal whose figure is there. ``figures``: ``{group: {name: figure}}``, None for a group without."""
    def found(key):
        group, _, name = key.partition(".")
        return (figures.get(group) or {}).get(name)

    verdicts = []
    for goal in goals:
        group, _, name = goal.figure.partition(".")
        if name in (figures.get(group) or {}):
            bound = found(goal.bound) if goal.bound else None
            if goal.bound_above is None or (bound is not None and bound > goal.bound_above):
                verdicts.append(Verdict(goal=goal, got=found(goal.figure), bound=bound))
    return verdicts


def verdict_table(verdicts: list) -> list:
    """Lines of a Markdown table."""
    return table(["goal", "wanted", "reached", "met / missed"], [verdict.cells() for verdict in verdicts])


def section(goals: list, figures: dict) -> list:
    """Lines of the part of a page on goals; none where there are no goals. ``figures``: see :func:`judge`."""
    if not goals:
        return []
    verdicts = judge(goals, figures)
    groups = {key.partition(".")[0] for goal in goals for key in [goal.figure]}
    left_out = [f"Left out, for their file was not given: goals of {what}." for group, what in GROUPS.items()
                if group in groups and figures.get(group) is None]
    return ["## Goals", "", f"{sum(verdict.met for verdict in verdicts)} of {len(verdicts)} met.", "", *verdict_table(verdicts), "",
            *(line for out in left_out for line in (out, ""))]
