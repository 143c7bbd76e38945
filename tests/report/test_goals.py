"""Goals: every figure comes out of the given files, and a goal that is missed is shown as missed."""

import json
from copy import deepcopy
from dataclasses import replace

import pytest
from click.testing import CliRunner
from support.rig import TINY

from gradgate.arch.network import Network
from gradgate.cli.main import main
from gradgate.report import results
from gradgate.training import goals
from gradgate.training.datasets import digits
from gradgate.training.goals import Goal
from gradgate.training.run import Trainer
from gradgate.training.schedule import Schedule

SOAK = {"seed": 1, "networks": 300, "steps": 9, "compared_words": 9, "commands": 9, "cycles": 9, "kinds": {}, "failures": []}
SYNTH = {"tiny": {"units": {"lane": {"lut4": 440}, "row without its lanes": {"lut4": 2400}}}}
SPARSITY = {"goals": [{"what": "one of the study", "wanted": 5.43, "got": 5.0, "at_most": False, "bound": 5.2}]}
FRESH = {"runs": {"demo": {"seconds": 300.5, "exit_code": 0}, "demo again": {"seconds": 150, "exit_code": 0},
                  "test": {"seconds": 700, "exit_code": 0}, "generated": {"exit_code": 0, "presets": ["tiny", "small", "base"]}}}
CORE = {"board": "ulx3s_85f", "config": {"name": "small", "formats": {}}, "pes": 32, "fmax_mhz": 150.0, "meets_clock": True,
        "seeds_mhz": {"1": 155.0, "2": 150.0, "3": 160.0}}
BOARDS = [CORE, {**CORE, "config": {"name": "wide", "formats": {}}, "pes": 64, "seeds_mhz": {"1": 50.0}, "fmax_mhz": 50.0},
          {**CORE, "board": "icebreaker"}, {**CORE, "board": "tang_primer_20k"},
          {"config": {"name": "huge", "formats": {}}, "board": "ulx3s_85f", "pes": 128, "refused": "too large"},
          {"config": {"name": "small", "formats": {}}, "family": "xc7"}]


@pytest.fixture(scope="module")
def measured():
    """``result.json`` of a short run on a simulated core."""
    data = digits(0)
    data = replace(data, train_x=data.train_x[:8], train_y=data.train_y[:8], test_x=data.test_x[:4], test_y=data.test_y[:4])
    schedule = Schedule(network=Network.load("digits"), config=TINY, batch=4, lr_shifts=(2,), dense_steps=1)
    return json.loads(json.dumps({"mode": "bp", **Trainer(schedule, data).run().json()}))


@pytest.fixture
def demo(measured):
    """The same, with figures that meet all goals."""
    run = deepcopy(measured)
    run |= {"compared_words": 10_000_000, "test_accuracy": 96.0, "rtl_cycles": 800_000, "simulation_s": 4.0}
    run["skip_on_off"]["speedup"] = 3.0
    run["train_per_phase"]["rtl_cycles"] = {"FW": 990, "loss": 10}
    return run


@pytest.mark.parametrize("goal, met, line", [
    (Goal(what="a", wanted=2.0, got=2.5), True, "| a | at least 2 | 2.5 | met |"),
    (Goal(what="a", wanted=2.0, got=2.0), True, "| a | at least 2 | 2 | met |"),
    (Goal(what="a", wanted=2.0, got=1.5, bound=1.8), False, "| a | at least 2 | 1.5 | missed by 25.0 %; zeros allow 1.80 at most |"),
    (Goal(what="a", wanted=2.0, got=1.5, bound=2.8), False, "| a | at least 2 | 1.5 | missed by 25.0 % |"),
    (Goal(what="a", wanted=480, got=480.0, at_most=True), True, "| a | at most 480 | 480 | met |"),
    (Goal(what="a", wanted=480, got=600.12, at_most=True), False, "| a | at most 480 | 600.1 | missed by 25.0 % |"),
    (Goal(what="a", wanted=0, got=0, at_most=True), True, "| a | at most 0 | 0 | met |"),
    (Goal(what="a", wanted=0, got=3, at_most=True), False, "| a | at most 0 | 3 | missed |"),
    (Goal(what="a", wanted=1_000_000, got=1234567.8), True, "| a | at least 1,000,000 | 1,234,568 | met |"),
    (Goal(what="a", wanted=0, got=None, at_most=True), False, "| a | at most 0 | none | missed: no figure |"),
    (Goal(what="a", wanted=0, got=None), False, "| a | at least 0 | none | missed: no figure |"),
], ids=lambda v: v if isinstance(v, str) else "")
def test_verdict(goal, met, line):
    assert goal.met == met and goal.text() == line


def test_a_run_has_what_its_goals_need(measured):
    """The figures, computed here from the run's tables."""
    found = {goal.what: goal for goal in goals.training(measured)}
    wide = measured["skip_on_off"]["layers_skip_off"]["conv2"]
    cycles = measured["train_per_phase"]["rtl_cycles"]
    assert measured["channels"] == {"conv1": 1, "conv2": 16, "dense3": 10}
    assert [goal.got for goal in found.values()] == [
        measured["compared_words"], 0, 0, measured["test_accuracy"], pytest.approx(100 * wide["macs"] / wide["all"] / TINY.pes),
        measured["skip_on_off"]["speedup"], pytest.approx(100 * cycles["loss"] / sum(cycles.values())),
        measured["rtl_cycles"] / measured["simulation_s"]]
    assert not found["words of the demo compared"].met and found["mismatched words"].met


def change(table, path, value):
    """A copy of ``table`` with another value at ``path``."""
    table = deepcopy(table)
    inner = table
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = value
    return table


def verdicts(**tables):
    """Verdict on each goal, by what it is, from the table on the page."""
    lines = goals.lines(**tables)
    rows = [line.strip("| ").split(" | ") for line in lines if line.startswith("| ")][1:]
    met = sum(verdict == "met" for *_, verdict in rows)
    assert f"{met} of {len(rows)} met." in lines
    return {what: verdict for what, *_, verdict in rows}


CHANGES = [
    ("demo", ("compared_words",), 9_999_999, "words of the demo compared"),
    ("demo", ("mismatched_words",), 1, "mismatched words"),
    ("demo", ("commands_with_wrong_cycles",), 1, "commands whose cycles"),
    ("demo", ("test_accuracy",), 95.9, "accuracy of the demo"),
    ("demo", ("test_accuracy",), None, "accuracy of the demo"),
    ("demo", ("skip_on_off", "layers_skip_off", "conv2", "all"), 10**9, "utilisation"),
    ("demo", ("skip_on_off", "speedup"), 2.99, "speedup of the demo's whole step"),
    ("demo", ("train_per_phase", "rtl_cycles", "loss"), 11, "loss unit's share"),
    ("demo", ("simulation_s",), 4.01, "simulated cycles a second"),
    ("other", ("mismatched_words",), 1, "mismatched words"),
    ("other", ("commands_with_wrong_cycles",), 1, "commands whose cycles"),
    ("other", ("skip_on_off", "layers_skip_off", "conv2", "all"), 10**9, "utilisation"),
    ("pairs", (0,), (98.0, 98.8), "difference of the mean accuracies"),
    ("pairs", (0,), (98.9, 98.0), "difference of the mean accuracies"),
    ("soaked", ("networks",), 299, "random networks trained"),
    ("soaked", ("failures",), ["one"], "random networks with a difference"),
    ("synth", ("tiny", "units", "lane", "lut4"), 451, "LUT4s of a lane"),
    ("synth", ("tiny", "units", "row without its lanes", "lut4"), 2501, "LUT4s of a row"),
    ("fresh", ("runs", "demo", "seconds"), 480.1, "`make demo` in a fresh clone"),
    ("fresh", ("runs", "demo", "exit_code"), 2, "`make demo` in a fresh clone"),
    ("fresh", ("runs", "demo again", "seconds"), 150.1, "`make demo` again"),
    ("fresh", ("runs", "test", "seconds"), 1201, "`make test`"),
    ("fresh", ("runs", "test", "exit_code"), 1, "`make test`"),
    ("fresh", ("runs", "generated", "presets"), ["tiny", "base"], "presets whose Verilog"),
    ("fresh", ("runs", "generated"), {"exit_code": 4}, "presets whose Verilog"),
    ("boards", (0, "fmax_mhz"), 149.9, "MHz of `small` on the ULX3S 85F, worst of three seeds: "),
    ("boards", (1, "meets_clock"), False, "PEs of the largest array"),
    ("boards", (1, "board"), "ulx3s_45f", "PEs of the largest array"),
    ("boards", (1, "config"), {"name": "macs64"}, "PEs of the largest array"),
    ("boards", (2, "meets_clock"), False, "cores with a bitstream for the iCEBreaker"),
    ("boards", (3, "config"), {"name": "macs6"}, "cores with a bitstream for the Tang Primer 20K"),
    ("sparsity", ("goals",), SPARSITY["goals"], "one of the study"),
]


@pytest.mark.parametrize("file, path, value, what", CHANGES, ids=[f"{file} {path[-1]} {value}" for file, path, value, _ in CHANGES])
def test_one_missed(file, path, value, what, demo):
    """Of figures that meet all goals, one that does not, in any of the files: its goal alone is missed."""
    tables = {"demo": demo, "other": demo, "synth": SYNTH, "fresh": FRESH, "boards": BOARDS, "sparsity": {"goals": []}, "soaked": SOAK,
              "pairs": [(98.0, 98.25), (97.0, 97.25)]}
    tables[file] = change(tables[file], path, value)
    other = tables.pop("other")
    found = verdicts(**tables, others=[other])
    missed = [goal for goal, verdict in found.items() if verdict != "met"]
    assert len(missed) == 1 and missed[0].startswith(what) and found[missed[0]].startswith("missed")
    assert len(found) == 22 + (file == "sparsity")


def test_files_that_are_not_given(demo):
    """Their goals are left out, and a line says so."""
    lines = goals.lines(demo, SOAK, [(98.0, 98.25)])
    assert sum(line.startswith("Left out") for line in lines) == 4 and "11 of 11 met." in lines
    lines = goals.lines(demo, SOAK, [(98.0, 98.25)], fresh=FRESH, sparsity=None)
    assert [line for line in lines if line.startswith("Left out")] == [
        f"Left out, for their file was not given: goals of {goals.MISSING[name]}." for name in ("sparsity", "synth", "boards")]
    assert "15 of 15 met." in lines


@pytest.mark.parametrize("fmax, seeds, verdicts", [
    (100.0, 3, ["met", "missed by 33.3 %"]), (99.9, 3, ["missed by 0.1 %", "missed by 33.4 %"]), (200.0, 2, ["missed: no figure"] * 2)])
def test_clock_of_three_seeds(fmax, seeds, verdicts):
    """Fewer seeds than three decide nothing."""
    found = goals.boards([{**CORE, "fmax_mhz": fmax, "seeds_mhz": dict.fromkeys(map(str, range(seeds)), fmax)}])
    assert [goal.verdict for goal in found[:2]] == verdicts


def test_command(demo, tmp_path, monkeypatch):
    """The page of the command, from files; a file that is not what it should be is told before anything is computed."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "docs").mkdir()
    for name, table in {"demo": demo, "soak": SOAK, "synth": SYNTH, "fresh": FRESH, "sparsity": SPARSITY, "old": {"batch": 4}}.items():
        (tmp_path / f"{name}.json").write_text(json.dumps(table))
    (tmp_path / "half.json").write_text('{"goals": [')
    monkeypatch.setattr(results, "compare_seeds", lambda seeds: [(98.0, 98.25)] * seeds)

    def call(*options):
        return CliRunner().invoke(main, ["results", "--demo", "demo.json", "--soak", "soak.json", "--other", "demo.json", *options])
    for option, file, message in (("--sparsity", "old", " has no goals: "), ("--synth", "old", " has no tiny: "),
                                  ("--fresh", "old", " has no runs: "), ("--other", "old", " has no skip_on_off, channels: "),
                                  ("--sparsity", "half", ": Expecting value")):
        done = call(option, f"{file}.json")
        assert done.exit_code == 1 and done.stderr.startswith(f"gradgate: {file}.json{message}") and done.stderr.count("\n") == 1
    assert call("--fresh", "none.json").exit_code == 2 and not list((tmp_path / "docs").iterdir())

    (tmp_path / "boards").mkdir()
    (tmp_path / "boards/small.json").write_text("{}")
    given = ("--sparsity", "sparsity.json", "--synth", "synth.json", "--fresh", "fresh.json", "--boards", "boards")
    assert call(*given).stderr.startswith("gradgate: boards/small.json has no config, ")
    (tmp_path / "boards/small.json").write_text(json.dumps({**CORE, "synthesised": {}, "tools": "", "date": ""}))
    assert call(*given).exit_code == 0
    page = (tmp_path / "docs" / "results.md").read_text()
    assert "19 of 23 met." in page and "Left out" not in page
    assert "| PEs of the largest array with a bitstream for the ULX3S 85F | at least 64 | 32 | missed by 50.0 % |" in page
    assert "| one of the study | at least 5.43 | 5 | missed by 7.9 %; zeros allow 5.20 at most |" in page
    assert "| LUT4s of a lane of `tiny` | at most 450 | 440 | met |" in page
    assert "| `make demo` in a fresh clone, s | at most 480 | 300.5 | met |" in page
    assert "10 seeds, points | at most 0.3 | 0.25 | met |" in page
    assert call().exit_code == 0
    assert (tmp_path / "docs" / "results.md").read_text().count("Left out, ") == 4
