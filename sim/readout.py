"""Two ways to read the memories of a core that is idle: by the backdoor of its simulation, and through its host port.

Both have the same calls. All values are int64.
"""

import numpy as np


class Backdoor:
    """Views of the memories of a :class:`gradgate.sim.simulator.Simulator`: fast, and sees all of them."""

    def __init__(self, config, sim):
        self.config = config
        rows, lanes = range(config.rows), range(config.lanes)
        self._rows = [sim.memory(f"array.row{r}.act.mem") for r in rows]
        self._choices = [sim.memory(f"array.row{r}.argmax.mem") for r in rows]
        self._banks = [[sim.memory(f"array.row{r}.lane{j}.bank.mem") for j in lanes] for r in rows]
        self._weights = [sim.memory(f"weights.memory.bank{b}.mem") for b in lanes]
        self._velocities = [sim.memory(f"weights.velocities.lane{j}.mem") for j in lanes if config.momentum]

    def rows(self, row: int, base: int, count: int) -> np.ndarray:
        """``count`` bricks of activations of ``row`` from brick ``base`` on, (count, lanes)."""
        lanes, bits = self.config.lanes, self.config.formats.act_bits
        raw = np.ascontiguousarray(self._rows[row][base:base + count]).view(np.uint8).reshape(count, -1)
        if bits == 16:
            return raw[:, :2 * lanes].copy().view(np.int16).astype(np.int64)
        every = np.unpackbits(raw, axis=1, bitorder="little")[:, :bits * lanes].reshape(count, lanes, bits).astype(np.int64)
        value = (every << np.arange(bits)).sum(axis=2)
        return value - (every[..., -1] << bits)

    def choices(self, row: int, base: int, count: int) -> np.ndarray:
        """``count`` bricks of pooling choices of ``row`` from brick ``base`` on, (count, lanes)."""
        return self._choices[row][base:base + count].astype(np.int64)[:, None] >> 2 * np.arange(self.config.lanes) & 3

    def weights(self, base: int, count: int) -> np.ndarray:
        """``count`` bricks of master weights from brick ``base`` on, (count, lanes), columns are banks."""
        return self._signed(self._weights, base, count)

    def velocities(self, base: int, count: int) -> np.ndarray:
        """``count`` bricks of velocities from brick ``base`` on, (count, lanes)."""
        return self._signed(self._velocities, base, count)

    def sums(self, depth: int) -> np.ndarray:
        """The first ``depth`` accumulators of the lanes' banks, added over the rows, modulo 2^acc_bits, (lanes, depth)."""
        acc = self.config.formats.acc_bits
        total = sum(np.stack([bank[:depth].astype(np.int64) for bank in row]) for row in self._banks) & (1 << acc) - 1
        return total - (total >> acc - 1 << acc)

    def _signed(self, banks, base, count):
        words = np.stack([bank[base:base + count] for bank in banks], axis=1).astype(np.int64)
        bits = self.config.formats.master_bits
        return words - (words >> bits - 1 << bits)


class HostPort:
    """The same through a :class:`gradgate.host.driver.Driver`: what a user of the core can read, on any link."""

    def __init__(self, driver):
        self.driver = driver

    def rows(self, row: int, base: int, count: int) -> np.ndarray:
        """See :meth:`Backdoor.rows`."""
        return self.driver.read_rows(row, base, count).astype(np.int64)

    def choices(self, row: int, base: int, count: int) -> np.ndarray:
        """See :meth:`Backdoor.choices`."""
        return self.driver.read_argmax(row, base, count).astype(np.int64)

    def weights(self, base: int, count: int) -> np.ndarray:
        """See :meth:`Backdoor.weights`."""
        return self.driver.read_weights(base, count).astype(np.int64)

    def velocities(self, base: int, count: int) -> np.ndarray:
        """See :meth:`Backdoor.velocities`."""
        return self.driver.read_velocity(base, count).astype(np.int64)

    def sums(self, depth: int) -> None:
        """The host port does not reach accumulators; UPDATE shows them in the master weights."""
