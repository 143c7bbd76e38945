"""List builder and carousel on a bench: what goes in, what must come out, and lanes played cycle by cycle."""

from collections import Counter, deque
from dataclasses import dataclass, field

from amaranth.hdl import Elaboratable, Module
from amaranth.lib import wiring

from gradgate.arch.commands import Opcode
from gradgate.golden.cycles import run
from gradgate.hw.array.carousel import Carousel
from gradgate.hw.array.item import Kind, tag_layout
from gradgate.hw.array.lane import Lane
from gradgate.hw.array.list_builder import ListBuilder
from gradgate.hw.array.lists import entry_layout
from support.units import known_of, pack, payload, unpack


class Lists(Elaboratable):
    """Builder and carousel, wired as in a row."""

    def __init__(self, config):
        self.builder, self.carousel = ListBuilder(config), Carousel(config)

    def elaborate(self, platform):
        m = Module()
        m.submodules.builder, m.submodules.carousel = b, c = self.builder, self.carousel
        wiring.connect(m, b.build, c.build)
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
                tag |= pack(brick.words, bits) << size | known_of(pack(brick.flags, 1), config.lanes) << size + bits * config.lanes
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
        ctx.set(builder.fields.as_value(), payload(Opcode.RUN, **fields))
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
        taken = [s in self.claimed or self.cycle < self.freed.get(s, 0) for s in range(lists)]
        assert ctx.get(self.carousel.idle) == (not any(taken))
        assert ctx.get(builder.target) == (kind == Kind.TARGET)
        if kind == Kind.TARGET:
            assert ctx.get(builder.item.as_value()) == raw
            slot = ctx.get(builder.build.target_slot)
            assert self.target_slots[m] in (None, slot)
            assert all(slot != self.target_slots[other] for other in self.claimed.values()), "targets still in use"
            self.target_slots[m] = slot
            self.targets_seen[m] += 1
        claim = kind == Kind.HEAD and not taken[m % lists]
        assert ctx.get(builder.build.claim) == claim, self.cycle
        if claim:
            assert ctx.get(builder.build.slot) == m % lists
            assert self.target_slots[m] in (None, ctx.get(builder.build.target_slot))
            self.target_slots[m] = ctx.get(builder.build.target_slot)
            self.claimed[m % lists] = m
            self.claim.append(self.cycle)
        free = [s not in self.claimed and self.cycle + 1 >= self.freed.get(s, 0) for s in range(lists)]
        assert ctx.get(self.carousel.build.free) == pack(free, 1), self.cycle
        lost = False
        if ctx.get(builder.build.open):
            end = self.fields["psum_addr"] + (len(self.decide) + 1) * self.fields["t_count"]
            lost = not self.fields["outer"] and end > self.config.psum_words
            assert ctx.get(builder.build.list) == len(self.decide) % lists
            self.decide.append(self.cycle - 1)
        assert ctx.get(builder.fault) == lost

    def _lanes(self, wait):
        """Lanes spend their cycles on their lists, one behind the other; returns (position, list) of pending ones."""
        ctx, carousel, lanes = self.ctx, self.carousel, self.config.lanes
        watched, fin = [], []
        pendings = [ctx.get(visit.pending) for visit in carousel.visits]
        for s in range(self.config.lists):
            m, bits = self.claimed.get(s), pack([pending >> s & 1 for pending in pendings], 1)
            if m == len(self.pend) and bits:
                self.pend.append(self.cycle)
            assert bits == (pack([at <= m for at in self.at], 1) if m is not None and m < len(self.pend) else 0)
            if not bits:
                continue
            position = self.positions[m]
            watched.append((m, s))
            assert ctx.get(carousel.lists.length[s]) == len(position.entries)
            assert ctx.get(carousel.lists.psum[s]) == position.psum
            assert ctx.get(carousel.lists.void) >> s & 1 == position.void
            assert ctx.get(carousel.lists.target[s]) == self.target_slots[m]
            for j in range(lanes):
                if self.at[j] != m or self.cycle < self.ready[j] or wait():
                    continue
                self.left[j] = (self.left[j] or max(1, position.work(j))) - 1
                if not self.left[j]:
                    fin.append((s, j))
        for j, visit in enumerate(carousel.visits):
            ctx.set(visit.fin, sum(1 << s for s, lane in fin if lane == j))
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
            bus, bits = self.ctx.get(self.carousel.lists.bus.as_value()), entry_layout(self.config).size
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
