"""Loading and updating weights: every word, every count and every duration, for tiles of random layers."""

import numpy as np
import pytest
from support.weights_bench import (
    ALONG_OUTPUTS,
    Bench,
    Layer,
    every_config,
    gradients,
    load_command,
    loops,
    random_masters,
    read_brick,
    same,
    seeds,
    simulate,
    suspicious,
    updated,
    walk,
    working,
)

from gradgate.arch import weights
from gradgate.arch.commands import WEIGHT_LOOP, Command, Opcode
from gradgate.arch.config import Config
from gradgate.hw.weights.loader import Loader
from gradgate.hw.weights.updater import Updater
from gradgate.hw.weights.weights import Weights


@pytest.mark.parametrize("seed", range(3), ids=lambda s: f"seed{s}")
@every_config
def test_load_of_layers(config, seed):
    """Tiles of layers, along outputs and along inputs, arrive in the banks; back to back, no reset."""
    rng = np.random.default_rng(seed)
    dut = Weights(config)
    layer = Layer(config, rng, base=int(rng.integers(16)))
    memory = random_masters(config, rng, (config.weight_bricks, config.lanes))
    memory[layer.base:layer.base + len(layer.banks)] = layer.banks

    async def bench(ctx):
        core = Bench(config, ctx, dut, np.zeros((config.bank_words, config.rows, config.lanes), int))
        await core.host_fill(memory)
        for turn in range(8):
            bank_addr = int(rng.integers(config.bank_weights - 30))
            if turn % 2:
                fields, bricks = layer.by_input(rng, 30)
                wanted = [[layer.masters[co, tap * layer.cin + ci] if ci < layer.cin else None
                           for ci in range(first, first + config.lanes)] for co, tap, first in bricks]
            else:
                fields, bricks = layer.by_output(rng, 30)
                fields |= {"spread": 0, "out_bricks": int(rng.integers(4096))}
                wanted = [[layer.masters[co, k] if co < layer.cout else None
                           for co in range(first, first + config.lanes)] for k, first in bricks]
            cycles, writes, _ = await core.run(dut.load, load_command(fields | {"bank_addr": bank_addr}))
            assert cycles == len(bricks) + Loader.LATENCY
            assert [addr for addr, _ in writes] == list(range(bank_addr, bank_addr + len(bricks)))
            for (_, brick), expected in zip(writes, wanted):
                same(brick, [working(config, None if e is None else int(e)) for e in expected])

    simulate(dut, bench)


@seeds
@every_config
def test_load_of_anything(config, seed):
    """Random fields, whatever they mean."""
    rng = np.random.default_rng(seed)
    dut = Weights(config)
    memory = random_masters(config, rng, (config.weight_bricks, config.lanes))
    wrap = 1 << (config.weight_bricks - 1).bit_length()

    async def bench(ctx):
        core = Bench(config, ctx, dut, np.zeros((config.bank_words, config.rows, config.lanes), int))
        await core.host_fill(memory)
        for bricks in (1, 2, 30, 30):
            spread = int(rng.integers(2))
            fields = loops(rng, config, bricks, spread=spread, out_bricks=int(rng.integers(4096)))
            cycles, writes, _ = await core.run(dut.load, load_command(fields))
            steps = list(walk(fields, spread, config.lanes))
            assert cycles == len(steps) + Loader.LATENCY and len(writes) == len(steps)
            for (bank_addr, brick), (addr, rot, expected_bank, _, _) in zip(writes, steps):
                assert bank_addr == expected_bank
                words = read_brick(config, memory, addr % wrap, rot, spread, fields["out_bricks"])
                same(brick, [working(config, word) for word in words])

    simulate(dut, bench)


@pytest.mark.parametrize("seed", range(3), ids=lambda s: f"seed{s}")
@every_config
def test_update(config, seed):
    """Updates of tiles of a layer, back to back with loads: every word, the overflow count, the duration."""
    rng = np.random.default_rng(seed)
    dut = Weights(config)
    layer = Layer(config, rng, base=int(rng.integers(16)))
    memory = layer.memory(rng)
    masters = layer.masters.copy()
    shifts = [int(s) for s in rng.permutation([1, 31, 4, 8, 16, int(rng.integers(1, 32)), int(rng.integers(1, 15))])]
    seen = {"overflow": 0, "saturated": 0, "tail": 0, "words": 0}

    async def bench(ctx):
        core = Bench(config, ctx, dut, gradients(config, rng, 1))
        await core.host_fill(memory)
        for shift in shifts:
            accumulators = gradients(config, rng, shift)
            core.hold(accumulators)
            fields, bricks = layer.by_output(rng, min(config.bank_words, 40))
            bank_addr = int(rng.integers(config.bank_words - len(bricks) + 1))
            tail = min(config.lanes, layer.cout - bricks[fields["t_count"] - 1][1])
            tail = int(rng.integers(1, tail + 1))
            diagonal = shift % 3 == 1
            fields |= {"bank_addr": bank_addr, "shift": shift, "tail": tail, "decay": 0, "diagonal": diagonal, **ALONG_OUTPUTS}
            command = Command(Opcode.UPDATE, fields)
            cycles, _, overflows = await core.run(dut.update, command)
            assert cycles == len(bricks) + Updater.latency(config)

            expected_overflows = 0
            for i, (k, first) in enumerate(bricks):
                last = i % fields["t_count"] == fields["t_count"] - 1
                for j in range(tail if last else config.lanes):
                    if diagonal and j != k % config.lanes:
                        continue
                    total = int(accumulators[bank_addr + i, :, j].sum())
                    expected_overflows += suspicious(config, total)
                    new = updated(config, int(masters[first + j, k]), total, shift)
                    seen["saturated"] += abs(2 * new + 1) == 2**config.formats.master_bits - 1
                    seen["words"] += 1
                    masters[first + j, k] = new
                seen["tail"] += last and tail < config.lanes
            assert overflows == expected_overflows
            seen["overflow"] += overflows

            # a LOAD in the very next cycle sees the new weights
            k, first = bricks[-1]
            fields = {name: value for name, value in fields.items() if name not in {"shift", "tail", "decay", "diagonal", *ALONG_OUTPUTS}}
            fields |= {"wm_addr": layer.base + k * layer.out_bricks + first // config.lanes, "rot": k % config.lanes}
            fields |= {"t_count": 1, "inner_count": 1, "outer_count": 1, "bank_addr": 0, "spread": 0, "out_bricks": 0}
            _, writes, _ = await core.run(dut.load, load_command(fields))
            same(writes[0][1], [working(config, int(masters[first + j, k])) if first + j < layer.cout else None
                                for j in range(config.lanes)])
        memory[layer.base:layer.base + len(layer.banks)] = weights.place(masters, config.lanes)
        await core.expect_memory(memory)

    simulate(dut, bench)
    assert all(seen.values()) or seen["words"] < 50, seen


@pytest.mark.parametrize("shift", [1, 2, 11, 12, 24, 31])
def test_update_arithmetic(shift):
    """One lane of one row: ties of both signs, sums at both ends, masters at both ends."""
    config = Config(rows=1, lanes=2, weight_bricks=128, bank_words=128)
    dut = Weights(config)
    top, acc = 2 ** (config.formats.master_bits - 1), 2**config.formats.acc_bits
    half = 1 << shift - 1
    sums = [0, 1, -1, half - 1, half, half + 1, -half - 1, -half, -half + 1, 3 * half, -3 * half,
            acc // 2 - 1, -acc // 2, acc // 4 - 1, acc // 4, -acc // 4, -acc // 4 - 1]
    sums += [s for edge in (top << shift, (2 * top) << shift, (4 * top) << shift)
             for s in (edge - half - 1, edge - half, -edge)]
    sums = [s for s in sums if -acc // 2 <= s < acc // 2]
    masters = np.array([(m, m) for m in (-top, -top + 1, -1, 0, 1, top - 1)])
    accumulators = np.zeros((128, 1, 2), dtype=np.int64)
    accumulators[:len(sums), 0, 0] = sums
    memory = np.repeat(masters, len(sums), axis=0)

    async def bench(ctx):
        core = Bench(config, ctx, dut, accumulators)
        for start in range(0, len(memory), len(sums)):
            await core.host_fill(memory[start:start + len(sums)])
            fields = {f.name: 0 for f in WEIGHT_LOOP}
            fields |= {"t_count": len(sums), "inner_count": 1, "outer_count": 1, "t_step": 1, "shift": shift, "tail": 2}
            fields |= {"decay": 0, "diagonal": 0, **ALONG_OUTPUTS}
            cycles, _, overflows = await core.run(dut.update, Command(Opcode.UPDATE, fields))
            assert cycles == len(sums) + Updater.latency(config)
            assert overflows == sum(suspicious(config, s) for s in sums)
            expected = memory[start:start + len(sums)].copy()
            expected[:, 0] = [updated(config, int(m), s, shift) for m, s in zip(expected[:, 0], sums)]
            await core.expect_memory(expected)

    simulate(dut, bench)
