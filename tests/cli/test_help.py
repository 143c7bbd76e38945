"""What a terminal shows: help texts and tables of at most 100 columns, nothing cut, everything in one group; figures as JSON."""

import json
import os
import pty
import re
import subprocess
import sys

import click
import pytest
from click.testing import CliRunner
from support import SOURCES
from support.away import call

from gradgate.arch.config import Config
from gradgate.cli import layout
from gradgate.cli.boards import HEADS
from gradgate.cli.main import main
from gradgate.fpga.boards import BOARDS
from gradgate.hw import generate
from gradgate.report import profile
from gradgate.sim import toolchain

ESCAPE = "\x1b["
GROUPS = ("Train", "Hardware", "Maintain")


def commands(command=main, path=()):
    """All commands, with the words that call them."""
    yield path, command
    for name, inner in getattr(command, "commands", {}).items():
        yield from commands(inner, (*path, name))


ALL = dict(commands())


def run(*arguments, **environment):
    """Standard output of a command that succeeds."""
    result = CliRunner().invoke(main, [*map(str, arguments)], env=environment, prog_name="gradgate")
    assert result.exit_code == 0 and result.stderr == "", result.output
    return result.stdout


def in_terminal(arguments, columns, errors=None, **environment):
    """What a terminal of so many columns gets; ``errors``: a file that gets standard error instead."""
    parent, child = pty.openpty()
    os.set_blocking(parent, True)
    unset = {name: value for name, value in os.environ.items() if name not in ("NO_COLOR", "FORCE_COLOR", "COLUMNS", "GITHUB_ACTIONS")}
    with subprocess.Popen([sys.executable, "-m", "gradgate", *arguments], stdin=child, stdout=child, stderr=errors or child,
                          env={**unset, "TERM": "xterm-256color", "COLUMNS": str(columns), **environment}) as process:
        os.close(child)
        output = b""
        try:
            while part := os.read(parent, 65536):
                output += part
        except OSError:  # the end of a terminal
            pass
    os.close(parent)
    assert process.returncode == (2 if errors else 0)
    return output.decode().replace("\r\n", "\n")


@pytest.mark.parametrize("columns", ("60", "80", "100", "250"))
@pytest.mark.parametrize("path", ALL, ids=lambda path: " ".join(path) or "gradgate")
def test_help(path, columns):
    """No line is too long, no text is cut, and no colours go where there is no terminal."""
    text = run(*path, "--help", COLUMNS=columns, TERMINAL_WIDTH="300")
    assert max(map(len, text.splitlines())) <= min(100, int(columns)) and ESCAPE not in text and "…" not in text
    assert not [line for line in text.splitlines() if line != line.rstrip()] and "\n\n\n" not in text
    joined = " ".join(text.split())
    command = ALL[path]
    said = [command.help, *(inner.help.split("\n\n")[0] for inner in getattr(command, "commands", {}).values()),
            *(option.help for option in command.params if isinstance(option, click.Option) and not option.hidden)]
    for sentence in said:
        assert " ".join(sentence.split()) in joined, sentence


def sections(text):
    """``{title: names}`` of the groups in a help text: of commands or of options."""
    found, title = {}, None
    for line in text.splitlines():
        if re.fullmatch(r"\S.*:", line):
            title = line[:-1]
            found[title] = []
        elif title and (match := re.match(r"  (?:-\w  |    )?(--[\w-]+|\w+)", line)):
            found[title].append(match[1])
    return found


def test_groups_of_commands():
    """Every command is in one group, users' before maintainers'; each text stays in a line where there is room."""
    text = run("--help", COLUMNS="100")
    found = sections(text)
    assert tuple(found) == ("Options", *GROUPS)
    assert sorted(name for title in GROUPS for name in found[title]) == sorted(main.commands)
    for name, command in main.commands.items():
        assert re.search(rf"^  {name} +{re.escape(command.help.partition(chr(10) + chr(10))[0])}$", text, re.MULTILINE), name


def test_readme_has_all_commands():
    """In the order of the help text."""
    text = (SOURCES / "README.md").read_text(encoding="utf-8")
    found = sections(run("--help"))
    named = re.findall(r"^\| `gradgate (\w+)", text, re.MULTILINE)
    assert list(dict.fromkeys(named)) == [name for title in GROUPS for name in found[title]]


@pytest.mark.parametrize("path", ALL, ids=lambda path: " ".join(path) or "gradgate")
def test_groups_of_options(path):
    """Every option is in one group, but a hidden one."""
    shown = [option.opts[-1] for option in ALL[path].params if isinstance(option, click.Option) and not option.hidden]
    found = [name for names in sections(run(*path, "--help", COLUMNS="100")).values() for name in names if name.startswith("--")]
    assert sorted(found) == sorted([*shown, "--help"])


def test_option_with_one_choice():
    """``--mode bp`` is taken and not shown."""
    assert not re.search(r"--mode\b", run("train", "--help"))
    result = CliRunner().invoke(main, ["train", "--mode", "bp", "--config", "nowhere"])
    assert result.exit_code == 1 and "configuration must be one of" in result.stderr


def test_terminal():
    """Colours in a terminal, except with NO_COLOR; never wider than 100 columns, nor than the terminal."""
    colour = re.compile(r"\x1b\[[0-9;]*3[0-9]")
    for columns in (70, 100, 220):
        text = in_terminal(["train", "--help"], columns)
        assert ESCAPE in text and colour.search(text)
        assert max(len(line) for line in click.unstyle(text).splitlines()) <= min(columns, 100)
        table = click.unstyle(in_terminal(["boards"], columns))
        assert max(map(len, table.splitlines())) <= min(columns, 100)
        assert "…" not in table and all(str(board.has.bram) in table for board in BOARDS.values())
    assert not colour.search(in_terminal(["train", "--help"], 100, NO_COLOR="1"))


def test_errors_of_usage_in_a_file(tmp_path):
    """They have no colours there, although standard output is a terminal."""
    with open(tmp_path / "errors", "w+") as file:
        assert in_terminal(["train", "--wrong"], 100, errors=file) == ""
        file.seek(0)
        text = file.read()
    assert text.startswith("Usage: gradgate train [OPTIONS]\nTry 'gradgate train --help' for help.\n") and ESCAPE not in text


@pytest.mark.parametrize("arguments", (["train", "--help"], ["boards"], ["train", "--wrong"]), ids=" ".join)
def test_no_colours_in_a_file(arguments, tmp_path):
    """Not even on a server that would show them."""
    done = call(["-m", "gradgate", *arguments], tmp_path, GITHUB_ACTIONS="true", TERM="xterm-256color")
    assert len(done.stdout + done.stderr) > 50 and ESCAPE not in done.stdout + done.stderr


def rows(text):
    """The cells of a table: heads, and a list for each line below the rule."""
    head, rule, *lines = text.splitlines()
    assert re.fullmatch("[─-]+", rule)
    cells = [re.split(r" {2,}", line.strip()) for line in lines]
    return re.split(r" {2,}", head), cells


def test_boards(tmp_path):
    """The table fits into 80 columns, and the JSON holds all of it."""
    path = tmp_path / "boards.json"
    text = run("boards", "--json", path, COLUMNS="300")
    assert max(map(len, text.splitlines())) <= 100
    table, below = text.split("\n\n")
    assert max(map(len, table.splitlines())) <= 80
    heads, cells = rows(table)
    figures = json.loads(path.read_text())
    assert heads == HEADS and list(figures) == list(BOARDS)
    for name, of in figures.items():
        shown = [name, of["device"], *(f"{of[key]:,}" for key in ("lut4", "ff", "dsp", "bram")), str(of["clock_mhz"]), of["config"]]
        assert shown in cells
        assert (of["loads_with"] == "") != any(name in line and f"`{of['loads_with']} FILE`" in line for line in below.splitlines())
    assert len(cells) == len(figures)


def test_profile(tmp_path):
    """The same of a profile; figures that are rounded in the table are not in the JSON."""
    path = tmp_path / "profile.json"
    text = run("profile", "--config", "small", "--batch", "16", "--lr-shift", "3", "--json", path, COLUMNS="300")
    assert max(map(len, text.splitlines())) <= 100 and ESCAPE not in text
    what, table, notes, beside = text.split("\n\n")
    assert what == "One step of `digits` on `small` (4x8 PEs, 2 lists a row), batch 16, after 1 epoch(s)."
    heads, cells = rows(table)
    figures = json.loads(path.read_text())
    assert heads == profile.HEADS and figures["model"] == "digits" and figures["config"] == Config.load("small").to_dict()
    assert (figures["batch"], figures["lr_shifts"], figures["seed"]) == (16, [3], 0)
    shown = []
    for part in figures["parts"]:
        limits = [f"{part['macs']:,}", f"{part['macs_per_cycle_and_pe']:.2f}", f"{part['builder_cycles']:,}",
                  f"{part['lanes_cycles']:,}"] if "macs" in part else []
        shown.append([part["command"], str(part["number"]), f"{part['cycles']:,}", f"{part['added_cycles']:,}",
                      f"{100 * part['share']:.1f} %", *limits])
    shown.append(["step", str(figures["number"]), f"{figures['cycles']:,}", f"{figures['cycles']:,}", f"{figures['macs']:,}",
                  f"{figures['macs_per_cycle_and_pe']:.2f}"])
    assert cells == shown and sum(part["added_cycles"] for part in figures["parts"]) == figures["cycles"]
    assert [int(n.replace(",", "")) for n in re.findall(r"\d[\d,]*", notes)] == [
        figures[key] for key in ("fetch_cycles", "bubble_cycles", "plain_roles_cycles")]
    heads, cells = rows(beside)
    assert heads == profile.TOGETHER
    shown = [[name, *([", ".join(f"{other} {cycles:,}" for other, cycles in others.items())] if others else []),
              f"{figures['saved_cycles'][name]:,}"] for name, others in {"fetching": {}, **figures["beside_cycles"]}.items()]
    assert cells == [*shown, ["all", f"{sum(figures['saved_cycles'].values()):,}"]]


BAD = """module gradgate(input c, input d, output reg q, output reg r);
  always @* if (c) q = d;
  always @* if (d) r = c;
endmodule
"""
GOOD = "module gradgate(input i, output o);\n  assign o = i;\nendmodule\n"


def test_lint(tmp_path, monkeypatch):
    """What is unclean is in the JSON, with all warnings, and so is all that is linted after it; the status says so."""
    monkeypatch.setattr(generate, "verilog", lambda config, bus: BAD if config.name == "pico" else GOOD)
    path = tmp_path / "lint.json"
    result = CliRunner().invoke(main, ["lint", "nano", "pico", "tiny", "--bus", "wishbone", "--json", str(path)])
    found = json.loads(path.read_text())
    assert [(one["config"], one["bus"], one["clean"]) for one in found] == [
        ("nano", "wishbone", True), ("pico", "wishbone", False), ("tiny", "wishbone", True)]
    number = len(found[1]["warnings"])
    assert number > 1 and all(line.startswith("%Warning-") and "gradgate.v:" in line for line in found[1]["warnings"])
    assert result.stdout == f"nano: clean\npico: {number} warning(s)\ntiny: clean\n" and result.exit_code == 1
    assert result.stderr.startswith(f"gradgate: lint: {number} warnings, the first: %Warning-") and result.stderr.count("\n") == 1
    assert CliRunner().invoke(main, ["lint", "nano", "--json", str(path)]).exit_code == 0
    assert json.loads(path.read_text()) == [{"config": "nano", "bus": "native", "clean": True, "warnings": []}]


def test_lint_without_tool(tmp_path, monkeypatch):
    """A tool that is not there is no warning."""
    monkeypatch.setattr(generate, "verilog", lambda config, bus: GOOD)

    def missing(*_, **__):
        raise toolchain.ToolError("verilator is not installed")
    monkeypatch.setattr(toolchain, "run_verilator", missing)
    result = CliRunner().invoke(main, ["lint", "nano", "--json", str(tmp_path / "lint.json")])
    assert result.exit_code == 1 and result.stderr == "gradgate: verilator is not installed\n" and not list(tmp_path.iterdir())


@pytest.mark.parametrize("command", (["boards"], ["profile", "--config", "pico"], ["lint", "pico"]), ids=lambda command: command[0])
def test_json_that_cannot_be_written(command, tmp_path):
    """It is found before the work, and nothing is shown."""
    path = tmp_path / "file" / "x.json"
    (tmp_path / "file").touch()
    result = CliRunner().invoke(main, [*command, "--json", str(path)])
    assert (result.exit_code, result.stdout) == (1, "") and result.stderr.startswith(f"gradgate: cannot write {path}: ")


def test_table():
    """Numbers are aligned on the right; brackets and colons are text; words are broken only where there is no room for them."""
    assert layout.table(["name", "n"], [["[red]a[/red]", 1234], [":warning:", 5]]) == (
        "name              n\n"
        "───────────────────\n"
        "[red]a[/red]  1,234\n"
        ":warning:         5")
    wide = layout.table(["text", "word"], [["many words " * 20, "x" * 60]])
    assert max(map(len, wide.splitlines())) <= 100 and "x" * 60 in wide
    assert layout.table(["word", "other"], [["x" * 90, "y" * 90]]).replace("\n", "").count("x") == 90
