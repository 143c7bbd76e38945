"""Block RAM and multiplier: contents, collisions, extremes, latency."""

import gc
import random
from collections import deque

import pytest
from support.units import pack, simulate, unpack

from gradgate.arch import latency
from gradgate.arch.checks import ConfigError
from gradgate.hw.parts.multiplier import Multiplier
from gradgate.hw.parts.ram import Ram

#: width, depth, parts; depths that are no powers of two among them
RAMS = [(1, 2, 1), (16, 16, 1), (36, 300, 2), (24, 5, 3), (128, 33, 8)]


@pytest.mark.parametrize("seed", range(2), ids=lambda s: f"seed{s}")
@pytest.mark.parametrize("width, depth, parts", RAMS, ids=lambda v: str(v))
def test_ram(width, depth, parts, seed):
    """A read and a partial write every cycle, often to the same word: a read sees all writes of earlier cycles only."""
    rng = random.Random(seed)
    ram = Ram(width=width, depth=depth, parts=parts)
    words = [0] * depth
    expected = deque([None] * latency.RAM)
    bits = width // parts
    seen = {"collision": 0, "next cycle": 0, "partial": 0}

    async def bench(ctx):
        before = None
        for _ in range(400):
            write = rng.randrange(depth)
            read = rng.choice([write, before or 0, rng.randrange(depth)])
            data, enable = rng.getrandbits(width), rng.getrandbits(parts) if rng.random() < 0.8 else 0
            ctx.set(ram.r_addr, read)
            ctx.set(ram.w_addr, write)
            ctx.set(ram.w_data, data)
            ctx.set(ram.w_en, enable)
            wanted = expected.popleft()
            assert wanted is None or ctx.get(ram.r_data) == wanted
            expected.append(words[read])
            seen["collision"] += bool(enable) and read == write
            seen["next cycle"] += before == read
            seen["partial"] += 0 < enable < (1 << parts) - 1
            before = write if enable else None
            old, new = unpack(words[write], bits, parts), unpack(data, bits, parts)
            words[write] = pack([n if enable >> i & 1 else o for i, (o, n) in enumerate(zip(old, new))], bits)
            await ctx.tick()

    simulate(ram, bench)
    assert seen["collision"] and seen["next cycle"] and (seen["partial"] or parts == 1)


@pytest.mark.parametrize("width, depth, parts", RAMS, ids=lambda v: str(v))
def test_ram_holds_every_word(width, depth, parts):
    """All words are zero at first, and each keeps its own value; reads come one a cycle, ``latency.RAM`` late."""
    rng = random.Random(depth)
    ram = Ram(width=width, depth=depth, parts=parts)
    values = [rng.getrandbits(width) for _ in range(depth)]

    async def everything(ctx):
        result = []
        for address in range(depth + latency.RAM):
            if address >= latency.RAM:
                result.append(ctx.get(ram.r_data))
            ctx.set(ram.r_addr, min(address, depth - 1))
            await ctx.tick()
        return result

    async def bench(ctx):
        assert await everything(ctx) == [0] * depth
        ctx.set(ram.w_en, (1 << parts) - 1)
        for address, value in enumerate(values):
            ctx.set(ram.w_addr, address)
            ctx.set(ram.w_data, value)
            await ctx.tick()
        ctx.set(ram.w_en, 0)
        assert await everything(ctx) == values

    simulate(ram, bench)


@pytest.mark.filterwarnings("ignore::amaranth.hdl.UnusedElaboratable")
@pytest.mark.parametrize("wrong", [{"width": 0, "depth": 16}, {"width": 16, "depth": 1}, {"width": 16, "depth": 65537},
                                   {"width": 16, "depth": 16, "parts": 3}, {"width": 16, "depth": 16, "parts": 0},
                                   {"width": 16.0, "depth": 16}], ids=str)
def test_ram_parameters(wrong):
    """Parameters out of range are refused."""
    with pytest.raises(ValueError, match="must"):
        Ram(**wrong)
    gc.collect()  # what is not used is gone before the warning counts again


@pytest.mark.parametrize("width", [2, 9, 12, 16, 18])
def test_multiplier(width):
    """All pairs of extremes and random operands, one a cycle, ``latency.MULTIPLY`` later."""
    rng = random.Random(width)
    multiplier = Multiplier(width)
    low, high = -(1 << width - 1), (1 << width - 1) - 1
    edges = [low, low + 1, -1, 0, 1, high]
    pairs = [(a, b) for a in edges for b in edges]
    pairs += [(rng.randint(low, high), rng.randint(low, high)) for _ in range(100)]
    rng.shuffle(pairs)

    async def bench(ctx):
        expected = deque([None] * latency.MULTIPLY)
        for a, b in pairs + [(0, 0)] * latency.MULTIPLY:
            ctx.set(multiplier.a, a)
            ctx.set(multiplier.b, b)
            wanted = expected.popleft()
            assert wanted is None or ctx.get(multiplier.o) == wanted
            expected.append(a * b)
            await ctx.tick()

    simulate(multiplier, bench)


@pytest.mark.filterwarnings("ignore::amaranth.hdl.UnusedElaboratable")
@pytest.mark.parametrize("width", [1, 19, None])
def test_multiplier_parameters(width):
    """Widths that one primitive cannot multiply are refused."""
    with pytest.raises(ConfigError, match="width must be 2 to 18"):
        Multiplier(width)
    gc.collect()
