"""List builder and carousel together: what goes round, where it belongs, and in which cycle."""

import random
from collections import Counter, deque
from dataclasses import dataclass, field

import numpy as np
import pytest
from amaranth.hdl import Elaboratable, Module
from units import CONFIGS, ODD, blank, pack, payload, simulate, stalls, unpack

from gradgate.arch.commands import Command, Opcode
from gradgate.golden.cycles import run
from gradgate.hw.carousel import Carousel
from gradgate.hw.item import Kind, tag_layout
from gradgate.hw.lane import Lane
from gradgate.hw.list_builder import ListBuilder, entry_layout


class Lists(Elaboratable):
    """Builder and carousel, wired as in a row."""

    def __init__(self, config):
        self.builder, self.carousel = ListBuilder(config), Carousel(config)

    def elaborate(self, platform):
        m = Module()
        m.submodules.builder, m.submodules.carousel = b, c = self.builder, self.carousel
        m.d.comb += [
            b.free.eq(c.free), c.e_en.eq(b.e_en), c.e_list.eq(b.e_list), c.e_addr.eq(b.e_addr), c.e_entry.eq(b.e_entry),
            c.open.eq(b.open), c.o_length.eq(b.length), c.o_psum.eq(b.psum), c.o_void.eq(b.void),
            c.claim.eq(b.claim), c.claim_list.eq(b.slot), c.claim_target.eq(b.target_slot),
        ]
        return m


@dataclass(frozen=True, kw_only=True)
class Brick:
    """One brick of a list or of targets: k of its first word, words, flags (one bool a lane)."""

    k: int
    words: list
    flags: list


@dataclass(kw_only=True)
class Position:
    """What goes in, and what must come out: entries, (k, value) each; void; psum; number of targets of each lane."""

    targets: list
    bricks: list
    entries: list = field(default_factory=list)
    void: bool = False
    psum: int = 0
    targets_of: list = field(default_factory=list)

    def expect(self, config, fields, number):
        """Fill in what must come out."""
        ks, words = config.bank_weights, 1 << config.formats.act_bits
        t_count = fields["t_count"]
        if fields["fetch"]:
            self.targets_of = [sum(brick.flags[lane] for brick in self.targets) for lane in range(config.lanes)]
        else:
            self.targets_of = [t_count - (lane >= fields["t_tail"]) for lane in range(config.lanes)]
        self.void = bool(fields["fetch"] and not any(self.targets_of))
        swap = fields.get("swap", 0)
        if swap and fields["bias"]:  # one more target of the last lane
            self.targets_of[-1] += 1
            self.void = False
        if fields["bias"] and not swap:
            self.entries.append((fields["k_bias"] % ks, 1 << config.formats.act_frac))
        if not self.void:
            self.entries += [((brick.k + lane * (1 if swap else t_count)) % ks, brick.words[lane] % words)
                             for brick in self.bricks for lane in range(config.lanes) if brick.flags[lane]]
        if not self.entries:
            self.entries, self.void = [(0, 0)], self.void or bool(fields["outer"])
        self.psum = (fields["psum_addr"] + number * t_count) % (1 << (config.psum_words - 1).bit_length())
        return self

    @property
    def build(self):
        """Cycles from the head to the decision on the last entry."""
        return sum(max(1, sum(brick.flags)) if any(self.targets_of) else 1 for brick in self.bricks)

    def work(self, lane):
        """Multiplications of a lane."""
        return 0 if self.void else self.targets_of[lane] * len(self.entries)

    def items(self, config):
        """The items of the position, packed, with their kind."""
        def item(kind, last=0, tail=0, k=0, t=0, brick=None):
            tag = tag_layout(config).const({"kind": kind, "last": last, "tail": tail, "k": k, "t": t}).as_bits()
            bits, size = config.formats.act_bits, tag_layout(config).size
            if brick:
                tag |= pack(brick.words, bits) << size | pack(brick.flags, 1) << size + bits * config.lanes
            return kind, tag
        targets = [item(Kind.TARGET, t=t, brick=brick, tail=brick is self.targets[-1])
                   for t, brick in enumerate(self.targets)]
        lists = [item(Kind.LIST, k=brick.k, brick=brick, last=brick is self.bricks[-1]) for brick in self.bricks]
        return [*targets, item(Kind.HEAD, last=not self.bricks), *lists]


def random_brick(config, rng, density):
    """A brick whose flagged words are mostly not zero (dense lists have zeros too)."""
    words = [rng.randrange(1 << config.formats.act_bits) if rng.random() < 0.9 else 0 for _ in range(config.lanes)]
    flags = [rng.random() < density for _ in range(config.lanes)]
    return Brick(k=rng.randrange(config.bank_weights), words=words, flags=flags)


def random_scene(config, rng, count=8):
    """Fields of a RUN and ``count`` positions."""
    t_count = rng.randint(1, min(3, config.targets))
    swap = int(rng.random() < 0.3)
    fields = {"fetch": swap | rng.getrandbits(1), "outer": swap | rng.getrandbits(1), "bias": rng.getrandbits(1), "swap": swap,
              "k_bias": rng.randrange(1 << 16), "t_count": t_count, "t_tail": rng.randint(1, config.lanes),
              "psum_addr": rng.randrange(config.psum_words)}
    room = (config.list_entries - 1) // config.lanes
    positions = []
    for number in range(count):
        density = rng.choice([0, 0.15, 0.5, 1])
        targets = [random_brick(config, rng, rng.choice([0, 0.1, 0.5]))
                   for _ in range(rng.randint(0, 4) if swap else t_count * fields["fetch"])]
        bricks = [random_brick(config, rng, density) for _ in range(min(t_count, room) if swap else rng.randint(0, min(4, room)))]
        positions.append(Position(targets=targets, bricks=bricks).expect(config, fields, number))
    return fields, positions


class Bench:
    """Feeds items and plays the lanes, cycle by cycle; checks what does not depend on rates, keeps when it happened."""

    def __init__(self, config, dut, ctx):
        self.config, self.ctx, self.cycle = config, ctx, 0
        self.builder, self.carousel = dut.builder, dut.carousel

    async def run(self, fields, positions, wait_source=lambda: False, wait_lane=lambda: False):
        """One RUN. ``claim``, ``decide``, ``pend``, ``release``: cycles of each position; ``end``: of the END item."""
        self.fields, self.positions = fields, positions
        fed = deque((*item, m) for m, position in enumerate(positions) for item in position.items(self.config))
        fed.append((Kind.END, tag_layout(self.config).const({"kind": Kind.END}).as_bits(), None))
        lanes = self.config.lanes
        self.claim, self.decide, self.pend, self.release, self.end = [], [], [], [], None
        self.turns = [[] for _ in positions]  # the entries that went by, one a cycle
        self.target_slots, self.targets_seen = [None] * len(positions), [0] * len(positions)
        self.at, self.left, self.ready = [0] * lanes, [None] * lanes, [0] * lanes
        self.claimed, self.freed = {}, {}  # of a list: its position; the cycle in which it is free again

        ctx, builder = self.ctx, self.builder
        ctx.set(builder.payload, payload(Opcode.RUN, **fields))
        ctx.set(builder.start, 1)
        await self._tick()
        ctx.set(builder.start, 0)
        current, offered, watched = None, False, []
        self.first = self.cycle + 1
        while (self.end is None or len(self.release) < len(positions)
               or self.cycle < max(self.freed.values(), default=0)):
            offered = bool(fed) and (offered or not wait_source())
            ctx.set(builder.i.valid, offered)
            if offered:
                ctx.set(builder.i.payload.as_value(), fed[0][1])
            assert ctx.get(builder.ended) == (self.end is not None)
            self._collect(watched)
            watched = self._lanes(wait_lane)
            self._strobes(*current or (None, None, None))
            if current and current[0] == Kind.END:
                self.end = self.cycle
            if ctx.get(builder.i.ready):
                current = fed.popleft() if offered else None
                offered = False
            await self._tick()

    async def _tick(self):
        await self.ctx.tick()
        self.cycle += 1

    def _strobes(self, kind, raw, m):
        """What the builder says of its current item (of position m), and which lists are free."""
        ctx, builder, lists = self.ctx, self.builder, self.config.lists
        free = ctx.get(self.carousel.free)
        taken = [s in self.claimed or self.cycle < self.freed.get(s, 0) for s in range(lists)]
        assert free == pack([not t for t in taken], 1), self.cycle
        assert ctx.get(self.carousel.idle) == (not any(taken))
        assert ctx.get(builder.target) == (kind == Kind.TARGET)
        if kind == Kind.TARGET:
            assert ctx.get(builder.item.as_value()) == raw
            slot = ctx.get(builder.target_slot)
            assert self.target_slots[m] in (None, slot)
            assert all(slot != self.target_slots[other] for other in self.claimed.values()), "targets still in use"
            self.target_slots[m] = slot
            self.targets_seen[m] += 1
        claim = kind == Kind.HEAD and not taken[m % lists]
        assert ctx.get(builder.claim) == claim, self.cycle
        if claim:
            assert ctx.get(builder.slot) == m % lists
            assert self.target_slots[m] in (None, ctx.get(builder.target_slot))
            self.target_slots[m] = ctx.get(builder.target_slot)
            self.claimed[m % lists] = m
            self.claim.append(self.cycle)
        lost = False
        if ctx.get(builder.open):
            end = self.fields["psum_addr"] + (len(self.decide) + 1) * self.fields["t_count"]
            lost = not self.fields["outer"] and end > self.config.psum_words
            assert ctx.get(builder.e_list) == len(self.decide) % lists
            self.decide.append(self.cycle - 1)
        assert ctx.get(builder.fault) == lost

    def _lanes(self, wait):
        """Lanes spend their cycles on their lists, one behind the other; returns (position, list) of pending ones."""
        ctx, carousel, lanes = self.ctx, self.carousel, self.config.lanes
        pending, watched, fin = ctx.get(carousel.pending), [], []
        for s in range(self.config.lists):
            m, bits = self.claimed.get(s), pending >> s * lanes & (1 << lanes) - 1
            if m == len(self.pend) and bits:
                self.pend.append(self.cycle)
            assert bits == (pack([at <= m for at in self.at], 1) if m is not None and m < len(self.pend) else 0)
            if not bits:
                continue
            position = self.positions[m]
            watched.append((m, s))
            assert ctx.get(carousel.length[s]) == len(position.entries)
            assert ctx.get(carousel.psum[s]) == position.psum
            assert ctx.get(carousel.void) >> s & 1 == position.void
            assert ctx.get(carousel.target[s]) == self.target_slots[m]
            for j in range(lanes):
                if self.at[j] != m or self.cycle < self.ready[j] or wait():
                    continue
                self.left[j] = (self.left[j] or max(1, position.work(j))) - 1
                if not self.left[j]:
                    fin.append((s, j))
        ctx.set(carousel.fin, sum(1 << s * lanes + j for s, j in fin))
        for _, j in fin:
            bubble = Lane.BUBBLE if self.fields["outer"] and self.positions[self.at[j]].work(j) else 0
            self.at[j], self.ready[j] = self.at[j] + 1, self.cycle + 1 + bubble
        for s, m in list(self.claimed.items()):
            if min(self.at) > m:
                del self.claimed[s]
                self.freed[s] = self.cycle + Carousel.FREE
                self.release.append(self.cycle)
        return watched

    def _collect(self, watched):
        """Keep what the bus carries in the cycle behind one in which a list was pending."""
        if watched:
            bus, bits = self.ctx.get(self.carousel.bus.as_value()), entry_layout(self.config).size
            entries = unpack(bus, bits, self.config.lists)
            for m, s in watched:
                self.turns[m].append(entries[s])

    def check(self):
        """Every entry once in ``length`` cycles, at any phase; every brick of targets once; the carousel's latency."""
        k_bits = (self.config.bank_weights - 1).bit_length()
        for position, seen in zip(self.positions, self.turns):
            expected, length = Counter(k | value << k_bits for k, value in position.entries), len(position.entries)
            turn = Counter(seen[:length])
            assert turn == expected if len(seen) >= length else turn <= expected
            assert seen[length:] == seen[:-length]
        assert self.pend == [cycle + Carousel.OPEN for cycle in self.decide]
        assert self.targets_seen == [len(position.targets) for position in self.positions]

    def check_cycles(self):
        """The cycle of every event, from the recurrence of the cycle model, where nobody idles."""
        free, ready = self.first, [0] * self.config.lanes
        released = []
        for m, position in enumerate(self.positions):
            head = free + len(position.targets)
            if m >= self.config.lists:
                head = max(head, released[m - self.config.lists] + run.FREE)
            close = head + position.build
            work = [position.work(j) for j in range(self.config.lanes)]
            fin = [max(r, close + run.OPEN) + max(1, w) - 1 for r, w in zip(ready, work)]
            ready = [f + 1 + (run.BUBBLE if w and self.fields["outer"] else 0) for f, w in zip(fin, work)]
            free = close + 1
            released.append(max(fin))
            assert (self.claim[m], self.decide[m], self.release[m]) == (head, close, released[m]), m
        assert self.end == free


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
        ctx.set(dut.payload, payload(Opcode.RUN, **fields))
        ctx.set(dut.free, -1)
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
            assert cost.cycles == done - play.first + run.FIRST_ITEM + command.swap * run.AIM + 1

    simulate(dut, bench, limit=20_000)


def test_constants():
    """The cycle model restates the gateware."""
    assert (run.OPEN, run.FREE, run.BUBBLE) == (Carousel.OPEN, Carousel.FREE, Lane.BUBBLE)
