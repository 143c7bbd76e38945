"""What a user can do wrong on the command line: one clear line, exit status 1 or 2, and no half-written output."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from gradgate.arch.checks import ConfigError
from gradgate.arch.config import PRESETS, Config
from gradgate.arch.files import require_writable
from gradgate.arch.network import Network
from gradgate.cli import progress
from gradgate.cli.main import main
from gradgate.compiler.compile import compile_step
from gradgate.report import training as report

#: A core that is generated and compiled quickly, on which nothing but the smallest networks fits.
SMALL = "rows = 1\nlanes = 2\nlists = 1\nact_bricks = 512\nweight_bricks = 512\nbank_words = 64\npsum_words = 64\n"
#: Digits in one layer, which fits it.
LINEAR = 'input = [8, 8, 1]\n[[layer]]\ntype = "conv"\nout = 2\nstride = 2\n[[layer]]\ntype = "dense"\nout = 10\n'
#: More sums in two rows of positions than the smallest sums memory holds.
WIDE = """input = [8, 8, 1]
layer = [{type = "conv", out = 2, padding = 2}, {type = "relu"}, {type = "maxpool"}, {type = "dense", out = 10}]
"""
GOLDEN = ["train", "--backend", "golden", "--config", "tiny", "--steps", "1"]


def run(*arguments, status=1, env=None):
    """Run the command line; returns the one line that it says for an error."""
    result = CliRunner().invoke(main, [str(a) for a in arguments], env=env)
    assert result.exit_code == status, result.output
    assert result.exception is None or isinstance(result.exception, SystemExit)
    if status == 1:
        assert result.stdout == "" and result.stderr.count("\n") == 1 and result.stderr.startswith("gradgate: "), result.output
        return result.stderr.removeprefix("gradgate: ").rstrip("\n")
    return result.output


def written(path, text):
    """A file with this text."""
    path.write_text(text, encoding="utf-8")
    return path


CONFIG_ERRORS = {
    "rows =": "Invalid value",
    "rows 4": "Expected '=' after a key",
    "rows = 2\nrows = 3": "Cannot overwrite a value",
    "rows = 2\nlanes = 4\nrow = 1": "configuration: unknown key 'row'; known are preset, name; [array] rows, lanes, lists, targets; "
                                   "[memories] act_bricks, ",
    'rows = "4"\nlanes = 4': "rows must be 1 to 16, not '4'",
    "rows = 0\nlanes = 4": "rows must be 1 to 16, not 0",
    "rows = 17\nlanes = 4": "rows must be 1 to 16, not 17",
    "rows = true\nlanes = 4": "rows must be 1 to 16, not True",
    "rows = 2.0\nlanes = 4": "rows must be 1 to 16, not 2.0",
    "rows = [2]\nlanes = 4": "rows must be 1 to 16, not [2]",
    "rows = 2\nlanes = 3": "lanes must be one of 2, 4, 8, 16, not 3",
    "rows = 2\nlanes = 4.0": "lanes must be one of 2, 4, 8, 16, not 4.0",
    'rows = 2\nlanes = "4"': "lanes must be one of 2, 4, 8, 16, not '4'",
    "lanes = 4": "configuration needs rows, or the preset to start from",
    "rows = 4": "configuration needs lanes, or the preset to start from",
    "": "configuration needs rows and lanes, or the preset to start from",
    'preset = "huge"': "preset must be one of pico, nano, tiny, small, base, paper, not 'huge'",
    "preset = [4]": "preset must be one of pico, nano, tiny, small, base, paper, not [4]",
    'preset = "tiny"\nname = 3': "name must be a text, not 3",
    'preset = "tiny"\nlists = 5': "lists must be 1 to 4, not 5",
    'preset = "tiny"\ntargets = 0': "targets must be 1 to 32, not 0",
    'preset = "tiny"\npsum_words = 15': "psum_words must be 16 to 4096, not 15",
    'preset = "tiny"\nbank_words = 100': "bank_words must be a power of two, not 100",
    'preset = "tiny"\nmomentum = 1': "momentum must be one of False, True, not 1",
    'preset = "tiny"\nformats = 3': "formats must be a table, not 3",
    'preset = "tiny"\n[formats]\nbits = 3': "formats: unknown key 'bits'; known are acc_bits, act_bits, ",
    'preset = "tiny"\n[formats]\nact_bits = 40': "formats.act_bits must be 8 to 18, not 40",
    'preset = "tiny"\n[formats]\nact_bits = "16"': "formats.act_bits must be 8 to 18, not '16'",
    'preset = "tiny"\n[formats]\nmaster_frac = 19': "formats.master_frac must be 20 for 24-bit masters of 16-bit weights",
    "rows = 16\nlanes = 16\nact_bricks = 4097": "act_bricks is too large: the host can address 1048576 words of ROWS, not 2097152",
    "rows = 16\nlanes = 16\nargmax_bricks = 65536":
        "argmax_bricks is too large: the host can address 1048576 words of ARGMAX, not 16777216",
    "[array]\nrows = 0\nlanes = 4": "array.rows must be 1 to 16, not 0",
    "rows = 4\n[array]\nlanes = 3": "array.lanes must be one of 2, 4, 8, 16, not 3",
    "lanes = 3\n[array]\nrows = 4": "lanes must be one of 2, 4, 8, 16, not 3",
    "[array]\nrows = 4": "configuration needs lanes, or the preset to start from",
    "[array]\nrows = 4\nbank_words = 16": "array: unknown key 'bank_words'; known are lanes, lists, rows, targets",
    "array = 3": "array must be a table, not 3",
    "[array]\nname = 'x'": "array: unknown key 'name'; known are lanes, lists, rows, targets",
    "rows = 2\nlanes = 4\n[array]\nrows = 2": "rows and array.rows are the same: only one of them may be given",
    'preset = "tiny"\nmomentum = true\n[update]\nmomentum = false':
        "momentum and update.momentum are the same: only one of them may be given",
    'preset = "tiny"\n[memories]\nbank_words = 100': "memories.bank_words must be a power of two, not 100",
    'preset = "tiny"\n[host]\nprogram_words = "many"': "host.program_words must be 16 to 65536, not 'many'",
    'preset = "tiny"\n[memory]\nbank_words = 64': "configuration: unknown key 'memory'; known are preset, name; [array] ",
    "rows = 16\nlanes = 16\n[memories]\nact_bricks = 4097":
        "memories.act_bricks is too large: the host can address 1048576 words of ROWS, not 2097152",
    'preset = "tiny"\nact_bits = 12': "configuration: unknown key 'act_bits'; known are ",
}


@pytest.mark.parametrize("text", CONFIG_ERRORS, ids=lambda t: t.replace("\n", "; ") or "empty")
def test_bad_configuration(text, tmp_path):
    path, out = written(tmp_path / "core.toml", text), tmp_path / "out"
    for command in (["generate", "--out", out, "--config"], ["train", "--out", out, "--config"], ["lint"]):
        assert run(*command, path).startswith(f"{path}: {CONFIG_ERRORS[text]}")
    assert list(tmp_path.iterdir()) == [path]


def test_no_such_configuration(tmp_path):
    out = tmp_path / "out"
    presets = "pico, nano, tiny, small, base, paper"
    for name in ("nope", tmp_path, tmp_path / "none.toml", ""):
        for command in (["generate", "--out", out, "--config"], ["train", "--out", out, "--config"], ["lint"]):
            assert run(*command, name) == f"configuration must be one of {presets} or a TOML file, not {str(name)!r}"
    binary = tmp_path / "binary.toml"
    binary.write_bytes(b"\xff\xfe\x00")
    assert run("generate", "--out", out, "--config", binary).startswith(f"{binary}: 'utf-8' codec can't decode")
    assert not out.exists()


def test_largest_configuration():
    """The limit of the address space itself is legal."""
    assert Config(rows=16, lanes=16, act_bricks=4096).act_bricks == 4096
    assert Config(rows=16, lanes=16, weight_bricks=65536).weight_bricks == 65536
    with pytest.raises(ConfigError, match="act_bricks is too large"):
        Config(rows=16, lanes=16).replace(act_bricks=4097)


LAYER = '[[layer]]\ntype = "{}"\n'
NETWORK_ERRORS = {
    "input = [8, 8": "Unclosed array",
    "input = [8, 8, 1]": "a network needs 'input' and at least one [[layer]]",
    "input = [8, 8]\n" + LAYER.format("dense"): "input must be [height, width, channels], not [8, 8]",
    "input = [8, 8, 0]\n" + LAYER.format("dense"): "input channels must be 1 to 1024, not 0",
    'input = "8x8"\n' + LAYER.format("dense"): "input must be [height, width, channels], not '8x8'",
    "input = [8, 8, 1]\nlayer = 3": "a network needs 'input' and at least one [[layer]]",
    "input = [8, 8, 1]\nlayer = [3]": "layer 0 must be a table with a 'type', not 3",
    "name = 3\ninput = [8, 8, 1]\n" + LAYER.format("dense") + "out = 10": "name must be a text, not 3",
    "input = [8, 8, 1]\nlayers = 3\n" + LAYER.format("dense"): "unknown key 'layers'; known are input, layer, name",
    "input = [8, 8, 1]\n" + LAYER.format("lstm"): "layer 0 type must be one of conv, ",
    "input = [8, 8, 1]\n[[layer]]\ntype = [3]": "layer 0 type must be one of conv, ",
    "input = [8, 8, 1]\n" + LAYER.format("dense") + "out = 10\nfrom = [1]": "layer 0 (dense) from must be one of input, not [1]",
    "input = [8, 8, 1]\n" + LAYER.format("batchnorm"): "layer 0 (batchnorm): batch normalisation is not trained on chip: fold",
    "input = [8, 8, 1]\n" + LAYER.format("conv") + "out = 2\nsize = 3": "layer 0 (conv): unknown key 'size'; known are ",
    "input = [8, 8, 1]\n" + LAYER.format("conv") + 'out = "2"': "layer 0 (conv) out must be 1 to 1024, not '2'",
    "input = [8, 8, 1]\n" + LAYER.format("conv") + "out = 2\nkernel = 9": "layer 0 (conv) kernel 9 must not exceed the padded input, 8x8",
    "input = [8, 8, 1]\n" + LAYER.format("relu"): "layer 0 (relu) must follow a conv or dense layer",
    "input = [8, 8, 1]\n" + LAYER.format("conv") + "out = 2": "a network must end in a dense layer",
    "input = [8, 8, 1]\n" + LAYER.format("dense") + "out = 33": "a network must have 2 to 32 classes, not 33",
    "input = [9, 8, 1]\n" + LAYER.format("dense") + "out = 10":
        "input must be [8, 8, 1], the training images of the data set, not [9, 8, 1]",
    "input = [8, 8, 1]\n" + LAYER.format("dense") + "out = 9":
        "must be 0 to 8, for the last layer has 9 outputs, not 9; labels here are 0 to 9",
}


@pytest.mark.parametrize("text", NETWORK_ERRORS, ids=lambda t: t.replace("\n", "; "))
def test_bad_network(text, tmp_path):
    path, out = written(tmp_path / "net.toml", text), tmp_path / "out"
    assert NETWORK_ERRORS[text] in run("train", "--model", path, "--config", "tiny", "--out", out)
    assert not out.exists()


def test_no_such_network(tmp_path):
    message = run(*GOLDEN, "--model", "nope", "--out", tmp_path / "out")
    assert re.fullmatch(r"model must be one of digits, .* or a TOML file, not 'nope'", message)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name, value, memory, unit", [
    ("act_bricks", 64, "row memory", "bricks"), ("weight_bricks", 100, "weight memory", "bricks"),
    ("argmax_bricks", 16, "argmax memory", "bricks"), ("program_words", 100, "program memory", "words"),
    ("counters", 16, "counter memory", "words"), ("staging_words", 64, "staging memory", "words"),
    ("psum_words", 16, "conv1 forward: sums memory", "words"), ("bank_words", 16, "dense3 forward: bank of a PE", "words")])
def test_network_that_does_not_fit(name, value, memory, unit, tmp_path):
    """The line names the memory, its field, and how much is missing."""
    path, out = written(tmp_path / "core.toml", f'preset = "tiny"\n{name} = {value}\n'), tmp_path / "out"
    model = written(tmp_path / "net.toml", WIDE) if name == "psum_words" else "digits"
    message = run("train", "--config", path, "--model", model, "--out", out)
    assert message.startswith(f"{memory} ({name}) is "), message
    short, *others = (int(n) for n in re.findall(r"\d+", message.removeprefix(memory)))
    assert f"is {short} {unit} short" in message and value in others and value + short in others
    assert not out.exists()


def test_all_memories_that_do_not_fit(tmp_path):
    """One table, with the worst of each memory, also those that single passes need; what is short of one alone stays short here."""
    path = written(tmp_path / "core.toml", 'preset = "tiny"\nact_bricks = 100\nweight_bricks = 100\nbank_words = 16\n')
    out = tmp_path / "out"
    result = CliRunner().invoke(main, ["train", "--config", str(path), "--batch", "1024", "--out", str(out)])
    assert (result.exit_code, result.stdout) == (1, "")
    head, *rows = result.stderr.splitlines()
    assert head == "gradgate: 5 memories are too small for the network:"
    assert rows[0].split() == ["memory", "needs", "has", "short"]
    found = {re.search(r"\((\w+)\)", row)[1]: [int(n) for n in re.findall(r" (\d+)(?= )", row)] for row in rows[1:]}
    assert list(found) == ["act_bricks", "argmax_bricks", "weight_bricks", "staging_words", "bank_words"]
    assert all(needs - has == short for needs, has, short in found.values())
    assert found["act_bricks"][1] == found["weight_bricks"][1] == 100 and found["staging_words"][0] == 1024 * 65
    assert not out.exists()


def test_data_is_told_before_memory(tmp_path):
    """A network for other images than those of the data set hears of the images, not of the memories it would need."""
    net = written(tmp_path / "net.toml", "input = [28, 28, 1]\n" + LAYER.format("conv") + "out = 64\n" + LAYER.format("conv")
                  + "out = 10\nkernel = 15\nstride = 2\n" + LAYER.format("dense") + "out = 10\n")
    message = "input must be [8, 8, 1], the training images of the data set, not [28, 28, 1]"
    for command in (["train"], ["profile"], ["board", "--port", "sim"]):
        assert run(*command, "--model", net, "--config", "pico") == message


def test_network_too_large_for_the_commands():
    config = Config(name="large", rows=1, lanes=2, act_bricks=65536, staging_words=65536)
    network = Network.build("large", (64, 64, 1), [{"type": "conv", "out": 2, "stride": 2, "padding": 1}, {"type": "avgpool", "size": 4},
                                                {"type": "dense", "out": 2}])
    with pytest.raises(ConfigError, match=r"^input is too large for the core's commands: MOVE.pixels must be 0 to 4095, not 4096$"):
        compile_step(network, config, batch=1)


def test_default_batch(tmp_path):
    """The batch that is taken, and what keeps it from being larger, are said."""
    result = CliRunner().invoke(main, [*GOLDEN, "--out", str(tmp_path / "out")])
    assert result.exit_code == 0, result.output
    assert re.match(r"batch 4: for 8, row memory \(act_bricks\) is \d+ bricks short: ", result.stderr)
    assert json.loads((tmp_path / "out" / "result.json").read_text())["batch"] == 4


@pytest.mark.parametrize("arguments, message", [
    (["--batch", "3"], "batch must be a power of two for training, not 3"),
    (["--batch", "0"], "batch must be 1 to 4096, not 0"),
    (["--batch", "-4"], "batch must be 1 to 4096, not -4"),
    (["--batch", "8192"], "batch must be at most the 1437 training images, not 8192"),
    (["--lr-shift", "fast"], "lr-shift must be an integer, or one for each epoch separated by commas, not 'fast'"),
    (["--lr-shift", "2,3"], "lr-shift must be one value or 1, one for each epoch, not 2"),
    (["--lr-shift", "40"], "update shift (5 + lr_shift) must be 1 to 31, not 45"),
    (["--momentum", "3"], "momentum"),
    (["--wave", "w.vcd"], "a wave file needs backend rtl"),
    (["--dense-steps", "1"], "steps with skipping off need backend rtl"),
    (["--wave", "w.vcd", "--wave-steps", "3-1"], "wave-steps must be a step or FIRST-LAST, not '3-1'"),
], ids=lambda v: " ".join(v) if isinstance(v, list) else "")
def test_bad_options(arguments, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert message in run(*GOLDEN, *arguments, "--out", "out", "--json", "figures.json")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("arguments, message", [
    (["--lr-shift", "fast"], "lr-shift must be an integer, or one for each epoch separated by commas, not 'fast'"),
    (["--lr-shift", "40"], "update shift (7 + lr_shift) must be 1 to 31, not 47"),
    (["--batch", "3"], "batch must be a power of two for training, not 3"),
    (["--config", "nowhere"], "nowhere"),
    (["--docs"], "docs is not here: run this in the directory of the sources"),
], ids=lambda v: " ".join(v) if isinstance(v, list) else "")
def test_bad_profile(arguments, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert message in run("profile", *arguments)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("arguments", [
    ["--seed", "-1"], ["--epochs", "0"], ["--epochs", "many"], ["--steps", "0"], ["--mode", "none"], ["--backend", "fpga"], ["--wrong"],
    ["extra"]], ids=" ".join)
def test_bad_usage(arguments, tmp_path):
    assert "Usage: " in run(*GOLDEN, *arguments, "--out", tmp_path / "out", status=2)
    assert not list(tmp_path.iterdir())


def test_unknown_command():
    assert "No such command 'trian'" in run("trian", status=2)


def test_wave_of_unknown_kind(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert run("train", "--config", "tiny", "--wave", "w.txt") == "wave file must end in .vcd or .fst, not 'w.txt'"
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("command, option", [("train", "--out"), ("train", "--json"), ("train", "--wave"), ("generate", "--out"),
                                             ("soak", "--json")])
def test_unwritable(command, option, tmp_path, monkeypatch):
    """Found before any work is done, for a path through a file and for a directory without permission."""
    file, locked = written(tmp_path / "file", "text"), tmp_path / "locked"
    locked.mkdir()
    honest = os.open

    def denied(path, *mode):
        if Path(path).parent == locked:
            raise PermissionError(13, "Permission denied", path)
        return honest(path, *mode)

    monkeypatch.setattr(os, "open", denied)
    command = [command, *(["--config", "tiny"] if command != "soak" else [])]
    name = {"--out": "out", "--json": "figures.json", "--wave": "w.vcd"}[option]
    for place, why in ((file, f"{file}: Not a directory"), (locked, f"{locked}: Permission denied")):
        target = place / "deep" / name
        assert run(*command, option, target) == f"cannot write {target}: {why}"
    for existing, option_ in ((file, "--out"), (locked, "--json")):
        if option == option_:
            run(*command, option, existing, status=2)
    assert sorted(tmp_path.iterdir()) == [file, locked] and not list(locked.iterdir()) and file.read_text() == "text"


def test_missing_compiler(tmp_path, monkeypatch):
    """Without g++, or without Yosys, nothing is written."""
    monkeypatch.setattr(progress, "PERIOD_S", 1e6)  # generating Verilog may take long
    tools, out, core = tmp_path / "tools", tmp_path / "out", written(tmp_path / "core.toml", SMALL)
    tools.mkdir()
    for name in ("perl", "make"):
        (tools / name).symlink_to(shutil.which(name))
    train = ["train", "--config", core, "--model", written(tmp_path / "net.toml", LINEAR), "--batch", "1", "--out", out]
    env = {"PATH": str(tools), "GRADGATE_BUILD": str(tmp_path / "build")}
    assert run(*train, env=env) == "g++ is needed to build simulations and is not on the path; on Debian: apt install g++"
    (tools / "make").unlink()
    assert run(*train, env=env) == "make is needed to build simulations and is not on the path; on Debian: apt install make"
    for command in (["generate", "--config", core, "--out", out], ["lint", core]):
        message = run(*command, env={"YOSYS": str(tmp_path / "yosys")})
        assert message == f"yosys is needed, and {tmp_path / 'yosys'} is not there; run: pip install -e ."
    assert not out.exists()


def test_what_a_user_sees(tmp_path):
    """In a process of its own: exit status, one line on standard error, no traceback; interrupted work leaves nothing."""
    def gradgate(*arguments):
        code = "from gradgate.cli.main import main; main(prog_name='gradgate')"
        return subprocess.run([sys.executable, "-c", code, *map(str, arguments)], cwd=tmp_path, capture_output=True, text=True)
    for arguments, status, line in (
        (["train", "--config", "nope"], 1,
         "gradgate: configuration must be one of pico, nano, tiny, small, base, paper or a TOML file, not 'nope'\n"),
        (["docs"], 1, "gradgate: docs is not here: run this in the directory of the sources\n"),
        (["docs", "--check"], 1, "gradgate: docs is not here: run this in the directory of the sources\n"),
    ):
        result = gradgate(*arguments)
        assert (result.returncode, result.stdout, result.stderr) == (status, "", line)
    result = gradgate("train", "--epochs", "none")
    assert result.returncode == 2 and "Traceback" not in result.stderr and "Error: Invalid value for '--epochs'" in result.stderr
    assert not list(tmp_path.iterdir())


def test_results_appear_whole_or_not_at_all(tmp_path, monkeypatch):
    net, out, figures = written(tmp_path / "net.toml", LINEAR), tmp_path / "deep" / "out", tmp_path / "json" / "figures.json"
    command = [*GOLDEN, "--model", net, "--out", out, "--json", figures]

    def full(*arguments):
        raise OSError(28, "No space left on device", "somewhere")

    with monkeypatch.context() as patch:
        patch.setattr(report, "plot", full)
        result = CliRunner().invoke(main, [str(a) for a in command])
        assert result.exit_code == 1 and result.stderr == "gradgate: somewhere: No space left on device\n"
        assert list(tmp_path.iterdir()) == [net]
    assert CliRunner().invoke(main, [str(a) for a in command]).exit_code == 0
    assert sorted(p.name for p in out.iterdir()) == ["report.txt", "result.json", "training.png"]
    assert json.loads(figures.read_text()) == json.loads((out / "result.json").read_text())


def test_checking_makes_nothing(tmp_path):
    require_writable(tmp_path / "x" / "y")
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize("command", ["generate", "train", "profile", "synth", "board"])
def test_help_has_the_presets(command):
    text = " ".join(CliRunner().invoke(main, [command, "--help"]).output.split())
    assert f"reset ({', '.join(PRESETS)}) or TOML file." in text
