"""UPDATE with momentum: every master weight, every velocity, every duration; the host's way to both memories."""

from dataclasses import replace

import numpy as np
import pytest
from support.weights_bench import (
    ALONG_OUTPUTS,
    CONFIGS,
    NAMES,
    Bench,
    Layer,
    gradients,
    load_command,
    random_masters,
    same,
    simulate,
    suspicious,
    updated,
    working,
)

from gradgate.arch import weights
from gradgate.arch.commands import WEIGHT_LOOP, Command, Opcode
from gradgate.arch.config import Config
from gradgate.golden.cycles.weights import update_cycles
from gradgate.hw.weights.updater import Updater
from gradgate.hw.weights.velocity_memory import VelocityMemory
from gradgate.hw.weights.weight_memory import WeightMemory
from gradgate.hw.weights.weights import Weights

MOMENTUM = [replace(config, momentum=True) for config in CONFIGS]
every_config = pytest.mark.parametrize("config", MOMENTUM, ids=NAMES)


def moved(config, master, velocity, total, shift, decay):
    """A master weight and its velocity after an update by the exact sum ``total`` of its gradients."""
    if not decay:
        return updated(config, master, total, shift), velocity
    acc, top = 2**config.formats.acc_bits, 2 ** (config.formats.master_bits - 1)
    total = (total + acc // 2) % acc - acc // 2
    lost = -(-abs(velocity) // 2**decay)  # of the magnitude, rounded up
    velocity += (total + 2 ** (shift - 1) >> shift) + (lost if velocity < 0 else -lost)
    velocity = min(max(velocity, -top), top - 1)
    return min(max(master - velocity, -top), top - 1), velocity


@pytest.mark.parametrize("seed", range(3), ids=lambda s: f"seed{s}")
@every_config
def test_update(config, seed):
    """Updates of tiles of a layer with all decays and without, back to back with loads."""
    rng = np.random.default_rng(seed)
    dut = Weights(config)
    layer = Layer(config, rng, base=int(rng.integers(16)))
    memory = layer.memory(rng)
    others = random_masters(config, rng, memory.shape)  # velocities, also between those of the layer
    masters = layer.masters.copy()
    velocities = weights.gather(others[layer.base:layer.base + len(layer.banks)], layer.cout, skew=False)
    decays = [int(d) for d in rng.permutation([0, 0, 1, 2, 3, 4, 5, 6, 7])]
    top = 2 ** (config.formats.master_bits - 1)
    seen = {"saturated master": 0, "saturated velocity": 0, "tail": 0, "words": 0}

    async def bench(ctx):
        core = Bench(config, ctx, dut, gradients(config, rng, 1))
        await core.host_fill(memory)
        await core.host_fill(others, velocity=1)
        for decay in decays:
            shift = int(rng.choice([*range(1, 16), 31]))
            accumulators = gradients(config, rng, shift)
            core.hold(accumulators)
            fields, bricks = layer.by_output(rng, min(config.bank_words, 40))
            bank_addr = int(rng.integers(config.bank_words - len(bricks) + 1))
            tail = int(rng.integers(1, min(config.lanes, layer.cout - bricks[fields["t_count"] - 1][1]) + 1))
            rest = {"bank_addr": bank_addr, "shift": shift, "tail": tail, "decay": decay, "diagonal": 0, **ALONG_OUTPUTS}
            command = Command(Opcode.UPDATE, fields | rest)
            cycles, _, overflows = await core.run(dut.update, command)
            assert cycles == len(bricks) + Updater.latency(config) == update_cycles(config, command)

            expected_overflows = 0
            for i, (k, first) in enumerate(bricks):
                last = i % fields["t_count"] == fields["t_count"] - 1
                for j in range(tail if last else config.lanes):
                    at = first + j, k
                    total = int(accumulators[bank_addr + i, :, j].sum())
                    expected_overflows += suspicious(config, total)
                    masters[at], velocities[at] = moved(config, int(masters[at]), int(velocities[at]), total, shift, decay)
                    seen["saturated master"] += masters[at] in (-top, top - 1)
                    seen["saturated velocity"] += bool(decay) and velocities[at] in (-top, top - 1)
                    seen["words"] += 1
                seen["tail"] += last and tail < config.lanes
            assert overflows == expected_overflows

            # a LOAD in the very next cycle sees the new weights
            k, first = bricks[-1]
            fields |= {"wm_addr": layer.base + k * layer.out_bricks + first // config.lanes, "rot": k % config.lanes}
            fields |= {"t_count": 1, "inner_count": 1, "outer_count": 1, "bank_addr": 0, "spread": 0, "out_bricks": 0}
            _, writes, _ = await core.run(dut.load, load_command(fields))
            same(writes[0][1], [working(config, int(masters[first + j, k])) if first + j < layer.cout else None
                                for j in range(config.lanes)])
        memory[layer.base:layer.base + len(layer.banks)] = weights.place(masters, config.lanes)
        co, k = np.indices(velocities.shape)
        brick, lane = weights.location(co, k, layer.cout, config.lanes, skew=False)
        others[layer.base + brick, lane] = velocities
        await core.expect_memory(memory)
        await core.expect_velocities(others)

    simulate(dut, bench)
    assert all(seen.values()) or seen["words"] < 200, seen


@pytest.mark.parametrize("decay", range(8))
def test_arithmetic(decay):
    """One lane of one row: velocities around every rounding and at both ends, with steps that cancel and that saturate.

    Every command updates the bricks that the command before has updated, in the same order.
    """
    config = Config(rows=1, lanes=2, weight_bricks=64, bank_words=64, momentum=True)
    dut = Weights(config)
    top, shift, one = 2 ** (config.formats.master_bits - 1), 4, 2**decay
    edges = {e for n in (0, 1, 2, 3) for e in (n * one - 1, n * one, n * one + 1, n * one + one // 2)}
    edges |= {top - 1, top - 2, top - one}
    starts = np.array(sorted({s for e in edges for s in (e, -e)} | {-top}))
    velocities = np.stack([starts, starts[::-1]], axis=1)
    masters = np.where(np.indices(velocities.shape)[0] % 3, 0, np.where(velocities < 0, top - 1, -top))
    sums = np.array([0, 1, -1, 7, 8, -8, -9, top, -top, 3 * top << shift, -3 * top << shift])

    async def bench(ctx):
        accumulators = np.zeros((64, 1, 2), dtype=np.int64)
        core = Bench(config, ctx, dut, accumulators)
        await core.host_fill(masters)
        await core.host_fill(velocities, velocity=1)
        fields = {f.name: 0 for f in WEIGHT_LOOP}
        fields |= {"t_count": len(starts), "inner_count": 1, "outer_count": 1, "t_step": 1, "shift": shift, "tail": 2}
        fields |= {"decay": decay, "diagonal": 0, **ALONG_OUTPUTS}
        for turn in range(len(sums)):
            accumulators[:len(starts), 0] = sums[(np.indices(velocities.shape).sum(axis=0) + turn) % len(sums)]
            core.hold(accumulators)
            await core.run(dut.update, Command(Opcode.UPDATE, fields))
            for at in np.ndindex(velocities.shape):
                total = int(accumulators[at[0], 0, at[1]])
                masters[at], velocities[at] = moved(config, int(masters[at]), int(velocities[at]), total, shift, decay)
        await core.expect_memory(masters)
        await core.expect_velocities(velocities)

    simulate(dut, bench)


@every_config
def test_host(config):
    """The host's writes reach one memory only, at once; the other keeps its words."""
    rng = np.random.default_rng(1)
    dut = Weights(config)
    memories = [random_masters(config, rng, (5, config.lanes)) for _ in range(2)]

    async def bench(ctx):
        core = Bench(config, ctx, dut, np.zeros((config.bank_words, config.rows, config.lanes), int))
        for velocity, memory in enumerate(memories):
            await core.host_fill(memory, velocity)
        for _ in range(20):
            velocity, brick, bank = int(rng.integers(2)), int(rng.integers(5)), int(rng.integers(config.lanes))
            memories[velocity][brick, bank] = random_masters(config, rng, ())
            await core.host_write(brick, bank, memories[velocity][brick, bank], velocity)
            read = core.host_read_velocities if velocity else core.host_read
            assert await read([(brick, bank)]) == [memories[velocity][brick, bank]]
        await core.expect_memory(memories[0])
        await core.expect_velocities(memories[1])

    simulate(dut, bench)


def test_update_while_the_host_addresses_a_velocity():
    """What the host read last does not get in the way of a command: masters are written too."""
    config = MOMENTUM[0]
    dut = Weights(config)

    async def bench(ctx):
        core = Bench(config, ctx, dut, np.full((config.bank_words, config.rows, config.lanes), 16, np.int64))
        for velocity in (0, 1):
            await core.host_fill(np.zeros((2, 2), int), velocity)
        core.host_select(1, 1, 1)
        fields = {f.name: 0 for f in WEIGHT_LOOP}
        fields |= {"t_count": 2, "inner_count": 1, "outer_count": 1, "t_step": 1, "shift": 4, "tail": 2}
        for decay in (0, 1):
            await core.run(dut.update, Command(Opcode.UPDATE, fields | {"decay": decay, "diagonal": 0, **ALONG_OUTPUTS}))
        await core.expect_memory(np.full((2, 2), -2))
        await core.expect_velocities(np.ones((2, 2), int))

    simulate(dut, bench)


@pytest.mark.parametrize("rows, cycles", [(1, 13), (2, 14), (3, 15), (4, 15), (5, 16), (8, 16), (9, 17), (16, 17)])
def test_latencies(rows, cycles):
    """The figures in the data sheets, and the cycle model's."""
    config = Config(rows=rows, lanes=2, momentum=True)
    fields = {f.name: 1 for f in WEIGHT_LOOP} | {"shift": 1, "tail": 1, "decay": 0, "diagonal": 0, **ALONG_OUTPUTS}
    assert Updater.latency(config) == cycles
    for each in (config, replace(config, momentum=False)):
        assert update_cycles(each, Command(Opcode.UPDATE, fields)) == 1 + Updater.latency(each)
    assert (VelocityMemory.READ, VelocityMemory.WRITE) == (2, 2)
    assert VelocityMemory.READ < Weights.HOST and VelocityMemory.WRITE < WeightMemory.WRITE
