"""Post-processing: the walk and one row's arithmetic together against plain loops, every write in its cycle."""

import random
from itertools import product

import pytest
from amaranth.hdl import Elaboratable, Module
from units import CONFIGS, ODD, ReadPort, pack, payload, signed, simulate, unpack

from gradgate.arch.commands import POST_LEVELS, Command, Opcode
from gradgate.compiler.loops import post_levels
from gradgate.golden.cycles.array import POST_LATENCY, post_cycles
from gradgate.hw.command import layout
from gradgate.hw.post import Post
from gradgate.hw.post_walk import PostWalk


class PostRow(Elaboratable):
    """The walk and the post-processor of one row."""

    def __init__(self, config):
        self.walk, self.post = PostWalk(config), Post(config)

    def elaborate(self, platform):
        m = Module()
        m.submodules.walk, m.submodules.post = walk, post = self.walk, self.post
        f = layout(Opcode.POST)(walk.unit.payload)
        m.d.comb += [getattr(post, name).eq(f[name]) for name in ("expand", "relu", "mask", "pool", "tail")]
        m.d.comb += [post.valid.eq(walk.valid), post.beat.eq(walk.beat)]
        return m


def saturate(value, bits):
    """The nearest number of ``bits`` bits."""
    return max(-(1 << bits - 1), min((1 << bits - 1) - 1, value))


class Memories:
    """Random sums, activations and pooling choices of a row, one for every address a port can name."""

    def __init__(self, config, post, rng):
        self.config = config
        bits, acc, drop = config.formats.act_bits, config.formats.acc_bits, config.formats.weight_frac
        top, half = 1 << bits - 1 + drop, 1 << drop - 1

        def total():
            """Anything; ties; near the ends of a word and of a sum; or one of few words, so that a pool has equals."""
            return rng.choice([
                rng.getrandbits(acc), rng.randint(-40, 40) * half, rng.randint(-5, 5) + rng.choice([-half, half]),
                rng.choice([-top, top]) + rng.choice([-half, half, 0]) + rng.randint(-2, 2), rng.randint(-top, top),
                (rng.choice([-3, -2, 1, 2]) << drop) + rng.randrange(-half, half),
                (rng.choice([-2, -1, 1, 2]) << acc - 2) + rng.randint(-1, 1),
            ])

        def word():
            return rng.choice([0, 0, rng.getrandbits(bits), 1 << rng.randrange(bits)])

        def fill(port, value):
            return [[value() for _ in range(config.lanes)] for _ in range(1 << len(port))]
        self.sums, self.row = fill(post.src_addr, total), fill(post.row_addr, word)
        self.choices = fill(post.aux_addr, lambda: rng.getrandbits(2))
        self.ports = [
            ReadPort([pack(brick, acc) for brick in self.sums], post.src_addr, post.sums.as_value()),
            ReadPort([pack(brick, bits) for brick in self.row], post.row_addr, post.row.as_value()),
            ReadPort([pack(brick, 2) for brick in self.choices], post.aux_addr, post.choices.as_value()),
        ]


def expected(config, memories, fields, levels, owns):
    """What POST does, by plain loops: writes (beat, address, words, (choice address, choices)), overflows a beat."""
    formats, lanes = config.formats, config.lanes
    bits, acc, drop = formats.act_bits, formats.acc_bits, formats.weight_frac
    counts = [levels[name][0] for name in POST_LEVELS]
    writes, overflows = [], []
    best = place = None
    for beat, reverse in enumerate(product(*[range(count) for count in reversed(counts)])):
        wx, wy, t, x, y, slot = reverse[::-1]
        src = fields["src_addr"] + sum(i * levels[name][1] for i, name in zip(reverse[::-1], POST_LEVELS))
        way = sum(i * levels[name][2] for i, name in zip(reverse[::-1], POST_LEVELS))
        dst = fields["dst_addr"] + way
        aux = fields["aux_addr"] + (src - fields["src_addr"] if fields["expand"] else way)
        overflow, words = 0, []
        for lane in range(lanes):
            total = signed(memories.sums[src % len(memories.sums)][lane], acc)
            mask = memories.row[aux % len(memories.row)][lane]
            if t == levels["t"][0] - 1 and lane >= fields["tail"]:
                words.append(0)
            elif fields["expand"]:
                here = memories.choices[aux % len(memories.choices)][lane] == 2 * wy + wx
                words.append(signed(memories.row[src % len(memories.row)][lane], bits) if here else 0)
            elif fields["mask"] and mask == 0:
                words.append(0)
            else:
                word = saturate((total + (1 << drop - 1)) // (1 << drop), bits)
                words.append(max(word, 0) if fields["relu"] else word)
                if owns or slot < levels["slot"][0] - 1:
                    overflow += not -(1 << acc - 2) <= total < 1 << acc - 2
        overflows.append(overflow)
        if not fields["pool"] or wx == wy == 0:
            best, place = words, [2 * wy + wx] * lanes
        else:
            place = [2 * wy + wx if word > old else at for word, old, at in zip(words, best, place)]
            best = [max(word, old) for word, old in zip(words, best)]
        if not fields["pool"] or (wx, wy) == (counts[0] - 1, counts[1] - 1):
            choice = (aux % len(memories.choices), place) if fields["pool"] else None
            writes.append((beat, dst % len(memories.row), best, choice))
    return writes, overflows


def scene(config, rng, kind):
    """A random POST: (fields, levels, whether the row owns an image in the last slot)."""
    window = (2, 2) if kind in ("pool", "expand") else (rng.randint(1, 2), rng.randint(1, 2))
    if kind == "pool" and rng.random() < 0.3:
        window = rng.choice([(1, 2), (2, 1), (1, 1)])
    counts = [*window, *(rng.randint(1, 3) for _ in range(3)), rng.randint(1, 2)]
    levels = {name: (count, rng.randint(-9, 30), rng.randint(-9, 30)) for name, count in zip(POST_LEVELS, counts)}
    fields = {
        "expand": kind == "expand", "mask": kind == "mask", "pool": kind == "pool",
        "relu": kind in ("words", "pool") and rng.getrandbits(1), "tail": rng.randint(0, config.lanes), "last_rows": 0,
        "src_addr": rng.randrange(1 << 16), "dst_addr": rng.randrange(1 << 16), "aux_addr": rng.randrange(1 << 16),
    }
    return fields, levels, rng.getrandbits(1)


class Bench:
    """Runs POST commands and records what comes out in which cycle behind ``start``."""

    def __init__(self, config, dut, ctx, memories):
        self.config, self.dut, self.ctx, self.memories = config, dut, ctx, memories

    async def run(self, fields, levels, owns):
        """One POST, checked; ends in the cycle behind ``done``, so that the next one starts right then."""
        config, ctx, unit, post = self.config, self.ctx, self.dut.walk.unit, self.dut.post
        command = Command(Opcode.POST, {name: int(value) for name, value in fields.items()} | post_levels(**levels))
        ctx.set(unit.payload, payload(Opcode.POST, **command.fields))
        ctx.set(post.owns, owns)
        ctx.set(unit.start, 1)
        cycle, writes, overflows, done = 0, [], {}, False
        while not done:
            for port in self.memories.ports:
                port.step(ctx)
            done = ctx.get(unit.done)
            assert not (done and cycle == 0)
            if ctx.get(post.w_en):
                words = [signed(word, config.formats.act_bits)
                         for word in unpack(ctx.get(post.w_data.as_value()), config.formats.act_bits, config.lanes)]
                choice = None
                if ctx.get(post.c_en):
                    choice = (ctx.get(post.c_addr), unpack(ctx.get(post.c_data.as_value()), 2, config.lanes))
                writes.append((cycle, ctx.get(post.w_addr), words, choice))
            else:
                assert not ctx.get(post.c_en)
            overflows[cycle] = ctx.get(post.overflow)
            await ctx.tick()
            ctx.set(unit.start, 0)
            cycle += 1
        wanted, counts = expected(config, self.memories, fields, levels, owns)
        first = 1 + Post.WRITE  # the first beat comes one cycle behind start
        assert writes == [(first + beat, *rest) for beat, *rest in wanted]
        assert {at: count for at, count in overflows.items() if count} == {
            first + beat: count for beat, count in enumerate(counts) if count}
        assert cycle == post_cycles(command) == len(counts) + PostWalk.LATENCY


every_config = pytest.mark.parametrize("config", CONFIGS + ODD, ids=lambda c: c.name)


@pytest.mark.parametrize("seed", range(2), ids=lambda s: f"seed{s}")
@pytest.mark.parametrize("kind", ["words", "mask", "pool", "expand"])
@every_config
def test_commands(config, kind, seed):
    """Commands of random loops back to back, no reset: every word, every choice, every overflow, each in its cycle."""
    rng, dut = random.Random(seed), PostRow(config)

    async def bench(ctx):
        play = Bench(config, dut, ctx, Memories(config, dut.post, rng))
        for _ in range(4):
            await play.run(*scene(config, rng, kind))

    simulate(dut, bench, limit=20_000)


@every_config
def test_kinds_in_turn(config):
    """Commands of all kinds, one right behind the other."""
    rng, dut = random.Random(1), PostRow(config)

    async def bench(ctx):
        play = Bench(config, dut, ctx, Memories(config, dut.post, rng))
        for kind in rng.sample(["words", "mask", "pool", "expand"] * 2, 8):
            await play.run(*scene(config, rng, kind))

    simulate(dut, bench, limit=20_000)


@pytest.mark.parametrize("config", [CONFIGS[0], ODD[0]], ids=lambda c: c.name)
def test_rounding(config):
    """Ties of both signs go up; both ends saturate; sums whose two top bits differ count, and only those."""
    rng, dut = random.Random(0), PostRow(config)
    formats = config.formats
    drop, high, low = formats.weight_frac, (1 << formats.act_bits - 1) - 1, -(1 << formats.act_bits - 1)
    half, one, quarter = 1 << drop - 1, 1 << drop, 1 << formats.acc_bits - 2
    table = [  # sum, word, overflows
        (0, 0, 0), (half - 1, 0, 0), (half, 1, 0), (-half, 0, 0), (-half - 1, -1, 0), (-one - half, -1, 0),
        (one + half - 1, 1, 0), (high * one, high, 0), (high * one + half - 1, high, 0), (high * one + half, high, 0),
        ((high + 9) * one, high, 0), (low * one, low, 0), (low * one - half, low, 0), (low * one - half - 1, low, 0),
        (quarter - 1, high, 0), (quarter, high, 1), (2 * quarter - 1, high, 1), (-quarter, low, 0),
        (-quarter - 1, low, 1), (-2 * quarter, low, 1),
    ]

    async def bench(ctx):
        memories = Memories(config, dut.post, rng)
        memories.sums[:len(table)] = [[total] * config.lanes for total, _, _ in table]
        memories.ports[0].words[:] = [pack(brick, formats.acc_bits) for brick in memories.sums]
        levels = {name: (1, 0, 0) for name in POST_LEVELS} | {"x": (len(table), 1, 1)}
        fields = {"expand": 0, "relu": 0, "mask": 0, "pool": 0, "tail": config.lanes, "last_rows": 0,
                  "src_addr": 0, "dst_addr": 0, "aux_addr": 0}
        writes, overflows = expected(config, memories, fields, levels, 1)
        assert [words[0] for _, _, words, _ in writes] == [word for _, word, _ in table]
        assert overflows == [config.lanes * overflow for _, _, overflow in table]
        await Bench(config, dut, ctx, memories).run(fields, levels, 1)

    simulate(dut, bench, limit=20_000)


def test_constants():
    """The cycle model restates the gateware; the last write is done before the unit is."""
    assert PostWalk.LATENCY == POST_LATENCY > Post.WRITE + 1
