"""Initial weights of a network, in floating point: the same for the fixed-point and the floating-point model."""

import numpy as np

from gradgate.arch.network import Network


def he_normal(network: Network, seed: int) -> list:
    """Weights of each block, float64 (cout, k + 1), ordered as :attr:`GoldenModel.masters`; biases are zero.

    Normal with standard deviation ``sqrt(2 / k)``, drawn block by block from ``default_rng(seed)``. Source: He et al.,
    "Delving deep into rectifiers", 2015.
    """
    rng = np.random.default_rng(seed)
    return [np.pad(rng.normal(0, np.sqrt(2 / block.k), (block.cout, block.k)), ((0, 0), (0, 1)))
            for block in network.weighted]
