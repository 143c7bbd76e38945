"""Row memories as a unit under test sees them through its row port."""

import random
from collections import deque

from gradgate.hw.parts.rowport import RowPortSignature


class RowMemory:
    """The memories behind a :class:`RowPortSignature`, in Python; add :meth:`process` to the simulator.

    ``words[row][brick][lane]`` are unsigned and random at first, so that a word nobody wrote is seen. A read in the
    cycle of a write to the same brick gives random words, as some targets do. ``writes`` counts words written.
    """

    def __init__(self, config, port, seed=0):
        self.config, self.port, self.random = config, port, random.Random(seed)
        self.bits = config.formats.act_bits
        self.words = [[self._noise() for _ in range(config.act_bricks)] for _ in range(config.rows)]
        self.writes = 0

    def _noise(self):
        return [self.random.getrandbits(self.bits) for _ in range(self.config.lanes)]

    def _join(self, brick):
        return sum(word << self.bits * lane for lane, word in enumerate(brick))

    async def process(self, ctx):
        """The memories' clocked behaviour."""
        port = self.port
        pipe = deque([0] * (RowPortSignature.READ - 1))
        sampled = ctx.tick().sample(port.row, port.addr, port.en, port.w_data.as_value())
        async for _, _, row, addr, enables, w_data in sampled:
            inside = row < self.config.rows and addr < self.config.act_bricks
            brick = self.words[row][addr] if inside else self._noise()
            assert inside or not enables, f"write to row {row}, brick {addr}"
            pipe.append(self._join(self._noise() if enables else brick))
            ctx.set(port.r_data.as_value(), pipe.popleft())
            for lane in range(self.config.lanes):
                if enables >> lane & 1:
                    brick[lane] = w_data >> self.bits * lane & (1 << self.bits) - 1
                    self.writes += 1

    def signed(self, row, brick, lane):
        """The word as a two's-complement number."""
        word = self.words[row][brick][lane]
        return word - (word >> self.bits - 1 << self.bits)

    def put(self, row, brick, values):
        """Write ``values`` from lane 0 of ``brick`` on, over as many bricks as they need."""
        for index, value in enumerate(values):
            self.words[row][brick + index // self.config.lanes][index % self.config.lanes] = value % (1 << self.bits)

    def copy(self):
        """All words, for a comparison later."""
        return [[list(brick) for brick in row] for row in self.words]


async def run_unit(ctx, unit, fields, layout, observe=()):
    """Start ``unit`` with a command's ``fields`` and return ``(cycles, sums)``.

    ``cycles`` counts from ``start`` to ``done``, both included; ``sums`` adds up what the signals of ``observe``
    showed. The command must be legal.
    """
    payload = sum(int(fields[name]) << layout[name][0] for name in layout)
    ctx.set(unit.payload, payload)
    await ctx.tick()
    ctx.set(unit.start, 1)
    cycles, sums = 0, [0] * len(observe)
    while True:
        _, _, done, fault, *seen = await ctx.tick().sample(unit.done, unit.fault, *observe)
        assert not fault
        ctx.set(unit.start, 0)
        cycles += 1
        sums = [total + value for total, value in zip(sums, seen)]
        if done:
            ctx.set(unit.payload, 0)
            return cycles, sums
        assert cycles < 100_000, "the unit hangs"


async def run_to_fault(ctx, unit, fields, layout):
    """Start ``unit`` with an illegal command; returns the cycles up to and with that of ``fault``."""
    ctx.set(unit.payload, sum(int(fields[name]) << layout[name][0] for name in layout))
    await ctx.tick()
    ctx.set(unit.start, 1)
    for cycle in range(1, 10_000):
        _, _, done, fault = await ctx.tick().sample(unit.done, unit.fault)
        ctx.set(unit.start, 0)
        if fault:
            return cycle
        assert not done, "no fault"
    raise AssertionError("the unit hangs")
