"""The one function that writes tables of pages."""

import ast

import pytest
from support import SOURCES

from gradgate.report.tables import WIDTH, table


def test_aligned():
    """Numbers to the right, in columns of numbers alone; integers with commas."""
    assert table(["unit", "cells", "share", "of"], [["lane", 1200, "3.5 %", 8], ["move", 45, "", "all"]]) == [
        "| unit | cells | share | of  |",
        "|------|------:|------:|-----|",
        "| lane | 1,200 | 3.5 % | 8   |",
        "| move |    45 |       | all |"]


@pytest.mark.parametrize("cell, right", [
    (3, True), ("3", True), ("-3.25", True), ("1,234", True), ("98 %", True), ("98.1%", True), ("2.5x", True), ("**2.5x**", True),
    ("4x8", False), ("3.", False), ("1 to 2", False), ("none", False), ("2026-11-21", False), ("1: 58.9, 2: 59.0", False), ("%", False)])
def test_what_is_a_number(cell, right):
    assert table([""], [[cell]])[1].endswith(":|") == right


def test_wide():
    """What would be too wide is not aligned."""
    for length, head in ((WIDTH - 8, WIDTH), (WIDTH - 7, 9)):
        lines = table(["a", "b"], [["x" * length, "y"], ["z", "5"]])
        assert {len(line) for line in lines[:2]} == {head}
        assert lines[3].split() == ["|", "z", "|", "5", "|"]


def test_empty():
    assert table(["a", "b"], []) == ["| a | b |", "|---|---|"]


def test_there_is_no_other():
    """No other module writes the line between a table's head and its rows."""
    found = set()
    for path in (path for room in SOURCES.glob("*/__init__.py") if room.parent.name != "tests" for path in room.parent.rglob("*.py")):
        texts = [node.value for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
                 if isinstance(node, ast.Constant) and isinstance(node.value, str)]
        if any("---|" in text or text == "---" for text in texts):
            found.add(path.relative_to(SOURCES).as_posix())
    assert found == {"report/tables.py"}
