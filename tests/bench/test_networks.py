"""The layer tables against the figures that are published for the networks."""

import pytest

from gradgate.arch.checks import ConfigError
from gradgate.bench.recording.networks import NETWORKS, layers

# Layers with weights; 10^9 multiplications of an image; 10^6 weights: the usual counts of parameters, less those of biases and batch
# normalisation (VGG16: 138,357,544 less 13,416; ResNet18: 11,689,512 less 10,600; DenseNet121: 7,978,856 less 84,648).
PUBLISHED = {
    "vgg16": (16, 15.47, 138.34),
    "vgg16_bn": (16, 15.47, 138.34),
    "resnet18": (21, 1.81, 11.68),
    "googlenet": (58, 1.58, 6.99),
    "densenet121": (121, 2.83, 7.89),
    "mobilenet_v1": (28, 0.569, 4.21),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_totals_are_the_published_ones(name):
    count, macs, weights = PUBLISHED[name]
    table = NETWORKS[name]
    assert len(table) == count
    assert sum(layer.macs for layer in table) / 1e9 == pytest.approx(macs, rel=0.01)
    assert sum(layer.weights for layer in table) / 1e6 == pytest.approx(weights, rel=0.005)


@pytest.mark.parametrize("name", NETWORKS)
def test_names_differ_and_shapes_are_possible(name):
    table = NETWORKS[name]
    assert len({layer.name for layer in table}) == len(table)
    for layer in table:
        assert layer.kind in ("conv", "depthwise", "fc")
        assert layer.kind != "depthwise" or layer.cin == layer.cout
        assert layer.kind != "fc" or (layer.height, layer.width, layer.out_height, layer.out_width) == (1, 1, 1, 1)
        assert (layer.out_height, layer.out_width) == (layer.height // layer.stride, layer.width // layer.stride)
    assert (table[0].cin, table[0].height, table[0].width) == (3, 224, 224)
    assert table[-1].kind == "fc" and table[-1].cout == 1000


@pytest.mark.parametrize("name", NETWORKS)
def test_only_the_image_does_not_come_from_a_relu(name):
    assert [layer.name for layer in NETWORKS[name] if not layer.relu_input] == [NETWORKS[name][0].name]


@pytest.mark.parametrize("name, sparse", [("vgg16", 15), ("vgg16_bn", 2), ("resnet18", 0), ("googlenet", 57), ("densenet121", 0),
                                          ("mobilenet_v1", 0)])
def test_gradients_are_dense_behind_a_batch_normalisation_and_at_the_loss(name, sparse):
    assert sum(not layer.dense_gradient for layer in NETWORKS[name]) == sparse


def test_some_layers_that_are_easily_wrong():
    table = {(name, layer.name): layer for name in NETWORKS for layer in NETWORKS[name]}
    shapes = {
        ("vgg16", "fc6"): (25088, 4096, 1, 1), ("vgg16", "conv5_3"): (512, 512, 14, 14),
        ("resnet18", "conv2_1a"): (64, 64, 56, 56), ("resnet18", "conv3_1a"): (64, 128, 56, 28),
        ("resnet18", "conv3_1short"): (64, 128, 56, 28), ("resnet18", "conv5_2b"): (512, 512, 7, 7),
        ("googlenet", "3a_1x1"): (192, 64, 28, 28), ("googlenet", "5b_pool"): (832, 128, 7, 7), ("googlenet", "fc"): (1024, 1000, 1, 1),
        ("densenet121", "block4_16_1x1"): (992, 128, 7, 7), ("densenet121", "transition3"): (1024, 512, 14, 14),
        ("mobilenet_v1", "dw12"): (512, 512, 14, 7), ("mobilenet_v1", "pw13"): (1024, 1024, 7, 7),
    }
    for key, shape in shapes.items():
        layer = table[key]
        assert (layer.cin, layer.cout, layer.height, layer.out_height) == shape, key


def test_other_resolutions():
    table = layers("vgg16", 64, 10)
    assert [layer.cin for layer in table if layer.name == "fc6"] == [2048]
    assert table[-1].cout == 10


@pytest.mark.parametrize("name, side, classes, text", [("vgg19", 224, 1000, "one of vgg16"), ("vgg16", 100, 10, "multiple of 32"),
                                                       ("vgg16", 0, 10, "multiple of 32"), ("vgg16", 64, 1, "at least 2 classes")])
def test_errors_say_what_is_wrong(name, side, classes, text):
    with pytest.raises(ConfigError, match=text):
        layers(name, side, classes)
