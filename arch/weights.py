"""Where master weights lie: skewed over the banks of the weight memory, so that bricks along outputs and along inputs
are both free of conflicts.

Input ``k`` of output ``co`` lies in bank ``(co + k) mod lanes``, in brick ``k * out_bricks + co // lanes`` counted from
the first brick of its layer, where ``out_bricks = ceil(cout / lanes)``. Velocities, which are only ever read as bricks
along outputs, lie in the same bricks without the skew: in lane ``co mod lanes``.
"""

import numpy as np

from gradgate.arch.checks import ConfigError, one_of


def location(co: int, k: int, cout: int, lanes: int, skew: bool = True) -> tuple:
    """``(brick, bank)`` of input ``k`` of output ``co``, in a layer of ``cout`` outputs. Takes arrays too."""
    return k * -(-cout // lanes) + co // lanes, (co + skew * k) % lanes


def bricks(cout: int, inputs: int, lanes: int) -> int:
    """Bricks that a layer needs; ``inputs`` counts the bias."""
    return inputs * -(-cout // lanes)


def place(masters, lanes: int, skew: bool = True) -> np.ndarray:
    """Master weights in the order of the weight memory (velocities, without ``skew``, in that of theirs).

    ``masters`` has shape (outputs, inputs), the bias being the last input. Returns an array of shape (bricks, lanes)
    whose columns are banks; words that hold no weight are zero. Raises :class:`ConfigError` for anything but a matrix
    of integers.
    """
    one_of("lanes", lanes, (2, 4, 8, 16))
    masters = np.asarray(masters)
    _matrix("masters", masters)
    cout, inputs = masters.shape
    result = np.zeros((bricks(cout, inputs, lanes), lanes), dtype=masters.dtype)
    co, k = np.indices(masters.shape)
    result[location(co, k, cout, lanes, skew)] = masters
    return result


def gather(banks, cout: int, skew: bool = True) -> np.ndarray:
    """The inverse of :func:`place`: an array of shape (outputs, inputs) from one of shape (bricks, lanes).

    Raises :class:`ConfigError` when ``banks`` is no matrix of integers or cannot hold a layer of ``cout`` outputs.
    """
    banks = np.asarray(banks)
    _matrix("banks", banks)
    height, lanes = banks.shape
    one_of("lanes (columns of banks)", lanes, (2, 4, 8, 16))
    if isinstance(cout, bool) or not isinstance(cout, (int, np.integer)) or cout < 1:
        raise ConfigError(f"cout must be at least 1, not {cout!r}")
    out_bricks = -(-cout // lanes)
    if height % out_bricks:
        raise ConfigError(f"banks must have a multiple of {out_bricks} bricks for {cout} outputs, not {height}")
    co, k = np.indices((cout, height // out_bricks))
    return banks[location(co, k, cout, lanes, skew)]


def block_bricks(block, lanes: int) -> int:
    """Bricks of a block's weights."""
    if block.kind == "depthwise":
        return -(-block.cout // lanes) * (block.k * lanes + 1)
    return bricks(block.cout, block.k + 1, lanes)


def place_block(block, masters, lanes: int, skew: bool = True) -> np.ndarray:
    """:func:`place` for the weights (cout, k + 1) of a block.

    A depthwise block lies brick by brick of its channels, each as a convolution from these channels to themselves whose other
    weights are zero.
    """
    if block.kind != "depthwise":
        return place(masters, lanes, skew)
    parts = []
    for first in range(0, block.cout, lanes):
        part = np.asarray(masters)[first:first + lanes]
        full = np.zeros((lanes, block.k * lanes + 1), dtype=part.dtype)
        for lane, row in enumerate(part):
            full[lane, lane:-1:lanes], full[lane, -1] = row[:-1], row[-1]
        parts.append(place(full, lanes, skew))
    return np.concatenate(parts)


def gather_block(block, banks, skew: bool = True) -> np.ndarray:
    """The inverse of :func:`place_block`."""
    banks = np.asarray(banks)
    if block.kind != "depthwise":
        return gather(banks, block.cout, skew)
    lanes, rows = banks.shape[1], []
    for part in np.split(banks, -(-block.cout // lanes)):
        full = gather(part, lanes, skew)
        rows += [np.append(full[lane, lane:-1:lanes], full[lane, -1]) for lane in range(lanes)]
    return np.array(rows[:block.cout])


def _matrix(name, value):
    """Raise unless ``value`` is a two-dimensional array of integers that is not empty."""
    if value.ndim != 2 or not value.size or not np.issubdtype(value.dtype, np.integer):
        raise ConfigError(f"{name} must be a matrix of integers, not shape {value.shape} of {value.dtype}")
