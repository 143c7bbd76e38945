"""The house: every room uses only what is below it, no modules import each other in a circle, no file is long.

The sources are read, not run: an import counts wherever it stands, in a function or only for a type checker too. Annotations in quotes
need no rule of their own: Ruff refuses those with names that are not imported.
"""

import ast
import functools
import re
from graphlib import CycleError, TopologicalSorter

import pytest
from support import DOCS, SOURCES

#: What each room imports from others: from those above it in this table, and all that is named is used. docs/extending.md shows it.
ROOMS = {
    "arch": "",
    "hw": "arch",
    "golden": "arch",
    "compiler": "arch",
    "tune": "arch golden compiler",
    "host": "arch",
    "sim": "arch hw golden compiler host",
    "training": "arch golden compiler tune host sim",
    "fpga": "arch hw sim",
    "bench": "arch golden compiler tune training",
    "report": "arch golden compiler tune training fpga bench",
    "cli": "arch hw compiler host sim training fpga bench report",
    "package": "arch hw golden compiler host sim training cli",
}
#: A simulation is of generated Verilog: it needs what writes that, and no unit.
VERILOG = {"hw", "hw.generate", "hw.verilog", "hw.bus.system"}
#: What commands share. The other modules of ``cli`` are commands, and know nothing of each other; ``main`` has all of them.
SHARED = {"ending", "kept", "layout", "options", "output", "perform", "progress"}
LINES = 300  #: of a file, at most


def module(path: str) -> str:
    """The name of a module without ``gradgate``, from its path: ``hw.core``, or ``hw`` for ``hw/__init__.py``."""
    return path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")


def house() -> dict:
    """``{module: its text}`` of all rooms."""
    paths = [path for room in ROOMS for path in sorted((SOURCES / room).rglob("*.py"))]
    return {module(path.relative_to(SOURCES).as_posix()): path.read_text(encoding="utf-8") for path in paths}


@functools.cache
def imported(text: str, known: frozenset) -> set:
    """The modules, of those ``known``, that a text imports; of the package's table of names, those that stand in it."""
    found = set()
    for node in ast.walk(ast.parse(text)):
        match node:
            case ast.Import(names=names):
                found |= {alias.name.removeprefix("gradgate.") for alias in names if alias.name.startswith("gradgate.")}
            case ast.ImportFrom(module=str(name), level=0, names=names) if name.partition(".")[0] == "gradgate":
                inner = [f"{name}.{alias.name}".removeprefix("gradgate.") for alias in names]
                found |= {one if one in known else one.rpartition(".")[0] or "package" for one in inner}
            case ast.ImportFrom(level=level) if level:
                raise AssertionError("an import must begin with gradgate, not with a dot")
            case ast.Assign(targets=[ast.Name(id="_MODULES")], value=ast.Dict(values=values)):
                found |= {value.value for value in values}
    return found


def arrows(sources: dict) -> dict:
    """``{module: modules that it imports}``."""
    known = frozenset(sources)
    return {name: imported(text, known) for name, text in sources.items()}


def wrong(sources: dict) -> list:
    """What is against the table, an arrow a line, or a circle."""
    found, rooms = [], list(ROOMS)
    for name, others in arrows(sources).items():
        room = name.partition(".")[0]
        for other in sorted(others):
            to = other.partition(".")[0]
            if to != room and (to not in ROOMS[room].split() or rooms.index(to) > rooms.index(room)):
                found.append(f"{name} imports {other}")
            if room == "sim" and to == "hw" and other not in VERILOG:
                found.append(f"{name} imports {other}, which does not write Verilog")
            if room == to == "cli" and name != "cli.main" and other.removeprefix("cli.") not in SHARED:
                found.append(f"{name} imports {other}, another command")
    try:
        TopologicalSorter(arrows(sources)).prepare()
    except CycleError as error:
        found.append("a circle: " + " <- ".join(error.args[1]))
    return found


def test_no_arrow_runs_up():
    assert wrong(house()) == []


def test_every_arrow_of_the_table_is_there():
    """And the rooms of the table are all there are."""
    used = {room: set() for room in ROOMS}
    for name, others in arrows(house()).items():
        used[name.partition(".")[0]] |= {other.partition(".")[0] for other in others}
    assert {room: used[room] - {room} for room in ROOMS} == {room: set(below.split()) for room, below in ROOMS.items()}
    assert {path.parent.name for path in SOURCES.glob("*/__init__.py")} - {"tests"} == set(ROOMS)


@pytest.mark.parametrize("where, line, said", [
    ("arch.checks", "from gradgate.hw.core import Core", "arch.checks imports hw.core"),
    ("golden.fixed", "def late():\n    from gradgate.hw import core", "golden.fixed imports hw.core"),
    ("hw.core", "import gradgate.golden.fixed", "hw.core imports golden.fixed"),
    ("fpga.pll", "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from gradgate.report.tables import table",
     "fpga.pll imports report.tables"),
    ("sim.build", "from gradgate.hw.core import Core", "sim.build imports hw.core, which does not write Verilog"),
    ("cli.profile", "from gradgate.cli.train import train", "cli.profile imports cli.train, another command"),
    ("cli.options", "from gradgate import Config", "cli.options imports package"),
], ids=("up", "late", "to a sibling", "of types", "a unit", "commands", "package"))
def test_a_planted_arrow_is_found(where, line, said):
    sources = house()
    sources[where] += f"\n{line}\n"
    assert said in wrong(sources)


def test_a_planted_circle_is_found():
    sources = house()
    sources["arch.memorymap"] += "\nfrom gradgate.arch.config import Config\n"
    circle, = wrong(sources)
    assert circle.startswith("a circle: ") and {"arch.memorymap", "arch.config"} == set(circle.removeprefix("a circle: ").split(" <- "))


def test_the_page_shows_the_table():
    text = (DOCS / "extending.md").read_text(encoding="utf-8")
    rows = [[cell.strip() for cell in row] for row in re.findall(r"^\| `(\w+)` \|[^|]*\|([^|]*)\|$", text, re.MULTILINE)]
    assert dict(rows) == {room: below.replace(" ", ", ") or "nothing" for room, below in ROOMS.items()}
    assert [room for room, _ in rows] == list(ROOMS)


def test_the_picture_is_true():
    """Each arrow of the map of folders is one of the table, and no room stands alone."""
    picture = (DOCS / "images/folders.svg").read_text(encoding="utf-8")
    shown = [[name.partition("/")[0] for name in arrow.split()] for arrow in re.findall(r'data-arrow="(.*?)"', picture)]
    assert len(shown) == picture.count("<polyline ") > 10
    assert not [(used, user) for used, user in shown if used not in ROOMS[user].split()]
    assert {name for arrow in shown for name in arrow} == set(ROOMS) - {"package"}


def test_every_room_says_what_it_holds():
    for room in {path.parent for name in ROOMS for path in (SOURCES / name).rglob("*.py")}:
        assert ast.get_docstring(ast.parse((room / "__init__.py").read_text(encoding="utf-8"))), room


def test_no_file_is_long():
    long = {name: lines for name, text in house().items() if (lines := len(text.splitlines())) > LINES}
    assert not long
