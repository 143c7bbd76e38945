"""The host port in a bench: a master of the bus, and in Python what lies around the port."""

import random

from amaranth.hdl import Const
from amaranth.sim import Simulator

from gradgate.arch import latency
from gradgate.arch.config import Config
from gradgate.arch.formats import Formats
from gradgate.arch.memorymap import Csr, Region, address, row_offset
from gradgate.hw.control.hostport import HostPort
from support.rowmem import RowMemory

BUSY, ENDED, REFUSED = 1, 2, 4
START, CLEAR = 1, 2
NARROW = Formats(act_bits=9, act_frac=4, weight_frac=4, master_bits=17, master_frac=12, grad_frac=5)


def small(rows=2, lanes=4, **kwargs):
    sizes = dict(act_bricks=24, weight_bricks=40, argmax_bricks=16, program_words=50, counters=20, staging_words=70)
    return Config(rows=rows, lanes=lanes, **sizes | kwargs)


class Master:
    """Drives the host bus; ``stall`` is the chance of an idle cycle, with random request signals, before a transfer."""

    def __init__(self, bus, seed=0, stall=0.0):
        self.bus, self.random, self.stall = bus, random.Random(seed), stall

    async def transfer(self, ctx, write, addr, data=0):
        """One transfer; returns ``(word read, cycles)``."""
        bus = self.bus
        while self.random.random() < self.stall:
            self.request(ctx, 0, self.random.getrandbits(1), self.random.getrandbits(24), self.random.getrandbits(32))
            await ctx.tick()
        self.request(ctx, 1, write, addr, data)
        for cycles in range(1, 40):
            _, _, ready, word = await ctx.tick().sample(bus.ready, bus.r_data)
            if ready:
                self.request(ctx, 0, self.random.getrandbits(1), 0, 0)
                return word, cycles
        raise AssertionError(f"no answer at {addr:#x}")

    def request(self, ctx, valid, write, addr, data):
        bus = self.bus
        for signal, value in ((bus.valid, valid), (bus.write, write), (bus.addr, addr), (bus.w_data, data)):
            ctx.set(signal, value)

    async def write(self, ctx, region, offset, data):
        await self.transfer(ctx, 1, address(region, offset), data % (1 << 32))

    async def read(self, ctx, region, offset):
        return (await self.transfer(ctx, 0, address(region, offset)))[0]

    async def status(self, ctx):
        return await self.read(ctx, Region.CSR, Csr.STATUS)


class Around:
    """A host port with what lies around it in Python: row, weight and choice memories; the test plays the sequencer."""

    def __init__(self, config, seed, *, stall=0.0, weight_read=7, choice_read=3):
        self.config, self.random = config, random.Random(seed)
        self.weight_read, self.choice_read = weight_read, choice_read
        self.dut = HostPort(config, weight_read=weight_read, choice_read=choice_read)
        self.control = self.dut.control
        self.master = Master(self.dut.bus, seed, stall)
        self.rows = RowMemory(config, self.dut.rows, seed)
        bits = config.formats.master_bits
        self.weights = [self.random.getrandbits(bits) for _ in range(config.weight_bricks * config.lanes)]
        self.choices = [[[self.random.getrandbits(2) for _ in range(config.lanes)] for _ in range(config.argmax_bricks)]
                        for _ in range(config.rows)]
        self.velocities = [self.random.getrandbits(bits) for _ in self.weights] if config.momentum else []
        self.weight_writes = 0

    async def outside(self, ctx):
        """Weight, velocity and choice memory; out of range, they show noise."""
        dut, lanes = self.dut, self.config.lanes
        w, w_pipe, c_pipe = dut.weights, [0] * (self.weight_read - 1), [0] * (self.choice_read - 1)
        velocity = w.velocity if self.config.momentum else Const(0)
        async for _, _, addr, bank, we, w_data, row, brick, other in ctx.tick().sample(
                w.addr, w.bank, w.we, w.w_data, dut.choices.row, dut.choices.addr, velocity):
            place = addr * lanes + bank
            memory = self.velocities if other else self.weights
            w_pipe.append(memory[place] if place < len(memory) else self.random.getrandbits(8))
            ctx.set(w.r_data, w_pipe.pop(0))
            if we:
                memory[place] = w_data
                self.weight_writes += 1
            inside = row < self.config.rows and brick < self.config.argmax_bricks
            words = self.choices[row][brick] if inside else [3] * lanes
            c_pipe.append(sum(word << 2 * lane for lane, word in enumerate(words)))
            ctx.set(dut.choices.data.as_value(), c_pipe.pop(0))

    def simulate(self, body):
        sim = Simulator(self.dut)
        sim.add_clock(1e-6)
        sim.add_process(self.rows.process)
        sim.add_process(self.outside)

        async def bench(ctx):
            await body(ctx, self.master)

        sim.add_testbench(bench)
        sim.run()

    def row_places(self, bricks):
        """``(offset, row, brick, lane)`` of a word in row memories of ``bricks`` bricks, at random."""
        row, brick = self.random.randrange(self.config.rows), self.random.randrange(bricks)
        lane = self.random.randrange(self.config.lanes)
        return row_offset(self.config, bricks, row, brick, lane), row, brick, lane

    async def fetch(self, ctx, word):
        """A program word, as the sequencer sees it."""
        ctx.set(self.control.p_addr, word)
        await ctx.tick().repeat(latency.RAM)
        return ctx.get(self.control.p_data)


def extended(value, bits):
    """``value`` with its sign in 32 bits."""
    value %= 1 << bits
    return (value - (value >> bits - 1 << bits)) % (1 << 32)
