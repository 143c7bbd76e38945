"""Figures that documents repeat are those of the code."""

import re

import pytest
from support import DOCS

from gradgate.arch.config import Config
from gradgate.arch.network import Network
from gradgate.cli.options import parse_lr_shifts
from gradgate.golden.cycles import array, loss, run, sequencer, weights
from gradgate.golden.cycles.move import move_cycles
from gradgate.report import boards as board_page
from gradgate.report import profile
from gradgate.report.results import LR_SHIFTS
from gradgate.training.datasets import digits
from gradgate.training.schedule import Schedule

README = DOCS.parent / "README.md"
SMALL = Config.load("small")


def page(name):
    """The text of a page."""
    return (DOCS / name).read_text(encoding="utf-8")


def test_constants_of_a_run():
    """The table below the formula has each constant of the cycle model, with its value."""
    table = dict(re.findall(r"\| `([A-Za-z_]+)` \| (\d+) \|", page("architecture.md")))
    assert table == {**{name: str(getattr(run, name)) for name in ("FIRST_ITEM", "OPEN", "FREE", "LAST", "ENDED")},
                     "bubble_j": str(run.BUBBLE)}


def cost(opcode, pattern):
    """The figures that ``pattern`` finds in a command's line of the table."""
    line = next(line for line in page("architecture.md").splitlines() if line.startswith(f"| {opcode} |"))
    return [int(number) for number in re.search(pattern, line).groups()]


def test_costs_of_commands():
    """Formulas of the table of commands."""
    assert cost("MOVE", r"words \+ (\d+)") == [move_cycles(SMALL, 5) - 5]
    assert cost("LOAD", r"bricks \+ (\d+)") == [weights.LOAD_LATENCY]
    assert cost("CLEAR", r"lane \+ (\d+)") == [array.clear_cycles(5) - 5]
    assert cost("POST", r"beats \+ (\d+)") == [array.POST_LATENCY]
    first, factor, image = cost("LOSS", r"(\d+) \+ images x \((\d+) x classes \+ `grad_frac` \+ (\d+)\)")
    for images, classes in ((1, 2), (3, 10)):
        assert loss.loss_cycles(SMALL, images, classes, True) == first + images * (factor * classes + SMALL.formats.grad_frac + image)
    beyond, master, gradient = cost("UPDATE", r"bricks \+ (\d+) \+ max\((\d+), (\d+) \+ ceil")
    assert (beyond, master, gradient) == (weights.UPDATE_LATENCY, weights.MASTER, weights.GRADIENT)


def test_times_of_commands():
    """The sentences and formulas on when a command begins and ends."""
    text = page("architecture.md")
    beyond, shortest = map(int, re.search(r"it takes `length \+ (\d+)`\s+cycles at least, (\d+) for a command of one word", text).groups())
    assert [sequencer.fetch_cycles(n) for n in (1, 2, 14)] == [shortest, beyond + 2, beyond + 14]
    fetch, waited, around = map(int, re.search(
        r"start\(i\) = max\(start\(i - 1\) \+ length\(i\) \+ (\d+), end of the last command of each unit waited for \+ (\d+)\)\n"
        r"end\(i\)   = start\(i\) \+ cycles of the unit \+ (\d+) ", text).groups())
    assert (fetch, waited, around) == (beyond, sequencer.WAITED, sequencer.AROUND)


def test_profile():
    """The table of a step's cycles; its parts are the whole, and limits take less than what they limit."""
    network = Network.load("digits")
    assert parse_lr_shifts("2,2,2,3,4", 5) == LR_SHIFTS
    found = profile.profile(Schedule(network=network, config=SMALL, batch=16, lr_shifts=LR_SHIFTS), digits(0))
    text = page("profile.md")
    for line in profile.lines(found, SMALL):
        assert line in text, "run `gradgate profile --docs`"
    assert sum(part.added for part in found.parts) == found.cycles < found.plain
    assert all(part.added <= part.cycles + 30 * part.commands for part in found.parts)
    assert all(cycles > 0 for cycles in found.saved.values()) and all(found.beside.values())
    assert all(cycles < found.cycles for cycles in found.limits.values())
    runs = [part for part in found.parts if part.limits]
    assert len(runs) == 8 and all(max(part.limits) <= part.cycles for part in runs)


@pytest.mark.parametrize("section", [board_page.boards, board_page.bring_up])
def test_boards(section):
    """What docs/boards.md says of boards without running the tools."""
    text = page("boards.md")
    for line in section():
        assert line in text, "run `gradgate boards --docs`"


def test_clocks_of_presets():
    """The clocks in the README are those of docs/boards.md."""
    clocks = re.findall(r"^\| `(\w+)` .* \| ([\d.]+) MHz, (.*) \|$", README.read_text(encoding="utf-8"), re.MULTILINE)
    rows = [[cell.strip() for cell in line.split("|")] for line in page("boards.md").splitlines()]
    found = {(row[1], row[2]): row[9] for row in rows if len(row) == 14}
    assert len(clocks) == 4
    for config, mhz, board in clocks:
        assert found[config, board] == mhz
