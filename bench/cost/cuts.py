"""Which tiles a pass may be cut into."""

from gradgate.bench.cost.tiles import Cut
from gradgate.compiler.tiles import Span, split


def channels(layer, walk) -> tuple:
    """Channels of the list and of the targets."""
    of = {"x": layer.cin, "dy": layer.cout}
    other = {"x": "dy", "dy": "x"}[walk.window]
    return (of[other], of[walk.window]) if walk.role == "WG-Y" else (of[walk.window], of[other])


def entries_of(walk, words: int, bias: bool) -> int:
    """Most entries of a list over ``words`` channels; ``bias``: its bias is one of them."""
    return words * (1 if walk.role == "WG-Y" else walk.taps) + (bias and walk.role in ("FW", "WG-X"))


def targets_of(walk, bricks: int, bias: bool) -> int:
    """Most targets of a lane in a tile of ``bricks`` of targets; ``bias``: its bias is one of them."""
    return bricks * walk.taps + bias if walk.role == "WG-Y" else bricks


def _sizes(total: int, most: int) -> list:
    """Sizes of spans worth trying: the largest, and ever smaller ones, each for another number of parts."""
    parts, result = -(-total // most), []
    while parts <= total:
        result.append(-(-total // parts))
        parts = max(parts + 1, parts * 3 // 2)
    return list(dict.fromkeys([*result, 1]))


def step_of(walk) -> int:
    """Rows of positions that stay together: two in FW, for a pooling layer behind."""
    return 2 if walk.role == "FW" and walk.grid.rows % 2 == 0 else 1


def candidates(config, layer, walk, bias: bool, overlap: bool, copies: int = 1) -> list:
    """Cuts of a pass that fit the array, one for each shape of tiles worth trying.

    ``overlap``: half of each bank is kept free for the weights of the next RED tile. Empty where nothing fits: WG-Y with more taps
    than a lane may have targets, or with depthwise layers. ``copies``: how often a RED tile's weights lie in the banks.
    """
    listed, targets = channels(layer, walk)
    bank = config.bank_words if walk.outer else config.bank_weights // (2 if overlap else 1) // copies
    bricks, total = config.bricks(listed), config.bricks(targets)
    paired = layer.kind == "depthwise"
    if paired and walk.role == "WG-Y":
        return []
    result = []
    for k in [1] if paired else _sizes(bricks, bricks):
        entries = max(1, entries_of(walk, config.lanes if paired else min(k * config.lanes, listed), bias))
        fits = [n for n in range(1, (1 if paired else total) + 1)
                if targets_of(walk, n, walk.role == "WG-Y") <= config.targets and targets_of(walk, n, bias) * entries <= bank
                and (walk.outer or n * walk.grid.columns * step_of(walk) <= config.psum_words)]
        if entries > config.list_entries or not fits:
            continue
        if paired:
            one = tuple(Span(first=n, count=1) for n in range(bricks))
            return [Cut(inputs=one, outputs=one, paired=True)]
        result += [Cut(inputs=tuple(split(bricks, k)), outputs=tuple(split(total, n))) for n in _sizes(total, fits[-1])[:2]]
    return result
