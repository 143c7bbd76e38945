"""Wishbone and AXI4-Lite faces in front of a bus that waits as long as it likes: the bus's rules, latency, no hang."""

import random

import pytest
from support.bus_slave import BusSlave
from support.units import simulate, stalls

from gradgate.hw.bus.axilite import AxiLiteFace
from gradgate.hw.bus.wishbone import WishboneFace


@pytest.mark.parametrize("slow, seed", [(0, 1), (4, 2), (9, 3)])
def test_wishbone(slow, seed):
    """Random requests, some taken back at any time: the next one gets its own answer."""
    print(f"seed {seed}")
    face = WishboneFace()
    wb, memory, rng = face.wb, BusSlave(face.bus, seed=seed, slow=slow), random.Random(seed)

    async def master(ctx):
        words, latencies, pending = {}, set(), 0
        for _ in range(400):
            we, where, word, sel = rng.randrange(2), rng.randrange(8), rng.getrandbits(32), rng.choice([15, 15, 15, rng.randrange(16)])
            patience = rng.choice([100, 100, rng.randrange(1, 8)])
            for signal, value in ((wb.cyc, 1), (wb.stb, 1), (wb.we, we), (wb.adr, where), (wb.dat_w, word), (wb.sel, sel)):
                ctx.set(signal, value)
            cycles = ack = err = 0
            while cycles < patience and not (ack or err):
                cycles += 1
                _, _, ack, err, got = await ctx.tick().sample(wb.ack, wb.err, wb.dat_r)
            ctx.set(wb.cyc, rng.randrange(2))
            ctx.set(wb.stb, 0)
            ctx.set(wb.sel, rng.randrange(16))
            if ack or err:
                bad = we and sel != 15
                assert (ack, err) == (not bad, bad)
                if we and ack:
                    words[where] = word
                elif ack and where in words:
                    assert got == words[where]
                if not pending:
                    latencies.add((we, err, cycles))
                pending = 0
            else:
                assert patience < 100, "no answer"
                pending = 1
                if we:
                    words.pop(where, None)  # done or not
            if patience < 100 or rng.randrange(2):
                for _ in range(rng.randrange(1, 4)):
                    _, _, ack, err = await ctx.tick().sample(wb.ack, wb.err)
                    assert not (ack and not pending)
        if slow == 0:
            assert latencies == {(1, 0, 3), (0, 0, 3), (1, 1, 2)}  # this bus answers reads at once
        memory.over = True

    simulate(face, master, memory.run)
    assert len(memory.transfers) > 200


@pytest.mark.parametrize("stall, slow, seed", [(0.0, 0, 1), (0.5, 0, 2), (0.0, 6, 3), (0.7, 3, 4)])
def test_axi(stall, slow, seed):
    """All five channels on their own, each with its stalls; answers in order, errors where they belong, nothing else written."""
    print(f"seed {seed}")
    face = AxiLiteFace()
    axi, memory, rng = face.axi, BusSlave(face.bus, seed=seed, slow=slow), random.Random(seed)
    writes = [(4 * rng.randrange(16) + rng.choice([0, 0, 0, rng.randrange(4)]), rng.getrandbits(32),
               rng.choice([15, 15, 15, rng.randrange(16)])) for _ in range(200)]
    reads = [4 * rng.randrange(16) + rng.choice([0, 0, 0, rng.randrange(4)]) for _ in range(200)]
    bad_writes = [where % 4 != 0 or strobe != 15 for where, _, strobe in writes]
    answers, got, done = [], [], []

    def source(valid, ready, items, number):
        pause = stalls(10 * seed + number, stall)

        async def send(ctx):
            for item in items:
                while pause():
                    await ctx.tick()
                for signal, value in item:
                    ctx.set(signal, value)
                ctx.set(valid, 1)
                await ctx.tick().until(ready)
                ctx.set(valid, 0)
                for signal, _ in item:
                    ctx.set(signal, 3)  # what is not valid does not matter
        return send

    def sink(valid, ready, signals, taken, number, count):
        pause = stalls(10 * seed + number, stall)

        async def take(ctx):
            held = None
            while len(taken) < count:
                accept = not pause()
                ctx.set(ready, accept)
                _, _, there, *values = await ctx.tick().sample(valid, *signals)
                assert held is None or (there and held == values), "an answer must stay until it is taken"
                held = values if there and not accept else None
                if there and accept:
                    taken.append(tuple(values))
            done.append(1)
            memory.over = len(done) == 2
        return take

    simulate(
        face, memory.run,
        source(axi.awvalid, axi.awready, [[(axi.awaddr, where)] for where, _, _ in writes], 1),
        source(axi.wvalid, axi.wready, [[(axi.wdata, word), (axi.wstrb, strobe)] for _, word, strobe in writes], 2),
        source(axi.arvalid, axi.arready, [[(axi.araddr, where)] for where in reads], 3),
        sink(axi.bvalid, axi.bready, [axi.bresp], answers, 4, len(writes)),
        sink(axi.rvalid, axi.rready, [axi.rresp, axi.rdata], got, 5, len(reads)))
    assert [resp for resp, in answers] == [2 * bad for bad in bad_writes]
    written = {}
    for (where, word, _), bad in zip(writes, bad_writes):
        if not bad:
            written.setdefault(where // 4, []).append(word)
    assert memory.words == {where: words[-1] for where, words in written.items()}
    for where, (resp, word) in zip(reads, got):
        assert resp == 2 * (where % 4 != 0)
        assert word == 0 if resp else word in [0, *written.get(where // 4, [])]
    assert len(memory.transfers) == bad_writes.count(False) + sum(where % 4 == 0 for where in reads)
    assert len({word for _, word in got}) > 50


def test_axi_latency_and_rate():
    """A write in 2 cycles, a read in 2 where the bus answers at once; the first answers 2 cycles behind the request."""
    face = AxiLiteFace()
    axi, memory, count = face.axi, BusSlave(face.bus), 20

    async def manager(ctx):
        for valid, ready, extra in ((axi.bvalid, axi.bready, (axi.awvalid, axi.wvalid)), (axi.rvalid, axi.rready, (axi.arvalid,))):
            ctx.set(axi.wstrb, 15)
            ctx.set(ready, 1)
            for signal in extra:
                ctx.set(signal, 1)
            times = []
            for cycle in range(2 * count + 1):
                _, _, there = await ctx.tick().sample(valid)
                if there:
                    times.append(cycle)
            assert times == list(range(2, 2 * count + 1, 2))
            for signal in extra:
                ctx.set(signal, 0)
            await ctx.tick().repeat(5)
        memory.over = True

    simulate(face, manager, memory.run)
