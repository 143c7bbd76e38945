"""The window walk against the textbook loops; the check of a RUN command's fields."""

import random

import pytest
from amaranth.hdl import ResetInserter, Signal
from support.units import CONFIGS, ODD, blank, payload, simulate, stalls

from gradgate.arch.commands import Opcode
from gradgate.compiler.geometry import Axis, Grid, list_fields, target_fields
from gradgate.compiler.program import Place
from gradgate.compiler.tiles import Span
from gradgate.hw.array.item import Kind
from gradgate.hw.array.run_check import RunCheck
from gradgate.hw.array.window import Window


def scene(config, seed):
    """A random tensor, windows, targets, and the items they make: (fields, slots, items). They may leave the memory."""
    rng = random.Random(seed)
    base = rng.choice([0, 0, config.act_bricks - 30, 65520 - config.act_bricks])
    height, width, channels = rng.randint(1, 6), rng.randint(1, 6), rng.randint(1, 3 * config.lanes)
    bricks = config.bricks(channels)
    stride, fetch, swap, bias = rng.choice([1, 2]), rng.random() < 0.5, rng.random() < 0.4, rng.random() < 0.5
    kh, kw = rng.randint(1, 5), rng.randint(1, 5)
    first_y, first_x = rng.randint(-kh + 1, 2), rng.randint(-kw + 1, 2)
    rows, columns, slots = rng.randint(1, 4), rng.randint(1, 4), rng.randint(0, 3)
    x = Place(base=base + rng.randint(0, 40), height=height, width=width, channels=channels, bricks=bricks)
    part = Span(first=rng.randrange(bricks), count=1)
    part = Span(first=part.first, count=rng.randint(1, bricks - part.first))
    t_count = rng.randint(1, 3)
    step = rng.choice([1, 2])
    y = Place(base=base + rng.randint(0, 40), height=rows * step, width=columns * step, channels=4 * config.lanes, bricks=4)
    grid, targets = Grid(rows=rows, columns=columns, step=step), Span(first=rng.randint(0, 4 - t_count), count=t_count)
    window_rows, window_columns = Axis(first=first_y, kernel=kh, size=height), Axis(first=first_x, kernel=kw, size=width)
    fields = {
        "fetch": fetch, "bias": bias, "y_count": rows, "x_count": columns,
        **list_fields(x, 0, window_rows, window_columns, stride, part, config.lanes, t_count),
        **target_fields(y, 0, grid, targets, config.lanes),
    }
    turn_x, turn_y = rng.randrange(config.lanes), rng.randrange(config.lanes)
    if swap:
        fields |= {"fetch": 1, "swap": 1, "turn_tap": turn_x, "turn_row": turn_y,
                   "turn_first_x": window_columns.skip * turn_x % config.lanes, "turn_first_y": window_rows.skip * turn_y % config.lanes}
    tile_channels = min(part.end * config.lanes, channels) - part.first * config.lanes
    items = []
    for slot in range(slots):
        for py in range(rows):
            for px in range(columns):
                points = []
                if fetch or swap:
                    brick = y.base + slot * y.slot + py * step * y.pitch + px * step * 4 + targets.first
                    points = [(brick + t, t, t == t_count - 1) for t in range(t_count)]
                window = [(wy, wx, b) for wy in range(kh) for wx in range(kw) for b in range(part.count)
                          if 0 <= first_y + py * stride + wy < height and 0 <= first_x + px * stride + wx < width]
                if not swap:
                    items += [(Kind.TARGET, *point) for point in points] + [(Kind.HEAD, not window)]
                for number, (wy, wx, b) in enumerate(window):
                    pixel = x.base + slot * x.slot + (first_y + py * stride + wy) * x.pitch + (first_x + px * stride + wx) * bricks
                    where = pixel + part.first + b
                    k = ((wy * kw + wx) * tile_channels + b * config.lanes) * t_count
                    if swap:
                        items.append((Kind.TARGET, where, b == part.count - 1, k, (wy * turn_y + wx * turn_x) % config.lanes, number))
                    else:
                        items.append((Kind.LIST, where, k, b == part.count - 1, number == len(window) - 1))
                if swap:
                    items.append((Kind.HEAD, False))
                    items += [(Kind.LIST, where, t * config.lanes, last, last) for where, t, last in points]
    return fields, slots, items + [(Kind.END,)]


@pytest.mark.parametrize("stall", [0, 0.4], ids=["full rate", "stalls"])
@pytest.mark.parametrize("seed", range(3), ids=lambda s: f"seed{s}")
@pytest.mark.parametrize("config", CONFIGS, ids=lambda c: c.name)
def test_walk(config, seed, stall):
    """Items, their order, addresses and k; one a cycle without gaps at full rate, the first ``LATENCY`` cycles behind start; no reset
    between. A fault three cycles behind every item whose address or k is too large, or for which there is no target left.
    """
    window, idle = Window(config), stalls(seed, stall)
    rng, bits = random.Random(seed), (config.act_bricks - 1).bit_length()
    faults = 0

    def lost(item):
        """Whether an item's brick is outside, or its words' weights."""
        if item[0] not in (Kind.LIST, Kind.TARGET):
            return False
        windows = item[0] == (Kind.TARGET if fields["swap"] else Kind.LIST)
        k, tail = (item[3], item[2]) if fields["swap"] else (item[2], item[3])
        many = fields["swap"] and windows and item[5] >= config.targets - fields["bias"]
        return item[1] % 65536 >= config.act_bricks or windows and k > fields["k_most_tail" if tail else "k_most"] or many

    def seen(item):
        """What the ports show of it."""
        if item[0] == Kind.LIST:
            return item[0], item[1] % (1 << bits), item[2] % config.bank_weights, *item[3:]
        if item[0] == Kind.TARGET and fields["swap"]:
            return item[0], item[1] % (1 << bits), item[2], item[3] % config.bank_weights, item[4]
        return (item[0], item[1] % (1 << bits), *item[2:]) if item[0] == Kind.TARGET else item

    async def bench(ctx):
        nonlocal fields, faults
        for round_ in range(6):
            fields, slots, items = scene(config, 100 * seed + round_)
            ctx.set(window.fields.as_value(), payload(Opcode.RUN, **fields))
            fields |= {name: rng.choice([-3, 0, 20, config.bank_weights]) for name in ("k_most", "k_most_tail")}
            ctx.set(window.k_most, fields["k_most"])
            ctx.set(window.k_most_tail, fields["k_most_tail"])
            ctx.set(window.slots, slots)
            await ctx.tick().repeat(Window.SETTLE)
            ctx.set(window.start, 1)
            await ctx.tick()
            ctx.set(window.start, 0)
            got, cycles, before = [], 0, [None] * 3  # the items offered in the last three cycles
            for _ in range(1, Window.LATENCY):
                assert not ctx.get(window.o.valid) and not ctx.get(window.fault)
                await ctx.tick()
            while not got or got[-1] != (Kind.END,):
                ctx.set(window.o.ready, not idle())
                cycles += 1
                assert ctx.get(window.fault) == (before[0] is not None and lost(items[before[0]]))
                before = [*before[1:], len(got)]
                faults += lost(items[len(got)])
                assert ctx.get(window.o.valid)
                if ctx.get(window.o.ready):
                    tag, addr = ctx.get(window.o.payload.tag), ctx.get(window.o.payload.addr)
                    target = (bool(tag.tail), tag.k, tag.turn) if fields["swap"] else (tag.t, bool(tag.tail))
                    got.append({Kind.TARGET: (Kind.TARGET, addr, *target), Kind.HEAD: (Kind.HEAD, bool(tag.last)),
                                Kind.LIST: (Kind.LIST, addr, tag.k, bool(tag.tail), bool(tag.last)), Kind.END: (Kind.END,)}[tag.kind])
                await ctx.tick()
            assert got == [seen(item) for item in items]
            assert stall or cycles == len(items)
            ctx.set(window.o.ready, 1)
            assert not ctx.get(window.o.valid)

    fields = {}
    simulate(window, bench)
    assert faults


@pytest.mark.parametrize("seed", range(2), ids=lambda s: f"seed{s}")
@pytest.mark.parametrize("config", CONFIGS, ids=lambda c: c.name)
def test_reset(config, seed):
    """A reset in mid-walk ends it in the next cycle, whatever it was at; nothing comes before the next start, and then all of it."""
    window, reset, rng = Window(config), Signal(), random.Random(seed)
    stopped = set()

    async def bench(ctx):
        ctx.set(window.o.ready, 1)
        for round_ in range(40):
            fields, slots, items = scene(config, 1000 * seed + round_)
            stop = Window.LATENCY + rng.randrange(len(items)) if round_ % 2 else None
            ctx.set(window.fields.as_value(), payload(Opcode.RUN, **fields))
            ctx.set(window.slots, slots)
            for _ in range(Window.SETTLE + 4):
                assert not ctx.get(window.o.valid)
                await ctx.tick()
            ctx.set(window.start, 1)
            kinds = []
            for cycle in range(Window.LATENCY + len(items)):
                if ctx.get(window.o.valid):
                    kinds.append(ctx.get(window.o.payload.tag).kind)
                ctx.set(reset, cycle == stop)
                await ctx.tick()
                ctx.set(window.start, 0)
                if cycle == stop:
                    ctx.set(reset, 0)
                    break
            seen = len(items) if stop is None else stop - Window.LATENCY + 1
            assert kinds == [item[0] for item in items[:seen]]
            stopped.add(None if stop is None else kinds[-1])

    simulate(ResetInserter(reset)(window), bench)
    assert stopped == {None, Kind.TARGET, Kind.HEAD, Kind.LIST, Kind.END}


@pytest.mark.parametrize("seed", range(2), ids=lambda s: f"seed{s}")
@pytest.mark.parametrize("config", CONFIGS + ODD, ids=lambda c: c.name)
def test_run_check(config, seed):
    """Fields at their limits and one off them."""
    check, rng = RunCheck(config), random.Random(seed)
    legal = {"slots": (1, 4095), "y_count": (1, 4095), "x_count": (1, 4095), "l_bricks": (1, 4095), "l_tail": (1, config.lanes),
             "t_count": (1, config.targets), "t_tail": (1, config.lanes), "stride": (1, 2)}
    counts = [0, 0]

    async def bench(ctx):
        for _ in range(400):
            f = blank(Opcode.RUN) | {name: rng.choice(limits) for name, limits in legal.items()}
            f |= {name: rng.getrandbits(1) for name in ("outer", "bias")}
            f |= {name: f["outer"] if rng.random() < 0.9 else rng.getrandbits(1) for name in ("fetch", "swap")}
            bank = config.bank_words if f["outer"] else config.bank_weights
            f["bank_addr"] = max(0, rng.choice([0, bank - f["t_count"] + rng.choice([0, 0, 1]), bank, 65535]))
            words = (f["t_count"] - 1) * config.lanes + f["t_tail"] if f["swap"] else f["t_count"]  # of the bias
            f["k_bias"] = max(0, rng.choice([0, bank - f["bank_addr"] - words + rng.choice([0, 1]), 65535]))
            if rng.random() < 0.5:
                name = rng.choice(list(legal))
                f[name] = rng.choice([0, min(legal[name][1] + 1, 4095)])
            room = bank - f["bank_addr"]
            wrong = any(not low <= f[name] <= high for name, (low, high) in legal.items())
            words = (f["t_count"] - 1) * config.lanes + f["t_tail"] if f["swap"] else f["t_count"]
            wrong |= room < f["t_count"] or f["bias"] and room - words < f["k_bias"]
            wrong |= f["swap"] and not (f["outer"] and f["fetch"])
            ctx.set(check.fields.as_value(), payload(Opcode.RUN, **f))
            await ctx.tick().repeat(2)  # its latency
            counts[wrong] += 1
            assert ctx.get(check.illegal) == wrong, f
            if not wrong:
                assert ctx.get(check.k_most) == room - (words if f["swap"] else config.lanes * f["t_count"])
                assert ctx.get(check.k_most_tail) == room - (words if f["swap"] else f["l_tail"] * f["t_count"])

    simulate(check, bench)
    assert min(counts) > 50
