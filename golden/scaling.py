"""Initial weights that keep the scale of activations from layer to layer, made from training images."""

import numpy as np

from gradgate.arch.network import Network
from gradgate.golden.floating import compute, sums
from gradgate.golden.initial import he_normal

IMAGES = 256  #: training images, the first ones, that weights are made from
KEPT_BITS = 8  #: of a scale, and after the point of a bias: sums of floats in another order round to the same


def scaled(network: Network, seed: int, images: np.ndarray) -> list:
    """:func:`he_normal`'s weights, scaled and with biases, so that every output channel begins with mean 0 and standard deviation 1.

    ``images`` (N, H, W, C) are training images; the first :data:`IMAGES` count. Block by block, from the first to the last, each with
    the outputs of those before it; a residual is added afterwards. A channel that is the same everywhere keeps its weights. It is where
    batch normalisation would begin. Source: Salimans and Kingma, "Weight normalization", 2016, section 3.
    """
    outputs = {"input": np.asarray(images[:IMAGES], np.float64)}
    drawn, made = iter(he_normal(network, seed)), []
    for block in network.blocks:
        weights = next(drawn).copy() if block.weighted else None
        if block.weighted:
            _, y = sums(block, weights, outputs[block.source])
            spread, middle = y.std(axis=(0, 1, 2)), y.mean(axis=(0, 1, 2))
            scale = np.array([_rounded(1 / s) if s > 2.0 ** -KEPT_BITS else 1.0 for s in spread])
            weights *= scale[:, None]
            weights[:, -1] = np.rint(-middle * scale * 2 ** KEPT_BITS) / 2 ** KEPT_BITS
            made.append(weights)
        outputs[f"{block.name}.out"] = compute(block, weights, outputs)[1]
    return made


def _rounded(x: float) -> float:
    """The positive ``x`` with :data:`KEPT_BITS` significant bits."""
    mantissa, exponent = np.frexp(x)
    return float(np.ldexp(np.rint(mantissa * 2 ** KEPT_BITS) / 2 ** KEPT_BITS, exponent))
