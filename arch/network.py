"""The network description that compiler and golden model both start from.

A network is a row of *blocks*, each of which reads an earlier one. A block is a convolution (a fully connected layer is the
convolution whose kernel is the whole image) or an average, and what is fused behind it: a residual, ReLU, 2x2 max-pooling. The
last block ends in softmax cross-entropy.
"""

from dataclasses import dataclass
from pathlib import Path

from gradgate.arch.block import INPUT
from gradgate.arch.checks import ConfigError, integer, label, only_keys, read_toml
from gradgate.arch.layers import extend, in_order
from gradgate.arch.models import MODELS


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
        """Build a network from ``shape`` = (height, width, channels) and a list of layer tables (see
        :data:`gradgate.arch.layers.LAYER_KEYS`).

        A layer reads the layer before it, or the one named by ``from``: the ``name`` of an earlier conv, dense or avgpool layer
        (by default its type and number, as ``conv2``), together with what is fused behind it.
        """
        if not isinstance(shape, (list, tuple)) or len(shape) != 3:
            raise ConfigError(f"input must be [height, width, channels], not {shape!r}")
        height, width, channels = (integer(f"input {what}", v, 1, 1024)
                                   for what, v in zip(("height", "width", "channels"), shape))
        blocks = []
        for index, layer in in_order(layers):
            extend(blocks, index, layer, (height, width, channels))
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
        table = read_toml(path)
        only_keys(str(path), table, {"name", "input", "layer"})
        if "input" not in table or not isinstance(table.get("layer"), list):
            raise ConfigError(f"{path}: a network needs 'input' and at least one [[layer]]")
        name = label(f"{path}: name", table.get("name", path.stem))
        return cls.build(name, table["input"], table["layer"])


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
