"""UPDATE along inputs, as behind a weight-gradient pass with swapped roles."""

import numpy as np
import pytest
from support.weights_bench import (
    Bench,
    Layer,
    every_config,
    gradients,
    load_command,
    same,
    simulate,
    suspicious,
    updated,
    working,
)

from gradgate.arch import weights
from gradgate.arch.commands import Command, Opcode
from gradgate.hw.weights.updater import Updater
from gradgate.hw.weights.weights import Weights


@pytest.mark.parametrize("seed", range(4), ids=lambda s: f"seed{s}")
@every_config
def test_update_along_inputs(config, seed):
    """Tiles of a layer, back to back with loads, every tap turned to other lanes: words, the overflow count, the duration."""
    rng = np.random.default_rng(seed)
    dut, lanes = Weights(config), config.lanes
    layer = Layer(config, rng, base=int(rng.integers(16)))
    memory = layer.memory(rng)
    masters = layer.masters.copy()

    async def bench(ctx):
        core = Bench(config, ctx, dut, gradients(config, rng, 1))
        await core.host_fill(memory)
        for shift in (1, 31, 8, int(rng.integers(1, 32)), 12):
            accumulators = gradients(config, rng, shift)
            core.hold(accumulators)
            walked, bricks = layer.by_input(rng, min(config.bank_words, 40))
            bank_addr = int(rng.integers(config.bank_words - len(bricks) + 1))
            last = bricks[walked["t_count"] - 1][2]
            tail, turn, turn_outer = (int(n) for n in rng.integers([1, 0, 0], [min(lanes, layer.cin - last) + 1, lanes, lanes]))
            walked |= {"bank_addr": bank_addr}
            cycles, _, overflows = await core.run(dut.update, Command(Opcode.UPDATE, walked | {
                "shift": shift, "tail": tail, "decay": 0, "diagonal": 0, "turn": turn, "turn_outer": turn_outer}))
            assert cycles == len(bricks) + Updater.latency(config)

            expected_overflows, first_tap = 0, bricks[0][1]
            for i, (co, tap, ci) in enumerate(bricks):
                for j in range(tail if ci == last else lanes):
                    lane = (j + turn + (tap - first_tap) * turn_outer) % lanes
                    total = int(accumulators[bank_addr + i, :, lane].sum())
                    expected_overflows += suspicious(config, total)
                    k = tap * layer.cin + ci + j
                    masters[co, k] = updated(config, int(masters[co, k]), total, shift)
            assert overflows == expected_overflows

            # a LOAD in the very next cycle sees the new weights
            _, writes, _ = await core.run(dut.load, load_command(walked | {"bank_addr": 0}))
            for (_, brick), (co, tap, ci) in zip(writes, bricks):
                same(brick, [working(config, int(masters[co, tap * layer.cin + ci + j])) if ci + j < layer.cin else None
                             for j in range(lanes)])
        memory[layer.base:layer.base + len(layer.banks)] = weights.place(masters, lanes)
        await core.expect_memory(memory)

    simulate(dut, bench)
