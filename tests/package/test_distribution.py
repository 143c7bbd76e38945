"""What is built of the sources, sdist and wheel: it is whole, and it works where the sources are not."""

import importlib.util
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from email.parser import Parser
from importlib import metadata
from pathlib import Path

import pytest
from support import SOURCES
from support.away import call

import gradgate

PYPROJECT = SOURCES / "pyproject.toml"
TABLES = tomllib.loads(PYPROJECT.read_text(encoding="utf-8"))["tool"]
REPOSITORY = TABLES["gradgate"]["repository"]
README = (SOURCES / "README.md").read_text(encoding="utf-8")
#: A core and a network that take no time.
CORE = "rows = 1\nlanes = 2\nlists = 1\nact_bricks = 512\nweight_bricks = 512\nbank_words = 64\npsum_words = 64\n"
LINEAR = 'input = [8, 8, 1]\n[[layer]]\ntype = "conv"\nout = 2\nstride = 2\n[[layer]]\ntype = "dense"\nout = 10\n'


def index_tools():
    """The functions of setup.py."""
    spec = importlib.util.spec_from_file_location("gradgate_setup", SOURCES / "setup.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def targets(text) -> list:
    """What Markdown links and pictures lead to."""
    return re.findall(r"\]\(([^)]*)\)", text)


def test_links_of_the_readme():
    """They lead to files that are there; on an index they lead to the repository, or are text where it has no address."""
    relative = [target for target in targets(README) if ":" not in target]
    assert relative and all((SOURCES / target.partition("#")[0]).is_file() for target in relative)
    make = index_tools().readme
    plain, there = make(README, ""), make(README, "https://git.invalid/gradgate")
    assert targets(plain) == [target for target in targets(README) if ":" in target]
    assert all(target in plain for target in relative if target.endswith(".md"))
    assert len(targets(there)) == len(targets(README)) and all(target.startswith("https://") for target in targets(there))
    assert re.search(r"!\[Loss, [^]]*\]\(https://git.invalid/gradgate/raw/HEAD/docs/images/demo.png\)", there)
    assert "[tutorial](https://git.invalid/gradgate/blob/HEAD/docs/tutorial.md)" in there


def copy_sources(place):
    """The sources without what is built from them."""
    def unwanted(folder, names):
        built = (".git", ".hypothesis", "build", "dist", "results", "__pycache__")
        return [name for name in names
                if name in built or name.endswith(("_cache", ".egg-info")) or (Path(folder) / name / "pyvenv.cfg").exists()]
    return shutil.copytree(SOURCES, place, ignore=unwanted)


def build(sources, into):
    """The sdist that is made of ``sources``, without network."""
    done = call(["-c", f"from setuptools.build_meta import build_sdist; build_sdist({str(into)!r})"], sources)
    assert done.returncode == 0, done.stdout + done.stderr
    sdist, = into.glob("*.tar.gz")
    return sdist


def wheel_of(what, into):
    """The wheel that pip makes of a folder or an sdist, without network."""
    options = ["--quiet", "--no-index", "--no-build-isolation", "--no-deps", "--wheel-dir", into]
    done = call(["-m", "pip", "wheel", *options, what], into.parent)
    assert done.returncode == 0, done.stdout + done.stderr
    wheel, = into.glob("*.whl")
    return wheel


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """The sdist, and the wheel that is made of it."""
    place = tmp_path_factory.mktemp("package")
    sdist = build(copy_sources(place / "sources"), place)
    return sdist, wheel_of(sdist, place / "wheel")


def test_sdist_is_the_repository(built):
    """It holds every file of the repository, and nothing that was built there. The same wheel is made of it as of the sources."""
    sdist, wheel = built
    with tarfile.open(sdist) as archive:
        members = {member.name.partition("/")[2] for member in archive if member.isfile()}
    assert {"tests/package/test_package.py", "tests/conftest.py", "docs/tutorial.md", "docs/images/demo.png", "Makefile", "constraints.txt",
            "LICENSE", "CHANGELOG.md", "setup.py", ".ci/run"} <= members
    assert not [name for name in members if "__pycache__" in name or name.startswith((".venv", "build/", "results/"))]
    if (SOURCES / ".git").exists():
        listed = subprocess.run(["git", "ls-files", "-z"], cwd=SOURCES, check=True, capture_output=True, text=True).stdout.split("\0")
        assert {name for name in listed if name and (SOURCES / name).exists()} <= members

    def contents(path):
        with zipfile.ZipFile(path) as archive:
            return {info.filename: info.CRC for info in archive.infolist()}
    again = wheel_of(copy_sources(sdist.parent / "again"), sdist.parent / "direct")
    assert contents(again) == contents(wheel)


def test_wheel(built):
    """What an index shows, and the files that are no Python."""
    with zipfile.ZipFile(built[1]) as archive:
        names = set(archive.namelist())
        info, = (name for name in names if name.endswith(".dist-info/METADATA"))
        said = Parser().parsestr(archive.read(info).decode())
    assert said["Version"] == gradgate.__version__ and said["License-Expression"] == "Apache-2.0"
    assert said["Description-Content-Type"] == "text/markdown"
    assert said.get_payload().strip() == index_tools().readme(README, REPOSITORY).strip()
    assert bool(said.get_all("Project-URL")) == bool(REPOSITORY)
    folders = {folder.partition("/")[0] for folder in TABLES["setuptools"]["package-dir"].values()} - {"package"}
    data = {f"gradgate/{path.relative_to(SOURCES).as_posix()}" for folder in folders for path in (SOURCES / folder).rglob("*")
            if path.is_file() and path.suffix not in (".py", ".pyc")}
    assert {Path(name).suffix for name in data} == {".cpp", ".h", ".vlt", ".v", ".npz"} and data <= names, data - names
    assert not [name for name in names if not name.startswith(("gradgate/", info.partition("/")[0]))]


def test_address_of_the_repository(built, tmp_path):
    """With an address in pyproject.toml the package has project URLs and links."""
    sources = copy_sources(tmp_path / "sources")
    text = PYPROJECT.read_text(encoding="utf-8")
    changed = re.sub(r'^repository = ".*"$', 'repository = "https://git.invalid/gradgate"', text, flags=re.MULTILINE)
    assert changed != text
    (sources / "pyproject.toml").write_text(changed, encoding="utf-8")
    done = call(["-c", "from setuptools.build_meta import prepare_metadata_for_build_wheel as run; run('..')"], sources)
    assert done.returncode == 0, done.stderr
    info, = tmp_path.glob("*.dist-info/METADATA")
    said = Parser().parsestr(info.read_text(encoding="utf-8"))
    addresses = dict(line.split(", ") for line in said.get_all("Project-URL"))
    assert set(addresses) == {"Repository", "Documentation", "Changelog", "Issues"}
    assert addresses["Documentation"] == "https://git.invalid/gradgate/blob/HEAD/docs/index.md"
    assert all(target.startswith("https://") for target in targets(said.get_payload()))


@pytest.fixture(scope="module")
def outside(built, tmp_path_factory):
    """The Python of an environment of its own in which the wheel is installed; it finds the other packages in that of the tests."""
    place = tmp_path_factory.mktemp("outside")
    python = place / "env" / "bin" / "python"
    assert call(["-m", "venv", "--without-pip", place / "env"], place).returncode == 0
    done = call(["-m", "pip", "--python", python, "install", "--quiet", "--no-index", "--no-deps", built[1]], place)
    assert done.returncode == 0, done.stdout + done.stderr
    site, = (place / "env").glob("lib/python*/site-packages")
    (site / "others.pth").write_text(f"{Path(pytest.__file__).parent.parent}\n")  # a path alone: no editable gradgate comes along
    return python


def test_used_outside(outside, tmp_path):
    """The installed package: its place, its commands, a golden training run, its Verilog through Verilator, its recordings."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    (tmp_path / "core.toml").write_text(CORE)
    (tmp_path / "net.toml").write_text(LINEAR)

    def gradgate(*arguments):
        done = call(["-m", "gradgate", *arguments], tmp_path, outside, PATH=path)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout
    where = call(["-c", "import gradgate.cli, gradgate; print(gradgate.__file__, gradgate.cli.__file__)"], tmp_path, outside).stdout.split()
    assert len(where) == 2 and all(Path(file).is_relative_to(outside.parent.parent) for file in where)
    script = subprocess.run([outside.with_name("gradgate"), "--version"], cwd=tmp_path, capture_output=True, text=True)
    assert script.stdout == f"gradgate, version {metadata.version('gradgate')}\n"
    gradgate("generate", "--config", "core.toml", "--out", "out")
    assert {"gradgate.v", "manifest.json"} <= {file.name for file in (tmp_path / "out").iterdir()}
    assert gradgate("lint", "core.toml").endswith("clean\n")
    assert "test accuracy" in gradgate("train", "--backend", "golden", "--config", "core.toml", "--model", "net.toml", "--batch", "1",
                                       "--steps", "20")
    assert "ulx3s_85f" in gradgate("boards")
    code = "from gradgate.bench.recording.files import Recording; print(Recording.load('resnet18').meta['network'])"
    assert call(["-c", code], tmp_path, outside).stdout == "resnet18\n"
