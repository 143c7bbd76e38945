"""The package: what can be imported from it, how it is started, and what it needs."""

import ast
import importlib
import os
import re
import shutil
import subprocess
import sys
import tomllib
from importlib import metadata
from pathlib import Path
from types import ModuleType

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version
from support import SOURCES
from support.away import call

import gradgate

PYPROJECT = SOURCES / "pyproject.toml"
PROJECT = tomllib.loads(PYPROJECT.read_text(encoding="utf-8"))
#: Ways to start the command line.
WAYS = {"package": ["-m", "gradgate"], "module": ["-m", "gradgate.cli.main"], "script": [str(Path(sys.executable).with_name("gradgate"))]}


def test_surface():
    """Every public name is that of a module, and listed; a name that is not there is said."""
    names = set(gradgate.__all__) - {"__version__"}
    assert {"Config", "Network", "compile_step", "GoldenModel", "digits", "quantise", "Driver", "Simulator", "place_block"} <= names
    for name in names:
        module = importlib.import_module(f"gradgate.{gradgate._MODULES[name]}")
        assert getattr(gradgate, name) is getattr(module, name)
        assert getattr(getattr(gradgate, name), "__module__", module.__name__) == module.__name__, f"{name} is defined elsewhere"
    assert set(gradgate.__all__) <= set(dir(gradgate))
    with pytest.raises(AttributeError, match="^module 'gradgate' has no attribute 'Confg'$"):
        getattr(gradgate, "Confg")  # noqa: B009


def test_surface_is_enough_for_the_tutorial():
    """The tutorial's own program can be written with names of the package alone."""
    text = (SOURCES / "docs" / "tutorial.md").read_text(encoding="utf-8")
    programs = [ast.parse(block) for block in re.findall(r"```python\n(.*?)```", text, re.DOTALL) if "Simulator(" in block]
    assert programs
    for program in programs:
        for node in ast.walk(program):
            for alias in node.names if isinstance(node, ast.ImportFrom) and node.module.startswith("gradgate") else ():
                owner = importlib.import_module(node.module)
                names = [alias.name]
                if isinstance(getattr(owner, alias.name), ModuleType):
                    owner = getattr(owner, alias.name)
                    names = [used.attr for used in ast.walk(program)
                             if isinstance(used, ast.Attribute) and isinstance(used.value, ast.Name) and used.value.id == alias.name]
                for name in names:
                    assert name in gradgate.__all__ and getattr(gradgate, name) is getattr(owner, name)


def test_import_takes_nothing_along(tmp_path):
    done = call(["-c", "import sys, gradgate; print(*{name.partition('.')[0] for name in sys.modules})"], tmp_path)
    assert done.stderr == "" and not {"amaranth", "numpy", "click", "rich", "sklearn"} & set(done.stdout.split())


def test_version_stands_once(tmp_path):
    assert metadata.version("gradgate") == gradgate.__version__ and "version" in PROJECT["project"]["dynamic"]
    assert call(["-m", "gradgate", "--version"], tmp_path).stdout == f"gradgate, version {gradgate.__version__}\n"


@pytest.mark.parametrize("arguments, status", [(["--help"], 0), (["train", "--help"], 0), (["generate"], 2), (["lint", "nowhere"], 1)],
                         ids=("help", "help of a command", "usage", "error"))
def test_ways_to_run(arguments, status, tmp_path):
    """All of them say the same, under the name of the script."""
    found = {way: call([*how, *arguments], tmp_path) for way, how in WAYS.items()}
    said = {(done.returncode, done.stdout, done.stderr) for done in found.values()}
    assert len(said) == 1, said
    (code, out, error), = said
    assert code == status and ("gradgate: " in error if status == 1 else "Usage: gradgate" in out + error)
    assert "python" not in (out + error).lower()


def pins() -> dict:
    """Version of each package in constraints.txt."""
    lines = (SOURCES / "constraints.txt").read_text(encoding="utf-8").splitlines()
    found = [Requirement(line) for line in lines if not line.startswith("#")]
    assert all(re.fullmatch(r"==[\w.]+", str(pin.specifier)) and not pin.extras for pin in found)
    names = [canonicalize_name(pin.name) for pin in found]
    assert names == sorted(set(names)), "constraints.txt is not in order, or names one twice"
    return {name: Version(str(pin.specifier)[2:]) for name, pin in zip(names, found)}


def groups() -> dict:
    """Requirements in pyproject.toml, by group."""
    found = {"build": PROJECT["build-system"]["requires"], "run": PROJECT["project"]["dependencies"],
             **PROJECT["project"]["optional-dependencies"]}
    return {name: [Requirement(text) for text in texts] for name, texts in found.items()}


def needed() -> set:
    """Names of all that the package and its tests need, through what they need themselves, on this machine."""
    found, names = set(), [requirement.name for group in ("build", "run", "test") for requirement in groups()[group]]
    while names:
        name = canonicalize_name(names.pop())
        if name not in found:
            found.add(name)
            required = map(Requirement, metadata.requires(name) or [])
            names += [one.name for one in required if one.marker is None or one.marker.evaluate({"extra": ""})]
    return found


@pytest.mark.parametrize("group", groups())
def test_ranges_and_pins(group):
    """Every direct dependency has a range with two ends and a pin within it; what the package itself needs is no single release."""
    for requirement in groups()[group]:
        operators = {one.operator for one in requirement.specifier}
        assert operators == {">=", "<"} or (operators == {"=="} and group not in ("build", "run")), requirement
        assert pins()[canonicalize_name(requirement.name)] in requirement.specifier, requirement


def test_reasons():
    """A reason stands beside every requirement."""
    lines = PYPROJECT.read_text(encoding="utf-8").splitlines()
    listed = [line for line in lines if re.match(r'\s+"[\w-]+[<>=~]', line)]
    assert len(listed) == sum(len(group) for group in groups().values()) - len(groups()["build"])
    for line in listed + [line for line in lines if line.startswith(("requires = ", "requires-python"))]:
        assert re.search(r"[\"\]],?  # \S.{9,}", line), line


def test_installed_is_what_is_pinned():
    """Also what is needed through others."""
    known = pins()
    assert needed() <= set(known), f"constraints.txt lacks {needed() - set(known)}"
    assert {name: Version(metadata.version(name)).public for name in needed()} == {name: str(known[name]) for name in needed()}


def test_set_up_again(tmp_path):
    """Each file that says what is installed makes `make setup` run again, with the pins; nothing else does."""
    for name in ("Makefile", "pyproject.toml", "setup.py", "constraints.txt", "package/__init__.py"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(SOURCES / name, tmp_path / name)
    stamp = tmp_path / ".venv" / ".installed"
    stamp.parent.mkdir()
    for name in ("pyproject.toml", "setup.py", "constraints.txt", "package/__init__.py"):
        stamp.touch()
        assert subprocess.run(["make", "-q", "setup"], cwd=tmp_path).returncode == 0
        future = stamp.stat().st_mtime_ns + 10**9
        os.utime(tmp_path / name, ns=(future, future))
        assert subprocess.run(["make", "-q", "setup"], cwd=tmp_path).returncode == 1, name
        os.utime(tmp_path / name, ns=(0, 0))
    for target in ("setup", "board"):
        stamp.unlink(missing_ok=True)
        said = subprocess.run(["make", "-n", target], cwd=tmp_path, capture_output=True, text=True).stdout
        installs = [line for line in said.splitlines() if "pip install" in line]
        assert installs and all("--constraint constraints.txt" in line for line in installs), said
