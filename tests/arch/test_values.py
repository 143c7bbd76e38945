"""Odd values on the command line and in files: refused in one line that shows them, or read as they are meant."""

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from gradgate.arch.checks import ConfigError, label, parse_integer
from gradgate.arch.config import Config
from gradgate.arch.network import Network
from gradgate.cli.main import explain, main

ARABIC = "\u0663"  # the digit three
GOLDEN = ["train", "--backend", "golden", "--config", "tiny", "--steps", "1"]
NETWORK = 'input = [8, 8, 1]\n[[layer]]\ntype = "dense"\nout = 10\n'


def run(*arguments):
    """Exit status, standard output and error."""
    result = CliRunner().invoke(main, [str(a) for a in arguments])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result.exit_code, result.stdout, result.stderr


def every_option():
    """``(command, option)`` of all commands, those of groups too."""
    def walk(command, path):
        if hasattr(command, "commands"):
            for name, inner in command.commands.items():
                yield from walk(inner, (*path, name))
        else:
            yield from ((path, param) for param in command.params)
    return list(walk(main, ()))


# Numbers

@pytest.mark.parametrize("text", ["1_0", ARABIC, "1" + ARABIC, "0x10", "1.0", "", " ", "--1", "+", "1e3", "1" * 200, "\uff11"])
def test_no_decimal_integer(text):
    with pytest.raises(ValueError):
        parse_integer(text)


def test_decimal_integers():
    assert [parse_integer(text) for text in ("0", "-1", "+7", "007", "9" * 20)] == [0, -1, 7, 7, 99999999999999999999]


@pytest.mark.parametrize("text", ["1_0", ARABIC])
def test_no_option_takes_them(text, tmp_path):
    """Every option of every command that takes a number; parsing stops there, before anything is done."""
    found = [(path, param) for path, param in every_option() if param.type.name.split(" ")[0] in ("integer", "float")]
    assert len(found) > 25
    for path, param in found:
        status, out, error = run(*path, param.opts[0], text)
        assert status == 2 and out == "" and f"Invalid value for '{param.opts[0]}': {text!r} is not a valid " in error, (path, param.opts)


@pytest.mark.parametrize("text", ["nan", "inf", "1_0", ARABIC, "0x1p3", ""])
def test_no_number(text):
    status, _, error = run("synth", "--board", "ulx3s-85f", "--freq", text)
    assert status == 2 and f"{text!r} is not a valid float" in error


@pytest.mark.parametrize("option, text, message", [
    ("--lr-shift", "1_0", "lr-shift must be an integer, or one for each epoch separated by commas, not '1_0'"),
    ("--lr-shift", ARABIC, f"lr-shift must be an integer, or one for each epoch separated by commas, not '{ARABIC}'"),
    ("--lr-shift", "2,", "lr-shift must be an integer, or one for each epoch separated by commas, not '2,'"),
    ("--wave-steps", ARABIC, f"wave-steps must be a step or FIRST-LAST, not '{ARABIC}'"),
    ("--wave-steps", "1_0", "wave-steps must be a step or FIRST-LAST, not '1_0'"),
])
def test_lists_of_numbers(option, text, message):
    assert run(*GOLDEN, option, text) == (1, "", f"gradgate: {message}\n")


@pytest.mark.parametrize("text", ["1_0", ARABIC, "1,,2", "-1", "1,1"])
def test_seeds_of_placements(text):
    status, _, error = run("synth", "--board", "ulx3s-85f", "--seeds", text)
    assert status == 2 and f"not {text!r}" in error


@pytest.mark.parametrize("seed", ["-1", str(2**32)])
def test_seeds_have_one_range(seed):
    """In every command; ``soak`` took any and ended in a traceback."""
    commands = [path for path, param in every_option() if param.opts == ["--seed"]]
    assert ("soak",) in commands and len(commands) >= 5
    for path in commands:
        status, _, error = run(*path, "--seed", seed)
        assert status == 2 and f"{seed} is not in the range 0<=x<=4294967295" in error, path


# Names

def test_no_option_takes_an_empty_path_or_one_of_two_lines(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    found = [(path, param) for path, param in every_option() if param.type.name in ("file", "directory", "path")]
    assert len(found) > 15
    for path, param in found:
        option, what = param.opts[0], param.type.name
        for text in ("", "a\nb", "a\0b", "a\x1b[31m"):
            kind = f"a {what} without control characters" if text else f"a {what}"
            assert run(*path, option, text) == (1, "", f"gradgate: {option[2:]} must name {kind}, not {text!r}\n"), (path, option)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["two\nlines", "zero\0byte", "", "\x1b[31mred", "tab\tbed", 3], ids=repr)
def test_names_in_files(name, tmp_path):
    for what, load, rest in (("configuration", Config.load, 'preset = "tiny"\n'), ("network", Network.load, NETWORK)):
        path = tmp_path / f"{what}.toml"
        written = '"' + "".join(f"\\u{ord(c):04x}" for c in name) + '"' if isinstance(name, str) else name
        path.write_text(f"name = {written}\n{rest}")
        with pytest.raises(ConfigError) as caught:
            load(str(path))
        must = "one line of printable characters" if isinstance(name, str) else "a text"
        assert str(caught.value) == f"{path}: name must be {must}, not {name!r}"


def test_names_that_can_be_shown():
    assert label("name", "Gr\u00f6\u00dfe 3 (a/b)") == "Gr\u00f6\u00dfe 3 (a/b)"


def test_file_whose_name_has_two_lines(tmp_path):
    """The default name of what it holds is its own, and it is in messages: these stay one line."""
    path = tmp_path / "two\nlines.toml"
    path.write_text('preset = "tiny"\n')
    status, out, error = run("lint", path)
    assert status == 1 and out == "" and error.count("\n") == 1
    assert error == f"gradgate: {tmp_path}/two\\nlines.toml: name must be one line of printable characters, not 'two\\nlines'\n"
    path.write_text("rows =")
    assert run("lint", path)[2].startswith(f"gradgate: {tmp_path}/two\\nlines.toml: Invalid value")


def test_errors_of_the_system_stay_one_line():
    assert explain(FileNotFoundError(errno.ENOENT, "No such file", "two\nlines\udcff")) == "two\\nlines\\udcff: No such file"


# TOML

@pytest.mark.parametrize("mark", ["", "\ufeff"], ids=["plain", "mark"])
def test_byte_order_mark(mark, tmp_path):
    config, network = tmp_path / "core.toml", tmp_path / "net.toml"
    config.write_text(mark + 'preset = "tiny"\nrows = 1\n', encoding="utf-8")
    network.write_text(mark + NETWORK, encoding="utf-8")
    assert Config.load(str(config)).rows == 1 and Network.load(str(network)).classes == 10


def test_values_in_values_in_values(tmp_path):
    path = tmp_path / "core.toml"
    path.write_text("rows = " + 5000 * "[")
    with pytest.raises(ConfigError, match=f"^{path}: values are nested too deeply$"):
        Config.load(str(path))
    path.write_text("rows = " + 5000 * "9")
    with pytest.raises(ConfigError, match=f"^{path}: "):
        Config.load(str(path))


# Outputs of commands

def test_what_the_directory_must_take_is_tried_first(tmp_path, monkeypatch):
    """A file of an earlier run that somebody protected: said before training."""
    from gradgate.training.run import Trainer

    monkeypatch.setattr(Trainer, "run", lambda self: pytest.fail("trained"))
    (tmp_path / "result.json").write_text("old")
    (tmp_path / "result.json").chmod(0o444)
    message = f"cannot write {tmp_path / 'result.json'}: it is read-only (mode 0444)"
    for option, path in (("--out", tmp_path), ("--json", tmp_path / "result.json")):
        assert run(*GOLDEN, option, path) == (1, "", f"gradgate: {message}\n")
    assert (tmp_path / "result.json").read_text() == "old"


def test_figures_through_a_link(tmp_path):
    """As a user does it: the link stays, and the figures are where it leads to."""
    link = tmp_path / "figures.json"
    link.symlink_to("kept/figures.json")
    status, _, error = run(*GOLDEN, "--json", link)
    assert status == 0, error
    assert link.is_symlink() and '"mode"' in (tmp_path / "kept" / "figures.json").read_text()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
@pytest.mark.parametrize("command", [["boards"], ["--help"], ["--version"]], ids=" ".join)
def test_standard_output_that_is_full(command):
    """One line that says what was full. Nothing here is written but through the open device."""
    with open("/dev/full", "wb") as full:
        done = subprocess.run([sys.executable, "-c", "from gradgate.cli.main import main; main(prog_name='gradgate')", *command],
                              stdout=full, stderr=subprocess.PIPE, text=True, env=os.environ)
    assert (done.returncode, done.stderr) == (1, "gradgate: cannot write standard output: No space left on device\n")
