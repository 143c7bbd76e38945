"""The network description that compiler and golden model both start from.

A network is a chain of *blocks*. A block is one layer with weights (a convolution; a fully connected layer is the
convolution whose kernel is the whole image) and what is fused behind it: ReLU and 2x2 max-pooling. The last block ends in
softmax cross-entropy.
"""

import tomllib
from dataclasses import dataclass
from pathlib import Path

from gradgate.arch.checks import ConfigError, integer, one_of, only_keys

LAYER_KEYS = {
    "conv": {"type", "out", "kernel", "stride", "padding"},
    "dense": {"type", "out"},
    "relu": {"type"},
    "maxpool": {"type", "size"},
}


@dataclass(frozen=True, kw_only=True)
class Block:
    """One layer with weights, its activation and its pooling. Sizes in pixels and channels.

    Weights have shape ``(cout, kh, kw, cin)``; a bias belongs to every output channel. ``k`` counts the inputs of one
    output in the order (kernel row, kernel column, input channel), the bias last.
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
    relu: bool = False
    pool: bool = False
    input_relu: bool = False  #: the input comes out of a ReLU, so that a zero input has a zero gradient

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
        return self.kh * self.kw * self.cin

    @property
    def macs(self) -> int:
        """Multiplications of one pass over one image, padding not counted, bias included."""
        def taps(size, kernel, out):
            starts = (o * self.stride - self.padding for o in range(out))
            return sum(min(s + kernel, size) - max(s, 0) for s in starts)
        taps_all = taps(self.height, self.kh, self.out_height) * taps(self.width, self.kw, self.out_width)
        return self.cout * (taps_all * self.cin + self.out_height * self.out_width)


@dataclass(frozen=True, kw_only=True)
class Network:
    """A chain of blocks from an input image to the logits of ``blocks[-1].cout`` classes."""

    name: str
    height: int
    width: int
    channels: int
    blocks: tuple

    @property
    def classes(self) -> int:
        """Number of classes of the softmax."""
        return self.blocks[-1].cout

    @classmethod
    def build(cls, name: str, shape: tuple, layers: list) -> "Network":
        """Build a network from ``shape`` = (height, width, channels) and a list of layer tables (see :data:`LAYER_KEYS`)."""
        if not isinstance(shape, (list, tuple)) or len(shape) != 3:
            raise ConfigError(f"input must be [height, width, channels], not {shape!r}")
        height, width, channels = (integer(f"input {what}", v, 1, 1024)
                                   for what, v in zip(("height", "width", "channels"), shape))
        blocks = []
        current, relu = (height, width, channels), False
        for index, layer in enumerate(layers):
            if not isinstance(layer, dict) or "type" not in layer:
                raise ConfigError(f"layer {index} must be a table with a 'type', not {layer!r}")
            kind = layer["type"]
            where = f"layer {index} ({kind})"
            one_of(f"layer {index} type", kind, tuple(LAYER_KEYS))
            only_keys(where, layer, LAYER_KEYS[kind])
            if kind in ("conv", "dense"):
                blocks.append(_weighted(where, f"{kind}{len(blocks) + 1}", current, layer, relu))
                relu = False
            elif not blocks:
                raise ConfigError(f"{where} must follow a conv or dense layer")
            elif kind == "relu":
                blocks[-1] = _with(blocks[-1], where, relu=True)
                relu = True
            else:
                one_of(f"{where} size", layer.get("size", 2), (2,))
                if not blocks[-1].relu:
                    raise ConfigError(f"{where} must follow a relu layer")
                blocks[-1] = _with(blocks[-1], where, pool=True)
            current = blocks[-1].final_shape
            if min(current) < 1:
                raise ConfigError(f"{where} leaves an output of {current[0]}x{current[1]} pixels; it must be at least 1x1")
        if not blocks or blocks[-1].relu or blocks[-1].final_shape[:2] != (1, 1):
            raise ConfigError("a network must end in a dense layer (or a conv with a 1x1 output) without relu: the logits")
        if not 2 <= blocks[-1].cout <= 32:
            raise ConfigError(f"a network must have 2 to 32 classes, not {blocks[-1].cout}")
        return cls(name=name, height=height, width=width, channels=channels, blocks=tuple(blocks))

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
        if "input" not in table or "layer" not in table:
            raise ConfigError(f"{path}: a network needs 'input' and at least one [[layer]]")
        return cls.build(table.get("name", path.stem), table["input"], table["layer"])


def _weighted(where, name, current, layer, relu) -> Block:
    """The block of a conv or dense layer table."""
    height, width, cin = current
    if "out" not in layer:
        raise ConfigError(f"{where} needs 'out', the number of output channels")
    cout = integer(f"{where} out", layer["out"], 1, 1024)
    if layer["type"] == "dense":
        kh, kw, stride, padding = height, width, 1, 0
        if max(kh, kw) > 15:
            raise ConfigError(f"{where} must have an input of at most 15x15 pixels, not {height}x{width}")
    else:
        kh = kw = integer(f"{where} kernel", layer.get("kernel", 3), 1, 15)
        stride = integer(f"{where} stride", layer.get("stride", 1), 1, 2)
        padding = integer(f"{where} padding", layer.get("padding", 0), 0, kh - 1)
    block = Block(name=name, height=height, width=width, cin=cin, cout=cout, kh=kh, kw=kw, stride=stride,
                  padding=padding, input_relu=relu)
    if min(height, width) + 2 * padding < kh and layer["type"] == "conv":
        raise ConfigError(f"{where} kernel {kh} must not exceed the padded input, {height}x{width} with padding {padding}")
    return block


def _with(block, where, **change) -> Block:
    """``block`` with something fused behind it; once only, and not behind pooling."""
    if block.pool or any(getattr(block, key) for key in change):
        raise ConfigError(f"{where} must not follow another one, or pooling; put a conv or dense layer between")
    return Block(**{**block.__dict__, **change})


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
