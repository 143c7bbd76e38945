"""The goals of the project, judged by recorded figures alone."""

from dataclasses import dataclass

import numpy as np

WIDE = 16  #: channels from which a layer is expected to keep the array busy

#: What is said in place of the goals that a file that was not given would decide.
MISSING = {
    "sparsity": "the study of sparsity (`--sparsity`, from `make sparsity`)",
    "synth": "synthesis (`--synth`, from `make resources`)",
    "fresh": "a fresh clone (`--fresh`, from `make fresh`)",
    "boards": "boards (`--boards`, from `gradgate synth --board B --docs`)",
}


@dataclass(frozen=True, kw_only=True)
class Goal:
    """A figure to reach, and what was reached.

    what: the figure, with its unit
    got: None where there is no figure, for a run that failed: missed
    at_most: ``wanted`` is the largest figure that will do, else the smallest
    bound: the best that zeros allow, where that is known
    """

    what: str
    wanted: float
    got: float | None
    at_most: bool = False
    bound: float | None = None

    @property
    def met(self) -> bool:
        """It was reached."""
        return self.got is not None and (self.got <= self.wanted if self.at_most else self.got >= self.wanted)

    @property
    def verdict(self) -> str:
        """Met, or missed and by how much."""
        if self.met:
            return "met"
        if self.got is None:
            return "missed: no figure"
        text = f"missed by {100 * abs(self.got / self.wanted - 1):.1f} %" if self.wanted else "missed"
        bounded = self.bound is not None and self.bound < self.wanted
        return f"{text}; zeros allow {self.bound:.2f} at most" if bounded else text

    def text(self) -> str:
        """One line of a table: what, wanted, got, verdict."""
        limit = "at most" if self.at_most else "at least"
        return f"| {self.what} | {limit} {_number(self.wanted)} | {_number(self.got)} | {self.verdict} |"


def _number(value) -> str:
    """Integers in full, others with four digits."""
    if value is None:
        return "none"
    return f"{value:,}" if isinstance(value, int) else f"{value:.4g}" if abs(value) < 1000 else f"{value:,.0f}"


def goal_table(goals: list) -> list:
    """Lines of a Markdown table."""
    return ["| goal | wanted | reached | met / missed |", "|---|---:|---:|---|", *(goal.text() for goal in goals)]


def training(demo: dict, others: list = ()) -> list:
    """Goals that training runs decide, from their ``result.json``: all runs together, where a goal is not said to be the demo's."""
    runs, cycles, name = [demo, *others], demo["train_per_phase"]["rtl_cycles"], demo["config"]["name"]
    busy = [100 * row["macs"] / row["all"] / (run["config"]["rows"] * run["config"]["lanes"])
            for run in runs for block, row in run["skip_on_off"]["layers_skip_off"].items()
            if row["run"] and run["channels"][block] >= WIDE]
    return [
        Goal(what="words of the demo compared", wanted=10_000_000, got=demo["compared_words"]),
        Goal(what="mismatched words", wanted=0, got=sum(run["mismatched_words"] for run in runs), at_most=True),
        Goal(what="commands whose cycles differ from the model", wanted=0, at_most=True,
             got=sum(run["commands_with_wrong_cycles"] for run in runs)),
        Goal(what="accuracy of the demo, counted on chip, %", wanted=96, got=demo["test_accuracy"]),
        Goal(what=f"utilisation with skipping off of layers with {WIDE} and more inputs and outputs, the lowest, all their commands "
                  "included, %", wanted=85, got=min(busy, default=None)),
        Goal(what="speedup of the demo's whole step by skipping", wanted=3, got=demo["skip_on_off"]["speedup"]),
        Goal(what="loss unit's share of the demo's steps, %", wanted=1, got=100 * cycles["loss"] / sum(cycles.values()), at_most=True),
        Goal(what=f"simulated cycles a second of the demo on `{name}`, comparison included", wanted=200_000,
             got=demo["rtl_cycles"] / demo["simulation_s"]),
    ]


def seeds(pairs: list) -> list:
    """The goal that pairs of accuracies (golden model, float32) in percent decide, one pair a seed."""
    golden, float32 = np.array(pairs).mean(axis=0)
    return [Goal(what=f"difference of the mean accuracies of golden model and float32, {len(pairs)} seeds, points", wanted=0.3,
                 got=float(abs(golden - float32)), at_most=True)]


def soak(found: dict) -> list:
    """Goals that a soak run decides."""
    return [Goal(what="random networks trained", wanted=300, got=found["networks"]),
            Goal(what="random networks with a difference or a hang", wanted=0, got=len(found["failures"]), at_most=True)]


def synthesis(found: dict, name: str) -> list:
    """Goals that the synthesis of configuration ``name`` decides; ``found``: figures by configuration."""
    lane, row = (found[name]["units"][unit]["lut4"] for unit in ("lane", "row without its lanes"))
    return [Goal(what=f"LUT4s of a lane of `{name}`", wanted=450, got=lane, at_most=True),
            Goal(what=f"LUT4s of a row of `{name}` without its lanes", wanted=2500, got=row, at_most=True)]


def fresh(found: dict) -> list:
    """Goals that commands in a fresh clone decide; a command that fails misses its goal however fast it was."""
    def seconds(name):
        run = found["runs"][name]
        return run["seconds"] if run["exit_code"] == 0 else None

    return [
        Goal(what="`make demo` in a fresh clone, s", wanted=480, got=seconds("demo"), at_most=True),
        Goal(what="`make demo` again, s", wanted=150, got=seconds("demo again"), at_most=True),
        Goal(what="`make test` after it, s", wanted=1200, got=seconds("test"), at_most=True),
        Goal(what="presets whose Verilog is clean under lint and the same for two hash seeds", wanted=3,
             got=len(found["runs"]["generated"].get("presets", ()))),
    ]


def boards(found: list) -> list:
    """Goals that place and route decide; ``found``: the figures of designs on boards, of which those of cores have ``formats``."""
    built = [figures for figures in found if figures.get("meets_clock") and "formats" in figures["config"]]

    def of(board):
        return [figures for figures in built if figures["board"] == board]

    small = [figures["fmax_mhz"] for figures in of("ulx3s_85f") if figures["config"]["name"] == "small" and len(figures["seeds_mhz"]) >= 3]
    clock = "MHz of `small` on the ULX3S 85F, worst of three seeds"
    return [
        Goal(what=clock, wanted=100, got=min(small, default=None)),
        Goal(what=f"{clock}: what a first array of multipliers promised", wanted=150, got=min(small, default=None)),
        Goal(what="PEs of the largest array with a bitstream for the ULX3S 85F", wanted=64,
             got=max((figures["pes"] for figures in of("ulx3s_85f")), default=None)),
        *(Goal(what=f"cores with a bitstream for the {title}", wanted=1, got=len(of(board)))
          for board, title in (("icebreaker", "iCEBreaker"), ("tang_primer_20k", "Tang Primer 20K"))),
    ]


def lines(demo: dict, soaked: dict, pairs: list, others: list = (), **files) -> list:
    """The part of a page on all goals. ``files``: ``sparsity``, ``synth``, ``fresh``, ``boards``, what is in these JSON files, or None."""
    goals = training(demo, others) + seeds(pairs) + soak(soaked)
    if files.get("fresh"):
        goals += fresh(files["fresh"])
    if files.get("synth"):
        goals += synthesis(files["synth"], demo["config"]["name"])
    if files.get("boards"):
        goals += boards(files["boards"])
    if files.get("sparsity"):
        goals += [Goal(**goal) for goal in files["sparsity"]["goals"]]
    left_out = [f"Left out, for their file was not given: goals of {what}." for name, what in MISSING.items() if not files.get(name)]
    return ["## Goals", "", f"{sum(goal.met for goal in goals)} of {len(goals)} met.", "", *goal_table(goals), "",
            *(line for out in left_out for line in (out, ""))]
