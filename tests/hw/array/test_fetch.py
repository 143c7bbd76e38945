"""Fetch against a row memory in Python: every item, its flags, and the cycle it comes in."""

import random

import pytest
from support.units import CONFIGS, ODD, ReadPort, known_of, pack, simulate, stalls, unpack

from gradgate.hw.array.fetch import Fetch
from gradgate.hw.array.item import Kind, tag_layout

#: chance of an idle cycle of source and sink
RATES = {"full rate": (0, 0), "slow source": (0.5, 0), "slow sink": (0, 0.7), "stalls": (0.4, 0.4)}


def memory(config, rng):
    """Bricks of a row memory: words that are zero, have one bit, or are random."""
    def word():
        return rng.choice([0, 0, 1 << rng.randrange(config.formats.act_bits), rng.getrandbits(config.formats.act_bits)])
    return [[word() for _ in range(config.lanes)] for _ in range(config.act_bricks)]


def request(config, rng):
    """A random tag, packed, with what the fetch has to know of it: (tag, kind, tail, brick address)."""
    kind, tail = rng.choice([Kind.TARGET, Kind.HEAD, Kind.LIST, Kind.LIST, Kind.END]), rng.getrandbits(1)
    tag = tag_layout(config).const({"kind": kind, "last": rng.getrandbits(1), "tail": tail,
                                    "k": rng.randrange(config.bank_weights), "t": rng.randrange(config.targets)})
    return tag.as_bits(), kind, tail, rng.randrange(config.act_bricks)


def answer(config, bricks, settings, tag, kind, tail, address):
    """The item: (tag, words, flags); words and flags None where the item has no brick."""
    if kind not in (Kind.LIST, Kind.TARGET):
        return tag, None, None
    name = "list" if kind == Kind.LIST else "target"
    flags = [bool(word) or settings[f"dense_{name}"] for word in bricks[address]]
    if tail:
        flags = [flag and lane < settings[f"{name}_words"] for lane, flag in enumerate(flags)]
    return tag, bricks[address], pack(flags, 1)


@pytest.mark.parametrize("rate", RATES.values(), ids=RATES)
@pytest.mark.parametrize("seed", range(2), ids=lambda s: f"seed{s}")
@pytest.mark.parametrize("config", CONFIGS + ODD, ids=lambda c: c.name)
def test_items(config, seed, rate):
    """Nothing is lost, doubled or reordered; an item comes ``LATENCY`` cycles after its tag, or when the sink takes it.

    ``DEPTH`` tags are let in ahead of the sink, no more and no fewer; so a source and a sink that never wait see one
    item a cycle without gaps.
    """
    rng = random.Random(seed)
    dut, bricks = Fetch(config), memory(config, rng)
    wait_source, wait_sink = (stalls(seed + i, chance) for i, chance in enumerate(rate))
    bits, tag_bits = config.formats.act_bits, tag_layout(config).size
    raw = dut.o.payload.as_value()
    port = ReadPort([pack(brick, bits) for brick in bricks], dut.memory.addr, dut.memory.data.as_value(), Fetch.READ)
    deepest = 0

    async def bench(ctx):
        nonlocal deepest
        cycle = 0
        for _ in range(3):
            settings = {"dense_list": rng.getrandbits(1), "dense_target": rng.getrandbits(1),
                        "list_words": rng.randint(1, config.lanes), "target_words": rng.randint(1, config.lanes)}
            for name, value in settings.items():
                ctx.set(getattr(dut, name), value)
            requests = [request(config, rng) for _ in range(60)]
            expected = [answer(config, bricks, settings, *r) for r in requests]
            sent, came, offered, begin = [], 0, False, cycle
            while came < len(requests):
                # a tag once offered stays
                offered = len(sent) < len(requests) and (offered or not wait_source())
                ctx.set(dut.i.valid, offered)
                if offered:
                    ctx.set(dut.i.payload.tag.as_value(), requests[len(sent)][0])
                    ctx.set(dut.i.payload.addr, requests[len(sent)][3])
                else:
                    ctx.set(dut.i.payload.tag.as_value(), rng.getrandbits(tag_bits))
                    ctx.set(dut.i.payload.addr, rng.randrange(config.act_bricks))
                taking = not wait_sink()
                ctx.set(dut.o.ready, taking)
                port.step(ctx)
                deepest = max(deepest, len(sent) - came)
                assert ctx.get(dut.i.ready) == (len(sent) - came < Fetch.DEPTH), cycle
                assert ctx.get(dut.o.valid) == (came < len(sent) and sent[came] + Fetch.LATENCY <= cycle), cycle
                if offered and ctx.get(dut.i.ready):
                    sent.append(cycle)
                    offered = False
                if ctx.get(dut.o.valid):
                    item = ctx.get(raw)
                    tag, words, flags = expected[came]
                    assert item & (1 << tag_bits) - 1 == tag, came
                    if words is not None:
                        assert unpack(item >> tag_bits, bits, config.lanes) == words, came
                        assert item >> tag_bits + bits * config.lanes == known_of(flags, config.lanes), came
                    came += taking
                await ctx.tick()
                cycle += 1
            assert rate != RATES["full rate"] or cycle - begin == len(requests) + Fetch.LATENCY

    simulate(dut, bench)
    assert rate != RATES["slow sink"] or deepest == Fetch.DEPTH
