"""The file format of recorded zeros, and the recordings that come with the package."""

import sys

import numpy as np
import pytest
from click.testing import CliRunner
from support import DOCS, SOURCES

from gradgate.arch.checks import ConfigError
from gradgate.bench.recording import files as recording
from gradgate.bench.recording.files import META_KEYS, LayerMasks, Recording
from gradgate.bench.recording.networks import NETWORKS, Layer
from gradgate.cli.main import main
from gradgate.report import recordings as page

#: Nothing fills whole bytes: 5 channels, 7x3 pixels, 3x1 kernels.
ODD = (
    Layer(name="a", kind="conv", cin=3, cout=5, kernel_h=3, kernel_w=1, height=9, width=3, relu_input=False, dense_gradient=False),
    Layer(name="b", kind="conv", cin=5, cout=7, stride=2, height=7, width=3, relu_input=True, dense_gradient=True),
    Layer(name="c", kind="fc", cin=11, cout=13, relu_input=True, dense_gradient=False),
)


def odd_recording(monkeypatch, seed=0):
    """A recording of :data:`ODD` at steps 2 and 9, and its masks by (name, step)."""
    monkeypatch.setattr(recording, "layers", lambda name, side, classes: ODD)
    rng = np.random.default_rng(seed)
    points = [{"step": step, "loss": 1.0, "accuracy": 0.5, "density": {layer.name: [0.5, 0.25] for layer in ODD}} for step in (2, 9)]
    made = Recording({**dict.fromkeys(META_KEYS, 0), "network": "odd", "images": 3, "points": points})
    masks = {}
    for step in made.points:
        for layer in ODD:
            dy = rng.random((3, layer.out_height, layer.out_width, layer.cout)) < 0.3
            masks[layer.name, step] = LayerMasks(rng.random((3, layer.height, layer.width, layer.cin)) < 0.6,
                                                 np.ones_like(dy) if layer.dense_gradient else dy)
            made.add(layer.name, step, masks[layer.name, step])
    return made, masks


def test_masks_come_back_from_the_file(monkeypatch, tmp_path):
    made, masks = odd_recording(monkeypatch)
    made.save(tmp_path / "odd.npz")
    read = Recording.read(tmp_path / "odd.npz")
    assert read.meta == made.meta and read.points == [2, 9]
    for (name, step), mask in masks.items():
        for which in (made, read):
            np.testing.assert_array_equal(which.layer(name, step).x, mask.x)
            np.testing.assert_array_equal(which.layer(name, step).dy, mask.dy)
            assert which.layer(name, step).x.dtype == bool
        assert read.density(name, step) == (0.5, 0.25)


def test_masks_are_packed_bits_and_dense_gradients_are_not_stored(monkeypatch, tmp_path):
    made, _ = odd_recording(monkeypatch)
    made.save(tmp_path / "odd.npz")
    with np.load(tmp_path / "odd.npz") as file:
        assert sorted(file) == ["dy2", "dy9", "meta", "x2", "x9"]
        assert len(file["x2"]) == sum(-(-3 * words // 8) for words in (9 * 3 * 3, 7 * 3 * 5, 11))
        assert len(file["dy2"]) == sum(-(-3 * words // 8) for words in (7 * 3 * 5, 13))


def test_the_same_masks_give_the_same_file(monkeypatch, tmp_path):
    for name in ("one", "two"):
        odd_recording(monkeypatch)[0].save(tmp_path / f"{name}.npz")
    assert (tmp_path / "one.npz").read_bytes() == (tmp_path / "two.npz").read_bytes()


def test_errors_of_a_recording(monkeypatch, tmp_path):
    made, masks = odd_recording(monkeypatch)
    with pytest.raises(ConfigError, match="no layer 'd'"):
        made.layer("d", 2)
    with pytest.raises(ConfigError, match="recorded at steps 2, 9, not 3"):
        made.layer("a", 3)
    with pytest.raises(ConfigError, match="recorded at steps 2, 9, not 3"):
        made.density("a", 3)
    with pytest.raises(ConfigError, match=r"mask dy of layer 'a' must have shape \(3, 7, 3, 5\), not \(3, 7, 5\)"):
        made.add("a", 2, LayerMasks(masks["a", 2].x, masks["a", 2].dy[..., 0, :]))
    empty = Recording(made.meta)
    with pytest.raises(ConfigError, match="'a' has no mask x at step 2"):
        empty.layer("a", 2)
    with pytest.raises(ConfigError, match="'a' has no mask x at step 2"):
        empty.save(tmp_path / "odd.npz")
    assert not list(tmp_path.iterdir())
    with pytest.raises(ConfigError, match="lacks 'side'"):
        Recording({"network": "odd"})


def test_errors_of_a_file(monkeypatch, tmp_path):
    path = tmp_path / "odd.npz"
    with pytest.raises(ConfigError, match="there is no recording .*odd.npz"):
        Recording.read(path)
    made, _ = odd_recording(monkeypatch)
    made.save(path)
    whole = path.read_bytes()
    for damaged in (b"", b"no recording", whole[:len(whole) // 2], whole[:60] + bytes(20) + whole[80:]):
        path.write_bytes(damaged)
        with pytest.raises(ConfigError, match="is not a recording, or is damaged"):
            Recording.read(path)
    path.write_bytes(whole)
    monkeypatch.setattr(recording, "layers", lambda name, side, classes: ODD[:2])
    with pytest.raises(ConfigError, match="odd.npz: masks x of step 2 take 76 bytes, not 71"):
        Recording.read(path)


def test_an_unknown_network():
    with pytest.raises(ConfigError, match="network must be one of vgg16, .*, not 'vgg19'"):
        Recording.load("vgg19")


@pytest.mark.parametrize("name", NETWORKS)
def test_every_layer_is_recorded(name):
    """At each point: the published channels, zeros where a ReLU lies before, the densities of the masks like those of the batch."""
    packaged = Recording.load(name)
    assert packaged.meta["network"] == name and len(packaged.points) >= 2 and packaged.meta["images"] >= 2
    assert [layer.name for layer in packaged.layers] == [layer.name for layer in NETWORKS[name]]
    for point in packaged.points:
        words = {"x": [0, 0.0], "dy": [0, 0.0]}  # of the masks: number, non-zeros expected from the densities less those found
        for layer, published in zip(packaged.layers, NETWORKS[name]):
            masks = packaged.layer(layer.name, point)
            assert masks.x.shape[1:] == (layer.height, layer.width, layer.cin)
            assert masks.dy.shape[1:] == (layer.out_height, layer.out_width, layer.cout)
            assert layer.cin == published.cin or layer.name == "fc6"
            assert layer.cout == published.cout or layer is packaged.layers[-1]
            density = packaged.density(layer.name, point)
            assert masks.x.any() and masks.dy.any()
            assert masks.x.all() != layer.relu_input or layer.name.startswith("fc")
            assert masks.dy.all() == layer.dense_gradient
            assert 0 < density[0] <= 1 and (density[0] < 1 or not layer.relu_input or layer.kind == "fc")
            assert density[1] > (0.999 if layer.dense_gradient and layer.kind != "fc" else 0)
            for what, mask, part in (("x", masks.x, density[0]), ("dy", masks.dy, density[1])):
                words[what][0] += mask.size
                words[what][1] += part * mask.size - np.count_nonzero(mask)
        for count, difference in words.values():
            assert abs(difference) < 0.1 * count


@pytest.mark.parametrize("name", NETWORKS)
def test_the_recorded_training_learns(name):
    points = Recording.load(name).meta["points"]
    assert points[-1]["loss"] < points[0]["loss"]
    assert points[-1]["accuracy"] > 0.4  # ten classes


@pytest.mark.parametrize("name", ["vgg16", "googlenet"])
def test_gradients_are_zero_where_the_next_layer_has_zero_input(name):
    """A layer without pooling behind it: dY passes a ReLU whose output is the next layer's input."""
    pairs = {"vgg16": [("conv1_1", "conv1_2"), ("conv5_2", "conv5_3")], "googlenet": [("3a_3x3_reduce", "3a_3x3")]}[name]
    packaged = Recording.load(name)
    for point in packaged.points:
        for before, behind in pairs:
            dy, x = packaged.layer(before, point).dy, packaged.layer(behind, point).x
            assert not (dy & ~x).any()


def test_the_recordings_are_small():
    assert sum(path.stat().st_size for path in (SOURCES / "bench" / "recorded").glob("*.npz")) <= 6e6


def test_the_page_is_fresh():
    assert (DOCS / "sparsity.md").read_text(encoding="utf-8") == page.markdown(), "run `gradgate record --docs`"


def test_without_torch_one_line_says_what_to_install(monkeypatch, tmp_path):
    for name in ("record", "models", "images"):
        monkeypatch.delitem(sys.modules, f"gradgate.bench.{name}", raising=False)
    monkeypatch.setitem(sys.modules, "torch", None)
    result = CliRunner().invoke(main, ["record", "--network", "resnet18", "--out", str(tmp_path)])
    assert result.exit_code == 2
    assert result.stderr == "gradgate: recording needs PyTorch: pip install -e '.[record]'\n"


def test_without_a_network_the_command_says_what_to_give():
    result = CliRunner().invoke(main, ["record"])
    assert result.exit_code == 2 and "give --network and --out, or --docs" in result.stderr


@pytest.mark.full
def test_record_itself(tmp_path):
    """Three steps of every network: the same seed gives the same file, and the shapes are those of the tables."""
    pytest.importorskip("torch")
    for name in NETWORKS:
        for run in ("one", "two"):
            result = CliRunner().invoke(main, ["record", "--network", name, "--steps", "3", "--side", "32", "--images", "2",
                                               "--out", str(tmp_path / run)])
            assert result.exit_code == 0, result.output
        one, two = ((tmp_path / run / f"{name}.npz") for run in ("one", "two"))
        assert one.read_bytes() == two.read_bytes()
        read = Recording.read(one)
        assert read.points == [3]
        assert all(read.layer(layer.name, 3).x.any() for layer in read.layers)
