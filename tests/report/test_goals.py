"""Goals: every figure comes out of the given files, a goal that is missed is shown as missed, and a wrong file is told in one line."""

import json
from copy import deepcopy
from dataclasses import replace

import pytest
from click.testing import CliRunner
from support import DOCS
from support.rig import TINY

from gradgate.arch.checks import ConfigError
from gradgate.arch.network import Network
from gradgate.cli.main import main
from gradgate.report import figures, goals, results
from gradgate.report.goals import Goal, Verdict
from gradgate.training.datasets import digits
from gradgate.training.run import Trainer
from gradgate.training.schedule import Schedule

SOAK = {"seed": 1, "networks": 300, "steps": 9, "compared_words": 9, "commands": 9, "cycles": 9, "kinds": {}, "failures": []}
SYNTH = {"small": {"units": {"lane": {"number": 32, "lut4": 440, "all": {"lut4": 1}}, "row without its lanes": {"lut4": 2400}}}}
STUDY = {"networks": {"vgg16": {"configs": {"paper": {"efficiency": 0.95, "efficiency_port": 0.9, "efficiency_port_overlap": 0.9,
                                                      "speedup_total": 3.4, "ideal_total": 4.0, "speedup_bp": 5.5, "ideal_bp": 8.0}}},
                      "resnet18": {"configs": {"paper": {"efficiency": 0.95, "speedup_bp": 1.7, "ideal_bp": 1.8}, "base": {}}}}}
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
    run["train_per_phase"] |= {"rtl_total": 1000, "rtl_cycles": {"FW": 995, "loss": 10}}
    return run


def judged(wanted, got, at_most=False, bound=None):
    """A verdict on a goal of these numbers."""
    limit = {"at_most" if at_most else "at_least": wanted}
    return Verdict(goal=Goal(what="a", figure="demo.a", **limit), got=got, bound=bound)


@pytest.mark.parametrize("verdict, met, cells", [
    (judged(2.0, 2.5), True, ["at least 2", "2.5", "met"]),
    (judged(2.0, 2.0), True, ["at least 2", "2", "met"]),
    (judged(2.0, 1.5, bound=1.8), False, ["at least 2", "1.5", "missed by 25.0 %; possible is 1.80"]),
    (judged(2.0, 1.5, bound=2.8), False, ["at least 2", "1.5", "missed by 25.0 %"]),
    (judged(480, 480.0, at_most=True), True, ["at most 480", "480", "met"]),
    (judged(480, 600.12, at_most=True), False, ["at most 480", "600.1", "missed by 25.0 %"]),
    (judged(0, 0, at_most=True), True, ["at most 0", "0", "met"]),
    (judged(0, 3, at_most=True), False, ["at most 0", "3", "missed"]),
    (judged(1_000_000, 1234567.8), True, ["at least 1,000,000", "1,234,568", "met"]),
    (judged(0, None, at_most=True), False, ["at most 0", "none", "missed: no figure"]),
    (judged(0, None), False, ["at least 0", "none", "missed: no figure"]),
], ids=lambda v: " ".join(v) if isinstance(v, list) else "")
def test_verdict(verdict, met, cells):
    assert verdict.met == met and verdict.cells() == ["a", *cells]


def test_figures_of_a_run(measured):
    """Computed here from the run's tables."""
    wide = measured["skip_on_off"]["layers_skip_off"]["conv2"]
    cycles = measured["train_per_phase"]["rtl_cycles"]
    assert measured["channels"] == {"conv1": 1, "conv2": 16, "dense3": 10}
    assert figures.demo(measured) == {
        "compared_words": measured["compared_words"], "test_accuracy": measured["test_accuracy"],
        "speedup": measured["skip_on_off"]["speedup"],
        "loss_share": pytest.approx(100 * cycles["loss"] / measured["train_per_phase"]["rtl_total"]),
        "cycles_per_second": measured["rtl_cycles"] / measured["simulation_s"]}
    assert figures.runs([measured, {**measured, "mismatched_words": 2, "commands_with_wrong_cycles": 3}]) == {
        "mismatched_words": 2, "wrong_cycles": 3, "utilisation": pytest.approx(100 * wide["macs"] / wide["all"] / TINY.pes)}


def change(table, path, value):
    """A copy of ``table`` with another value at ``path``."""
    table = deepcopy(table)
    inner = table
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = value
    return table


def gathered(demo, other=None, pairs=((98.0, 98.25), (97.0, 97.25)), soaked=SOAK, study=None, synth=None, fresh=None, boards=None):
    """Figures by group."""
    return {**figures.gather([demo, *([other] if other else [])], soaked, study, synth, fresh, boards), "seeds": figures.seeds(pairs)}


def verdicts(found):
    """Verdict on each of the project's own goals, by what it is, from the table on the page."""
    lines = goals.section(goals.load(DOCS / "goals.toml", figures.names(found)), found)
    rows = [[cell.strip() for cell in line.strip("| ").split(" | ")] for line in lines if line.startswith("| ")][1:]
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
    ("synth", ("small", "units", "lane", "lut4"), 451, "LUT4s of a lane"),
    ("synth", ("small", "units", "row without its lanes", "lut4"), 2501, "LUT4s of a row"),
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
    ("study", ("networks", "vgg16", "configs", "paper", "efficiency"), 0.91, "efficiency of RUN cycles, vgg16"),
    ("study", ("networks", "vgg16", "configs", "paper", "speedup_bp"), 5.42, "backpropagation against dense, vgg16, whose zeros"),
    ("study", ("networks", "resnet18", "configs", "paper", "speedup_bp"), 1.68, "backpropagation against dense, resnet18"),
]


@pytest.mark.parametrize("file, path, value, what", CHANGES, ids=[f"{file} {path[-1]} {value}" for file, path, value, _ in CHANGES])
def test_one_missed(file, path, value, what, demo):
    """Of figures that meet all goals, one that does not, in any of the files: its goal alone is missed."""
    tables = {"demo": demo, "other": demo, "synth": SYNTH, "fresh": FRESH, "boards": BOARDS, "study": STUDY, "soaked": SOAK,
              "pairs": [(98.0, 98.25), (97.0, 97.25)]}
    assert set(verdicts(gathered(**tables)).values()) == {"met"}
    tables[file] = change(tables[file], path, value)
    found = verdicts(gathered(**tables))
    missed = [goal for goal, verdict in found.items() if verdict != "met"]
    assert len(missed) == 1 and missed[0].startswith(what) and found[missed[0]].startswith("missed")
    assert len(found) == 22 + 8


def test_files_that_are_not_given(demo):
    """Their goals are left out, and a line says so; without goals there is no word of them."""
    found = gathered(demo)
    wanted = goals.load(DOCS / "goals.toml", figures.names(found))
    lines = goals.section(wanted, found)
    assert sum(line.startswith("Left out") for line in lines) == 4 and "11 of 11 met." in lines
    lines = goals.section(wanted, gathered(demo, fresh=FRESH))
    assert [line for line in lines if line.startswith("Left out")] == [
        f"Left out, for their file was not given: goals of {figures.GROUPS[name]}." for name in ("sparsity", "synth", "boards")]
    assert "15 of 15 met." in lines
    assert goals.section([], found) == [] and goals.load(None, {}) == []


@pytest.mark.parametrize("fmax, seeds, expected", [
    (100.0, 3, ["met", "missed by 33.3 %"]), (99.9, 3, ["missed by 0.1 %", "missed by 33.4 %"]), (200.0, 2, ["missed: no figure"] * 2)])
def test_clock_of_three_seeds(fmax, seeds, expected):
    """Fewer seeds than three decide nothing."""
    placed = [{**CORE, "fmax_mhz": fmax, "seeds_mhz": dict.fromkeys(map(str, range(seeds)), fmax)}]
    found = verdicts({"boards": figures.boards(placed)})
    assert [verdict for what, verdict in found.items() if what.startswith("MHz")] == expected


@pytest.mark.parametrize("ideal, got, expected", [(6.01, 5.4, "missed by 0.6 %"), (6.01, 6.23, "met"), (6.0, 5.4, None)])
def test_goal_only_where_the_bound_allows(ideal, got, expected):
    """The best that others report is to be beaten where zeros allow more than six, and nowhere else."""
    study = {"networks": {"googlenet": {"configs": {"paper": {"speedup_bp": got, "ideal_bp": ideal}}}}}
    found = verdicts({"sparsity": figures.sparsity(study)})
    assert found.get("backpropagation against dense, googlenet, whose zeros allow more than 6, `paper`") == expected
    assert found["backpropagation against dense, googlenet, `paper`"] == "met" and len(found) == 1 + (expected is not None)


def test_mean_of_five():
    """It is there when all five are, and not before."""
    study = {"networks": {name: {"configs": {"paper": {"efficiency": 0.1 * number}}} for number, name in enumerate(figures.FIVE)}}
    assert figures.sparsity(study)["paper.mean_of_five.efficiency"] == pytest.approx(0.2)
    del study["networks"]["vgg16"]
    assert not [name for name in figures.sparsity(study) if "mean" in name]


GOOD = {"what": "words", "figure": "soak.networks", "at_least": 3}
FAULTS = [
    ("goals = 1", "goals: unknown key 'goals'; known are goal"),
    ("goal = 1", "goals must be tables [[goal]]"),
    ("goal = [1]", "goal 1 must be a table, not 1"),
    ({"at_best": 3}, "goal 2: unknown key 'at_best'; known are at_least, at_most, bound, bound_above, figure, what"),
    ({"what": None}, "goal 2 needs what"),
    ({"what": None, "figure": None}, "goal 2 needs what and figure"),
    ({"what": ""}, "goal 2: what must be one line of printable characters, not ''"),
    ({"at_least": "3"}, "goal 2: at_least must be a number, not '3'"),
    ({"at_least": True}, "goal 2: at_least must be a number, not True"),
    ({"at_least": float("nan")}, "goal 2: at_least must be a number, not nan"),
    ({"at_most": 4}, "goal 2: at_least or at_most must be given, and not both"),
    ({"at_least": None}, "goal 2: at_least or at_most must be given, and not both"),
    ({"figure": 5}, "goal 2: figure must be a text, not 5"),
    ({"figure": "soaks.networks"}, "goal 2: figure must begin with one of demo., runs., seeds., soak., sparsity., synth., fresh., boards., "
                                   "not 'soaks.networks'"),
    ({"figure": "soak.network"}, "goal 2: there is no figure 'soak.network'; near it are soak.networks, soak.failures"),
    ({"bound": "soak.network"}, "goal 2: there is no figure 'soak.network'; near it are soak.networks, soak.failures"),
    ({"bound": "network"}, "goal 2: bound must begin with one of demo., runs., seeds., soak., sparsity., synth., fresh., boards., "
                           "not 'network'"),
    ({"bound_above": 2}, "goal 2: bound_above needs a bound"),
]


@pytest.mark.parametrize("fault, message", FAULTS, ids=[message[:60] for _, message in FAULTS])
def test_a_wrong_file_is_told_in_one_line(fault, message, tmp_path):
    def entry(table):
        values = {key: value if isinstance(value, float) else json.dumps(value) for key, value in table.items() if value is not None}
        return "[[goal]]\n" + "".join(f"{key} = {value}\n" for key, value in values.items())
    path = tmp_path / "goals.toml"
    path.write_text(fault if isinstance(fault, str) else entry(GOOD) + entry({**GOOD, **fault}))
    with pytest.raises(ConfigError) as error:
        goals.load(path, {"soak": {"networks", "failures"}})
    assert str(error.value) == f"{path}: {message}"


def test_command(demo, tmp_path, monkeypatch):
    """The page of the command, from files; a file that is not what it should be is told before anything is computed."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "docs").mkdir()
    tables = {"demo": demo, "soak": SOAK, "synth": {"tiny": SYNTH["small"]}, "fresh": FRESH, "sparsity": STUDY, "old": {"batch": 4}}
    for name, table in tables.items():
        (tmp_path / f"{name}.json").write_text(json.dumps(table))
    (tmp_path / "half.json").write_text('{"networks": [')
    (tmp_path / "wrong.toml").write_text('[[goal]]\nwhat = "a"\nfigure = "demo.accuracy"\nat_least = 1\n')
    aims = (DOCS / "goals.toml").read_text(encoding="utf-8").replace("synth.small", "synth.tiny").replace("of `small`", "of `tiny`")
    (tmp_path / "goals.toml").write_text(aims)
    monkeypatch.setattr(results, "compare_seeds", lambda seeds: [(98.0, 98.25)] * seeds)

    def call(*options):
        return CliRunner().invoke(main, ["results", "--demo", "demo.json", "--soak", "soak.json", "--other", "demo.json", *options])
    for option, file, message in (("--sparsity", "old.json", " has no networks: "), ("--synth", "old.json", " has no tiny: "),
                                  ("--fresh", "old.json", " has no runs: "), ("--other", "old.json", " has no skip_on_off, channels: "),
                                  ("--sparsity", "half.json", ": Expecting value"),
                                  ("--goals", "wrong.toml", ": goal 1: there is no figure 'demo.accuracy'; near it ")):
        done = call(option, file)
        assert done.exit_code == 1 and done.stderr.startswith(f"gradgate: {file}{message}") and done.stderr.count("\n") == 1
    assert call("--fresh", "none.json").exit_code == 2 and not list((tmp_path / "docs").iterdir())

    (tmp_path / "boards").mkdir()
    (tmp_path / "boards/small.json").write_text("{}")
    given = ("--sparsity", "sparsity.json", "--synth", "synth.json", "--fresh", "fresh.json", "--boards", "boards")
    assert call(*given).stderr.startswith("gradgate: boards/small.json has no config, ")
    (tmp_path / "boards/small.json").write_text(json.dumps({**CORE, "synthesised": {}, "tools": "", "date": ""}))
    assert call(*given, "--goals", "goals.toml").exit_code == 0
    page = (tmp_path / "docs" / "results.md").read_text()
    assert "27 of 30 met." in page and "Left out" not in page
    rows = [[cell.strip() for cell in line.strip("| ").split(" | ")] for line in page.split("\n") if line.startswith("| ")]
    for row in (["PEs of the largest array with a bitstream for the ULX3S 85F", "at least 64", "32", "missed by 50.0 %"],
                ["efficiency of RUN cycles, vgg16, `paper`", "at least 0.92", "0.95", "met"],
                ["LUT4s of a lane of `tiny`", "at most 450", "440", "met"],
                ["`make demo` in a fresh clone, s", "at most 480", "300.5", "met"]):
        assert row in rows
    assert any(row[0].endswith("10 seeds, points") and row[1:] == ["at most 0.3", "0.25", "met"] for row in rows)
    assert call("--goals", "goals.toml").exit_code == 0
    assert (tmp_path / "docs" / "results.md").read_text().count("Left out, ") == 4
    assert call(*given).exit_code == 0
    assert "goal" not in (tmp_path / "docs" / "results.md").read_text().lower()
