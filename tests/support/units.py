"""What the tests of single units of the array share."""

import random
import warnings
from collections import deque

from amaranth.hdl import Elaboratable
from amaranth.sim import Simulator

from gradgate.arch import latency
from gradgate.arch.commands import COMMANDS, Opcode, layout
from gradgate.arch.config import Config
from gradgate.arch.formats import Formats

#: Small and odd arrays.
CONFIGS = [
    Config(name="1x2", rows=1, lanes=2, lists=1, act_bricks=512, bank_words=64, psum_words=64),
    Config(name="2x4", rows=2, lanes=4, lists=2, act_bricks=512, bank_words=128, psum_words=128),
    Config(name="3x8", rows=3, lanes=8, lists=3, act_bricks=256, bank_words=64, psum_words=128),
    Config(name="1x16", rows=1, lanes=16, lists=4, act_bricks=300, bank_words=64, psum_words=64),
]

#: Other formats, depths that are no powers of two, and so few targets that some signals have no bits.
ODD = [
    Config(name="12-bit", rows=2, lanes=2, lists=2, targets=5, act_bricks=100, bank_words=32, psum_words=50,
           argmax_bricks=37, formats=Formats(act_bits=12, act_frac=7, weight_frac=8, master_bits=20, master_frac=16,
                                             grad_frac=9, acc_bits=25)),
    Config(name="one target", rows=1, lanes=4, lists=1, targets=1, act_bricks=100, bank_words=16, psum_words=16),
]


def payload(opcode: Opcode, **fields) -> int:
    """A command register's contents; fields left out are 0."""
    known = layout(opcode)
    assert set(fields) <= set(known), set(fields) - set(known)
    return sum(int(value) << known[name][0] for name, value in fields.items())


def known_of(flags: int, lanes: int) -> int:
    """``flags`` of an item and what is said of them there, packed: the lowest, some, no more than one."""
    return flags | (flags & -flags) << lanes | (flags != 0) << 2 * lanes | (flags & flags - 1 == 0) << 2 * lanes + 1


def blank(opcode: Opcode) -> dict:
    """All fields of a command, zero."""
    return {f.name: 0 for f in COMMANDS[opcode][1]}


def simulate(unit: Elaboratable, *testbenches, processes=(), limit=200_000) -> None:
    """Run ``testbenches`` (async functions of a context) to their end; fail after ``limit`` cycles."""
    sim = Simulator(unit)
    sim.add_clock(1e-6)
    for process in processes:
        sim.add_process(process)
    left = len(testbenches)

    def counted(bench):
        async def run(ctx):
            nonlocal left
            await bench(ctx)
            left -= 1
        return run

    for bench in testbenches:
        sim.add_testbench(counted(bench))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for end in range(100, limit + 100, 100):
            sim.run_until(end * 1e-6)  # idle cycles cost time too, so not to the limit at once
            if left == 0:
                return
    raise AssertionError(f"not finished after {limit} cycles")


def stalls(seed: int, chance: float):
    """A function that says whether to idle in this cycle."""
    generator = random.Random(seed)
    return lambda: generator.random() < chance


class ReadPort:
    """The read port of a memory, played by a testbench: the word of the address of ``cycles`` cycles ago."""

    def __init__(self, words, address, data, cycles=latency.RAM):
        self.words, self.address, self.data = words, address, data
        self.pipe = deque([0] * cycles)

    def step(self, ctx):
        """Give this cycle's data and take its address; to be called once a cycle, when the inputs are set."""
        ctx.set(self.data, self.words[self.pipe.popleft()])
        self.pipe.append(ctx.get(self.address))


def pack(words, bits: int) -> int:
    """``words`` of ``bits`` bits, two's complement, in one number, the first in the lowest bits."""
    return sum((word & (1 << bits) - 1) << bits * i for i, word in enumerate(words))


def unpack(value: int, bits: int, count: int) -> list:
    """The inverse of :func:`pack`, unsigned."""
    return [value >> bits * i & (1 << bits) - 1 for i in range(count)]


def signed(value: int, bits: int) -> int:
    """The number whose two's complement is in the low ``bits`` bits of ``value``."""
    return ((value + (1 << bits - 1)) & (1 << bits) - 1) - (1 << bits - 1)
