"""The network description that compiler and golden model both start from.

A network is a row of *blocks*, each of which reads an earlier one. A block is a convolution (a fully connected layer is the
convolution whose kernel is the whole image) or an average, and what is fused behind it: a residual, ReLU, 2x2 max-pooling. The
last block ends in softmax cross-entropy.
"""

import tomllib
from dataclasses import dataclass, replace
from pathlib import Path

from gradgate.arch.checks import ConfigError, integer, one_of, only_keys

LAYER_KEYS = {
    "conv": {"type", "name", "from", "out", "kernel", "stride", "padding"},
    "depthwise": {"type", "name", "from", "kernel", "stride", "padding"},
    "dense": {"type", "name", "from", "out"},
    "avgpool": {"type", "name", "from", "size"},
    "add": {"type", "from"},
    "relu": {"type"},
    "maxpool": {"type", "size"},
}

#: Layers that are asked for and not built, with what to do instead.
REFUSED = {"batchnorm": "batch normalisation is not trained on chip; fold a trained one into the weights and bias of the conv layer "
                        "before it, or drop it and halve the learning rate"}

INPUT = "input"


@dataclass(frozen=True, kw_only=True)
class Block:
    """One layer, its residual, activation and pooling. Sizes in pixels and channels.

    Order: convolution (or average), ``+ add``, ReLU, max-pooling. Weights have shape ``(cout, kh, kw, cin)``; a bias belongs to
    every output channel. ``k`` counts the inputs of one output in the order (kernel row, kernel column, input channel), the bias
    last. In a depthwise convolution every output channel has one input, the channel of the same number, and weights
    ``(cout, kh, kw, 1)``. An average has no weights; its window and stride are equal, and its window has a power of two of pixels.
    """

    name: str
    height: int
    width: int
    cin: int
    cout: int
    kh: int
    kw: int
    stride: int
    padding: int
    kind: str = "conv"  #: conv, depthwise or average
    source: str = INPUT  #: tensor it reads: ``input`` or ``{block}.out``
    add: str | None = None  #: tensor added to its output, before the ReLU
    relu: bool = False
    pool: bool = False
    input_relu: bool = False  #: the source comes out of a ReLU, so that a zero input has a zero gradient

    @property
    def weighted(self) -> bool:
        """The block has weights."""
        return self.kind != "average"

    @property
    def inputs(self) -> int:
        """Input channels of one output."""
        return 1 if self.kind == "depthwise" else self.cin

    @property
    def mean_shift(self) -> int:
        """An average's right shift: binary logarithm of its window's pixels."""
        return (self.kh * self.kw).bit_length() - 1

    @property
    def out_height(self) -> int:
        """Rows of the convolution's output, before pooling."""
        return (self.height + 2 * self.padding - self.kh) // self.stride + 1

    @property
    def out_width(self) -> int:
        """Columns of the convolution's output, before pooling."""
        return (self.width + 2 * self.padding - self.kw) // self.stride + 1

    @property
    def final_shape(self) -> tuple:
        """``(height, width, channels)`` of the block's output, after pooling."""
        shrink = 2 if self.pool else 1
        return self.out_height // shrink, self.out_width // shrink, self.cout

    @property
    def k(self) -> int:
        """Inputs of one output, without the bias."""
        return self.kh * self.kw * self.inputs

    @property
    def macs(self) -> int:
        """Multiplications of one pass over one image, padding not counted, bias included; 0 for an average."""
        if not self.weighted:
            return 0

        def taps(size, kernel, out):
            starts = (o * self.stride - self.padding for o in range(out))
            return sum(min(s + kernel, size) - max(s, 0) for s in starts)
        taps_all = taps(self.height, self.kh, self.out_height) * taps(self.width, self.kw, self.out_width)
        return self.cout * (taps_all * self.inputs + self.out_height * self.out_width)


@dataclass(frozen=True, kw_only=True)
class Network:
    """Blocks from an input image to the logits of ``blocks[-1].cout`` classes."""

    name: str
    height: int
    width: int
    channels: int
    blocks: tuple

    @property
    def classes(self) -> int:
        """Number of classes of the softmax."""
        return self.blocks[-1].cout

    @property
    def weighted(self) -> tuple:
        """The blocks that have weights."""
        return tuple(block for block in self.blocks if block.weighted)

    def consumers(self, tensor: str) -> list:
        """Blocks that read ``tensor`` as their source, in order."""
        return [block for block in self.blocks if block.source == tensor]

    def adders(self, tensor: str) -> list:
        """Blocks that add ``tensor`` to their output."""
        return [block for block in self.blocks if block.add == tensor]

    @classmethod
    def build(cls, name: str, shape: tuple, layers: list) -> "Network":
        """Build a network from ``shape`` = (height, width, channels) and a list of layer tables (see :data:`LAYER_KEYS`).

        A layer reads the layer before it, or the one named by ``from``: the ``name`` of an earlier conv, dense or avgpool layer
        (by default its type and number, as ``conv2``), together with what is fused behind it.
        """
        if not isinstance(shape, (list, tuple)) or len(shape) != 3:
            raise ConfigError(f"input must be [height, width, channels], not {shape!r}")
        height, width, channels = (integer(f"input {what}", v, 1, 1024)
                                   for what, v in zip(("height", "width", "channels"), shape))
        blocks = []
        for index, layer in enumerate(layers):
            if not isinstance(layer, dict) or "type" not in layer:
                raise ConfigError(f"layer {index} must be a table with a 'type', not {layer!r}")
            kind = layer["type"]
            where = f"layer {index} ({kind})"
            if kind in REFUSED:
                raise ConfigError(f"{where}: {REFUSED[kind]}")
            one_of(f"layer {index} type", kind, tuple(LAYER_KEYS))
            only_keys(where, layer, LAYER_KEYS[kind])
            if kind in ("conv", "depthwise", "dense", "avgpool"):
                blocks.append(_new_block(where, layer, blocks, (height, width, channels)))
            elif not blocks:
                raise ConfigError(f"{where} must follow a conv or dense layer")
            elif kind == "add":
                blocks[-1] = _with_add(where, layer, blocks)
            elif kind == "relu":
                blocks[-1] = _with(blocks[-1], where, relu=True)
            else:
                one_of(f"{where} size", layer.get("size", 2), (2,))
                if not blocks[-1].relu:
                    raise ConfigError(f"{where} must follow a relu layer")
                if blocks[-1].add:
                    raise ConfigError(f"{where} must not follow an add layer; put a conv layer between")
                blocks[-1] = _with(blocks[-1], where, pool=True)
            current = blocks[-1].final_shape
            if min(current) < 1:
                raise ConfigError(f"{where} leaves an output of {current[0]}x{current[1]} pixels; it must be at least 1x1")
        network = cls(name=name, height=height, width=width, channels=channels, blocks=tuple(blocks))
        _check(network)
        return network

    @classmethod
    def load(cls, name_or_path: str) -> "Network":
        """A built-in model by name, or a TOML file with ``input`` and ``[[layer]]`` tables by path."""
        if name_or_path in MODELS:
            shape, layers = MODELS[name_or_path]
            return cls.build(name_or_path, shape, layers)
        path = Path(name_or_path)
        if not path.is_file():
            raise ConfigError(f"model must be one of {', '.join(MODELS)} or a TOML file, not {name_or_path!r}")
        try:
            table = tomllib.loads(path.read_text(encoding="utf-8"))
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise ConfigError(f"{path}: {error}") from None
        only_keys(str(path), table, {"name", "input", "layer"})
        if "input" not in table or not isinstance(table.get("layer"), list):
            raise ConfigError(f"{path}: a network needs 'input' and at least one [[layer]]")
        if not isinstance(table.get("name", ""), str):
            raise ConfigError(f"{path}: name must be a text, not {table['name']!r}")
        return cls.build(table.get("name", path.stem), table["input"], table["layer"])


def _find(where, layer, blocks) -> Block | None:
    """The block that ``layer`` reads: the one named by ``from``, the last one, or None for the input."""
    if "from" not in layer:
        return blocks[-1] if blocks else None
    names = {block.name: block for block in blocks}
    if layer["from"] not in names and layer["from"] != INPUT:
        raise ConfigError(f"{where} from must be one of {', '.join([INPUT, *names])}, not {layer['from']!r}")
    return names.get(layer["from"])


def _new_block(where, layer, blocks, image) -> Block:
    """The block of a conv, depthwise, dense or avgpool layer table."""
    kind = layer["type"]
    source = _find(where, layer, blocks)
    height, width, cin = image if source is None else source.final_shape
    name = layer.get("name", f"{kind}{len(blocks) + 1}")
    if not isinstance(name, str) or not name.isidentifier() or name == INPUT or any(block.name == name for block in blocks):
        raise ConfigError(f"{where} name must be an identifier that no other layer has, not {name!r}")
    common = {"name": name, "height": height, "width": width, "cin": cin, "source": INPUT if source is None else f"{source.name}.out",
              "input_relu": source is not None and source.relu}
    if kind == "avgpool":
        size = layer.get("size", 2)
        kh, kw = (height, width) if size == "global" else (integer(f"{where} size", size, 2, 15),) * 2
        if kh * kw & (kh * kw - 1) or max(kh, kw) > 15 or kh * kw > 64:
            raise ConfigError(f"{where} must average over 2, 4, 8, 16, 32 or 64 pixels, not {kh}x{kw}")
        if height % kh or width % kw or (kh != kw and size != "global"):
            raise ConfigError(f"{where} size must divide the input, {height}x{width}, not {size!r}")
        return Block(**common, cout=cin, kh=kh, kw=kw, stride=max(kh, kw), padding=0, kind="average")
    if "out" not in layer and kind != "depthwise":
        raise ConfigError(f"{where} needs 'out', the number of output channels")
    cout = cin if kind == "depthwise" else integer(f"{where} out", layer["out"], 1, 1024)
    if kind == "dense":
        kh, kw, stride, padding = height, width, 1, 0
        if max(kh, kw) > 15:
            raise ConfigError(f"{where} must have an input of at most 15x15 pixels, not {height}x{width}")
    else:
        kh = kw = integer(f"{where} kernel", layer.get("kernel", 3), 1, 15)
        stride = integer(f"{where} stride", layer.get("stride", 1), 1, 2)
        padding = integer(f"{where} padding", layer.get("padding", 0), 0, kh - 1)
        if min(height, width) + 2 * padding < kh:
            raise ConfigError(f"{where} kernel {kh} must not exceed the padded input, {height}x{width} with padding {padding}")
    return Block(**common, cout=cout, kh=kh, kw=kw, stride=stride, padding=padding, kind="depthwise" if kind == "depthwise" else "conv")


def _with(block, where, **change) -> Block:
    """``block`` with something fused behind it; once only, and not behind pooling."""
    if block.pool or any(getattr(block, key) for key in change):
        raise ConfigError(f"{where} must not follow another one, or pooling; put a conv or dense layer between")
    if not block.weighted:
        raise ConfigError(f"{where} must not follow an avgpool layer; put a conv or dense layer between")
    return replace(block, **change)


def _with_add(where, layer, blocks) -> Block:
    """The last block with a residual."""
    if "from" not in layer:
        raise ConfigError(f"{where} needs 'from', the layer whose output is added")
    other = _find(where, layer, blocks[:-1])
    if other is None:
        raise ConfigError(f"{where} must not add the input; its gradient is not computed")
    if blocks[-1].relu:
        raise ConfigError(f"{where} must come before the relu layer")
    if other.final_shape != blocks[-1].final_shape:
        raise ConfigError(f"{where} must add an output of the same shape, {blocks[-1].final_shape}, not {other.final_shape} of "
                          f"{other.name!r}")
    return _with(blocks[-1], where, add=f"{other.name}.out")


def _check(network) -> None:
    """What a whole network must fulfil."""
    blocks = network.blocks
    if not blocks or blocks[-1].relu or blocks[-1].final_shape[:2] != (1, 1) or blocks[-1].kind != "conv" or blocks[-1].add:
        raise ConfigError("a network must end in a dense layer (or a conv with a 1x1 output) without relu: the logits")
    if not 2 <= blocks[-1].cout <= 32:
        raise ConfigError(f"a network must have 2 to 32 classes, not {blocks[-1].cout}")
    for block in blocks[:-1]:
        tensor = f"{block.name}.out"
        readers, adders = network.consumers(tensor), network.adders(tensor)
        if not readers and not adders:
            raise ConfigError(f"the output of layer {block.name!r} is not used")
        if len(adders) > 1:
            raise ConfigError(f"the output of layer {block.name!r} must be added once at most, not {len(adders)} times")
        if adders and any(blocks.index(reader) > blocks.index(adders[0]) for reader in readers):
            raise ConfigError(f"the output of layer {block.name!r} must be read before layer {adders[0].name!r} adds it, not behind")
        if adders and block.relu and not any(reader.weighted for reader in readers):
            raise ConfigError(f"the output of layer {block.name!r} comes from a relu and is only added; it must also feed a conv layer")
        if any(not reader.weighted for reader in readers) and len(readers) + len(adders) > 1:
            raise ConfigError(f"the output of layer {block.name!r} feeds an avgpool layer; nothing else may read it")
    if any(not block.weighted and block.source == INPUT for block in blocks):
        raise ConfigError("an avgpool layer must not read the input; scale the images instead")


MODELS = {
    "digits": ((8, 8, 1), [
        {"type": "conv", "out": 16, "kernel": 3, "padding": 1},
        {"type": "relu"},
        {"type": "conv", "out": 16, "kernel": 3, "padding": 1},
        {"type": "relu"},
        {"type": "maxpool", "size": 2},
        {"type": "dense", "out": 10},
    ]),
}
MODELS["resnet_digits"] = ((8, 8, 1), [
    {"type": "conv", "name": "stem", "out": 8, "kernel": 3, "padding": 1},
    {"type": "relu"},
    {"type": "conv", "out": 8, "kernel": 3, "padding": 1},
    {"type": "relu"},
    {"type": "conv", "out": 8, "kernel": 3, "padding": 1},
    {"type": "add", "from": "stem"},
    {"type": "relu"},
    {"type": "conv", "name": "down", "out": 16, "kernel": 3, "stride": 2, "padding": 1},
    {"type": "relu"},
    {"type": "conv", "out": 16, "kernel": 3, "padding": 1},
    {"type": "add", "from": "down"},
    {"type": "relu"},
    {"type": "avgpool", "size": "global"},
    {"type": "dense", "out": 10},
])
