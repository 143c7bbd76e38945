"""Gateware that reads: how every file of ``hw`` is written."""

import ast
import importlib
import re
from pathlib import Path

import pytest
from amaranth.hdl import Fragment
from amaranth.lib import wiring
from support.rig import ODD

import gradgate.hw
from gradgate.hw.bus.axilite import AxiLiteCore
from gradgate.hw.bus.system import System
from gradgate.hw.bus.wishbone import WishboneCore

HW = Path(gradgate.hw.__file__).parent
#: What makes texts and is no gateware: as wide as other Python.
TEXTS = {"generate", "verilog"}
#: Components with more ports than ``PORTS``; nothing is ever added, and a number only becomes smaller.
MANY = {
    "bus.axilite.AxiLiteCore": 23,  # tools know the bus by these names
}
FILES = sorted(path.relative_to(HW).with_suffix("").as_posix() for path in HW.rglob("*.py"))
LINE = 110  # columns
FUNCTION = 80  # lines
PORTS = 12  # of a component; what is a signature counts once
FEW = 10  # ports that need no reason
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


def name_of(component: type) -> str:
    """A class of ``hw`` as the tables above name it."""
    return f"{component.__module__}.{component.__name__}".removeprefix("gradgate.hw.")


def ports_fault(component: type, ports: int) -> str:
    """What is wrong with a component of so many ports, or nothing."""
    name = name_of(component)
    if ports > MANY.get(name, PORTS):
        return f"{name} has {ports} ports"
    if ports > FEW and name not in MANY and "\n    Ports: " not in component.__doc__:
        return f"{name} does not say why it has {ports} ports"
    return ""


def unlisted(kind: type, members: set) -> set:
    """Members that have no line of their own in the docstring; a line for NAME is for all that a parameter names."""
    listed = re.findall(r"^    (\w+) : ", kind.__doc__ or "", re.MULTILINE)
    return set() if "NAME" in listed else members - set(listed)


@pytest.fixture(scope="module")
def members():
    """``{component or signature: names of its members}`` for every one in ``hw`` of which a core or a system has one."""
    found = {}

    def watched(kind, names):
        made = kind.__init__

        def make(thing, *arguments, **keywords):
            made(thing, *arguments, **keywords)
            if type(thing).__module__.startswith("gradgate.hw."):
                found.setdefault(type(thing), set()).update(names(thing))
        return make

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(wiring.Component, "__init__", watched(wiring.Component, lambda component: component.signature.members))
        patch.setattr(wiring.Signature, "__init__", watched(wiring.Signature, lambda signature: signature.members))
        config = ODD[0].replace(momentum=True)
        for top in (AxiLiteCore(config), WishboneCore(config), System(config, 25e6, 115200)):
            Fragment.get(top, None)
    return found


@pytest.fixture(scope="module")
def ports(members):
    """``{component: its ports}``"""
    return {kind: len(names) for kind, names in members.items() if issubclass(kind, wiring.Component)}


def test_members(members):
    """The docstrings of components and signatures have a line for every member."""
    assert len(members) > 20
    assert not {name_of(kind): lost for kind, names in members.items() if (lost := unlisted(kind, names))}


@pytest.mark.parametrize("lines, lost", [
    ("a : In(1), this\n    b : Out(1), that", set()), ("a, b : In(1), both", {"a", "b"}), ("a : In(1); b : Out(1)", {"b"}),
    ("a : In(1)\n        b : Out(1)", {"b"}), ("NAME : In(1), for each", set()), ("", {"a", "b"}),
])
def test_members_check(lines, lost):
    """The check finds what it is for, and not what is right."""
    assert unlisted(type("Made", (), {"__doc__": f"A component.\n\n    {lines}\n    "}), {"a", "b"}) == lost


def test_ports(ports):
    """Units meet through signatures: no component has many ports, and more than a few have a reason."""
    assert not [fault for component, number in sorted(ports.items(), key=str) if (fault := ports_fault(component, number))]


def test_the_components_are_counted(ports):
    """All that the files of ``hw`` have are among them, and what the tables name has as many ports as they say."""
    modules = [importlib.import_module(f"gradgate.hw.{name.replace('/', '.')}") for name in FILES]
    components = {thing for module in modules for thing in vars(module).values()
                  if isinstance(thing, type) and issubclass(thing, wiring.Component) and thing.__module__ == module.__name__}
    assert components and components == set(ports)
    numbers = {name_of(component): number for component, number in ports.items()}
    assert {name: numbers.get(name) for name in MANY} == MANY


@pytest.mark.parametrize("number, reason, what", [
    (13, "Ports: as many as it needs.", "has 13 ports"), (12, "", "does not say why"), (12, "Ports: as many as it needs.", ""),
    (11, "Its ports are many.", "does not say why"), (10, "", ""),
])
def test_ports_check(number, reason, what):
    """The check finds what it is for, and not what is right."""
    component = type("Made", (wiring.Component,), {"__doc__": f"A component.\n\n    {reason}\n    "})
    fault = ports_fault(component, number)
    assert what in fault and bool(what) == bool(fault)


@pytest.mark.parametrize("name", [name for name in FILES if name not in TEXTS])
def test_file(name):
    assert not faults((HW / f"{name}.py").read_text(encoding="utf-8"))


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
