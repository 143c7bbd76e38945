"""docs/examples.md: every section, table and grid is read by a test, and the reader takes no page that it would read wrongly."""

import ast
import re

import pytest
from support import SOURCES, TESTS, examples

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

#: Components that are made of others, whose examples are those.
WHOLE = {"Array", "AxiLiteCore", "Core", "Row", "System", "Weights", "WishboneCore"}


def components(source):
    """``{name: docstring}`` of a file's components."""
    return {node.name: ast.get_docstring(node) or "" for node in ast.parse(source).body
            if isinstance(node, ast.ClassDef) and any(ast.unparse(base) == "wiring.Component" for base in node.bases)}


def without_example(found):
    """Components of ``found`` whose docstring does not name a section of the page in a line of its own."""
    anchors = {re.sub(r"[^\w -]", "", name.lower()).replace(" ", "-") for name in examples.sections()}
    named = {name: re.findall(r"^Example: docs/examples\.md#([\w-]+)$", doc, re.MULTILINE) for name, doc in found.items()}
    return {name for name, anchor in named.items() if len(anchor) != 1 or anchor[0] not in anchors}


def test_every_component_has_an_example():
    found = {}
    for path in (SOURCES / "hw").rglob("*.py"):
        found |= components(path.read_text(encoding="utf-8"))
    assert len(found) > 30 and without_example(found) == WHOLE


@pytest.mark.parametrize("doc, lost", [
    ("A memory.\n\n    Example: docs/examples.md#ram\n    ", set()), ("A memory.", {"Made"}),
    ("A memory.\n\n    Example: docs/examples.md#rum\n    ", {"Made"}), ("A memory. Example: docs/examples.md#ram", {"Made"}),
])
def test_example_check(doc, lost):
    """The check finds what it is for, and not what is right."""
    assert without_example(components(f'class Made(wiring.Component):\n    """{doc}"""\n')) == lost


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
