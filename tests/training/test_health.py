"""What a run says of itself: losses that do not fall, layers without gradients, updates that round to zero, words at the limits."""

import json
import re

import numpy as np
import pytest
from click.testing import CliRunner

from gradgate.arch.config import PRESETS, Config
from gradgate.arch.formats import Formats
from gradgate.arch.network import Network
from gradgate.cli.main import main
from gradgate.golden import fixed, layers
from gradgate.golden.model import GoldenModel
from gradgate.golden.ranges import Range
from gradgate.training.datasets import Dataset, digits
from gradgate.training.health import Health
from gradgate.training.run import Trainer
from gradgate.training.schedule import Schedule, default_lr_shift

DIGITS = Network.load("digits")
NARROW = Formats(act_bits=8, act_frac=5, weight_frac=5, grad_frac=6, master_bits=12, master_frac=9, acc_bits=20)


def trained(data, *, lr_shift, network=DIGITS, config="small", batch=16, epochs=1, steps=None, formats=None):
    """The result of training the golden model."""
    config = Config.load(config) if formats is None else Config.load(config).replace(formats=formats)
    schedule = Schedule(network=network, config=config, batch=batch, lr_shifts=(lr_shift,) * epochs, max_steps=steps, backend="golden")
    return Trainer(schedule, data).run()


def test_range_of_words_and_rounding():
    """Counts of a few numbers that can be checked by eye; a number beside the limit does not count."""
    assert Range.of(np.array([127, -128, 126, -127, 0, 127]), 8) == Range(words=6, limit=3)
    assert Range.rounding(np.array([5, 0, -1, 300]), np.array([1, 0, 0, 38])) == Range(values=3, vanished=1)
    assert Range.rounding(np.array([3, 0]), np.array([1, 1, 0, 0, 0, 0]), copies=3) == Range(values=3, vanished=1)
    total = Range(words=4, limit=1, values=8, vanished=2) + Range(words=6, limit=4)
    assert (total.at_limit, total.lost) == (0.5, 0.25)
    assert (Range().at_limit, Range().lost) == (0.0, 0.0)


@pytest.mark.parametrize("seed, spread", [(0, 16), (1, 16), (2, 1)])
def test_ranges_of_a_step(seed, spread):
    """Those of the golden model are those of its tensors and of the sums before rounding, one number at a time."""
    network = Network.build("two", (5, 4, 2), [{"type": "conv", "out": 3, "padding": 1}, {"type": "relu"}, {"type": "maxpool"},
                                              {"type": "dense", "out": 4}])
    rng, model = np.random.default_rng(seed), GoldenModel(network, NARROW, seed)
    model.set_masters([np.clip(spread * m, -2048, 2047) for m in model.masters])
    x, labels = rng.integers(0, 128, (4, 5, 4, 2)), rng.integers(0, 4, 4)
    weights = [fixed.working(m, NARROW) for m in model.masters]
    step = model.step(x, labels, 2)
    assert set(step.ranges) == {f"{block}.{what}" for block in ("conv1", "dense2") for what in ("out", "grad", "master")}
    for name, found in step.ranges.items():
        bits = NARROW.master_bits if name.endswith("master") else NARROW.act_bits
        words = step.tensors[name].ravel().tolist()
        assert found.words == len(words)
        assert found.limit == sum(word in (-(1 << bits - 1), (1 << bits - 1) - 1) for word in words), name
    assert sum(one.limit for one in step.ranges.values()) > 0
    half = 1 << NARROW.weight_frac - 1
    kernel, bias = weights[0][:, :-1].reshape(3, 3, 3, 2), weights[0][:, -1]
    sums = layers.forward(x, kernel, bias, 1, 1, NARROW)[:, :4].ravel().tolist()
    back = layers.backward_data(step.tensors["dense2.grad"], weights[1][:, :-1].reshape(4, 2, 2, 3), 2, 2, 1, 0, NARROW)
    masked = np.where(step.tensors["conv1.out"] != 0, back, 0).ravel().tolist()
    for name, exact in (("conv1.out", sums), ("conv1.grad", masked)):
        assert spread > 1 or step.ranges["conv1.grad"].vanished > 0
        assert step.ranges[name].values == sum(value != 0 for value in exact)
        assert step.ranges[name].vanished == sum(value != 0 and -half <= value < half for value in exact)


@pytest.mark.parametrize("lr_shift", [0, 5, 9, 14, 20])
def test_updates_that_round_to_zero(lr_shift):
    """The share is that of the masters' own steps; at the rate that is named, at least half move, and at the next one fewer do."""
    formats = Config.load("small").formats
    model, data = GoldenModel(DIGITS, formats, 0), digits(0)
    x, y = (data.train_x[:16] * 1024).astype(np.int64), data.train_y[:16]
    masters = model.masters
    step = model.step(x, y, lr_shift)
    health = Health(DIGITS, formats, 16)
    health.see(step, lr_shift)

    def moved(shift):
        model.set_masters(masters)
        again = model.step(x, y, shift).tensors
        gradients = [again[f"{block.name}.wgrad"] for block in DIGITS.weighted]
        steps = [(gradient + (1 << formats.update_shift(16, shift) - 1)) >> formats.update_shift(16, shift) for gradient in gradients]
        return sum(int(np.count_nonzero(s)) for s in steps) / sum(int(np.count_nonzero(g)) for g in gradients)

    found = health.updates()
    assert found["rounded_to_zero"] == pytest.approx(1 - moved(lr_shift), abs=1e-12)
    assert moved(found["largest_lr_shift"]) >= 0.5 > moved(found["largest_lr_shift"] + 1)


def test_a_rate_that_moves_nothing():
    """Nearly all updates round to zero: the warning names a rate at which half would not."""
    result = trained(digits(0), lr_shift=20)
    loss, idle = result.warnings
    assert loss.startswith("the network has not trained: the loss of the last epoch is 2.") and "0.9 ln(10)" in loss
    share, best = re.fullmatch(r"([\d.]+) % of the updates with a gradient round to zero; "
                               r"at least half would not with --lr-shift (\d+) or less", idle).groups()
    assert 99 < float(share) < 100 and int(best) == result.health.updates()["largest_lr_shift"]
    assert trained(digits(0), lr_shift=int(best), steps=20).health.updates()["rounded_to_zero"] < 0.55


def test_dead_layers():
    """A rate that is too high for two images a step kills all ReLUs: layers, and since when."""
    result = trained(digits(0), lr_shift=2, config="nano", batch=2, epochs=2)
    assert result.golden_accuracy < 30
    since = result.health.silent_since
    assert set(since) == {"conv1", "conv2"}
    warning = next(line for line in result.warnings if line.startswith("all gradients are zero"))
    assert f"conv1 since step {since['conv1']}, conv2 since step {since['conv2']} of {result.steps}:" in warning


def test_silence_ends():
    """A layer that gets a gradient again is not silent, and a few steps of silence are not worth a warning."""
    model, data = GoldenModel(DIGITS, Formats(), 0), digits(0)
    x, y = (data.train_x[:2] * 1024).astype(np.int64), data.train_y[:2]
    health = Health(DIGITS, Formats(), 2)
    live = model.step(x, y, 5)
    dead = {name: np.zeros_like(t) if name.endswith("wgrad") else t for name, t in live.tensors.items()}
    silent = type(live)(dead, 0, 0, live.predicted, live.p, live.labels, live.formats)
    for step in (live, silent, silent, live, *[silent] * 63):
        health.see(step, 5)
    assert health.silent_since == dict.fromkeys(("conv1", "conv2", "dense3"), 5)
    quiet = Health(DIGITS, Formats(), 2)
    for step in [live] * 300 + [silent] * 63:
        quiet.see(step, 5)
    assert not list(quiet.warnings([], 718))
    quiet.see(silent, 5)
    assert [line[:42] for line in quiet.warnings([], 718)] == ["all gradients are zero in conv1 since step"]


def test_images_out_of_range():
    """Grey levels of 0 to 255 where numbers end at 32, and of 0 to 2^-12 where the smallest is 2^-10."""
    data = digits(0)
    bright = Dataset(255 * data.train_x, data.train_y, 255 * data.test_x, data.test_y)
    result = trained(bright, lr_shift=2, steps=1)
    share = np.mean(np.concatenate([bright.train_x, bright.test_x]) >= 32)
    assert result.health.ranges["input"].at_limit == share
    assert result.warnings[0].startswith(f"input: {int(1e4 * share) / 100:g} % of the words are at the limits of their format; images "
                                         "must be within -32 to 31.999 (act_frac = 10): scale the images")
    dark = Dataset(data.train_x / 4096, data.train_y, data.test_x / 4096, data.test_y)
    result = trained(dark, lr_shift=2, steps=1)
    assert result.health.ranges["input"].lost == 1
    assert result.warnings[0].startswith("input: 100 % of the non-zero values became zero; images must differ from zero by 0.000488281 or")


def test_gradients_out_of_range():
    """Formats whose gradients end at 1/2, which the logits' gradient reaches by itself."""
    formats = Formats(grad_frac=14, act_bits=16)
    assert not trained(digits(0), lr_shift=2, steps=8, formats=formats).warnings
    tight = Formats(act_bits=12, act_frac=8, weight_frac=9, grad_frac=10, master_bits=20, master_frac=17)
    network = Network.build("wide", (8, 8, 1), [{"type": "dense", "out": 64}, {"type": "relu"}, {"type": "dense", "out": 10}])
    result = trained(digits(0), lr_shift=-1, network=network, steps=60, formats=tight)
    pattern = r"dense\d\.(out|grad|master): .* % of the words are at the limits"
    assert any(re.match(pattern, line) for line in result.warnings), result.warnings


def test_default_rate():
    assert [default_lr_shift(batch) for batch in (1, 2, 4, 8, 16, 32, 64, 4096)] == [6, 5, 4, 3, 2, 1, 1, 1]


@pytest.mark.parametrize("config", [pytest.param(name, marks=() if name == "tiny" else pytest.mark.full)
                                    for name in ("pico", "nano", "tiny", "small")])
@pytest.mark.parametrize("seed", [pytest.param(seed, marks=() if seed == 0 else pytest.mark.full) for seed in (0, 1, 2)])
def test_defaults_train(config, seed, tmp_path):
    """Five epochs with the command's own batch and rate, which the report's first line names; nothing to warn of."""
    figures = tmp_path / "figures.json"
    result = CliRunner().invoke(main, ["train", "--config", config, "--epochs", "5", "--seed", str(seed), "--backend", "golden",
                                       "--json", str(figures)])
    assert result.exit_code == 0, result.output
    found = json.loads(figures.read_text())
    assert found["lr_shifts"] == [default_lr_shift(found["batch"])] * 5
    first = result.stdout.splitlines()[0]
    assert f"batch {found['batch']}, " in first and f"learning rate 2^-({', '.join(map(str, found['lr_shifts']))})" in first
    assert found["test_accuracy"] >= 97 and found["warnings"] == []
    assert PRESETS[config].name == found["config"]["name"]


def test_warnings_are_said_everywhere(tmp_path):
    """In the report, on standard error, in the JSON; the exit status stays 0."""
    figures = tmp_path / "figures.json"
    result = CliRunner().invoke(main, ["train", "--config", "tiny", "--lr-shift", "20", "--backend", "golden", "--json", str(figures)])
    assert result.exit_code == 0, result.output
    warnings = json.loads(figures.read_text())["warnings"]
    assert len(warnings) == 2
    for warning in warnings:
        assert f"WARNING            {warning}\n" in result.stdout and f"gradgate: warning: {warning}\n" in result.stderr
    found = json.loads(figures.read_text())
    assert found["updates"]["rounded_to_zero"] > 0.99 and found["silent_since"] == {}
    assert found["ranges"]["conv1.out"]["words"] == found["steps"] * 4 * 8 * 8 * 16
