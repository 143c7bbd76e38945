"""The layers of the five networks of arXiv 2109.07710, as tables.

Only layers with weights are listed: convolutions and fully connected layers, in the order of the forward pass. What lies between
them (ReLU, batch normalisation, pooling, addition, concatenation) shows in two flags of a layer: where its input comes from, and
whether its gradient can have zeros. The tables follow the papers that introduced the networks:

VGG16 1409.1556 (configuration D), ResNet18 1512.03385, GoogLeNet 1409.4842 (without the auxiliary heads), DenseNet121 1608.06993
(growth 32, compression 0.5), MobileNetV1 1704.04861 (width 1).
"""

from dataclasses import dataclass

from gradgate.arch.block import positions
from gradgate.arch.checks import ConfigError


@dataclass(frozen=True, kw_only=True)
class Layer:
    """A layer with weights. ``height`` and ``width`` are those of its input, in pixels, 1 for ``fc``.

    ``relu_input``: the input X comes out of a ReLU, perhaps through pooling, normalisation across channels or concatenation. Then
    the gradient dX is needed only where X is not zero: *output sparsity*.

    ``dense_gradient``: neither a ReLU nor a max-pooling lies directly behind the layer, but a batch normalisation, a concatenation
    that ends in one, or the loss. Then dY at its output has no zeros to speak of.
    """

    name: str
    kind: str  #: "conv", "depthwise" (cin = cout, one channel each) or "fc"
    cin: int
    cout: int
    kernel_h: int = 1
    kernel_w: int = 1
    stride: int = 1
    padding: int = 0
    height: int = 1
    width: int = 1
    relu_input: bool
    dense_gradient: bool

    @property
    def out_height(self) -> int:
        """Rows of the output."""
        return positions(self.height, self.kernel_h, self.stride, self.padding)

    @property
    def out_width(self) -> int:
        """Columns of the output."""
        return positions(self.width, self.kernel_w, self.stride, self.padding)

    @property
    def weights(self) -> int:
        """Number of weights, without biases."""
        return self.cout * self.kernel_h * self.kernel_w * (1 if self.kind == "depthwise" else self.cin)

    @property
    def macs(self) -> int:
        """Multiplications of the forward pass of one image; those with padding count."""
        return self.out_height * self.out_width * self.weights


def _conv(name: str, side: int, cin: int, cout: int, kernel: int = 1, stride: int = 1, *, kind: str = "conv", relu_input: bool = True,
          dense_gradient: bool) -> Layer:
    """A square convolution of a square input. Padding keeps the size (or halves it: stride 2), as in all five networks."""
    return Layer(name=name, kind=kind, cin=cin, cout=cout, kernel_h=kernel, kernel_w=kernel, stride=stride, padding=kernel // 2,
                 height=side, width=side, relu_input=relu_input, dense_gradient=dense_gradient)


def _fc(name: str, cin: int, cout: int, dense_gradient: bool) -> Layer:
    """A fully connected layer behind a ReLU (or behind the average of one)."""
    return Layer(name=name, kind="fc", cin=cin, cout=cout, relu_input=True, dense_gradient=dense_gradient)


def _vgg16(side: int, classes: int, norm: bool) -> list:
    """Five groups of 3x3 convolutions, 2x2 max-pooling behind each, three fully connected layers. ``norm``: with BatchNorm."""
    layers, cin = [], 3
    for group, (count, cout) in enumerate(((2, 64), (2, 128), (3, 256), (3, 512), (3, 512)), 1):
        for index in range(1, count + 1):
            layers.append(_conv(f"conv{group}_{index}", side, cin, cout, 3, relu_input=bool(layers), dense_gradient=norm))
            cin = cout
        side //= 2
    return [*layers, _fc("fc6", cin * side * side, 4096, False), _fc("fc7", 4096, 4096, False), _fc("fc8", 4096, classes, True)]


def _resnet18(side: int, classes: int) -> list:
    """Four stages of two residual blocks; ``short`` is the 1x1 convolution of a shortcut that changes the shape."""
    layers = [_conv("conv1", side, 3, 64, 7, 2, relu_input=False, dense_gradient=True)]
    side, cin = side // 4, 64  # stride 2 and max-pooling
    for stage, cout in enumerate((64, 128, 256, 512), 2):
        for block in (1, 2):
            stride = 2 if cin != cout else 1
            layers.append(_conv(f"conv{stage}_{block}a", side, cin, cout, 3, stride, dense_gradient=True))
            layers.append(_conv(f"conv{stage}_{block}b", side // stride, cout, cout, 3, dense_gradient=True))
            if stride == 2:
                layers.append(_conv(f"conv{stage}_{block}short", side, cin, cout, 1, stride, dense_gradient=True))
            side, cin = side // stride, cout
    return [*layers, _fc("fc", cin, classes, True)]


#: Channels of the inception modules: 1x1, 3x3 reduce, 3x3, 5x5 reduce, 5x5, pool projection. Max-pooling lies before 3a, 4a and 5a.
INCEPTION = {
    "3a": (64, 96, 128, 16, 32, 32), "3b": (128, 128, 192, 32, 96, 64),
    "4a": (192, 96, 208, 16, 48, 64), "4b": (160, 112, 224, 24, 64, 64), "4c": (128, 128, 256, 24, 64, 64),
    "4d": (112, 144, 288, 32, 64, 64), "4e": (256, 160, 320, 32, 128, 128),
    "5a": (256, 160, 320, 32, 128, 128), "5b": (384, 192, 384, 48, 128, 128),
}


def _googlenet(side: int, classes: int) -> list:
    """Three convolutions and nine inception modules. The layers of a module: four branches, one after the other."""
    layers = [_conv("conv1", side, 3, 64, 7, 2, relu_input=False, dense_gradient=False),
              _conv("conv2_reduce", side // 4, 64, 64, dense_gradient=False),
              _conv("conv2", side // 4, 64, 192, 3, dense_gradient=False)]
    side, cin = side // 4, 192
    for module, (one, reduce3, three, reduce5, five, pool) in INCEPTION.items():
        if module.endswith("a"):
            side //= 2
        for name, channels, cout, kernel in (("1x1", cin, one, 1), ("3x3_reduce", cin, reduce3, 1), ("3x3", reduce3, three, 3),
                                             ("5x5_reduce", cin, reduce5, 1), ("5x5", reduce5, five, 5), ("pool", cin, pool, 1)):
            layers.append(_conv(f"{module}_{name}", side, channels, cout, kernel, dense_gradient=False))
        cin = one + three + five + pool
    return [*layers, _fc("fc", cin, classes, True)]


def _densenet121(side: int, classes: int) -> list:
    """Four blocks of 6, 12, 24 and 16 pairs of convolutions; a pair reads all outputs before it. ReLU lies before a convolution."""
    growth = 32
    layers = [_conv("conv1", side, 3, 64, 7, 2, relu_input=False, dense_gradient=True)]
    side, cin = side // 4, 64
    for block, pairs in enumerate((6, 12, 24, 16), 1):
        for pair in range(1, pairs + 1):
            layers.append(_conv(f"block{block}_{pair}_1x1", side, cin, 4 * growth, dense_gradient=True))
            layers.append(_conv(f"block{block}_{pair}_3x3", side, 4 * growth, growth, 3, dense_gradient=True))
            cin += growth
        if block < 4:
            layers.append(_conv(f"transition{block}", side, cin, cin // 2, dense_gradient=True))
            side, cin = side // 2, cin // 2
    return [*layers, _fc("fc", cin, classes, True)]


def _mobilenet_v1(side: int, classes: int) -> list:
    """A convolution, and 13 times a depthwise (``dw``) and a 1x1 convolution (``pw``)."""
    layers = [_conv("conv1", side, 3, 32, 3, 2, relu_input=False, dense_gradient=True)]
    side, cin = side // 2, 32
    for index, (cout, stride) in enumerate(((64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), *((512, 1),) * 5,
                                            (1024, 2), (1024, 1)), 1):
        layers.append(_conv(f"dw{index}", side, cin, cin, 3, stride, kind="depthwise", dense_gradient=True))
        side //= stride
        layers.append(_conv(f"pw{index}", side, cin, cout, dense_gradient=True))
        cin = cout
    return [*layers, _fc("fc", cin, classes, True)]


_BUILDERS = {
    "vgg16": lambda side, classes: _vgg16(side, classes, False),
    "vgg16_bn": lambda side, classes: _vgg16(side, classes, True),
    "resnet18": _resnet18,
    "googlenet": _googlenet,
    "densenet121": _densenet121,
    "mobilenet_v1": _mobilenet_v1,
}


def layers(name: str, side: int = 224, classes: int = 1000) -> tuple[Layer, ...]:
    """The layers of network ``name`` for images of ``side`` x ``side`` pixels with 3 channels.

    Raises :class:`ConfigError` for an unknown network, and where ``side`` is not a positive multiple of 32 or ``classes`` is below 2.
    """
    if name not in _BUILDERS:
        raise ConfigError(f"network must be one of {', '.join(_BUILDERS)}, not {name!r}")
    if side < 32 or side % 32:
        raise ConfigError(f"the side of the images must be a multiple of 32 pixels, not {side}")
    if classes < 2:
        raise ConfigError(f"a network must have at least 2 classes, not {classes}")
    return tuple(_BUILDERS[name](side, classes))


#: The networks as published: 224x224 pixels, 1000 classes.
FIVE = ("vgg16", "resnet18", "googlenet", "densenet121", "mobilenet_v1")  #: those of the paper
NETWORKS: dict[str, tuple[Layer, ...]] = {name: layers(name) for name in _BUILDERS}
