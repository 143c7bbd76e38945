"""The pictures and the table of docs/map.md speak of files, folders and units that exist."""

import ast
import re
from xml.etree import ElementTree

import pytest
from support import DOCS, SOURCES

SVG = "{http://www.w3.org/2000/svg}"


def texts(picture, kind):
    """Texts of a class in a picture."""
    tree = ElementTree.parse(DOCS / "images" / f"{picture}.svg")
    return ["".join(text.itertext()) for text in tree.iter(f"{SVG}text") if text.get("class") == kind]


def classes():
    """Names of all classes of the gateware."""
    names = set()
    for path in (SOURCES / "hw").rglob("*.py"):
        names |= {node.name for node in ast.parse(path.read_text(encoding="utf-8")).body if isinstance(node, ast.ClassDef)}
    return names


def test_units_exist():
    """What begins with a capital letter is a component, or stands for all of its kind."""
    shown = {name.strip() for text in texts("machine", "name") for name in text.split(",")}
    units = {name for name in shown if re.fullmatch(r"([A-Z][a-z]+)+", name)}
    assert {"Core", "Sequencer", "Row", "Lane", "WeightMemory"} <= units
    assert not units - classes() - {"Wishbone"}  # a bus, which is no unit


def test_files_exist():
    """Each file that the picture of the machine names is in the gateware; a folder is either there or planned."""
    files = [name.strip() for text in texts("machine", "room") for name in text.split(",") if name.strip().endswith(".py")]
    there = {path.relative_to(SOURCES / "hw").as_posix() for path in (SOURCES / "hw").rglob("*.py")}
    planned = {"hw/chain.py"}
    assert len(files) > 15
    for name in files:
        known = any(path == name.removeprefix("hw/") or path.endswith(f"/{name}") for path in there)
        assert known != (name in planned), f"{name} is {'there, and shown as planned' if known else 'shown, and not there'}"


@pytest.mark.parametrize("picture", ["machine", "folders"])
def test_pictures_stand_alone(picture):
    """A title, no scripts, nothing from elsewhere."""
    tree = ElementTree.parse(DOCS / "images" / f"{picture}.svg")
    assert tree.getroot().findtext(f"{SVG}title")
    text = (DOCS / "images" / f"{picture}.svg").read_text(encoding="utf-8")
    assert "<script" not in text and "href" not in text


def test_folders_are_the_rooms():
    """Every folder with modules of the package is in the picture, and nothing else."""
    rooms = {path.parent.name for path in SOURCES.glob("*/__init__.py")} - {"package", "tests"}
    shown = set(texts("folders", "name"))
    assert shown - {"golden/cycles"} == rooms and (SOURCES / "golden/cycles").is_dir()
