"""What the documentation tells its readers to type works, and prints what the pages show."""

import re
import subprocess

import pages
import pytest

from gradgate.golden.cycles import run as run_model

CONSOLE = [name for name in ("tutorial.md", "networks.md", "link.md", "soc.md")]


@pytest.fixture
def workshop(tmp_path):
    """A directory with the files of the tutorial."""
    for name, text in pages.files("tutorial.md").items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    return tmp_path


def names_in_wave(path) -> dict:
    """``{scope: names of its signals}`` in a VCD file."""
    scope, names = [], {}
    with open(path) as wave:
        for line in wave:
            words = line.split()
            if line.startswith("$scope"):
                scope.append(words[2])
            elif line.startswith("$upscope"):
                scope.pop()
            elif line.startswith("$var"):
                names.setdefault(".".join(scope), set()).add(words[4])
            elif line.startswith("$enddefinitions"):
                break
    return names


def test_tutorial(workshop):
    """All commands; the sizes that the page names; the signals in its table; the three wrong files at its end."""
    assert pages.follow("tutorial.md", workshop) >= 9
    page = pages.text("tutorial.md")
    assert float(re.search(r"\(([\d.]+) MB here", page)[1]) == round((workshop / "core" / "gradgate.v").stat().st_size / 1e6, 1)
    assert int(re.search(r"writes (\d+) MB", page)[1]) == round((workshop / "x.vcd").stat().st_size / 1e6)
    module = re.search(r"^module gradgate\(.*\);$", page, re.MULTILINE)[0]
    assert module in (workshop / "core" / "gradgate.v").read_text(encoding="utf-8")
    names, signals = names_in_wave(workshop / "x.vcd"), 0
    for scope, shows in re.findall(r"^\| (`(?:sequencer|array)\S+.*?) \| (.*) \|$", page, re.MULTILINE):
        for path in re.findall(r"`([\w.]+)`", scope):
            where = f"TOP.gradgate.{path}"
            if where in names:
                for signal in re.findall(r"`([\w.]+)`", shows):
                    assert signal in names[where], f"{where} has no {signal}"
                    signals += 1
            else:
                place, _, signal = where.rpartition(".")
                assert signal in names[place], f"{place} has no {signal}"
                signals += 1
    assert signals >= 15
    for change, message in zip((("kernel = 5", "kernal = 5"), ("stride = 2", "stride = 3"), ("lanes = 4", "lanes = 6")),
                               next(block.text for block in pages.blocks("tutorial.md", "") if "kernal" in block.text).split("\n")):
        for name in ("strided.toml", "mycore.toml"):
            text = pages.files("tutorial.md")[name]
            (workshop / name).write_text(text.replace(*change, 1), encoding="utf-8")
        done = pages.run("gradgate train --model strided.toml --config mycore.toml", workshop)
        assert done.returncode == 1 and done.stderr.rstrip("\n").removeprefix("gradgate: mycore.toml: ").removeprefix("gradgate: ") == (
            message.removeprefix("gradgate: ")), done.stderr


def test_tutorial_program(workshop):
    """The driver from a program of one's own."""
    program, = pages.blocks("tutorial.md", "python")
    every = pages.blocks("tutorial.md")
    pages.program(program, every[every.index(program) + 1].text, workshop)


def test_planted_bugs_of_the_page(workshop):
    """The two bugs that the page plants are found, where it says."""
    program, = pages.blocks("extending.md", "python")
    every = pages.blocks("extending.md")
    pages.program(program, every[every.index(program) + 1].text, workshop)
    assert f"run.BUBBLE = {run_model.BUBBLE - 1}" in program.text


@pytest.mark.parametrize("page", ["networks.md", "link.md"])
def test_sessions(page, workshop):
    """Commands of further pages."""
    for name, text in pages.files(page).items():
        (workshop / name).write_text(text, encoding="utf-8")
    assert pages.follow(page, workshop) >= 1


def test_networks_program(workshop):
    """Folding a batch normalisation."""
    program, = pages.blocks("networks.md", "python")
    every = pages.blocks("networks.md")
    pages.program(program, every[every.index(program) + 1].text, workshop)


def test_commands_of_the_readme():
    """Every command in its table exists, and every one that exists is in the table."""
    rows = re.findall(r"^\| `gradgate (\w+)", pages.text("README.md"), re.MULTILINE)
    done = subprocess.run("gradgate --help", shell=True, env=pages.environment(), text=True, capture_output=True)
    shown = re.findall(r"^[│ ]*(\w+) {2,}", done.stdout, re.MULTILINE)
    assert set(rows) == {name for name in shown if name.islower()}, done.stdout


@pytest.mark.parametrize("path", sorted({"README.md", *(f"docs/{p.name}" for p in (pages.SOURCES / "docs").glob("*.md"))}))
def test_files_that_pages_name_exist(path):
    """Links between pages, and files of the sources in backticks."""
    text = pages.text(path)
    folder = (pages.SOURCES / path).parent
    for link in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", text):
        assert link.startswith("http") or (folder / link).exists(), link
    folders = "arch|hw|golden|compiler|sim|host|training|fpga|bench|cli|tests|docs"
    for name in re.findall(rf"`((?:{folders})/[\w/.]+\.\w+)`", text):
        assert (pages.SOURCES / name).exists() or "NAME" in name, name
