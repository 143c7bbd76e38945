"""Layer tables, as a network file has them, to blocks."""

from dataclasses import replace

from gradgate.arch.block import INPUT, Block
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

#: What to do instead of layers that are asked for and not built.
BATCHNORM = ("batch normalisation is not trained on chip: fold a trained one into the conv layer before it, or train without it from "
             "scaled initial weights (`--init scaled`); docs/networks.md shows both")
REFUSED = {
    "batchnorm": BATCHNORM, "batchnorm1d": BATCHNORM, "batchnorm2d": BATCHNORM, "batchnormalization": BATCHNORM,
    "dropout": "dropout is not built; leave it out, or train for fewer epochs",
    "flatten": "a dense layer reads the whole image; leave it out",
    "softmax": "softmax and its cross-entropy follow the last layer by themselves; leave it out",
    "bias": "every conv, depthwise and dense layer has a bias; leave it out",
}

#: What frameworks call a layer, in lower case, and what it is called here.
SPELLINGS = {
    "conv2d": "conv", "convolution": "conv", "depthwiseconv2d": "depthwise", "linear": "dense", "fc": "dense", "fullyconnected": "dense",
    "gemm": "dense", "maxpool2d": "maxpool", "maxpooling2d": "maxpool", "avgpool2d": "avgpool", "averagepooling2d": "avgpool",
    "averagepool": "avgpool", "adaptiveavgpool2d": "avgpool", "globalaveragepool": "avgpool", "globalaveragepooling2d": "avgpool",
    "residual": "add", "activation": "relu",
}


def in_order(layers: list) -> list:
    """``layers`` with their numbers, a relu that follows a maxpool before it: the larger of two numbers is the same before and after."""
    numbered = list(enumerate(layers))
    for one in range(len(numbered) - 1):
        kinds = [layer.get("type") if isinstance(layer, dict) else None for _, layer in numbered[one:one + 2]]
        if kinds == ["maxpool", "relu"]:
            numbered[one:one + 2] = numbered[one + 1], numbered[one]
    return numbered


def _layer_type(index: int, kind) -> str:
    """The type of layer number ``index``. Raises :class:`ConfigError` with what is meant, or what to do instead."""
    if isinstance(kind, str) and kind not in LAYER_KEYS:
        plain = "".join(letter for letter in kind.lower().rpartition(".")[2] if letter.isalnum())
        if plain in REFUSED:
            raise ConfigError(f"layer {index} ({kind}): {REFUSED[plain]}")
        meant = plain if plain in LAYER_KEYS else SPELLINGS.get(plain)
        if meant:
            raise ConfigError(f"layer {index} type must be '{meant}', which is meant here, not {kind!r}")
    return one_of(f"layer {index} type", kind, tuple(LAYER_KEYS))


def extend(blocks: list, index: int, layer, image: tuple) -> None:
    """Add layer number ``index``, a table (see :data:`LAYER_KEYS`), to ``blocks``: as a block, or fused with the last one.

    ``image`` is the shape of the network's input. Raises :class:`ConfigError` that names the layer.
    """
    if not isinstance(layer, dict) or "type" not in layer:
        raise ConfigError(f"layer {index} must be a table with a 'type', not {layer!r}")
    kind = _layer_type(index, layer["type"])
    where = f"layer {index} ({kind})"
    only_keys(where, layer, LAYER_KEYS[kind])
    if kind in ("conv", "depthwise", "dense", "avgpool"):
        blocks.append(_new_block(where, layer, blocks, image))
    elif not blocks:
        raise ConfigError(f"{where} must follow a conv or dense layer")
    elif kind == "add":
        blocks[-1] = _with_add(where, layer, blocks)
    elif kind == "relu":
        blocks[-1] = _with(blocks[-1], where, relu=True)
    else:
        one_of(f"{where} size", layer.get("size", 2), (2,))
        if not blocks[-1].relu:
            raise ConfigError(f"{where} must follow a relu layer, or come right before one")
        if blocks[-1].add:
            raise ConfigError(f"{where} must not follow an add layer; put a conv layer between")
        blocks[-1] = _with(blocks[-1], where, pool=True)
    current = blocks[-1].final_shape
    if min(current) < 1:
        raise ConfigError(f"{where} leaves an output of {current[0]}x{current[1]} pixels; it must be at least 1x1")


def _find(where, layer, blocks) -> Block | None:
    """The block that ``layer`` reads: the one named by ``from``, the last one, or None for the input."""
    if "from" not in layer:
        return blocks[-1] if blocks else None
    names = {block.name: block for block in blocks}
    return names.get(one_of(f"{where} from", layer["from"], (INPUT, *names)))


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
    """``block`` with something fused after it; once only, and not after pooling."""
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
