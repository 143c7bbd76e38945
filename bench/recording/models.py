"""The networks of :mod:`gradgate.bench.recording.networks` as PyTorch modules. Needs the extra ``record``."""

import torch
from torch import nn
from torch.nn import functional as F

from gradgate.bench.recording.networks import INCEPTION, Layer, layers


def _module(layer: Layer, bias: bool) -> nn.Module:
    """Convolution or fully connected layer, its weights drawn as PyTorch does: deviation 1 / sqrt(3 x inputs of an output)."""
    if layer.kind == "fc":
        return nn.Linear(layer.cin, layer.cout)
    return nn.Conv2d(layer.cin, layer.cout, (layer.kernel_h, layer.kernel_w), layer.stride, layer.padding, bias=bias,
                     groups=layer.cin if layer.kind == "depthwise" else 1)


class Model(nn.Module):
    """A network for images of shape (N, 3, side, side); returns logits (N, classes).

    ``weighted`` holds the layers of the table by name, ``norms`` the batch normalisations by the name of the layer that they follow
    (DenseNet: precede, except the first).
    """

    def __init__(self, name: str, side: int, classes: int):
        super().__init__()
        self.name, self.table = name, layers(name, side, classes)
        normed = [layer for layer in self.table if layer.kind != "fc" and layer.dense_gradient]
        self.weighted = nn.ModuleDict({layer.name: _module(layer, bias=layer not in normed) for layer in self.table})
        if name == "densenet121":
            channels = {layer.name: layer.cout if index == 0 else layer.cin for index, layer in enumerate(self.table)}
        else:
            channels = {layer.name: layer.cout for layer in normed}
        self.norms = nn.ModuleDict({key: nn.BatchNorm2d(count) for key, count in channels.items()})
        self.lrn = nn.LocalResponseNorm(5)  # GoogLeNet only; keeps zeros and adds none

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Logits of the images ``x``."""
        return FORWARD[self.name](self, x)

    @torch.no_grad()
    def calibrate(self, x: torch.Tensor) -> None:
        """Scale weights and set biases so that each channel of a convolution without batch normalisation has mean 0 and deviation 1.

        That is over the images ``x`` and the pixels, at the start only. Twenty layers without batch normalisation otherwise answer
        nearly the same to every image, and learn nothing for hundreds of steps. Fully connected layers stay as they are: VGG16's
        with deviation 1 would have so long outputs that only the smallest rates are stable.
        """
        def hook(module, _inputs, output):
            deviation, mean = torch.std_mean(output, (0, 2, 3))
            deviation = deviation + 1e-3
            module.bias.copy_((module.bias - mean) / deviation)
            module.weight.div_(deviation.view(-1, 1, 1, 1))
            return (output - mean.view(1, -1, 1, 1)) / deviation.view(1, -1, 1, 1)

        bare = [module for module in self.weighted.values() if isinstance(module, nn.Conv2d) and module.bias is not None]
        handles = [module.register_forward_hook(hook) for module in bare]
        try:
            self(x)
        finally:
            for handle in handles:
                handle.remove()

    def run(self, name: str, x: torch.Tensor) -> torch.Tensor:
        """Layer ``name`` and, where it has one, the batch normalisation behind it."""
        y = self.weighted[name](x)
        return self.norms[name](y) if name in self.norms else y

    def preact(self, name: str, x: torch.Tensor) -> torch.Tensor:
        """Batch normalisation, ReLU, layer ``name``."""
        return self.weighted[name](F.relu(self.norms[name](x)))


def _classify(net: Model, x: torch.Tensor) -> torch.Tensor:
    """Average over the pixels and the last layer."""
    return net.weighted["fc"](x.mean((2, 3)))


def _vgg16(net: Model, x: torch.Tensor) -> torch.Tensor:
    convs = [layer for layer in net.table if layer.kind == "conv"]
    for layer, following in zip(convs, [*convs[1:], None]):
        x = F.relu(net.run(layer.name, x))
        if following is None or following.height < layer.height:
            x = F.max_pool2d(x, 2)
    x = F.relu(net.run("fc6", x.flatten(1)))
    return net.run("fc8", F.relu(net.run("fc7", x)))


def _resnet18(net: Model, x: torch.Tensor) -> torch.Tensor:
    x = F.max_pool2d(F.relu(net.run("conv1", x)), 3, 2, padding=1)
    for stage in (2, 3, 4, 5):
        for block in (f"conv{stage}_1", f"conv{stage}_2"):
            y = net.run(f"{block}b", F.relu(net.run(f"{block}a", x)))
            short = net.run(f"{block}short", x) if f"{block}short" in net.weighted else x
            x = F.relu(y + short)
    return _classify(net, x)


def _googlenet(net: Model, x: torch.Tensor) -> torch.Tensor:
    def conv(name, x):
        return F.relu(net.run(name, x))

    def pool(x):
        return F.max_pool2d(x, 3, 2, ceil_mode=True)

    x = net.lrn(pool(conv("conv1", x)))
    x = net.lrn(conv("conv2", conv("conv2_reduce", x)))
    for m in INCEPTION:
        x = pool(x) if m.endswith("a") else x
        x = torch.cat([conv(f"{m}_1x1", x), conv(f"{m}_3x3", conv(f"{m}_3x3_reduce", x)),
                       conv(f"{m}_5x5", conv(f"{m}_5x5_reduce", x)),
                       conv(f"{m}_pool", F.max_pool2d(x, 3, 1, padding=1))], dim=1)
    return _classify(net, x)


def _densenet121(net: Model, x: torch.Tensor) -> torch.Tensor:
    x = F.max_pool2d(F.relu(net.run("conv1", x)), 3, 2, padding=1)
    for layer in net.table[1:-1]:
        if layer.name.endswith("1x1"):
            bottleneck = net.preact(layer.name, x)
        elif layer.name.endswith("3x3"):
            x = torch.cat([x, net.preact(layer.name, bottleneck)], dim=1)
        else:
            x = F.avg_pool2d(net.preact(layer.name, x), 2)
    return _classify(net, F.relu(net.norms["fc"](x)))


def _mobilenet_v1(net: Model, x: torch.Tensor) -> torch.Tensor:
    for layer in net.table[:-1]:
        x = F.relu(net.run(layer.name, x))
    return _classify(net, x)


FORWARD = {"vgg16": _vgg16, "vgg16_bn": _vgg16, "resnet18": _resnet18, "googlenet": _googlenet, "densenet121": _densenet121,
           "mobilenet_v1": _mobilenet_v1}
