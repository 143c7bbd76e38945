"""Placement, weight memory, its address walk, and the host's access."""

import numpy as np
import pytest
from support.weights_bench import (
    Bench,
    every_config,
    loops,
    random_masters,
    read_brick,
    same,
    seeds,
    simulate,
    unpack,
    walk,
    working,
)

from gradgate.arch import weights
from gradgate.arch.checks import ConfigError
from gradgate.arch.config import Config
from gradgate.hw.weights.loader import Loader
from gradgate.hw.weights.updater import Updater
from gradgate.hw.weights.weight_loop import LOOP, WeightLoop
from gradgate.hw.weights.weight_memory import WeightMemory
from gradgate.hw.weights.weights import Weights


@pytest.mark.parametrize("lanes", [2, 4, 8, 16])
@pytest.mark.parametrize("cout", [1, 2, 7, 8, 17])
def test_placement_is_skewed_and_reversible(lanes, cout):
    masters = np.arange(1, 1 + cout * 11).reshape(cout, 11)
    banks = weights.place(masters, lanes)
    assert banks.shape == (weights.bricks(cout, 11, lanes), lanes)
    assert (weights.gather(banks, cout) == masters).all()
    assert np.count_nonzero(banks) == masters.size
    for co in range(cout):
        for k in range(11):
            assert banks[k * -(-cout // lanes) + co // lanes, (co + k) % lanes] == masters[co, k]


@pytest.mark.parametrize("call, text", [
    (lambda: weights.place(np.zeros((2, 2)), 4), "masters must be a matrix of integers, not shape (2, 2) of float64"),
    (lambda: weights.place(np.zeros(4, int), 4), "masters must be a matrix of integers, not shape (4,)"),
    (lambda: weights.place(np.zeros((0, 3), int), 4), "masters must be a matrix of integers, not shape (0, 3)"),
    (lambda: weights.place(np.zeros((2, 2), int), 3), "lanes must be one of 2, 4, 8, 16, not 3"),
    (lambda: weights.gather(np.zeros((2, 5), int), 1), "lanes (columns of banks) must be one of 2, 4, 8, 16, not 5"),
    (lambda: weights.gather(np.zeros((3, 4), int), 5), "banks must have a multiple of 2 bricks for 5 outputs, not 3"),
    (lambda: weights.gather(np.zeros((3, 4), int), 0), "cout must be at least 1, not 0"),
])
def test_placement_errors(call, text):
    with pytest.raises(ConfigError) as error:
        call()
    assert text in str(error.value)


@pytest.mark.parametrize("seed", range(4), ids=lambda s: f"seed{s}")
@pytest.mark.parametrize("spread", [0, 1], ids=["co", "spread"])
@pytest.mark.parametrize("lanes", [2, 4, 8, 16])
def test_walk(lanes, spread, seed):
    """Every brick, one a cycle; a fault behind each that lies outside."""
    rng = np.random.default_rng(seed)
    config = Config(rows=1, lanes=lanes, weight_bricks=[1024, 40000, 65536, 4096][seed])
    bank_words = [512, 1024][seed % 2]
    dut = WeightLoop(config, bank_words=bank_words)
    place = dut.place

    async def bench(ctx):
        ctx.set(dut.spread, spread)
        for bricks in (1, 2, 7, 90):
            fields = loops(rng, config, bricks)
            if bricks == 90 and seed < 2:  # spread steps need many inner iterations in several outer ones
                fields |= {"t_count": 1 + seed, "inner_count": 2 * lanes + seed, "outer_count": 3}
            fields["bank_addr"] += int(rng.choice([0, bank_words - 5, 65530 - 512]))
            ctx.set(dut.loop, LOOP.const(fields))
            ctx.set(dut.start, 1)
            assert not ctx.get(dut.valid)
            await ctx.tick()
            ctx.set(dut.start, 0)
            lost = False
            for expected in walk(fields, spread, lanes):
                assert ctx.get(dut.valid)
                assert ctx.get(dut.fault) == lost
                lost = expected[0] >= config.weight_bricks or expected[2] >= bank_words
                assert tuple(ctx.get(s) for s in (place.addr, place.rot, place.bank_addr, place.last_t, place.last)) == expected
                await ctx.tick()
            assert not ctx.get(dut.valid)
            assert ctx.get(dut.fault) == lost

    simulate(dut, bench)


def test_walk_limits():
    """A count of 0 acts as 1 and is a fault, the largest count is reached."""
    config = Config(rows=1, lanes=4)
    dut = WeightLoop(config, bank_words=65536)

    async def bench(ctx):
        for counts, bricks in (((0, 0, 0), 1), ((0, 3, 1), 3), ((2, 0, 1), 2), ((1, 2, 0), 2), ((4095, 1, 1), 4095)):
            ctx.set(dut.loop, LOOP.const(dict(zip(("t_count", "inner_count", "outer_count"), counts))))
            ctx.set(dut.start, 1)
            await ctx.tick()
            ctx.set(dut.start, 0)
            assert ctx.get(dut.fault) == (0 in counts)
            count = 0
            while ctx.get(dut.valid):
                count += 1
                assert ctx.get(dut.place.last) == (count == bricks)
                await ctx.tick()
                assert not ctx.get(dut.fault)
            assert count == bricks

    simulate(dut, bench)


@seeds
@every_config
def test_memory(config, seed):
    """A read and a write of random form in every cycle; data after exactly the promised latencies."""
    rng = np.random.default_rng(seed)
    dut = WeightMemory(config)
    lanes, size, bits = config.lanes, config.weight_bricks, config.formats.master_bits
    memory = np.zeros((size, lanes), dtype=np.int64)

    async def bench(ctx):
        expected = []
        cycles, filling = size + 300, size
        before = np.zeros(lanes, dtype=np.int64)  # data come a cycle behind their request
        touched = -1  # brick of the next cycle's write, not to be read in this cycle
        for cycle in range(cycles):
            if cycle >= WeightMemory.MASTER:
                same(unpack(ctx.get(dut.read.master.as_value()), bits, lanes), expected[cycle - WeightMemory.MASTER])
            if cycle >= WeightMemory.WORKING:
                same(unpack(ctx.get(dut.read.working.as_value()), config.formats.act_bits, lanes),
                     [working(config, word) for word in expected[cycle - WeightMemory.WORKING]])
            # write: everything once, then at random
            addr = cycle if cycle < filling else touched
            rot, en = int(rng.integers(lanes)), int(rng.integers(1 << lanes)) if cycle >= filling else (1 << lanes) - 1
            brick = random_masters(config, rng, lanes)
            ctx.set(dut.write.request, {"addr": addr, "rot": rot, "en": en, "data": before.tolist()})
            before = brick
            for j in range(lanes):
                if en >> j & 1:
                    memory[addr, (j + rot) % lanes] = brick[j]
            # read: sees the write of its own cycle
            touched = int(rng.integers(size))
            rot, spread = int(rng.integers(lanes)), int(rng.integers(2))
            out_bricks = int(rng.choice([1, 2, 3, 5, int(rng.integers(4096))]))
            start = addr if rng.random() < 0.3 else int(rng.integers(size))
            turn = int(rng.integers(lanes))  # the brick's first word is that of this lane
            request = {"addr": start, "rot": (rot - turn) % lanes, "first": rot, "spread": spread, "out_bricks": out_bricks}
            ctx.set(dut.read.request, request)
            answer = read_brick(config, memory, start, rot, spread, out_bricks)
            hit = (start + spread * np.arange(lanes) * out_bricks) % (1 << (size - 1).bit_length()) == touched
            answer, hit = [answer[(j - turn) % lanes] for j in range(lanes)], np.roll(hit, turn)
            expected.append([None if h or cycle < filling else word for word, h in zip(answer, hit)])
            await ctx.tick()

    simulate(dut, bench)


@seeds
@every_config
def test_host(config, seed):
    """Host writes and reads in place, one a cycle; a read may follow its write at once."""
    rng = np.random.default_rng(seed)
    dut = Weights(config)
    memory = random_masters(config, rng, (12, config.lanes))

    async def bench(ctx):
        core = Bench(config, ctx, dut, np.zeros((config.bank_words, config.rows, config.lanes), int))
        await core.host_fill(memory)
        await core.expect_memory(memory)
        for _ in range(20):
            brick, bank = int(rng.integers(12)), int(rng.integers(config.lanes))
            memory[brick, bank] = random_masters(config, rng, ())
            await core.host_write(brick, bank, memory[brick, bank])
            assert await core.host_read([(brick, bank)]) == [memory[brick, bank]]
        await core.expect_memory(memory)

    simulate(dut, bench)


@pytest.mark.parametrize("rows, cycles", [(1, 13), (2, 13), (3, 14), (4, 14), (5, 15), (8, 15), (9, 16), (16, 16)])
def test_latencies(rows, cycles):
    """The figures in the data sheets."""
    assert Updater.latency(Config(rows=rows, lanes=2)) == cycles
    assert (WeightMemory.MASTER, WeightMemory.WORKING, WeightMemory.WRITE) == (8, 9, 4)
    assert (Weights.HOST, Loader.LATENCY) == (9, 10)
