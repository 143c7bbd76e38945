"""What the documentation tells its readers to type works, and prints what the pages show."""

import re
import subprocess

import pytest
from support import pages

from gradgate.golden.cycles import run as run_model


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
        for words in map(str.split, wave):
            match words:
                case ["$scope", _, name, "$end"]:
                    scope.append(name)
                case ["$upscope", "$end"]:
                    scope.pop()
                case ["$var", _, _, _, name, *_]:
                    names.setdefault(".".join(scope), set()).add(name)
                case ["$enddefinitions", "$end"]:
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


def test_port_of_the_page(workshop):
    """The command for a board is one: where no board is, the port is what it complains of."""
    command, = (line for block in pages.blocks("link.md", "") for line in block.text.split("\n") if line.startswith("gradgate board"))
    done = pages.run(command.replace("/dev/ttyUSB0", "/dev/none"), workshop)
    assert done.returncode == 1 and done.stderr.startswith("gradgate: port /dev/none cannot be opened at 1000000 baud: "), done.stderr


def test_buses_of_the_page(workshop):
    """`generate` writes a core behind each bus of the page's table, with the ports that it names."""
    rows = re.findall(r"^\| `([a-z-]+)` \| `(\w+)`.*\| `(\w+)`, `(\w+)` \(", pages.text("soc.md"), re.MULTILINE)
    command = re.search(r"`(gradgate generate [^`]* --bus BUS --out DIR)`", pages.text("soc.md"))[1]
    assert [row[0] for row in rows] == ["native", "wishbone", "axi-lite"]
    for bus, *ports in rows:
        assert pages.run(command.replace("BUS", bus).replace("DIR", bus).replace("small", "mycore.toml"), workshop).returncode == 0
        text = (workshop / bus / "gradgate.v").read_text(encoding="utf-8")
        module = re.search(r"^module gradgate\((.*?)\);$", text, re.MULTILINE | re.DOTALL)[1]
        assert {*ports, "busy", "error"} <= set(re.split(r"\s*,\s*", module))


def test_networks_program(workshop):
    """Folding a batch normalisation."""
    program, = pages.blocks("networks.md", "python")
    every = pages.blocks("networks.md")
    pages.program(program, every[every.index(program) + 1].text, workshop)


def demo(*settings) -> str:
    """The command of `make demo`, with these settings."""
    done = subprocess.run(["make", "--no-print-directory", "-n", "demo", *settings], cwd=pages.SOURCES, env=pages.environment(), text=True,
                          capture_output=True, check=True)
    return re.search(r"gradgate train.*", done.stdout.replace("\\\n", ""))[0]


def report() -> list:
    """What the README shows of the demo."""
    block, = (block for block in pages.blocks("README.md") if block.text.startswith("digits on small"))
    return block.text.rstrip("\n").split("\n")


def test_settings_of_the_demo():
    """Its rates are for itself; other settings get the command's default, and every one works with every other."""
    assert "--lr-shift 2,2,2,3,4 " in demo() and "--dense-steps 10 " in demo()
    for settings in (["CONFIG=tiny"], ["EPOCHS=3"], ["MODEL=resnet_digits"]):
        assert "--lr-shift" not in demo(*settings)
    assert "--lr-shift 3 " in demo("LR_SHIFT=3", "CONFIG=tiny")
    assert "--dense-steps 0 " in demo("BACKEND=golden")


def test_accuracy_of_the_readme(tmp_path):
    """Schedule and accuracies in the README's report are those of the demo's golden model."""
    done = pages.run(demo("BACKEND=golden", "LR_SHIFT=2,2,2,3,4", f"DEMO_OUT={tmp_path / 'out'}"), tmp_path)
    assert done.returncode == 0, done.stderr
    head, accuracy, *_ = done.stdout.split("\n")
    assert head == report()[0]
    assert re.findall(r"[\d.]+ % (?:golden model|float32)", accuracy) == re.findall(r"[\d.]+ % (?:golden model|float32)", report()[1])


def test_cycles_of_the_readme():
    """Cycles, words and speedup in the README's report are those of docs/results.md, which `make results` writes."""
    results, text = pages.text("results.md"), "\n".join(report())
    for pattern in (r"words compared +([\d,]+),", r"cycles +([\d,]+) RTL", r"skip on [\d,]+: ([\d.]+x)"):
        assert re.search(pattern, text)[1] in results, pattern


@pytest.mark.full
def test_report_of_the_readme(tmp_path):
    """The whole report, by the demo in RTL."""
    done = pages.run(demo(f"DEMO_OUT={tmp_path / 'out'}"), tmp_path)
    assert done.returncode == 0, done.stderr
    pages.compare([*report(), "..."], done.stdout, "make demo")


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
    folders = "arch|hw|golden|compiler|tune|sim|host|training|fpga|bench|report|cli|tests|docs"
    for name in re.findall(rf"`((?:{folders})/[\w/.]+\.\w+)`", text):
        assert (pages.SOURCES / name).exists() or "NAME" in name, name
