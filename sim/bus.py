"""Master of the host bus for cocotb benches."""

import random

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import FallingEdge, RisingEdge


class BusMaster:
    """Drives the host bus of ``dut``, the module ``gradgate``, and its clock and reset.

    Parameters
    ----------
    stall : chance (0 to 0.95) of an idle cycle before each transfer, with random request signals
    seed : of the stalls; cocotb's seed when not given. It is logged.
    limit : cycles a transfer may take, ``TimeoutError`` after that

    Inputs change just after the rising edge; outputs are looked at in the middle of the cycle, when the clock falls.
    """

    def __init__(self, dut, *, stall=0.0, seed=None, limit=10_000, period_ns=10):
        self.dut, self.stall, self.limit, self.period_ns = dut, stall, limit, period_ns
        self.seed = cocotb.RANDOM_SEED if seed is None else seed
        self.random = random.Random(self.seed)
        self.cycles = 0
        self.clock = None
        dut._log.info("bus master: seed %d, stall %.2f", self.seed, stall)

    async def reset(self, cycles=4):
        """Start the clock if it stands, and hold the core in reset for ``cycles`` cycles."""
        if self.clock is None:
            self.clock = cocotb.start_soon(Clock(self.dut.clk, self.period_ns, "ns").start())
        self.idle()
        self.dut.rst.value = 1
        await self.step(cycles)
        self.dut.rst.value = 0

    def idle(self):
        """No request."""
        self.dut.bus__valid.value = 0
        self.dut.bus__write.value = self.random.getrandbits(1)
        self.dut.bus__addr.value = self.random.getrandbits(24)
        self.dut.bus__w_data.value = self.random.getrandbits(32)

    async def step(self, cycles=1):
        """Let ``cycles`` cycles pass."""
        for _ in range(cycles):
            await RisingEdge(self.dut.clk)
            self.cycles += 1

    async def write(self, address, *words):
        """Write ``words`` (modulo ``2**32``) to consecutive addresses."""
        for i, word in enumerate(words):
            await self._transfer(True, address + i, int(word) & 0xFFFFFFFF)
        self.idle()

    async def read(self, address, n=1):
        """List of the words at ``n`` consecutive addresses."""
        words = [await self._transfer(False, address + i, 0) for i in range(n)]
        self.idle()
        return words

    async def run(self, max_cycles):
        """Wait until ``busy`` is low; returns the cycles this took. ``TimeoutError`` after ``max_cycles``."""
        await FallingEdge(self.dut.clk)
        for cycles in range(max_cycles + 1):
            if not int(self.dut.busy.value):
                await self.step()
                return cycles
            await self.step()
            await FallingEdge(self.dut.clk)
        raise TimeoutError(f"still busy after {max_cycles} cycles")

    async def _transfer(self, write, address, data):
        while self.random.random() < self.stall:
            self.idle()
            await self.step()
        self.dut.bus__valid.value = 1
        self.dut.bus__write.value = int(write)
        self.dut.bus__addr.value = address
        self.dut.bus__w_data.value = data
        for _ in range(self.limit):
            await FallingEdge(self.dut.clk)
            ready = int(self.dut.bus__ready.value)
            result = int(self.dut.bus__r_data.value) if ready and not write else 0
            await self.step()
            if ready:
                return result
        raise TimeoutError(f"no answer at address {address:#08x} in {self.limit} cycles")
