"""The targets of one lane."""

import random

import pytest
from support.units import CONFIGS, ODD, simulate

from gradgate.hw.array.targets import Targets, target_layout


@pytest.mark.parametrize("seed", range(2), ids=lambda s: f"seed{s}")
@pytest.mark.parametrize("config", CONFIGS + ODD, ids=lambda c: c.name)
def test_targets(config, seed):
    """S + 1 sets of targets, written in turn while any of the S claimed ones is read; counts go to their lists."""
    rng, dut = random.Random(seed), Targets(config)
    append = dut.append
    slots = config.lists + 1
    held = {}  # slot: its targets, of the lists that may be read
    counts = {}  # list: number of targets

    async def step(ctx):
        for s, count in counts.items():
            assert ctx.get(dut.count[s]) == count
        readable = [(slot, index) for slot, targets in held.items() for index in range(len(targets))]
        if readable:
            slot, index = rng.choice(readable)
            ctx.set(dut.r_index, index)
            assert ctx.get(dut.r_entries[slot].as_value()) == held[slot][index]
        await ctx.tick()

    async def bench(ctx):
        for number in range(4 * slots):
            slot, s = number % slots, number % config.lists
            held.pop(slot, None)
            # none, all, or some of what a lane may have
            count = rng.choice([0, config.targets, rng.randint(0, config.targets)])
            targets = []
            ctx.set(append.slot, slot)
            late = count > 0 and rng.getrandbits(1)  # the last one comes with the claim
            while len(targets) < count - late:
                entry = {"t": rng.randrange(max(config.targets, config.bank_words)), "value": rng.getrandbits(config.formats.act_bits)}
                appends = rng.random() < 0.7
                ctx.set(append.en, appends)
                ctx.set(append.entry, entry)
                await step(ctx)
                if appends:  # can be read in the next cycle
                    targets.append(target_layout(config).const(entry).as_bits())
                    held[slot] = list(targets)
            ctx.set(append.en, 0)
            if rng.getrandbits(1):
                await step(ctx)
            entry = {"t": 0, "value": number}
            ctx.set(append.en, late)
            ctx.set(append.entry, entry)
            ctx.set(append.claim, 1)
            ctx.set(append.claim_list, s)
            await step(ctx)
            held[slot] = targets + [target_layout(config).const(entry).as_bits()] * late
            ctx.set(append.en, 0)
            ctx.set(append.claim, 0)
            counts[s] = count
        await step(ctx)

    simulate(dut, bench)
