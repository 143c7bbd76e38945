"""What the tests of single units of the array share."""

import random
import warnings

from amaranth.hdl import Elaboratable
from amaranth.sim import Simulator

from gradgate.arch.commands import COMMANDS, Opcode, layout
from gradgate.arch.config import Config

#: Small and odd arrays.
CONFIGS = [
    Config(name="1x2", rows=1, lanes=2, lists=1, act_bricks=512, bank_words=64, psum_words=64),
    Config(name="2x4", rows=2, lanes=4, lists=2, act_bricks=512, bank_words=128, psum_words=128),
    Config(name="3x8", rows=3, lanes=8, lists=3, act_bricks=256, bank_words=64, psum_words=128),
    Config(name="1x16", rows=1, lanes=16, lists=4, act_bricks=300, bank_words=64, psum_words=64),
]


def payload(opcode: Opcode, **fields) -> int:
    """A command register's contents; fields left out are 0."""
    known = layout(opcode)
    assert set(fields) <= set(known), set(fields) - set(known)
    return sum(int(value) << known[name][0] for name, value in fields.items())


def blank(opcode: Opcode) -> dict:
    """All fields of a command, zero."""
    return {f.name: 0 for f in COMMANDS[opcode][1]}


def simulate(unit: Elaboratable, *testbenches, processes=(), limit=200_000) -> None:
    """Run ``testbenches`` (async functions of a context) to their end; fail when they take more than ``limit`` cycles."""
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
        sim.run_until(limit * 1e-6)
    assert left == 0, f"not finished after {limit} cycles"


def stalls(seed: int, chance: float):
    """A function that says whether to idle in this cycle."""
    generator = random.Random(seed)
    return lambda: generator.random() < chance
