"""What the driver needs of a way to the core: a simulation, or a serial line to a board."""

from typing import Protocol

import numpy as np


class DeviceTimeout(TimeoutError):
    """The core did not answer, or did not finish, in the time allowed."""


class Link(Protocol):
    """Access to the host port of one core. Addresses count 32-bit words (24 bits), see the memory map.

    Every method raises :class:`DeviceTimeout` when the core does not answer.
    """

    def write(self, address: int, words) -> None:
        """Write ``words`` (integers, taken modulo ``2**32``, shape ``(n,)``) to consecutive addresses."""

    def read(self, address: int, n: int) -> np.ndarray:
        """Words at ``n`` consecutive addresses: uint32, shape ``(n,)``."""

    def run(self, max_cycles: int) -> int:
        """Wait until the core is not busy; returns the cycles this took, as well as the link can tell.

        Raises :class:`DeviceTimeout` when the core is still busy after ``max_cycles``.
        """
