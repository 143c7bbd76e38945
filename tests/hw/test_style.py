"""Gateware that reads: how every file of ``hw`` is written."""

import ast
from pathlib import Path

import pytest

import gradgate.hw

HW = Path(gradgate.hw.__file__).parent
#: Files that are not yet written so; nothing is ever added.
UNDONE = {
    "array/post_walk",
    "bus/axilite", "bus/system", "bus/uart", "bus/uartbone", "bus/wishbone",
    "control/move",
    "core", "generate", "verilog",
    "parts/command", "parts/copy", "parts/ecp5", "parts/multiplier", "parts/ram", "parts/registers", "parts/rowport",
    "weights/loader", "weights/updater", "weights/velocity_memory", "weights/weight_loop", "weights/weight_memory", "weights/weights",
}
FILES = sorted(path.relative_to(HW).with_suffix("").as_posix() for path in HW.rglob("*.py"))
LINE = 110  # columns
FUNCTION = 80  # lines
UNPACKED = (ast.GeneratorExp, ast.ListComp, ast.SetComp)


def faults(source: str) -> list:
    """``(line number, what is wrong)`` for everything in a source that is not as it should be."""
    found = []
    for number, line in enumerate(source.splitlines(), 1):
        if line.count(".eq(") > 1:
            found.append((number, "two assignments"))
        if len(line) > LINE:
            found.append((number, "long line"))
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef) and node.end_lineno - node.lineno >= FUNCTION:
            found.append((node.lineno, "long function"))
        if isinstance(node, ast.Assign) and isinstance(node.value, UNPACKED) and any(
                isinstance(target, (ast.Tuple, ast.List)) for target in node.targets):
            found.append((node.lineno, "declarations from a comprehension"))
    return sorted(found)


@pytest.mark.parametrize("name", [name for name in FILES if name not in UNDONE])
def test_file(name):
    assert not faults((HW / f"{name}.py").read_text(encoding="utf-8"))


def test_the_undone_are_there():
    """A name that no file has any more is taken from the list."""
    assert UNDONE <= set(FILES)


@pytest.mark.parametrize("source, what", [
    ("m.d.sync += [a.eq(b), c.eq(d)]", ["two assignments"]),
    ("m.d.sync += [\n    a.eq(b),\n    c.eq(d),\n]", []),
    ("a, b = (Signal(name=name) for name in 'ab')", ["declarations from a comprehension"]),
    ("both = a, b = [Signal(name=name) for name in 'ab']", ["declarations from a comprehension"]),
    ("a, b = delays(m, c, 2)", []),
    ("signals = [Signal(name=name) for name in 'ab']", []),
    ("a = " + "b" * 106, []), ("a = " + "b" * 107, ["long line"]),
    ("def f():" + "\n    pass" * 79, []), ("def f():" + "\n    pass" * 80, ["long function"]),
])
def test_check(source, what):
    """Each check finds what it is for, and not what is right."""
    assert [each for _, each in faults(source)] == what
