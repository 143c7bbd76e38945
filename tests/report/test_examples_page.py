"""docs/examples.md: every section, table and grid is read by a test, and the reader takes no page that it would read wrongly."""

import ast

import pytest
from support import TESTS, examples

READERS = sorted(path for path in TESTS.rglob("test_*_examples.py"))


def arguments(call, constants):
    """The arguments of a call, which are constants, or tuples of them that the file names."""
    for argument in call.args:
        yield from constants[argument.value.id] if isinstance(argument, ast.Starred) else [argument.value]


def read_by_tests():
    """``{(function of the reader, section, columns)}`` of all calls in the tests of the examples."""
    found = set()
    for path in READERS:
        tree = ast.parse(path.read_text(encoding="utf-8"))
        constants = {node.targets[0].id: ast.literal_eval(node.value) for node in tree.body
                     if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name) and isinstance(node.value, ast.Tuple)}
        calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)]
        found |= {(node.func.id, *arguments(node, constants)) for node in calls if node.func.id in ("table", "grids")}
    return found


def test_all_of_the_page_is_read():
    shown = {("table", name, *columns) for name in examples.sections() for columns in examples.tables(name)}
    shown |= {("grids", name, *grids) for name in examples.sections() if (grids := examples.all_grids(name))}
    assert shown == read_by_tests() | {("table", "The core", "field", "value", "meaning")}
    assert {entry[1] for entry in shown} == set(examples.sections())


@pytest.fixture
def page(monkeypatch):
    """Sets the text of the section ``unit``."""
    def show(text):
        monkeypatch.setattr(examples, "sections", lambda: {"unit": text})
    return show


def test_tables_and_grids(page):
    page("Some text.\n\n| a | b | c |\n|---|---|---|\n| 1 | | x |\n| -2 3 | 0x1F | `y` |\n\n"
         "```\none two  three\n 1  2     -3\n 4\n\nfour\n5\n```\n")
    assert examples.table("unit", "a", "b", "c") == [{"a": 1, "b": None, "c": "x"}, {"a": (-2, 3), "b": 31, "c": "y"}]
    shown = {"one two": [[1, 2], [4]], "three": [[-3]], "four": [[5]]}
    assert examples.all_grids("unit") == examples.grids("unit", "one two", "three", "four") == shown
    assert [examples.several(cell) for cell in (None, 1, (2, 3))] == [[], [1], [2, 3]]


@pytest.mark.parametrize("text, message", [
    ("| a |\n|---|\n", "no table has the columns"),
    ("| a | b |\n|---|---|\n| 1 |\n", "shorter|longer"),
    ("| a | b |\n|---|---|\n| 1 | 2 |\n\n| a | b |\n|---|---|\n", "two tables"),
])
def test_what_is_refused(page, text, message):
    """Other columns than a test knows, cells that are missing, and tables that cannot be told apart."""
    page(text)
    with pytest.raises((KeyError, ValueError), match=message):
        examples.table("unit", "a", "b")


def test_other_grids(page):
    page("```\nimage  sums\n1      2\n```\n")
    with pytest.raises(KeyError, match="the grids are not image, words, but image, sums"):
        examples.grids("unit", "image", "words")


def test_unknown_section():
    with pytest.raises(KeyError, match="no section 'nothing'"):
        examples.section("nothing")
