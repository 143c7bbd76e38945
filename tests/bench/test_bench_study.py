"""The study of sparsity: traffic by hand, samples against everything, its command line and its pages."""

import csv
import json
import os

import numpy as np
import pytest
from click.testing import CliRunner
from support import DOCS

from gradgate.arch.config import Config
from gradgate.bench.cost import estimate
from gradgate.bench.cost.cuts import candidates, channels, entries_of, targets_of
from gradgate.bench.cost.estimate import Sample, best
from gradgate.bench.cost.tiles import Options
from gradgate.bench.cost.traffic import traffic
from gradgate.bench.cost.walks import walks_of
from gradgate.bench.recording.files import LayerMasks, Recording
from gradgate.bench.recording.masks import masks_of
from gradgate.bench.recording.networks import NETWORKS, Layer, layers
from gradgate.bench.sparsity import study
from gradgate.bench.sparsity.machines import Task, dealt, evaluate, options_of
from gradgate.cli.main import main
from gradgate.compiler.tiles import position_tiles
from gradgate.report import figures, goals, published

SMALL = Sample(runs=2, positions=64, strips=2, strip=32, inputs=1, outputs=2)


def layer_of(**given) -> Layer:
    """A layer of 3x3 kernels, unless said otherwise."""
    shape = {"name": "layer", "kind": "conv", "cin": 20, "cout": 40, "kernel_h": 3, "kernel_w": 3, "padding": 1, "height": 12, "width": 10,
             "relu_input": True, "dense_gradient": False}
    return Layer(**{**shape, **given})


def random_masks(layer, density=0.4, images=2, seed=0):
    """Independent random masks at the layer's own size."""
    rng = np.random.default_rng(seed)
    return (rng.random((images, layer.height, layer.width, layer.cin)) < density,
            rng.random((images, layer.out_height, layer.out_width, layer.cout)) < density)


@pytest.fixture(scope="module")
def recordings(tmp_path_factory):
    """A directory with a recording of ``resnet18`` at 32x32 pixels: random masks at two steps."""
    where, rng = tmp_path_factory.mktemp("recordings"), np.random.default_rng(7)
    points = [{"step": step, "loss": 1.0, "accuracy": 0.5, "density": {}} for step in (1, 9)]
    recording = Recording({"network": "resnet18", "side": 32, "classes": 10, "dataset": "noise", "seed": 7, "batch": 4, "images": 2,
                           "rate": 0.1, "momentum": 0.9, "held_out": 4, "torch": "none", "points": points})
    for step in recording.points:
        for layer in recording.layers:
            x, dy = random_masks(layer, seed=step)
            recording.add(layer.name, step, LayerMasks(x | (not layer.relu_input), dy | layer.dense_gradient))
    recording.save(where / "resnet18.npz")
    assert layers("resnet18", 32, 10)[1].name == NETWORKS["resnet18"][1].name and rng
    return where


@pytest.fixture
def few_layers(monkeypatch):
    """Only some layers of resnet18, small ones, in this process."""
    monkeypatch.setitem(NETWORKS, "resnet18", tuple(NETWORKS["resnet18"][i] for i in (0, 15, 17, 20)))
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {0})
    monkeypatch.setattr(study, "CHECKED", (("resnet18", "conv5_1short"),))
    monkeypatch.setattr(study, "ABLATION", ("resnet18",))


# Counts

def test_traffic_by_hand():
    """A layer whose batch fits the row memories: every word once. One that does not fit: again and again."""
    layer, batch = layer_of(), 8
    config = Config(rows=4, lanes=4, lists=2, act_bricks=1024, weight_bricks=2048, bank_words=512)
    masks = masks_of(layer, 4, *random_masks(layer))
    x, dy, weights = 8 * 12 * 10 * 20, 8 * 12 * 10 * 40, 40 * 20 * 9

    def of(role, config=config):
        cost = best(config, layer, role, masks, options_of(layer, Options()), batch, coarse=SMALL, fine=SMALL)
        return cost, traffic(config, layer, cost, batch)
    # room for 4 * 4 * 1024 = 16,384 words, not for x + dy = 57,600: four blocks, or all weights at once (8192 words): no block
    assert vars(of("FW")[1]) == {"weights": weights, "activations": x + dy, "gradients": 0, "updates": 0}
    assert vars(of("BD")[1]) == {"weights": weights, "activations": x, "gradients": dy + x, "updates": 0}
    assert of("FW")[1].bits == 16 * (weights + x + dy) and of("FW")[1].cycles(64) == (weights + x + dy) / 4
    # half the weights at a time: the list tensor twice, which is less than the weights four times
    halved = config.replace(weight_bricks=1024)
    assert vars(of("FW", halved)[1]) == {"weights": weights, "activations": 2 * x + dy, "gradients": 0, "updates": 0}
    roomy = config.replace(act_bricks=4096)
    cost, moved = of("WG-X", roomy)
    assert vars(moved) == {"weights": 0, "activations": x, "gradients": dy, "updates": 2 * weights}
    cost, moved = of("WG-X")
    parts, outputs = len(cost.cuts[0].inputs), len(cost.cuts[0].outputs)
    assert parts > 1 or outputs > 1
    held_dy, held_x = dy // outputs <= 16384 // 2, x // parts <= 16384 // 2
    ways = [(x * outputs, dy if held_dy else dy * parts), (x if held_x else x * outputs, dy * parts)]
    assert (moved.activations, moved.gradients) == min(ways, key=sum)
    assert moved.bits == 16 * (moved.activations + moved.gradients) + 24 * 2 * weights


def test_candidates_fit():
    """No tile asks for more of a bank, a list, a lane or the sums memory than there is."""
    config = Config(rows=2, lanes=8, targets=10, act_bricks=2048, bank_words=256, psum_words=60)
    for given in ({}, {"stride": 2}, {"kernel_h": 1, "kernel_w": 1, "padding": 0, "cin": 200}, {"kind": "depthwise", "cout": 20}):
        layer = layer_of(**given)
        for role in ("FW", "BD", "WG-X", "WG-Y"):
            for walk in walks_of(layer, role):
                cuts = candidates(config, layer, walk, True, False)
                assert cuts or role == "WG-Y"
                for cut in cuts:
                    words = min(cut.size[0] * 8, channels(layer, walk)[0])
                    entries, targets = entries_of(walk, words, True), targets_of(walk, cut.size[1], True)
                    assert entries <= 256 and targets <= 10 and entries * targets <= (256 if walk.outer else 512)
                    if not walk.outer:
                        for tile in position_tiles(config, slots=3, rows=walk.grid.rows, columns=walk.grid.columns, targets=cut.size[1]):
                            assert tile[0].count * tile[1].count * walk.grid.columns * cut.size[1] <= 60


def test_tiles_cover_every_row_of_every_image_once():
    for slots, rows, columns, targets, psum, step in ((3, 7, 5, 2, 40, 1), (8, 4, 2, 1, 16, 1), (8, 4, 2, 1, 16, 2), (2, 9, 3, 1, 4096, 1),
                                                      (2, 8, 3, 2, 60, 2)):
        config = Config(rows=1, lanes=2, psum_words=psum)
        tiles = position_tiles(config, slots=slots, rows=rows, columns=columns, targets=targets, step=step)
        assert all(some.count * span.count * columns * targets <= psum and span.count % step == 0 for some, span in tiles)
        covered = [(slot, row) for some, span in tiles for slot in range(some.first, some.end) for row in range(span.first, span.end)]
        assert sorted(covered) == [(slot, row) for slot in range(slots) for row in range(rows)]


@pytest.mark.parametrize("given", [{}, {"stride": 2}, {"kind": "depthwise", "cout": 20}, {"relu_input": False, "dense_gradient": True}])
def test_ideal_is_a_bound_and_samples_come_close(given):
    """Ideal cycles are fewer than actual ones in every pass; a sample of half the positions errs by a few per cent."""
    layer, config = layer_of(**given), Config(rows=2, lanes=8, lists=4, act_bricks=2048, bank_words=512, psum_words=256)
    x, dy = random_masks(layer, images=8)
    masks = masks_of(layer, 8, x | (not layer.relu_input), dy | layer.dense_gradient)
    options = options_of(layer, Options())
    for role in ("FW", "BD", "WG-X", "WG-Y"):
        whole = best(config, layer, role, masks, options, 8, fine=estimate.WHOLE)
        if whole is None:
            assert role == "WG-Y"
            continue
        assert 0 < whole.macs / config.pes <= whole.run < whole.total
        some = estimate.cost_of(config, layer, role, masks, whole.cuts, options, 8,
                                Sample(runs=3, positions=70, strips=6, strip=60, inputs=2))
        assert abs(some.run / some.macs / (whole.run / whole.macs) - 1) < 0.06, role
        if role in ("FW", "WG-X", "WG-Y") and layer.kind == "conv":
            assert abs(some.macs / whole.macs - 1) < 0.1


def test_channels_are_dealt_so_that_lanes_and_tiles_are_alike():
    assert dealt(range(18), 2).tolist() == [17, 16, 14, 15, 5, 4, 2, 3, 13, 12, 10, 11, 9, 8, 6, 7, 1, 0]
    density = np.random.default_rng(3).random(64)
    lanes = density[dealt(density, 16)].reshape(-1, 16).sum(axis=0)
    assert np.ptp(lanes) < 0.3 * np.ptp(density.reshape(-1, 16).sum(axis=0))
    assert sorted(dealt(density[:37], 16)) == list(range(37))


def test_periodic_continuation():
    """Pixels repeat with the recording's period, X and dY stay aligned, nothing is outside the image."""
    layer = layer_of(height=224, width=224, stride=2, cin=3, cout=5)
    rng = np.random.default_rng(1)
    masks = masks_of(layer, 4, rng.random((2, 9, 8, 3)) < 0.5, rng.random((2, 5, 4, 5)) < 0.5)
    assert masks.x.flags.shape[1:3] == (8, 8) and masks.dy.flags.shape[1:3] == (4, 4)
    rows = np.arange(-2, 226)
    x = masks.x.pixels(masks.x.flags, np.arange(4), rows, rows)
    assert not x[:, :2].any() and not x[:, :, -2:].any() and x[:, 2:-2, 2:-2].any()
    assert np.array_equal(x[:, 2:202, 2:202], x[:, 10:210, 18:218])
    dy = masks.dy.pixels(masks.dy.flags, np.arange(4), np.arange(112), np.arange(112))
    for image in range(4):  # wherever X of an image begins, dY begins at the pixel that belongs to it
        number = (image % 2 + image // 4) % 2 if image < 2 else (image % 2 + image // 2 // 2) % 2
        places = [(y, z) for y in range(4) for z in range(4)
                  if np.array_equal(dy[image, :4, :4], np.roll(masks.dy.flags[number], (-y, -z), (0, 1)))
                  and np.array_equal(x[image, 2:10, 2:10], np.roll(masks.x.flags[number], (-2 * y, -2 * z), (0, 1)))]
        assert places, image


# Study and command line

def test_first_layer_has_no_backward_data(recordings):
    first = evaluate(Task(network="resnet18", layer=0, point=9, config="base", recordings=str(recordings), coarse=SMALL, fine=SMALL))
    assert list(first) == ["FW", "WG"]
    later = evaluate(Task(network="resnet18", layer=17, point=9, config="base", recordings=str(recordings), coarse=SMALL, fine=SMALL))
    assert list(later) == ["FW", "BD", "WG"]
    assert all(one.ideal <= one.run < one.total and one.traffic > 0 for one in later.values())


def run(*arguments):
    """Exit status, standard output and standard error of ``gradgate bench sparsity``."""
    result = CliRunner().invoke(main, ["bench", "sparsity", *map(str, arguments)])
    return result.exit_code, result.stdout, result.stderr


def test_command_line(recordings, few_layers, tmp_path, monkeypatch):
    """JSON, CSV, plots and page of a small study; what it says hangs together."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "docs").mkdir()
    monkeypatch.setattr(study, "VARIANTS", study.VARIANTS[:2])
    status, text, _ = run("--network", "resnet18", "--recordings", recordings, "--out", "out", "--json", "all.json", "--docs",
                          "--goals", DOCS / "goals.toml", "--published", DOCS / "published.toml")
    assert status == 0
    found = json.loads((tmp_path / "all.json").read_text())
    assert found == json.loads((tmp_path / "out" / "sparsity.json").read_text())
    one = found["networks"]["resnet18"]
    judged = goals.judge(goals.load(DOCS / "goals.toml", {}), {"sparsity": figures.sparsity(found)})
    assert [(verdict.goal.wanted, verdict.got) for verdict in judged] == [(0.9, one["efficiency"]), (1.69, one["speedup_bp"])]
    assert f"goals met: {sum(verdict.met for verdict in judged)} of 2\n" in f"{text}\n"
    assert {"speedup_bp", "speedup_total", "ideal_bp", "ideal_total", "efficiency"} <= set(one)
    assert one["config"] == "paper" and set(one["configs"]) == {"base", "paper"}
    assert 1 < one["speedup_bp"] < one["ideal_bp"] and 0 < one["efficiency"] < 1 and list(one["points"]) == ["1", "9"]
    assert one["points"]["9"]["speedup_bp"] == one["speedup_bp"] and set(found["ablation"]["resnet18"]) == {
        "all on", "S = 1", "no skipping"}
    with open(tmp_path / "out" / "layers.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 2 * (4 * 3 - 1) and {row["pass"] for row in rows} == {"FW", "BD", "WG"}
    paper = [row for row in rows if row["config"] == "paper"]
    assert sum(float(row["total"]) for row in paper) == pytest.approx(
        sum(one["cycles"]["sparse"][name]["total"] for name in ("FW", "BD", "WG")), rel=1e-4)
    assert all((tmp_path / "out" / name).read_bytes()[:4] == b"\x89PNG" for name in ("speedups.png", "resnet18_base.png"))
    page = (tmp_path / "docs" / "sparsity_results.md").read_text()
    assert all(f"## {title}" in page for title in ("Configuration `base`", "Goals", "In the course of training", "Error of the samples"))
    others = published.speedup_section(published.load(DOCS / "published.toml"))
    assert all(line in page for line in [*goals.verdict_table(judged), *others])
    assert "goals" not in found


def test_without_goals(recordings, few_layers, tmp_path, monkeypatch):
    """Whoever gives none reads of none, nor of what others report."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "docs").mkdir()
    status, text, _ = run("--network", "resnet18", "--config", "paper", "--recordings", recordings, "--out", "out", "--quick", "--docs")
    page = (tmp_path / "docs" / "sparsity_results.md").read_text()
    assert status == 0 and "resnet18" in text
    assert "goal" not in (text + page).lower() and "report" not in page
    assert (tmp_path / "out" / "speedups.png").read_bytes()[:4] == b"\x89PNG"


@pytest.mark.parametrize("arguments, message", [
    (("--network", "nope"), f"gradgate: network must be one of {', '.join(NETWORKS)}, not 'nope'\n"),
    (("--config", "tiny"), "gradgate: config must be one of base, paper, both, not 'tiny'\n"),
    (("--out", f"{__file__}/none"), f"gradgate: cannot write {__file__}/none: "), (("--docs",), "gradgate: docs is not here: ")])
def test_errors_are_one_line_and_nothing_is_written(arguments, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    status, _, error = run(*arguments)
    assert status == 1 and error.startswith(message) and error.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_missing_recordings_are_told_before_anything_is_computed(tmp_path):
    status, _, error = run("--network", "vgg16", "--recordings", tmp_path, "--out", tmp_path / "out")
    assert status == 1 and error.startswith("gradgate: there is no recording ") and error.count("\n") == 1
    assert not list(tmp_path.iterdir())
