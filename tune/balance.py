"""Channel balancing: channels are dealt to lanes so that all lanes get about as many non-zeros.

Channel n of a tensor is the work of lane n mod lanes wherever the tensor's words are targets. Its channels are sorted by density and
dealt in a snake: to lane 0, 1, .. C-1, then C-1, .. 0, and so on; and dense and sparse pairs of bricks take turns, so that tiles of
a few bricks are alike too. A permutation of a layer's outputs, and of the inputs of all that
read them, changes no result but the order of words: sums are modulo ``2**acc_bits``, whatever their order.
"""

import numpy as np

from gradgate.arch.block import INPUT


def dealt(density, lanes: int) -> np.ndarray:
    """The order in which channels are to lie: ``order[n]`` is the old number of the channel that becomes number n.

    density : (channels,) share of non-zeros, 0 to 1. Channels of the last brick, if it is not full, are dealt to its first lanes only.
    """
    ranked = np.argsort(-np.asarray(density), kind="stable")
    bricks = [ranked[first:first + lanes] for first in range(0, len(ranked), lanes)]
    bricks = [brick[::-1] if number % 2 else brick for number, brick in enumerate(bricks)]
    full = len(ranked) // lanes // 2  # pairs of bricks
    pairs = [np.concatenate(bricks[2 * i:2 * i + 2]) for i in range(full)]
    mixed = [pairs[i // 2] if i % 2 == 0 else pairs[-1 - i // 2] for i in range(full)]
    return np.concatenate(mixed + bricks[2 * full:])


def channel_orders(network, lanes: int, tensors: dict) -> dict:
    """Order of the channels of every block's output, ``{block name: order}``, from the zeros of the golden ``tensors``.

    Tensors that are added to each other, and those around depthwise convolutions and averages, share one order. Images and
    logits keep theirs.
    """
    group = {INPUT: INPUT}
    for block in network.blocks:
        group[f"{block.name}.out"] = f"{block.name}.out" if block.kind == "conv" else group[block.source]
        if block.add:  # the later of the two joins the earlier
            old, new = group[f"{block.name}.out"], group[block.add]
            group = {tensor: new if leader == old else leader for tensor, leader in group.items()}
    fixed = {group[INPUT], group[f"{network.blocks[-1].name}.out"]}
    orders = {}
    for leader in set(group.values()):
        members = [tensor for tensor, of in group.items() if of == leader and tensor != INPUT]
        if not members:
            continue
        density = sum((tensors[tensor] != 0).mean(axis=(0, 1, 2)) for tensor in members)
        order = np.arange(len(density)) if leader in fixed else dealt(density, lanes)
        orders |= {tensor.removesuffix(".out"): order for tensor in members}
    return orders


def reorder(network, arrays: list, orders: dict) -> list:
    """Weights or velocities, (cout, k + 1) for each weighted block, with outputs and inputs in the given ``orders``."""
    result = []
    for block, array in zip(network.weighted, arrays):
        source = np.arange(block.cin) if block.source == INPUT else orders[block.source.removesuffix(".out")]
        rows = np.asarray(array)[orders[block.name]]
        if block.kind == "conv":
            k = (np.arange(block.kh * block.kw)[:, None] * block.cin + source).ravel()
            rows = rows[:, np.append(k, block.k)]
        result.append(rows)
    return result


def inverse(orders: dict) -> dict:
    """The orders that undo ``orders``."""
    return {name: np.argsort(order) for name, order in orders.items()}
