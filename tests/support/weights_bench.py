"""Shared by the tests of weight memory and units: references, random layers, and a bench that plays the rest."""

import numpy as np
import pytest
from amaranth.sim import Simulator

from gradgate.arch import latency, weights
from gradgate.arch.commands import WEIGHT_LOOP, Command, Opcode
from gradgate.arch.config import Config
from gradgate.arch.formats import Formats
from gradgate.hw.weights.weights import Weights

NARROW = Formats(act_bits=10, act_frac=5, weight_frac=6, master_bits=13, master_frac=9, grad_frac=6, acc_bits=24)
CONFIGS = [
    Config(lanes=2, rows=1, weight_bricks=256, bank_words=32),
    Config(lanes=4, rows=2, weight_bricks=200, bank_words=128, formats=NARROW),
    Config(lanes=8, rows=3, weight_bricks=256, bank_words=64),
    Config(lanes=16, rows=5, weight_bricks=96, bank_words=64),
]
NAMES = [f"{c.rows}x{c.lanes}" for c in CONFIGS]
every_config = pytest.mark.parametrize("config", CONFIGS, ids=NAMES)
#: Fields of an UPDATE whose bricks run along outputs.
ALONG_OUTPUTS = dict.fromkeys(("spread", "out_bricks", "turn", "turn_outer"), 0)
seeds = pytest.mark.parametrize("seed", [1, 2], ids=lambda s: f"seed{s}")


def load_command(fields):
    """A LOAD."""
    return Command(Opcode.LOAD, fields)


def walk(fields, spread, lanes):
    """``(addr, rot, bank_addr, last_t, last)`` of every brick, straight from the words of the command set."""
    outer_addr, outer_rot, n = fields["wm_addr"], fields["rot"], 0
    for outer in range(fields["outer_count"]):
        inner_addr, rot = outer_addr, outer_rot
        for inner in range(fields["inner_count"]):
            addr = inner_addr
            for t in range(fields["t_count"]):
                last_t = t == fields["t_count"] - 1
                yield (addr % 2**16, rot % lanes, (fields["bank_addr"] + n) % 2**16, last_t,
                       last_t and inner == fields["inner_count"] - 1 and outer == fields["outer_count"] - 1)
                addr, n = addr + fields["t_step"], n + 1
            if not spread or inner % lanes == lanes - 1:
                inner_addr += fields["inner_step"]
            rot += fields["rot_inner"]
        outer_addr += fields["outer_step"]
        outer_rot += fields["rot_outer"]


def read_brick(config, memory, addr, rot, spread, out_bricks):
    """A brick in lane order; ``None`` where an address lies outside a memory whose size is no power of two."""
    lanes = np.arange(config.lanes)
    wrap = 1 << (config.weight_bricks - 1).bit_length()
    bricks = (addr + spread * lanes * out_bricks) % wrap
    inside = bricks < config.weight_bricks
    words = memory[np.where(inside, bricks, 0), (lanes + rot) % config.lanes]
    return [int(word) if ok else None for word, ok in zip(words, inside)]


def working(config, master):
    """A master weight rounded and saturated to a working weight."""
    top = 2 ** (config.formats.act_bits - 1)
    drop = config.formats.master_drop
    return None if master is None else min(max((master + 2 ** (drop - 1)) >> drop, -top), top - 1)


def updated(config, master, total, shift):
    """A master weight after its update by the exact sum ``total`` of its gradients."""
    acc, top = 2**config.formats.acc_bits, 2 ** (config.formats.master_bits - 1)
    total = (total + acc // 2) % acc - acc // 2
    return min(max(master - ((total + 2 ** (shift - 1)) >> shift), -top), top - 1)


def suspicious(config, total):
    """Whether the two top bits of a sum differ."""
    top = total >> (config.formats.acc_bits - 2)
    return (top ^ top >> 1) & 1


def gradients(config, rng, shift):
    """Accumulators of all rows, of magnitudes that round, step, saturate and wrap."""
    shape = (config.bank_words, config.rows, config.lanes)
    acc = 2**config.formats.acc_bits
    scale = 2.0 ** rng.uniform(0, config.formats.acc_bits - 1, (config.bank_words, 1, config.lanes))
    values = (rng.uniform(-1, 1, shape) * scale).astype(np.int64)
    ties = rng.integers(-3, 4, shape) * (1 << shift - 1)  # halves: the rounding of negative and positive ones
    values = np.where(rng.random((config.bank_words, 1, 1)) < 0.25, ties, values)
    edges = rng.choice([acc // 2 - 1, -acc // 2, acc // 4, -acc // 4 - 1, acc // 4 - 1, -acc // 4], shape)
    return np.where(rng.random(shape) < 0.2, edges, values)


def same(actual, expected):
    """Compare words, ignoring those that may be rubbish."""
    assert len(actual) == len(expected)
    assert [a for a, e in zip(actual, expected) if e is not None] == [e for e in expected if e is not None]


def random_masters(config, rng, shape):
    """Master weights with a share of extremes."""
    top = 2 ** (config.formats.master_bits - 1)
    extremes = rng.choice([-top, -top + 1, top - 1, top - 2, 0, -1], shape)
    return np.where(rng.random(shape) < 0.2, extremes, rng.integers(-top, top, shape))


def simulate(dut, bench):
    """Run ``bench(ctx)`` on ``dut`` to its end."""
    sim = Simulator(dut)
    sim.add_clock(1e-6)
    sim.add_testbench(bench)
    sim.run()


def pack(words, bits):
    """The words of a brick as one number."""
    return sum((int(word) & (1 << bits) - 1) << bits * j for j, word in enumerate(words))


def unpack(value, bits, lanes):
    """The signed words of a brick."""
    words = [value >> bits * j & (1 << bits) - 1 for j in range(lanes)]
    return [word - (word >> bits - 1 << bits) for word in words]


class Bench:
    """Drives :class:`Weights`: plays sequencer, host and the rows' accumulators. One call of ``tick`` is one cycle."""

    def __init__(self, config, ctx, dut, accumulators):
        self.config, self.ctx, self.dut = config, ctx, dut
        self.hold(accumulators)
        self.acc_addrs = [0] * latency.ROW

    def hold(self, accumulators):
        """Set the accumulators, an array of shape (bank_words, rows, lanes)."""
        bits = self.config.formats.acc_bits
        self.accumulators = [pack(words.ravel(), bits) for words in accumulators.astype(object)]

    async def tick(self):
        """Answer an accumulator address of ``latency.ROW`` cycles ago, then let the cycle pass."""
        self.acc_addrs.append(self.ctx.get(self.dut.accs.addr))
        self.ctx.set(self.dut.accs.data.as_value(), self.accumulators[self.acc_addrs.pop(0)])
        await self.ctx.tick()

    def payload(self, value):
        """Set the command register: one for both units, as in the core."""
        self.ctx.set(self.dut.load.payload, value)
        self.ctx.set(self.dut.update.payload, value)

    async def run(self, unit, command):
        """Run a command. Returns its cycles, what went to the banks, and the overflows counted."""
        ctx, dut, config = self.ctx, self.dut, self.config
        words = command.encode()[1:]
        self.payload(sum(word << 32 * i for i, word in enumerate(words)))
        ctx.set(unit.start, 1)
        cycles, writes, overflows, done = 0, [], 0, 0
        while not done:
            assert cycles < 5000, "the unit hangs"
            if ctx.get(dut.banks.en):
                brick = unpack(ctx.get(dut.banks.data.as_value()), config.formats.act_bits, config.lanes)
                writes.append((ctx.get(dut.banks.addr), brick))
            overflows += ctx.get(dut.overflow)
            done = ctx.get(unit.done)
            cycles += 1
            await self.tick()
            ctx.set(unit.start, 0)
        self.payload(-1)  # nothing may depend on it from here on
        return cycles, writes, overflows

    async def host_write(self, brick, bank, word, velocity=0):
        """Write a master weight, or a velocity."""
        host = self.dut.host
        self.host_select(brick, bank, velocity)
        self.ctx.set(host.w_data, int(word)), self.ctx.set(host.we, 1)
        await self.tick()
        self.ctx.set(host.we, 0)

    def host_select(self, brick, bank, velocity):
        """Address a word."""
        host = self.dut.host
        self.ctx.set(host.addr, int(brick)), self.ctx.set(host.bank, int(bank))
        if self.config.momentum:
            self.ctx.set(host.velocity, velocity)

    async def host_fill(self, memory, velocity=0):
        """Write all master weights, or velocities."""
        for (brick, bank), word in np.ndenumerate(memory):
            await self.host_write(brick, bank, word, velocity)

    async def host_read(self, places):
        """Read the words at ``(brick, bank)``, one address a cycle."""
        host, words, bits = self.dut.host, [], self.config.formats.master_bits
        for cycle in range(len(places) + Weights.HOST):
            if cycle >= Weights.HOST:
                words.append(self.ctx.get(host.r_data))
            self.host_select(*places[min(cycle, len(places) - 1)], 0)
            await self.tick()
        return [word - (word >> bits - 1 << bits) for word in words]

    async def host_read_velocities(self, places):
        """Read the velocities at ``(brick, lane)``, each address held as the data sheet asks."""
        words, bits = [], self.config.formats.master_bits
        for brick, lane in places:
            self.host_select(brick, lane, 1)
            for _ in range(Weights.HOST):
                await self.tick()
            words.append(self.ctx.get(self.dut.host.r_data))
        self.host_select(0, 0, 0)
        return [word - (word >> bits - 1 << bits) for word in words]

    async def expect_memory(self, memory):
        """Compare all master weights."""
        assert await self.host_read(list(np.ndindex(memory.shape))) == memory.ravel().tolist()

    async def expect_velocities(self, memory):
        """Compare all velocities."""
        assert await self.host_read_velocities(list(np.ndindex(memory.shape))) == memory.ravel().tolist()


def loops(rng, config, bricks, **fixed):
    """Random fields of a walk over at most ``bricks`` bricks."""
    counts = [1, 1, 1]
    for level in rng.permutation(3):
        counts[level] = int(rng.integers(1, max(2, bricks // int(np.prod(counts)) + 1)))
    fields = {f.name: int(rng.integers(0, 1 << f.bits)) for f in WEIGHT_LOOP}
    fields |= dict(zip(("t_count", "inner_count", "outer_count"), counts))
    return fields | {"bank_addr": int(rng.integers(0, config.bank_words - bricks + 1))} | fixed


class Layer:
    """A random layer at a base address, and commands for tiles of it."""

    def __init__(self, config, rng, base):
        self.config, self.base, self.taps = config, base, int(rng.integers(1, 5))
        self.cout, self.cin = (int(rng.integers(1, 2 * config.lanes + 3)) for _ in range(2))
        while weights.bricks(self.cout, self.taps * self.cin + 1, config.lanes) > config.weight_bricks - base:
            self.cout, self.cin, self.taps = 1 + self.cout // 2, 1 + self.cin // 2, 1 + self.taps // 2
        self.masters = random_masters(config, rng, (self.cout, self.taps * self.cin + 1))
        self.out_bricks = config.bricks(self.cout)
        self.banks = weights.place(self.masters, config.lanes)

    def memory(self, rng):
        """Weight memory that holds the layer, and two more bricks if there is room; (bricks, banks)."""
        result = random_masters(self.config, rng, (min(self.config.weight_bricks, self.base + len(self.banks) + 2), self.config.lanes))
        result[self.base:self.base + len(self.banks)] = self.banks
        return result

    def by_output(self, rng, room):
        """Fields of a tile along outputs, and the (k, first co) of its bricks."""
        c = self.config.lanes
        first, bricks = part(rng, self.out_bricks, room)
        ci, channels = part(rng, self.cin, room // bricks)
        tap, taps = part(rng, self.taps, room // bricks // channels)
        k = tap * self.cin + ci
        fields = {
            "wm_addr": self.base + k * self.out_bricks + first, "t_count": bricks, "t_step": 1,
            "inner_count": channels, "inner_step": self.out_bricks, "rot": k % c, "rot_inner": 1,
            "outer_count": taps, "outer_step": self.cin * self.out_bricks, "rot_outer": self.cin % c,
        }
        return fields, [(p * self.cin + i, c * b) for p in range(tap, tap + taps) for i in range(ci, ci + channels)
                        for b in range(first, first + bricks)]

    def by_input(self, rng, room):
        """Fields of a tile along inputs (spread), and the (co, tap, first ci) of its bricks."""
        c = self.config.lanes
        first, bricks = part(rng, self.config.bricks(self.cin), room)
        brick, _ = part(rng, self.out_bricks, room)
        outputs = int(rng.integers(1, min(self.cout - c * brick, room // bricks) + 1))
        tap, taps = part(rng, self.taps, room // bricks // outputs)
        k, co = tap * self.cin + first * c, brick * c
        fields = {
            "wm_addr": self.base + k * self.out_bricks + brick, "t_count": bricks, "t_step": c * self.out_bricks,
            "inner_count": outputs, "inner_step": 1, "rot": (co + k) % c, "rot_inner": 1,
            "outer_count": taps, "outer_step": self.cin * self.out_bricks, "rot_outer": self.cin % c,
            "spread": 1, "out_bricks": self.out_bricks,
        }
        return fields, [(o, p, c * b) for p in range(tap, tap + taps) for o in range(co, co + outputs)
                        for b in range(first, first + bricks)]


def part(rng, whole, room):
    """A random part of ``range(whole)``, no longer than ``room``: its start and length."""
    start = int(rng.integers(whole))
    return start, int(rng.integers(1, min(whole - start, max(room, 1)) + 1))
