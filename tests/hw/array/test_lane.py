"""One lane against plain Python, its lists played by the bench: sums, accumulators, the cycle of every ``fin``."""

import random
from collections import Counter
from dataclasses import dataclass, field

import pytest
from support.units import CONFIGS, ODD, pack, signed, simulate, stalls

from gradgate.arch import latency
from gradgate.hw.array.carousel import Carousel
from gradgate.hw.array.lane import Lane
from gradgate.hw.array.lists import entry_layout


@dataclass(frozen=True, kw_only=True)
class Position:
    """What the lane finds: entries (k, value) of the list, its own targets (t, value), where the sums belong."""

    entries: list
    targets: list
    void: bool = False
    psum: int = 0

    @property
    def work(self):
        """Multiplications."""
        return 0 if self.void else len(self.entries) * len(self.targets)


@dataclass(kw_only=True)
class Run:
    """Fields of a RUN as the lane sees them, and its positions."""

    outer: bool
    fetch: bool
    positions: list
    accumulate: bool = False
    bank_addr: int = 0
    every: int = 0
    issued: list = field(default_factory=list)  # (cycle, position, entry, target) of each multiplication that was made


class Bench:
    """Plays carousel, builder and loader around a lane, and keeps in Python what its memories must hold."""

    def __init__(self, config, dut, ctx, rng, wait=lambda: False):
        self.config, self.dut, self.ctx, self.rng, self.wait = config, dut, ctx, rng, wait
        self.act, self.acc = config.formats.act_bits, config.formats.acc_bits
        self.half = max(self.act, (self.acc + 1) // 2)
        self.bank, self.sums = [0] * config.bank_words, [0] * config.psum_words
        self.cycle = 0

    async def tick(self):
        """One cycle."""
        await self.ctx.tick()
        self.cycle += 1

    def weight(self, address):
        """The weight at an address; those at odd addresses lie in the upper halves of the words."""
        address %= self.config.bank_weights
        word, half = divmod(address, 2)
        return signed(self.bank[word] >> self.half * half, self.act)

    async def load(self, extreme=False):
        """Load all weights, in any order."""
        addresses = list(range(self.config.bank_weights))
        self.rng.shuffle(addresses)
        for address in addresses:
            await self.fill(address, 1 << self.act - 1 if extreme else self.rng.getrandbits(self.act))

    async def fill(self, address, weight):
        """Load one weight."""
        ctx, fill, weight = self.ctx, self.dut.fill, weight & (1 << self.act) - 1
        ctx.set(fill.en, 1 << address % 2)
        ctx.set(fill.addr, address // 2)
        ctx.set(fill.data, weight)
        shift = self.half * (address % 2)
        self.bank[address // 2] &= ~(((1 << self.half) - 1) << shift)
        self.bank[address // 2] |= weight << shift
        await self.tick()
        ctx.set(fill.en, 0)

    async def clear(self):
        """Clear all accumulators."""
        self.ctx.set(self.dut.fill.en, 3)
        self.ctx.set(self.dut.fill.data, 0)
        for address in range(self.config.bank_words):
            self.ctx.set(self.dut.fill.addr, address)
            await self.tick()
        self.ctx.set(self.dut.fill.en, 0)
        self.bank = [0] * self.config.bank_words

    async def read(self, port, addresses):
        """Words at ``addresses``, one a cycle, each ``latency.RAM`` cycles later."""
        result = []
        for i in range(len(addresses) + latency.RAM):
            if i >= latency.RAM:
                result.append(self.ctx.get(port.data))
            self.ctx.set(port.addr, addresses[min(i, len(addresses) - 1)])
            await self.tick()
        return result

    async def check(self):
        """All sums and all accumulators."""
        mask = (1 << self.acc) - 1
        assert await self.read(self.dut.sums, range(len(self.sums))) == self.sums
        found = await self.read(self.dut.accs, range(len(self.bank)))
        assert found == [word & mask for word in self.bank]

    async def run(self, run):
        """One RUN: asserts the cycle of every ``fin``, then that the last result is there after ``DRAIN`` cycles."""
        ctx, dut, lists = self.ctx, self.dut, self.config.lists
        for name in ("outer", "fetch", "accumulate", "bank_addr", "every"):
            ctx.set(getattr(dut.run, name), getattr(run, name))
        ctx.set(dut.start, 1)
        await self.tick()
        ctx.set(dut.start, 0)
        ctx.set(dut.run.running, 1)

        self.pend, self.free, self.phase = {}, {}, {}  # cycle of each position; cycle of each list; of each position
        builder = self._builder(run)
        at, ready, fin, last = 0, self.cycle, None, None
        carried = {}  # list: position whose entries the bus carries
        shown = set()  # positions whose length and so on stand at the ports
        while at < len(run.positions) or carried:
            next(builder, None)
            pending = [m for m, cycle in self.pend.items() if m >= at and cycle <= self.cycle]
            ctx.set(dut.visit.pending, sum(1 << m % lists for m in pending))
            self._show(run, *([m for m, cycle in self.pend.items() if m >= at and cycle <= self.cycle + ahead] for ahead in (1, 2)), shown)
            self._broadcast(run, carried)
            if fin is None and at in pending and self.cycle >= ready:
                position = run.positions[at]
                fin = self.cycle + max(1, position.work) - 1
                for n in range(position.work):
                    entry = position.entries[(self.phase[at] + self.cycle + n + 1) % len(position.entries)]
                    run.issued.append((self.cycle + n, position, entry, position.targets[n // len(position.entries)]))
            assert ctx.get(dut.visit.fin) == ((1 << at % lists) if fin == self.cycle else 0), (self.cycle, at)
            carried = {m % lists: m for m in pending}
            if fin == self.cycle:
                self.free[at % lists] = fin + Carousel.FREE
                ready = fin + 1 + (Lane.BUBBLE if run.outer and run.positions[at].work else 0)
                last = fin if run.positions[at].work else last
                at, fin = at + 1, None
            await self.tick()

        before, address = self._apply(run)
        while last and self.cycle < last + Lane.DRAIN - 1:
            await self.tick()
        ctx.set(dut.run.running, 0)
        if last and self.cycle == last + Lane.DRAIN - 1:
            if run.outer:
                port, after = dut.accs, self.bank[address]
            else:
                port, after = dut.sums, self.sums[address]
            assert await self.read(port, [address] * 2) == [before, after]

    def _builder(self, run):
        """Appends targets and claims lists as early as allowed; decides when each position is pending."""
        ctx, dut, lists = self.ctx, self.dut, self.config.lists
        for m, position in enumerate(run.positions):
            for t, value in position.targets if run.fetch else ():
                while self.wait():
                    yield
                ctx.set(dut.append.en, 1)
                ctx.set(dut.append.slot, m % (lists + 1))
                ctx.set(dut.append.entry, {"t": t, "value": value & (1 << self.act) - 1})
                yield
                ctx.set(dut.append.en, 0)
            while m >= lists and self.cycle < self.free.get(m % lists, self.cycle + 1) or self.wait():
                yield
            self.free.pop(m % lists, None)
            ctx.set(dut.append.claim, 1)
            ctx.set(dut.append.claim_list, m % lists)
            self.pend[m] = self.cycle + Carousel.OPEN - 1 + (  # claims come from a register
                self.rng.randrange(6) if self.wait() else 0)
            self.phase[m] = self.rng.randrange(self.config.list_entries)
            yield
            ctx.set(dut.append.claim, 0)

    def _show(self, run, pending, soon, shown):
        """What stands beside a list from the cycle before it is pending, ``void`` from two before; anything at all where none is."""
        if {*pending, *(-1 - m for m in soon)} == shown:
            return
        config, dut, rng, lists = self.config, self.dut, self.rng, self.config.lists
        at, later = ({m % lists: m for m in some} for some in (pending, soon))
        length, psum, target, void = [], [], [], []
        for s in range(lists):
            position = run.positions[at[s]] if s in at else None
            length.append(len(position.entries) if position else rng.randint(1, config.list_entries))
            psum.append(position.psum if position else rng.randrange(config.psum_words))
            target.append(at[s] % (lists + 1) if position else rng.randrange(lists + 1))
            void.append(run.positions[later[s]].void if s in later else rng.getrandbits(1))
        self.ctx.set(dut.lists.length, length)
        self.ctx.set(dut.lists.psum, psum)
        self.ctx.set(dut.lists.target, target)
        self.ctx.set(dut.lists.void, pack(void, 1))
        self.ctx.set(dut.lists.single, pack([entries == 1 for entries in length], 1))
        shown.clear()
        shown.update(pending, (-1 - m for m in soon))

    def _broadcast(self, run, carried):
        """The bus: entries of the lists that were pending a cycle ago, noise for the others."""
        bits, k_bits = entry_layout(self.config).size, (self.config.bank_weights - 1).bit_length()
        words = []
        for s in range(self.config.lists):
            if s in carried:
                entries = run.positions[carried[s]].entries
                k, value = entries[(self.phase[carried[s]] + self.cycle) % len(entries)]
                words.append(k | (value & (1 << self.act) - 1) << k_bits)
            else:
                words.append(self.rng.getrandbits(bits))
        self.ctx.set(self.dut.lists.bus.as_value(), pack(words, bits))

    def _apply(self, run):
        """Do the same in Python; returns what the last result's word held before it, and its address."""
        mask, words = (1 << self.acc) - 1, self.config.bank_words
        before = address = None
        for position in run.positions:
            for t, _ in position.targets if not position.void and not run.outer else ():
                address = position.psum + t
                before = self.sums[address]
                total = sum(value * self.weight(run.bank_addr + k + t) for k, value in position.entries)
                self.sums[address] = ((before if run.accumulate else 0) + total) & mask
        for _, _, (k, value), (t, factor) in run.issued if run.outer else ():
            address = (run.bank_addr + k + t) % words
            before = self.bank[address] & mask
            self.bank[address] = (before + value * factor) & mask
        return before, address


def random_run(config, rng, outer, fetch, accumulate, count=8, nearby=False):
    """A RUN; ``nearby``: short lists with the same few k, so that an accumulator is touched again and again."""
    bits = config.formats.act_bits
    t_count = rng.randint(1, min(config.targets, 1 + rng.randrange(4)))
    every = t_count - rng.getrandbits(1)
    places = (config.bank_words if outer else config.bank_weights) // t_count

    def value():
        return signed(rng.getrandbits(bits), bits)

    positions = []
    count = count if outer else min(count, config.psum_words // t_count)
    for m in range(count):
        last = m == count - 1  # has work, so that it makes the last result
        if nearby:
            size, where = rng.choice([1, 1, 1, 2, 3]), range(3)
        else:
            longest = min(20, places, config.list_entries)
            size, where = rng.choice([1, 2, rng.randint(1, 6), rng.randint(1, longest)]), range(places)
        if rng.random() < 0.1 and not outer:
            entries = [(0, 0)]
        else:
            entries = [(i * t_count, value()) for i in rng.sample(where, size)]
        if fetch:
            some = rng.sample(range(t_count), rng.randint(1 if last or nearby else 0, t_count))
            targets = [(t, value()) for t in sorted(some)]
        else:
            every = max(every, last and 1)
            targets = None
        void = not last and rng.random() < 0.1
        psum = m * t_count if not outer else rng.randrange(config.psum_words)
        positions.append(Position(entries=entries, targets=targets, void=void, psum=psum))
    if not fetch:
        positions = [Position(entries=p.entries, targets=[(t, 0) for t in range(every)], void=p.void, psum=p.psum)
                     for p in positions]
    return Run(outer=outer, fetch=fetch, accumulate=accumulate, every=every, positions=positions,
               bank_addr=rng.randrange(config.bank_weights))


every_config = pytest.mark.parametrize("config", CONFIGS + ODD, ids=lambda c: c.name)
seeds = pytest.mark.parametrize("seed", range(2), ids=lambda s: f"seed{s}")
rates = pytest.mark.parametrize("stall", [0, 0.5], ids=["full rate", "stalls"])


@rates
@seeds
@every_config
def test_turns(config, seed, stall):
    """RED and OUT turns in any order, with and without fetched targets and earlier sums; no reset between."""
    rng, dut = random.Random(seed), Lane(config)
    modes = [(0, fetch, accumulate) for fetch in (0, 1) for accumulate in (0, 1)] + [(1, 1, 0), (1, 1, 1)]
    rng.shuffle(modes)

    async def bench(ctx):
        bench = Bench(config, dut, ctx, rng, stalls(seed, stall))
        outer_before = True
        for outer, fetch, accumulate in modes:
            if outer and not outer_before:
                await bench.clear()
            elif not outer and outer_before:
                await bench.load()
            outer_before = outer
            await bench.run(random_run(config, rng, outer, fetch, accumulate))
            if rng.getrandbits(1):
                await bench.check()
        await bench.check()

    simulate(dut, bench, limit=20_000)


@rates
@seeds
@every_config
def test_accumulators_updated_again(config, seed, stall):
    """OUT turns of short lists: a lane comes back to an accumulator as soon as it can, behind its own last update."""
    rng, dut = random.Random(seed), Lane(config)
    distances = Counter()

    async def bench(ctx):
        bench = Bench(config, dut, ctx, rng, stalls(seed, stall))
        await bench.clear()
        for _ in range(2):
            run = random_run(config, rng, 1, 1, 0, count=80, nearby=True)
            await bench.run(run)
            await bench.check()
            touched = {}
            for cycle, _, (k, _), (t, _) in run.issued:
                distances[cycle - touched.get(k + t, cycle)] += 1
                touched[k + t] = cycle

    simulate(dut, bench, limit=40_000)
    assert not any(distances[near] for near in range(1, Lane.BUBBLE + 1))
    assert stall or config.lists == 1 or distances[Lane.BUBBLE + 1] >= 8, distances


@pytest.mark.parametrize("config", [CONFIGS[1], ODD[0]], ids=lambda c: c.name)
def test_sums_wrap(config):
    """Sums and accumulators of the largest products wrap modulo 2**acc_bits."""
    rng, dut = random.Random(0), Lane(config)
    low = -(1 << config.formats.act_bits - 1)
    wraps = (1 << config.formats.acc_bits - 1) // low**2  # products that reach the sign bit
    length = min(config.list_entries, wraps + 3)
    positions = [Position(entries=[(k, low) for k in range(length)], targets=[(0, low)], psum=m) for m in range(3)]
    single = [Position(entries=[(0, low)], targets=[(0, low)])] * (wraps + 3)

    async def bench(ctx):
        bench = Bench(config, dut, ctx, rng)
        await bench.load(extreme=True)
        for accumulate in (0, 1, 1):
            await bench.run(Run(outer=0, fetch=1, accumulate=accumulate, positions=positions))
            await bench.check()
        assert len(positions) * length > wraps and bench.sums[0] == 3 * length * low**2 % (1 << bench.acc)
        await bench.clear()
        await bench.run(Run(outer=1, fetch=1, positions=single))
        assert bench.bank[0] >> bench.acc - 1, "the sign bit is set"
        await bench.run(Run(outer=1, fetch=1, positions=single))
        await bench.check()

    simulate(dut, bench, limit=20_000)


@every_config
def test_nothing_to_do(config):
    """A lane passes lists without work in one cycle each, in both kinds of turns, and touches nothing."""
    rng, dut = random.Random(0), Lane(config)

    async def bench(ctx):
        bench = Bench(config, dut, ctx, rng)
        await bench.load()
        for outer in (0, 1):
            work = Position(entries=[(0, 3), (1, -5)], targets=[(0, 7)])
            idle = [Position(entries=[(0, 1), (1, 2)], targets=targets, void=void, psum=config.psum_words - 1)
                    for targets, void in (([], 0), ([], 1), ([(0, 1)], 1)) * 2]
            await bench.run(Run(outer=outer, fetch=1, positions=[*idle, work, *idle, work]))
            await bench.check()
        none = [Position(entries=[(0, 1)], targets=[])] * 5
        await bench.run(Run(outer=0, fetch=0, every=0, positions=none))
        await bench.check()

    simulate(dut, bench, limit=20_000)
