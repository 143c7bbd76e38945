"""Post-processing: the walk and one row's arithmetic together against plain loops, every write in its cycle."""

import random
from collections import Counter
from itertools import product
from math import prod

import pytest
from amaranth.hdl import Elaboratable, Module
from amaranth.lib import wiring
from support.units import CONFIGS, ODD, ReadPort, pack, payload, signed, simulate, unpack

from gradgate.arch.commands import POST_LEVELS, Command, Opcode
from gradgate.compiler.loops import post_levels
from gradgate.golden.cycles.array import POST_LATENCY, post_cycles
from gradgate.hw.array.post import FLAGS, Post
from gradgate.hw.array.post_walk import PostWalk

#: cycles from a beat to its overflows
OVERFLOW = Post.WRITE - 1


class PostRow(Elaboratable):
    """The walk and the post-processor of one row."""

    def __init__(self, config):
        self.walk, self.post = PostWalk(config), Post(config)

    def elaborate(self, platform):
        m = Module()
        m.submodules.walk, m.submodules.post = walk, post = self.walk, self.post
        f = walk.unit.payload
        m.d.comb += [post.flags[name].eq(f[name]) for name in FLAGS]
        wiring.connect(m, walk.o, post.i)
        return m


def saturate(value, bits):
    """The nearest number of ``bits`` bits."""
    return max(-(1 << bits - 1), min((1 << bits - 1) - 1, value))


class Memories:
    """Random sums, activations and pooling choices of a row, one for every address the walk can name."""

    def __init__(self, config, dut, rng):
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
            """Often zero, else small, an end of the range or anything."""
            return rng.choice([0, 0, rng.randint(-3, 3), rng.choice([0, -1]) + (1 << bits - 1), rng.getrandbits(bits)])

        def fill(port, value):
            return [[value() for _ in range(config.lanes)] for _ in range(1 << len(port))]
        beat, post = dut.walk.o.beat, dut.post
        self.sums, self.row = fill(beat.src, total), fill(beat.row, word)
        self.choices = fill(beat.aux, lambda: rng.getrandbits(2))
        self.ports = [
            ReadPort([pack(brick, acc) for brick in self.sums], beat.src, post.sums.as_value()),
            ReadPort([pack(brick, bits) for brick in self.row], beat.row, post.row.as_value()),
            ReadPort([pack(brick, 2) for brick in self.choices], beat.aux, post.choices.as_value()),
        ]


def beats(fields, levels):
    """The loops, plainly: for each beat (wx, wy, t, slot, source, destination, aux, addend)."""
    counts = [levels[name][0] for name in POST_LEVELS]
    for reverse in product(*[range(count) for count in reversed(counts)]):
        index = reverse[::-1]
        from_src, from_dst = (sum(i * levels[name][which] for i, name in zip(index, POST_LEVELS)) for which in (1, 2))
        wx, wy, t, _, _, slot = index
        yield (wx, wy, t, slot, fields["src_addr"] + from_src, fields["dst_addr"] + from_dst,
               fields["aux_addr"] + (from_src if fields["choose"] else from_dst), fields["add_addr"] + from_dst)


def expected(config, memories, fields, levels, owns):
    """What POST does: writes (beat, address, words, (choice address, choices)), and overflows of each beat."""
    formats, lanes = config.formats, config.lanes
    bits, acc, drop = formats.act_bits, formats.acc_bits, formats.weight_frac
    last = {name: levels[name][0] - 1 for name in POST_LEVELS}
    writes, overflows = [], []
    result = place = None
    for beat, (wx, wy, t, slot, src, dst, aux, add) in enumerate(beats(fields, levels)):
        overflow, words = 0, []
        for lane in range(lanes):
            outside = t == last["t"] and lane >= fields["tail"]
            if outside or fields["mask"] and memories.row[aux][lane] == 0:
                words.append(0)
                continue
            if fields["rows"]:
                word = signed(memories.row[src][lane], bits)
            else:
                total = signed(memories.sums[src][lane], acc)
                word = saturate((total + (1 << drop - 1)) // (1 << drop), bits)
                if owns or slot < last["slot"]:
                    overflow += not -(1 << acc - 2) <= total < 1 << acc - 2
            if fields["choose"] and memories.choices[aux][lane] != 2 * wy + wx:
                word = 0
            if fields["add"]:
                word = saturate(word + signed(memories.row[add][lane], bits), bits)
            words.append(max(word, 0) if fields["relu"] else word)
        overflows.append(overflow)
        window = fields["pool"] or fields["mean"]
        if not window or wx == wy == 0:
            result, place = words, [2 * wy + wx] * lanes
        elif fields["mean"]:
            result = [word + old for word, old in zip(words, result)]
        else:
            place = [2 * wy + wx if word > old else at for word, old, at in zip(words, result, place)]
            result = [max(word, old) for word, old in zip(words, result)]
        if not window or (wx, wy) == (last["wx"], last["wy"]):
            shift = fields["shift"]
            written = [word if shift == 0 else (word + (1 << shift - 1)) // (1 << shift) for word in result]
            assert written == [saturate(word, bits) for word in written]
            writes.append((beat, dst, written, (aux, place) if fields["pool"] else None))
    return writes, overflows


#: what the compiler makes of POST: flags that are set, flags that may be
KINDS = {
    "words": ((), ("relu", "shift")),
    "add": (("add",), ("relu",)),
    "mask": (("mask",), ()),
    "add and mask": (("add", "mask"), ("relu",)),
    "pool": (("pool",), ("relu", "add")),
    "average": (("rows", "mean"), ()),
    "average of sums": (("mean",), ("relu", "add")),
    "spread": (("rows",), ("mask", "shift")),
    "spread and mask": (("rows", "mask"), ("shift",)),
    "expand": (("rows", "choose"), ()),
}


def scene(config, rng, kind, size=None):
    """A random POST within its memories (or ``size``): (fields, levels, if the row owns an image in the last slot)."""
    always, maybe = KINDS[kind]
    fields = {name: 0 for name in FLAGS} | {name: 1 for name in always} | {name: rng.getrandbits(1) for name in maybe}
    fields |= {"tail": rng.randint(0, config.lanes), "last_rows": 0, "shift": fields["shift"] and rng.randint(1, 6)}
    counts = [rng.randint(1, 2), rng.randint(1, 2), *(rng.randint(1, 3) for _ in range(3)), rng.randint(1, 2)]
    if kind == "expand" or kind == "pool" and rng.random() < 0.7:
        counts[:2] = 2, 2
    if fields["mean"]:
        counts = [*rng.choice([(1, 2), (2, 2), (3, 1), (3, 4), (4, 4)]), *(rng.randint(1, 2) for _ in range(4))]
        fields["shift"] = (counts[0] * counts[1] - 1).bit_length()
        if fields["shift"] < 4 and rng.getrandbits(1):
            fields["shift"] += 1
    room_src = size or (config.act_bricks if fields["rows"] else config.psum_words)
    room_dst = size or min(config.act_bricks, config.argmax_bricks)

    def strides(room):
        """A step for each loop, of either sign, and the addresses' least and largest distance from the first."""
        while True:
            steps = [rng.choice([0, 1, rng.randint(-9, 9), rng.randint(-1, 1) * room // 4]) for _ in counts]
            ways = [(count - 1) * step for count, step in zip(counts, steps)]
            low, high = sum(min(0, way) for way in ways), sum(max(0, way) for way in ways)
            if high - low < room:
                return steps, low, high
    src_steps, src_low, src_high = strides(min(room_src, config.argmax_bricks) if fields["choose"] else room_src)
    dst_steps, dst_low, dst_high = strides(room_dst)

    def base(low, high, room):
        return rng.randint(-low, room - 1 - high)
    fields["src_addr"] = base(src_low, src_high, room_src)
    fields["dst_addr"], fields["add_addr"] = (base(dst_low, dst_high, config.act_bricks) for _ in range(2))
    choices = config.argmax_bricks
    fields["aux_addr"] = (base(src_low, src_high, choices) if fields["choose"] else
                          base(dst_low, dst_high, choices if fields["pool"] else config.act_bricks))
    return fields, dict(zip(POST_LEVELS, zip(counts, src_steps, dst_steps))), rng.getrandbits(1)


class Bench:
    """Runs POST commands and records what comes out in which cycle behind ``start``."""

    def __init__(self, config, dut, ctx, memories=None):
        self.config, self.dut, self.ctx, self.memories = config, dut, ctx, memories

    async def run(self, fields, levels, owns):
        """One POST; ends in the cycle behind ``done``, so that the next one starts right then.

        Checks its duration; returns the writes, the overflows and the faults, each with its cycle.
        """
        config, ctx, unit, post = self.config, self.ctx, self.dut.walk.unit, self.dut.post
        command = Command(Opcode.POST, {name: int(value) for name, value in fields.items()} | post_levels(**levels))
        ctx.set(unit.payload.as_value(), payload(Opcode.POST, **command.fields))
        ctx.set(post.owns, owns)
        await ctx.tick()
        ctx.set(unit.start, 1)
        cycle, writes, overflows, faults, done = 0, [], {}, [], False
        while not done:
            for port in self.memories.ports if self.memories else ():
                port.step(ctx)
            done = ctx.get(unit.done)
            if ctx.get(post.w_row.en):
                words = [signed(word, config.formats.act_bits)
                         for word in unpack(ctx.get(post.w_row.data.as_value()), config.formats.act_bits, config.lanes)]
                choice = None
                if ctx.get(post.w_choices.en):
                    choice = (ctx.get(post.w_choices.addr), unpack(ctx.get(post.w_choices.data.as_value()), 2, config.lanes))
                writes.append((cycle, ctx.get(post.w_row.addr), words, choice))
            else:
                assert not ctx.get(post.w_choices.en)
            if ctx.get(post.overflow):
                overflows[cycle] = ctx.get(post.overflow)
            if ctx.get(self.dut.walk.fault):
                faults.append(cycle)
            await ctx.tick()
            ctx.set(unit.start, 0)
            cycle += 1
        pace = 2 if fields["mask"] and (fields["add"] or fields["rows"]) else 1
        assert cycle == post_cycles(command) == pace * prod(count for count, _, _ in levels.values()) + PostWalk.LATENCY
        return writes, overflows, faults, pace

    async def check(self, fields, levels, owns):
        """One POST against the plain loops: every word, every choice, every overflow, each in its cycle."""
        writes, overflows, faults, pace = await self.run(fields, levels, owns)
        wanted, counts = expected(self.config, self.memories, fields, levels, owns)
        assert writes == [(pace * (beat + 1) + Post.WRITE, *rest) for beat, *rest in wanted]
        assert overflows == {pace * (beat + 1) + OVERFLOW: count for beat, count in enumerate(counts) if count}
        assert faults == []


every_config = pytest.mark.parametrize("config", CONFIGS + ODD, ids=lambda c: c.name)


@pytest.mark.parametrize("kind", KINDS)
@every_config
def test_commands(config, kind):
    """Commands of one kind with random loops, back to back, no reset."""
    rng, dut = random.Random(kind), PostRow(config)

    async def bench(ctx):
        play = Bench(config, dut, ctx, Memories(config, dut, rng))
        for _ in range(3):
            await play.check(*scene(config, rng, kind))

    simulate(dut, bench, limit=20_000)


@pytest.mark.parametrize("seed", range(2), ids=lambda s: f"seed{s}")
@every_config
def test_kinds_in_turn(config, seed):
    """Commands of all kinds, one right behind the other."""
    rng, dut = random.Random(seed), PostRow(config)

    async def bench(ctx):
        play = Bench(config, dut, ctx, Memories(config, dut, rng))
        for kind in rng.sample(list(KINDS), len(KINDS)):
            await play.check(*scene(config, rng, kind))

    simulate(dut, bench, limit=20_000)


@pytest.mark.parametrize("seed", range(2), ids=lambda s: f"seed{s}")
@every_config
def test_faults(config, seed):
    """A beat with an address outside its memory is a fault in the cycle behind one of the beat's; no other beat is."""
    rng, dut = random.Random(seed), PostRow(config)
    seen = Counter()

    async def bench(ctx):
        play = Bench(config, dut, ctx)
        for kind in rng.sample(list(KINDS), len(KINDS)):
            fields, levels, owns = scene(config, rng, kind, size=12)
            bases = {"dst_addr": config.act_bricks, "add_addr": config.act_bricks,
                     "src_addr": config.act_bricks if fields["rows"] else config.psum_words,
                     "aux_addr": config.act_bricks if fields["mask"] else config.argmax_bricks}
            has_aux = fields["mask"] or fields["pool"] or fields["choose"]
            wrong = rng.choice(["dst_addr", "src_addr"] + ["add_addr"] * fields["add"] + ["aux_addr"] * has_aux)
            fields |= {name: rng.randint(20, room - 20) if room > 40 else room // 2 for name, room in bases.items()}
            fields[wrong] = rng.choice([rng.randint(0, 3), bases[wrong] - rng.randint(1, 4)])
            _, _, faults, pace = await play.run(fields, levels, owns)
            wanted = set()
            for beat, (_, _, _, _, src, dst, aux, add) in enumerate(beats(fields, levels)):
                used = [(dst, "dst_addr"), (src, "src_addr")] + [(add, "add_addr")] * fields["add"]
                used += [(aux, "aux_addr")] * has_aux
                outside = any(not 0 <= address < bases[name] for address, name in used)
                seen[outside] += 1
                if outside:
                    wanted.add(beat)
            assert {(cycle - 2) // pace for cycle in faults} == wanted

    simulate(dut, bench, limit=20_000)
    assert seen[True] and seen[False], seen


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
        memories = Memories(config, dut, rng)
        memories.sums[:len(table)] = [[total] * config.lanes for total, _, _ in table]
        memories.ports[0].words[:] = [pack(brick, formats.acc_bits) for brick in memories.sums]
        levels = {name: (1, 0, 0) for name in POST_LEVELS} | {"x": (len(table), 1, 1)}
        fields = dict.fromkeys(FLAGS, 0) | {"tail": config.lanes, "last_rows": 0}
        fields |= dict.fromkeys(("src_addr", "dst_addr", "aux_addr", "add_addr"), 0)
        writes, overflows = expected(config, memories, fields, levels, 1)
        assert [words[0] for _, _, words, _ in writes] == [word for _, word, _ in table]
        assert overflows == [config.lanes * overflow for _, _, overflow in table]
        await Bench(config, dut, ctx, memories).check(fields, levels, 1)

    simulate(dut, bench, limit=20_000)


@pytest.mark.parametrize("config", [CONFIGS[0], ODD[0]], ids=lambda c: c.name)
def test_widest_average(config):
    """The average of 64 words at the ends of their range."""
    dut, bits = PostRow(config), config.formats.act_bits

    async def bench(ctx):
        memories = Memories(config, dut, random.Random(0))
        memories.row[:3] = [[word] * config.lanes for word in (-(1 << bits - 1), (1 << bits - 1) - 1, -1)]
        memories.ports[1].words[:] = [pack(brick, bits) for brick in memories.row]
        fields = dict.fromkeys(FLAGS, 0) | {"rows": 1, "mean": 1, "shift": 6, "tail": config.lanes, "last_rows": 0}
        fields |= dict.fromkeys(("src_addr", "dst_addr", "aux_addr", "add_addr"), 0)
        levels = {name: (1, 0, 0) for name in POST_LEVELS} | {"wx": (8, 0, 0), "wy": (8, 0, 0), "x": (3, 1, 1)}
        assert [words for _, _, words, _ in expected(config, memories, fields, levels, 1)[0]] == [
            [signed(word, bits) for word in brick] for brick in memories.row[:3]]
        await Bench(config, dut, ctx, memories).check(fields, levels, 1)

    simulate(dut, bench, limit=20_000)


def test_constants():
    """The cycle model restates the gateware; the last write is done before the unit is."""
    assert PostWalk.LATENCY == POST_LATENCY > Post.WRITE + 1
