"""The host port: every memory, every register, rates, and every address that is no word."""

import pytest
from support.hostport_bench import CLEAR, NARROW, REFUSED, Around, extended, small

from gradgate.arch.commands import Error
from gradgate.arch.fingerprint import fingerprint
from gradgate.arch.formats import Formats
from gradgate.arch.memorymap import CSR_DOC, ID_VALUE, STOP_NONE, WATCHDOG_DEFAULT, Csr, Region, address, row_offset, windows


@pytest.mark.parametrize("rows, lanes, stall, formats, weight_read, choice_read, seed, momentum", [
    (1, 2, 0.0, Formats(), 7, 3, 1, False),
    (2, 4, 0.4, Formats(), 1, 1, 2, False),
    (3, 8, 0.0, NARROW, 2, 6, 3, True),
    (3, 2, 0.4, NARROW, 9, 2, 4, False),
    (1, 4, 0.4, Formats(), 7, 3, 5, True),
])
def test_memories(rows, lanes, stall, formats, weight_read, choice_read, seed, momentum):
    """Random reads and writes of every memory, one behind the other, against lists."""
    config = small(rows, lanes, formats=formats, momentum=momentum)
    around = Around(config, seed, stall=stall, weight_read=weight_read, choice_read=choice_read)
    act, master_bits, rng = formats.act_bits, formats.master_bits, around.random
    program, staging = {}, {}
    times = {Region.STARTS: {}, Region.ENDS: {}}

    async def body(ctx, master):
        c = around.control
        for start, end in zip(rng.sample(range(config.counters), config.counters), range(config.counters)):
            now = rng.getrandbits(32)
            times[Region.STARTS][start] = times[Region.ENDS][end] = now
            for port, value in ((c.now, now), (c.starts_addr, start), (c.starts_en, 1), (c.ends_addr, end), (c.ends_en, 1)):
                ctx.set(port, value)
            await ctx.tick()
        ctx.set(c.starts_en, 0)
        ctx.set(c.ends_en, 0)
        before = around.rows.copy()
        for _ in range(250):
            value, kind = rng.getrandbits(32), rng.randrange(9)
            if kind == 0:
                word = rng.randrange(config.program_words)
                program[word] = value
                await master.write(ctx, Region.PROGRAM, word, value)
            elif kind == 1:
                word = rng.randrange(config.staging_words)
                staging[word] = value
                await master.write(ctx, Region.STAGING, word, value)
            elif kind == 2:
                word = rng.choice(list(staging) or [0])
                if staging:
                    assert await master.read(ctx, Region.STAGING, word) == extended(staging[word], act)
            elif kind in (3, 4):
                region, memory = Region.WEIGHTS, around.weights
                if momentum and rng.random() < 0.5:
                    region, memory = Region.VELOCITY, around.velocities
                word = rng.randrange(len(memory))
                if kind == 3:
                    await master.write(ctx, region, word, value)
                    value %= 1 << master_bits
                else:
                    value = memory[word]
                assert await master.read(ctx, region, word) == extended(value, master_bits)
                assert memory[word] == value
            elif kind in (5, 6):
                offset, row, brick, lane = around.row_places(config.act_bricks)
                if kind == 5:
                    await master.write(ctx, Region.ROWS, offset, value)
                    before[row][brick][lane] = value % (1 << act)
                else:
                    assert await master.read(ctx, Region.ROWS, offset) == extended(before[row][brick][lane], act)
            elif kind == 7:
                offset, row, brick, lane = around.row_places(config.argmax_bricks)
                assert await master.read(ctx, Region.ARGMAX, offset) == around.choices[row][brick][lane]
            else:
                index, region = rng.randrange(config.counters), rng.choice(list(times))
                assert await master.read(ctx, region, index) == times[region][index]
        await ctx.tick().repeat(3)
        assert around.rows.words == before
        for word, value in program.items():
            assert await around.fetch(ctx, word) == value
        assert await master.status(ctx) == 0

    around.simulate(body)


def test_rates():
    """A write a cycle, also behind a read; reads take what the data sheet says."""
    config = small()
    around = Around(config, 5)

    async def body(ctx, master):
        for region in (Region.PROGRAM, Region.STAGING, Region.WEIGHTS, Region.ROWS):
            for word in range(20):
                assert (await master.transfer(ctx, 1, address(region, word), word + 1))[1] == 1
            if region != Region.PROGRAM:
                for word in range(20):
                    got, cycles = await master.transfer(ctx, 0, address(region, word))
                    assert (got, cycles) == (word + 1, 4 + around.dut.latency[region])
        for csr in (Csr.START, Csr.STOP):
            assert (await master.transfer(ctx, 1, address(Region.CSR, csr), 9))[1] == 1
            assert (await master.transfer(ctx, 0, address(Region.CSR, csr))) == (9, 5)
        for region, cycles in ((Region.STARTS, 6), (Region.ENDS, 6), (Region.ARGMAX, 8)):
            assert (await master.transfer(ctx, 0, address(region, 1)))[1] == cycles
        assert around.dut.latency == {Region.CSR: 1, Region.STARTS: 2, Region.ENDS: 2, Region.STAGING: 2,
                                      Region.WEIGHTS: 7, Region.ROWS: 7, Region.ARGMAX: 4}

    around.simulate(body)


def outside_words(config):
    """Addresses that are no word: behind every memory, in the padding of row memories, no region at all."""
    for region, window in windows(config).items():
        yield from (address(region, offset) for offset in {window.words, window.words + 1, (1 << 20) - 1})
    for region, bricks in ((Region.ROWS, config.act_bricks), (Region.ARGMAX, config.argmax_bricks)):
        if bricks & (bricks - 1):
            for row in range(config.rows):
                yield address(region, row_offset(config, bricks, row, bricks))
                yield address(region, row_offset(config, bricks, row, (1 << (bricks - 1).bit_length()) - 1, 1))
    yield from (address(Region.CSR, offset) for offset in (len(Csr), 15, 16, 1 << 10))
    yield from (region << 20 | offset for region in range(len(Region), 16) for offset in (0, 1, 0xFFFFF))


@pytest.mark.parametrize("rows, lanes, seed, momentum", [(1, 2, 11, False), (3, 4, 12, False), (2, 2, 13, True)])
def test_outside(rows, lanes, seed, momentum):
    """No such word: reads as 0, writes nothing, is reported once and until it is cleared; the bus goes on."""
    config = small(rows, lanes, argmax_bricks=21, momentum=momentum)
    around = Around(config, seed)

    async def body(ctx, master):
        for word in range(config.program_words):
            await master.write(ctx, Region.PROGRAM, word, word)
        for word in range(config.staging_words):
            await master.write(ctx, Region.STAGING, word, word)
        rows_before, weights_before = around.rows.copy(), around.weights + around.velocities
        for addr in outside_words(config):
            for write in (1, 0):
                assert await master.status(ctx) == 0
                word, cycles = await master.transfer(ctx, write, addr, 0xFFFFFFFF)
                assert cycles == (1 if write else 5), hex(addr)
                assert write or word == 0, hex(addr)
                assert await master.status(ctx) == REFUSED, hex(addr)
                await master.write(ctx, Region.CSR, Csr.CONTROL, CLEAR)
        assert around.rows.words == rows_before and around.weights + around.velocities == weights_before
        for word in range(config.program_words):
            assert await around.fetch(ctx, word) == word
        for word in range(config.staging_words):
            assert await master.read(ctx, Region.STAGING, word) == word
        assert await master.read(ctx, Region.CSR, Csr.START) == 0
        assert await master.read(ctx, Region.CSR, Csr.STOP) == STOP_NONE

    around.simulate(body)


def test_direction():
    """What is only read cannot be written, and the other way round."""
    around = Around(small(), 13)
    cases = [(Region.CSR, csr, access) for csr, (access, _) in CSR_DOC.items() if csr != Csr.STATUS]
    cases += [(Region.PROGRAM, 3, "w"), (Region.STARTS, 3, "r"), (Region.ENDS, 3, "r"), (Region.ARGMAX, 3, "r")]
    cases += [(region, 3, "rw") for region in (Region.STAGING, Region.WEIGHTS, Region.ROWS)]

    async def body(ctx, master):
        for region, offset, access in cases:
            word, _ = await master.transfer(ctx, 0, address(region, offset))
            assert "r" in access or word == 0
            assert await master.status(ctx) == (0 if "r" in access else REFUSED), (region, offset)
            await master.write(ctx, Region.CSR, Csr.CONTROL, CLEAR)
            await master.write(ctx, region, offset, 0)
            assert await master.status(ctx) == (0 if "w" in access else REFUSED), (region, offset)
            await master.write(ctx, Region.CSR, Csr.CONTROL, CLEAR)
        await master.write(ctx, Region.CSR, Csr.STATUS, 0)
        assert await master.status(ctx) == REFUSED

    around.simulate(body)


@pytest.mark.parametrize("program_words, start", [(50, 63), (64, 127)])
def test_registers(program_words, start):
    """Registers hold and show what the sequencer and the units say; values too large mean "behind" and "none"."""
    around = Around(small(program_words=program_words), 31)
    control, dut = around.control, around.dut

    async def body(ctx, master):
        async def csr(register, value=None):
            if value is None:
                return await master.read(ctx, Region.CSR, register)
            await master.write(ctx, Region.CSR, register, value)

        assert await csr(Csr.ID) == ID_VALUE
        assert await csr(Csr.FINGERPRINT) == fingerprint(around.config)
        for value, expected in ((33, 33), (0xFFFFFFFF, start), (1 << 20, start), (1, 1)):
            await csr(Csr.START, value)
            assert await csr(Csr.START) == expected == ctx.get(control.start_at)
        for value, expected in ((33, 33), (0x10000, STOP_NONE), (0, 0), (0xFFFFFFFF, STOP_NONE)):
            await csr(Csr.STOP, value)
            assert await csr(Csr.STOP) == expected == ctx.get(control.stop_at)
        assert await csr(Csr.WATCHDOG) == WATCHDOG_DEFAULT == ctx.get(control.watchdog)
        for value in (0, 0xFFFFFFFF, 12345):
            await csr(Csr.WATCHDOG, value)
            assert await csr(Csr.WATCHDOG) == value == ctx.get(control.watchdog)
        ctx.set(control.index, 0x8001)
        ctx.set(control.pc, 41)
        ctx.set(control.now, 0x12345678)
        assert [await csr(r) for r in (Csr.INDEX, Csr.PC, Csr.START, Csr.CYCLES)] == [0x8001, 41, 1, 0x12345678]
        for error in Error:
            for ended in (0, 1):
                ctx.set(control.ended, ended)
                ctx.set(control.error, error)
                assert await csr(Csr.STATUS) == ended << 1 | error << 8

        expected = [0, 0]
        for _ in range(30):
            correct, overflow = around.random.randrange(2), around.random.randrange(around.config.pes + around.config.lanes + 1)
            expected = [expected[0] + correct, expected[1] + overflow]
            ctx.set(dut.correct, correct)
            ctx.set(dut.overflow, overflow)
            await ctx.tick()
        ctx.set(dut.correct, 0)
        ctx.set(dut.overflow, 0)
        assert [await csr(Csr.CORRECT), await csr(Csr.OVERFLOW)] == expected
        await csr(Csr.CONTROL, 0)
        assert [await csr(Csr.CORRECT), await csr(Csr.OVERFLOW)] == expected
        await csr(Csr.CONTROL, CLEAR)
        assert [await csr(Csr.CORRECT), await csr(Csr.OVERFLOW)] == [0, 0]

    around.simulate(body)
