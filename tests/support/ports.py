"""The three buses of a generated core in a cocotb bench, behind the same calls.

Every port has ``await reset()``, ``await write(address, *words)``, ``await read(address, n)`` (words; addresses count words),
and ``cycles``. ``stall`` is the chance of a cycle without request or without taking an answer.
"""

import itertools
import random

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import FallingEdge, RisingEdge
from cocotbext.axi import AxiLiteBus, AxiLiteMaster

from gradgate.sim.bus import BusMaster


class WishboneMaster:
    """Classic Wishbone cycles: inputs change just behind the rising edge, answers are looked at when the clock falls."""

    def __init__(self, dut, stall, seed):
        self.dut, self.stall, self.random, self.cycles = dut, stall, random.Random(seed), 0
        self.clock = None

    async def reset(self, cycles=4):
        if self.clock is None:
            self.clock = cocotb.start_soon(Clock(self.dut.clk, 10, "ns").start())
        self.idle()
        self.dut.rst.value = 1
        await self.step(cycles)
        self.dut.rst.value = 0

    async def step(self, cycles=1):
        for _ in range(cycles):
            await RisingEdge(self.dut.clk)
            self.cycles += 1

    def idle(self):
        """No request, by either of two signals; the others do not matter."""
        cyc, stb = self.random.choice([(0, 0), (0, 1), (1, 0)]) if self.stall else (0, 0)
        self.request(cyc, stb, *(self.random.getrandbits(bits) for bits in (1, 24, 32, 4)))

    def request(self, cyc, stb, we, adr, dat, sel):
        dut = self.dut
        for signal, value in ((dut.wb_cyc, cyc), (dut.wb_stb, stb), (dut.wb_we, we), (dut.wb_adr, adr), (dut.wb_dat_w, dat),
                              (dut.wb_sel, sel)):
            signal.value = value

    async def transfer(self, we, adr, dat=0, sel=15):
        """One cycle; returns (word, whether it ended with ``err``)."""
        while self.random.random() < self.stall:
            self.idle()
            await self.step()
        self.request(1, 1, we, adr, dat, sel)
        for _ in range(100):
            await FallingEdge(self.dut.clk)
            ack, err = int(self.dut.wb_ack.value), int(self.dut.wb_err.value)
            word = int(self.dut.wb_dat_r.value)
            await self.step()
            if ack or err:
                assert not (ack and err)
                return word, bool(err)
        raise TimeoutError(f"no answer at {adr:#x}")

    async def write(self, address, *words):
        for i, word in enumerate(words):
            assert not (await self.transfer(1, address + i, word & 0xFFFFFFFF))[1]
        self.idle()

    async def read(self, address, n=1):
        words = []
        for i in range(n):
            word, err = await self.transfer(0, address + i, sel=self.random.getrandbits(4))
            assert not err
            words.append(word)
        self.idle()
        return words


class AxiMaster:
    """cocotbext-axi's manager, with pauses on all five channels."""

    def __init__(self, dut, stall, seed):
        self.dut, self.stall, self.cycles, self.clock = dut, stall, 0, None
        dut.s_axi_aresetn.value = 0
        self.master = AxiLiteMaster(AxiLiteBus.from_prefix(dut, "s_axi"), dut.s_axi_aclk, dut.s_axi_aresetn, reset_active_level=False)
        write, read = self.master.write_if, self.master.read_if
        self.channels = write.aw_channel, write.w_channel, write.b_channel, read.ar_channel, read.r_channel
        for number, channel in enumerate(self.channels):
            channel.log.setLevel("WARNING")
            if stall:
                rng = random.Random(f"{seed} {number}")
                channel.set_pause_generator(rng.random() < stall for _ in itertools.count())
        write.log.setLevel("WARNING")
        read.log.setLevel("WARNING")

    async def reset(self, cycles=4):
        if self.clock is None:
            self.clock = cocotb.start_soon(Clock(self.dut.s_axi_aclk, 10, "ns").start())
            cocotb.start_soon(self.count())
        self.dut.s_axi_aresetn.value = 0
        for _ in range(cycles):
            await RisingEdge(self.dut.s_axi_aclk)
        self.dut.s_axi_aresetn.value = 1
        await RisingEdge(self.dut.s_axi_aclk)

    async def count(self):
        while True:
            await RisingEdge(self.dut.s_axi_aclk)
            self.cycles += 1

    async def write(self, address, *words):
        data = b"".join((word & 0xFFFFFFFF).to_bytes(4, "little") for word in words)
        assert (await self.master.write(4 * address, data)).resp == 0

    async def read(self, address, n=1):
        answer = await self.master.read(4 * address, 4 * n)
        assert answer.resp == 0
        return [int.from_bytes(answer.data[4 * i:4 * i + 4], "little") for i in range(n)]


def port(bus, dut, stall, seed):
    """The port of ``bus``."""
    if bus == "native":
        return BusMaster(dut, stall=stall, seed=seed)
    return {"wishbone": WishboneMaster, "axi-lite": AxiMaster}[bus](dut, stall, seed)
