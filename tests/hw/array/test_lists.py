"""List builder and carousel together: what goes round, where it belongs, and in which cycle."""

import random

import numpy as np
import pytest
from support.lists_bench import Bench, Brick, Lists, Position, random_brick, random_scene
from support.units import CONFIGS, ODD, blank, payload, simulate, stalls

from gradgate.arch.commands import Command, Opcode
from gradgate.golden.cycles import run
from gradgate.hw.array.carousel import Carousel
from gradgate.hw.array.lane import Lane
from gradgate.hw.array.list_builder import ListBuilder

every_config = pytest.mark.parametrize("config", CONFIGS + ODD, ids=lambda c: c.name)


@pytest.mark.parametrize("stall", [0, 0.4], ids=["full rate", "stalls"])
@pytest.mark.parametrize("seed", range(2), ids=lambda s: f"seed{s}")
@every_config
def test_random_lists(config, seed, stall):
    """Commands of random lists back to back, no reset; one without positions among them."""
    rng, dut = random.Random(seed), Lists(config)
    waits = (stalls(seed, stall), stalls(seed + 1, stall))

    async def bench(ctx):
        play = Bench(config, dut, ctx)
        for count in (8, 0, 8):
            await play.run(*random_scene(config, rng, count), *waits)
            play.check()
            if not stall:
                play.check_cycles()

    simulate(dut, bench, limit=20_000)


@every_config
def test_every_kind_of_list(config):
    """Each RUN mode with each kind of position: no window, a window of zeros, a list; with and without targets."""
    rng, dut = random.Random(1), Lists(config)

    async def bench(ctx):
        play = Bench(config, dut, ctx)
        for mode in range(8):
            fetch, outer, bias = mode & 1, mode >> 1 & 1, mode >> 2
            fields = {"fetch": fetch, "outer": outer, "bias": bias, "k_bias": rng.randrange(1 << 16), "t_count": 1,
                      "t_tail": rng.randint(1, config.lanes), "psum_addr": rng.randrange(config.psum_words)}
            shapes = [(any_target, densities) for any_target in (0, 1)
                      for densities in ([], [0], [0, 1, 0], [0.5, 0.5])]
            rng.shuffle(shapes)
            positions = [
                Position(targets=[random_brick(config, rng, any_target)] if fetch else [],
                         bricks=[random_brick(config, rng, density) for density in densities])
                for any_target, densities in shapes]
            await play.run(fields, [position.expect(config, fields, m) for m, position in enumerate(positions)])
            play.check()
            play.check_cycles()

    simulate(dut, bench, limit=20_000)


@pytest.mark.parametrize("bias", [0, 1], ids=["", "bias"])
@pytest.mark.parametrize("config", [CONFIGS[0], *ODD], ids=lambda c: c.name)
def test_full_list(config, bias):
    """Lists that fill their memory to the last word."""
    rng, dut = random.Random(bias), Lists(config)
    fields = {"fetch": 0, "outer": 0, "bias": bias, "k_bias": 5, "t_count": 1, "t_tail": config.lanes, "psum_addr": 0}
    bricks = [random_brick(config, rng, 1) for _ in range(config.list_entries // config.lanes)]
    if bias:
        bricks[0].flags[0] = False
    positions = [Position(targets=[], bricks=bricks).expect(config, fields, m) for m in range(config.lists + 1)]
    assert len(positions[0].entries) == config.list_entries

    async def bench(ctx):
        play = Bench(config, dut, ctx)
        await play.run(fields, positions)
        play.check()
        play.check_cycles()

    simulate(dut, bench, limit=20_000)


@pytest.mark.parametrize("bias", [0, 1], ids=["", "bias"])
@pytest.mark.parametrize("config", [CONFIGS[0], *ODD], ids=lambda c: c.name)
def test_list_too_long(config, bias):
    """A fault one cycle behind the first entry that the list has no room for; a full list before it is none."""
    rng, dut = random.Random(bias), ListBuilder(config)
    fields = {"fetch": 0, "outer": 1, "bias": bias, "t_count": 1, "t_tail": config.lanes}
    full = [random_brick(config, rng, 1) for _ in range(config.list_entries // config.lanes)]
    more = [random_brick(config, rng, 1), random_brick(config, rng, 0)]
    bricks = [Brick(k=0, words=b.words, flags=[not bias, *b.flags[1:]] if b is full[0] else b.flags) for b in full]
    fed = [item for extra in ([], more) for item in Position(targets=[], bricks=bricks + extra).items(config)]
    entries = 2 * (config.list_entries + (not bias))  # and a cycle for each head, which is an entry if there is a bias

    async def bench(ctx):
        ctx.set(dut.fields.as_value(), payload(Opcode.RUN, **fields))
        ctx.set(dut.build.free, -1)
        ctx.set(dut.start, 1)
        await ctx.tick()
        ctx.set(dut.start, 0)
        ctx.set(dut.i.valid, 1)
        for cycle in range(2 + entries + 1):
            ctx.set(dut.i.payload.as_value(), fed[0][1])
            taken = ctx.get(dut.i.ready)
            assert ctx.get(dut.fault) == (cycle == 2 + entries)
            await ctx.tick()
            fed[:taken] = []

    simulate(dut, bench)


def line(config, rng):
    """A RUN over one line of pixels with padding: (command, list words, target words, positions)."""
    lanes, bits = config.lanes, config.formats.act_bits
    t_count = rng.randint(1, min(3, config.targets))
    width, bricks, kw, stride = rng.randint(1, 5), rng.randint(1, 2), rng.randint(1, 3), rng.randint(1, 2)
    first, count = rng.randint(-kw, 2), rng.randint(3, 6)
    swap, turn = int(rng.random() < 0.4), rng.randrange(lanes)
    base, l_col, t_x = rng.randrange(20), bricks + rng.randrange(2), t_count + rng.randrange(2)
    fields = {
        "outer": swap | rng.getrandbits(1), "fetch": swap | rng.getrandbits(1), "bias": rng.getrandbits(1), "swap": swap,
        "turn_tap": turn, "turn_first_x": turn * max(0, -first) % lanes, "skip_list": rng.random() < 0.7, "skip_target": rng.random() < 0.7,
        "stride": stride, "slots": 1, "last_rows": 1, "y_count": 1, "x_count": count,
        "l_addr": base + max(0, first) * l_col, "l_col": l_col, "l_bricks": bricks, "l_tail": rng.randint(1, lanes),
        "kh": 1, "kw": kw, "skip_x": max(0, -first), "room_x": max(0, width - first), "room_y": 1,
        "t_count": t_count, "t_tail": rng.randint(1, lanes), "t_addr": rng.randrange(20), "t_x": t_x,
    }

    def tensor():
        density = rng.choice([0.1, 0.5])
        return [[rng.randrange(1, 1 << bits) if rng.random() < density else 0 for _ in range(lanes)]
                for _ in range(config.act_bricks)]

    def brick(words, tail, dense):
        return Brick(k=0, words=words, flags=[lane < tail and (dense or word != 0) for lane, word in enumerate(words)])

    def turned(b, turn):
        return Brick(k=0, words=[b.words[(lane - turn) % lanes] for lane in range(lanes)],
                     flags=[b.flags[(lane - turn) % lanes] for lane in range(lanes)])

    lists, targets = tensor(), tensor()
    positions = []
    for m in range(count):
        pixels = [x for x in range(first + m * stride, first + m * stride + kw) if 0 <= x < width]
        windows = [(b, x - first - m * stride, lists[base + x * l_col + b]) for x in pixels for b in range(bricks)]
        if swap:
            positions.append(Position(
                targets=[turned(brick(words, fields["l_tail"] if b == bricks - 1 else lanes, not fields["skip_target"]), tap * turn)
                         for b, tap, words in windows],
                bricks=[brick(targets[fields["t_addr"] + m * t_x + t], fields["t_tail"] if t == t_count - 1 else lanes,
                              not fields["skip_list"]) for t in range(t_count)]))
            continue
        positions.append(Position(
            targets=[brick(targets[fields["t_addr"] + m * t_x + t], fields["t_tail"] if t == t_count - 1 else lanes,
                           not fields["skip_target"]) for t in range(t_count)] if fields["fetch"] else [],
            bricks=[brick(words, fields["l_tail"] if b == bricks - 1 else lanes, not fields["skip_list"]) for b, _, words in windows]))
    command = Command(Opcode.RUN, blank(Opcode.RUN) | {name: int(value) for name, value in fields.items()})
    return command, lists, targets, [p.expect(config, command.fields, m) for m, p in enumerate(positions)]


@pytest.mark.parametrize("seed", range(2), ids=lambda s: f"seed{s}")
@every_config
def test_cycle_model(config, seed):
    """Whole commands: cycles and multiplications of :func:`run_cost`, which only sees command and zeros."""
    config = config.replace(rows=1)
    rng, dut = random.Random(seed), Lists(config)

    async def bench(ctx):
        play = Bench(config, dut, ctx)
        for _ in range(4):
            command, lists, targets, positions = line(config, rng)
            await play.run(command.fields, positions)
            play.check()
            flags = [np.array([words]) != 0 for words in ((targets, lists) if command.swap else (lists, targets))]
            cost = run.run_cost(config, command, *flags)
            assert cost.macs == sum(position.work(j) for position in positions for j in range(config.lanes))
            done = max(play.end + run.ENDED, play.release[-1] + run.LAST)
            assert cost.cycles == done - play.first + run.FIRST_ITEM + 1

    simulate(dut, bench, limit=20_000)


def test_constants():
    """The cycle model restates the gateware."""
    assert (run.OPEN, run.FREE, run.BUBBLE) == (Carousel.OPEN, Carousel.FREE, Lane.BUBBLE)
