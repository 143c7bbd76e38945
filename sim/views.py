"""Two ways to read a core's memories for a comparison: past the core, in simulation, or over its bus.

A view has these methods; arrays are int64, numbers with their sign:

run(driver, moments, limit) : run the program that was loaded, for at most ``limit`` cycles between two moments; yields each of the
    commands with the indices ``moments`` once it has ended, and before another can change what it wrote
stops(moments) : those of them after which the program stops meanwhile

rows(row, base, count) : bricks of the activation memory of a row, (count, lanes)
choices(row, base, count) : bricks of pooling choices, (count, lanes)
weights(base, count), velocities(base, count) : bricks of the weight memory, column = bank or lane, (count, lanes)
sums(depth) : the first ``depth`` accumulators of all lanes, added over the rows, (lanes, depth); None where they cannot be read
"""

import numpy as np


class Backdoor:
    """The memories of a simulation, read as they are: the fastest way. ``sim``: :class:`gradgate.sim.simulator.Simulator`."""

    def __init__(self, config, sim):
        self.config, self.sim = config, sim
        lanes = config.lanes
        self._ends = sim.memory("host.ends.mem")
        self._rows = [sim.memory(f"array.row{r}.act.mem") for r in range(config.rows)]
        self._choices = [sim.memory(f"array.row{r}.argmax.mem") for r in range(config.rows)]
        self._banks = [[sim.memory(f"array.row{r}.lane{j}.bank.mem") for j in range(lanes)] for r in range(config.rows)]
        self._weights = [sim.memory(f"weights.memory.bank{b}.mem") for b in range(lanes)]
        self._velocities = [sim.memory(f"weights.velocities.lane{j}.mem") for j in range(lanes if config.momentum else 0)]

    def run(self, driver, moments, limit):
        """See above. Not a cycle passes for the core meanwhile."""
        self._ends[moments] = 0  # no command ends in cycle 0
        driver.start()
        while moments and self.sim.busy:
            self.sim.run(limit, self._ends, moments)
            yield from (index for index in moments if self._ends[index])
            moments = [index for index in moments if not self._ends[index]]
        driver.wait(limit)

    def stops(self, moments) -> tuple:
        """See above."""
        return ()

    def rows(self, row, base, count) -> np.ndarray:
        """See above."""
        lanes, bits = self.config.lanes, self.config.formats.act_bits
        raw = np.ascontiguousarray(self._rows[row][base:base + count]).view(np.uint8).reshape(count, -1)
        if bits == 16:
            return raw[:, :2 * lanes].copy().view(np.int16).astype(np.int64)
        every = np.unpackbits(raw, axis=1, bitorder="little")[:, :bits * lanes].reshape(count, lanes, bits).astype(np.int64)
        value = (every << np.arange(bits)).sum(axis=2)
        return value - (every[..., -1] << bits)

    def choices(self, row, base, count) -> np.ndarray:
        """See above."""
        return self._choices[row][base:base + count].astype(np.int64)[:, None] >> 2 * np.arange(self.config.lanes) & 3

    def weights(self, base, count) -> np.ndarray:
        """See above."""
        return self._bricks(self._weights, base, count)

    def velocities(self, base, count) -> np.ndarray:
        """See above."""
        return self._bricks(self._velocities, base, count)

    def sums(self, depth) -> np.ndarray:
        """See above."""
        acc = self.config.formats.acc_bits
        total = sum(np.stack([bank[:depth].astype(np.int64) for bank in row]) for row in self._banks)
        total &= (1 << acc) - 1
        return total - ((total >> acc - 1) << acc)

    def _bricks(self, banks, base, count):
        words = np.stack([bank[base:base + count] for bank in banks], axis=1).astype(np.int64)
        bits = self.config.formats.master_bits
        return words - (words >> bits - 1 << bits)


class Wire:
    """The same over the host bus, as a program on a board has it. ``driver``: :class:`gradgate.host.driver.Driver`."""

    def __init__(self, driver):
        self.driver = driver

    def run(self, driver, moments, limit):
        """See above."""
        at = 0
        for stop in (*moments, None):
            driver.start(at=at, stop=stop)
            driver.wait(limit)
            at = None  # go on from there
            if stop is not None:
                yield stop

    def stops(self, moments) -> tuple:
        """See above."""
        return tuple(moments)

    def rows(self, row, base, count) -> np.ndarray:
        """See above."""
        return self.driver.read_rows(row, base, count).astype(np.int64)

    def choices(self, row, base, count) -> np.ndarray:
        """See above."""
        return self.driver.read_argmax(row, base, count).astype(np.int64)

    def weights(self, base, count) -> np.ndarray:
        """See above."""
        return self.driver.read_weights(base, count).astype(np.int64)

    def velocities(self, base, count) -> np.ndarray:
        """See above."""
        return self.driver.read_velocity(base, count).astype(np.int64)

    def sums(self, depth) -> None:
        """Accumulators are not on the bus; the weights that follow from them are."""
