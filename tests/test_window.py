"""The window walk against the textbook loops."""

import random

import pytest
from units import CONFIGS, payload, simulate, stalls

from gradgate.arch.commands import Opcode
from gradgate.compiler.geometry import Axis, Grid, list_fields, target_fields
from gradgate.compiler.program import Place
from gradgate.compiler.tiles import Span
from gradgate.hw.item import Kind
from gradgate.hw.window import Window


def scene(config, seed):
    """A random tensor, windows, targets, and the items they make: (fields, slots, items)."""
    rng = random.Random(seed)
    height, width, channels = rng.randint(1, 6), rng.randint(1, 6), rng.randint(1, 3 * config.lanes)
    bricks = config.bricks(channels)
    stride, fetch = rng.choice([1, 2]), rng.random() < 0.5
    kh, kw = rng.randint(1, 5), rng.randint(1, 5)
    first_y, first_x = rng.randint(-kh + 1, 2), rng.randint(-kw + 1, 2)
    rows, columns, slots = rng.randint(1, 4), rng.randint(1, 4), rng.randint(0, 3)
    x = Place(base=rng.randint(0, 40), height=height, width=width, channels=channels, bricks=bricks)
    part = Span(first=rng.randrange(bricks), count=1)
    part = Span(first=part.first, count=rng.randint(1, bricks - part.first))
    t_count = rng.randint(1, 3)
    step = rng.choice([1, 2])
    y = Place(base=rng.randint(0, 40), height=rows * step, width=columns * step, channels=4 * config.lanes, bricks=4)
    grid, targets = Grid(rows=rows, columns=columns, step=step), Span(first=rng.randint(0, 4 - t_count), count=t_count)
    fields = {
        "fetch": fetch, "y_count": rows, "x_count": columns,
        **list_fields(x, 0, Axis(first=first_y, kernel=kh, size=height), Axis(first=first_x, kernel=kw, size=width), stride, part,
                      config.lanes, t_count),
        **target_fields(y, 0, grid, targets, config.lanes),
    }
    tile_channels = min(part.end * config.lanes, channels) - part.first * config.lanes
    items = []
    for slot in range(slots):
        for py in range(rows):
            for px in range(columns):
                if fetch:
                    brick = y.base + slot * y.slot + py * step * y.pitch + px * step * 4 + targets.first
                    items += [(Kind.TARGET, brick + t, t, t == t_count - 1) for t in range(t_count)]
                window = [(wy, wx, b) for wy in range(kh) for wx in range(kw) for b in range(part.count)
                          if 0 <= first_y + py * stride + wy < height and 0 <= first_x + px * stride + wx < width]
                items.append((Kind.HEAD, not window))
                for number, (wy, wx, b) in enumerate(window):
                    pixel = x.base + slot * x.slot + (first_y + py * stride + wy) * x.pitch + (first_x + px * stride + wx) * bricks
                    where = pixel + part.first + b
                    k = ((wy * kw + wx) * tile_channels + b * config.lanes) * t_count
                    items.append((Kind.LIST, where, k % config.bank_weights, b == part.count - 1, number == len(window) - 1))
    bits = (config.act_bricks - 1).bit_length()
    items = [(item[0], item[1] % (1 << bits), *item[2:]) if item[0] in (Kind.TARGET, Kind.LIST) else item for item in items]
    return fields, slots, items + [(Kind.END,)]


@pytest.mark.parametrize("stall", [0, 0.4], ids=["full rate", "stalls"])
@pytest.mark.parametrize("seed", range(3), ids=lambda s: f"seed{s}")
@pytest.mark.parametrize("config", CONFIGS, ids=lambda c: c.name)
def test_walk(config, seed, stall):
    """Items, their order, addresses and k; one a cycle without gaps at full rate, the first one cycle behind start; no reset between."""
    window, idle = Window(config), stalls(seed, stall)

    async def bench(ctx):
        for round_ in range(3):
            fields, slots, items = scene(config, 100 * seed + round_)
            ctx.set(window.payload, payload(Opcode.RUN, **fields))
            ctx.set(window.slots, slots)
            ctx.set(window.start, 1)
            await ctx.tick()
            ctx.set(window.start, 0)
            got, cycles = [], 0
            while not got or got[-1] != (Kind.END,):
                ctx.set(window.o.ready, not idle())
                cycles += 1
                assert ctx.get(window.o.valid)
                if ctx.get(window.o.ready):
                    tag, addr = ctx.get(window.o.payload), ctx.get(window.addr)
                    got.append({Kind.TARGET: (Kind.TARGET, addr, tag.t, bool(tag.tail)), Kind.HEAD: (Kind.HEAD, bool(tag.last)),
                                Kind.LIST: (Kind.LIST, addr, tag.k, bool(tag.tail), bool(tag.last)), Kind.END: (Kind.END,)}[tag.kind])
                await ctx.tick()
            assert got == items
            assert stall or cycles == len(items)
            ctx.set(window.o.ready, 1)
            assert not ctx.get(window.o.valid)

    simulate(window, bench)
