"""UART: every byte, clocks that differ, noise, bad stop bits, exact latency and rate."""

import gc
import random

import pytest
from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from support.units import simulate, stalls

from gradgate.arch.checks import ConfigError
from gradgate.hw.bus.uart import UartReceiver, UartTransmitter, divisor


class Line:
    """Drives ``rx``. Times are in clock cycles, and need not be whole: edges come where the sender's clock puts them."""

    def __init__(self, ctx, rx, bit):
        self.ctx, self.rx, self.bit = ctx, rx, bit
        self.now = self.end = 0.0

    async def hold(self, level, cycles):
        self.ctx.set(self.rx, level)
        self.end += cycles
        while self.now + 1 <= self.end + 1e-9:
            await self.ctx.tick()
            self.now += 1

    async def send(self, byte, stop=1, stop_bits=1.0):
        for level in (0, *(byte >> i & 1 for i in range(8))):
            await self.hold(level, self.bit)
        await self.hold(stop, stop_bits * self.bit)


async def take(ctx, out, received, stall=lambda: False):
    """Take whatever comes, for ever."""
    while True:
        ready = not stall()
        ctx.set(out.ready, ready)
        _, _, valid, byte = await ctx.tick().sample(out.valid, out.payload)
        if ready and valid:
            received.append(byte)


def receive(divisor, play, *, bit=None, stall=lambda: False, after=4):
    """What a receiver makes of the line that ``play(line)`` drives: (bytes, framing errors, overruns)."""
    dut = UartReceiver(divisor)
    received, faults = [], [0, 0]

    async def drive(ctx):
        line = Line(ctx, dut.rx, bit or divisor)
        await line.hold(1, 5)
        await play(line)
        await line.hold(1, after * divisor)

    async def watch(ctx):
        async for _, _, framing, overrun in ctx.tick().sample(dut.framing, dut.overrun):
            faults[0] += framing
            faults[1] += overrun

    async def listen(ctx):
        await take(ctx, dut.o, received, stall)

    simulate(dut, drive, processes=(watch, listen))
    return received, *faults


@pytest.mark.parametrize("cycles", [4, 5, 8, 17])
@pytest.mark.parametrize("off", [-0.02, 0.0, 0.02])
@pytest.mark.parametrize("gaps", [0, 1])
def test_bytes_come_in(cycles, off, gaps):
    """Any bytes, back to back or not, from a sender that is 2 % too fast or slow."""
    rng = random.Random(f"{cycles} {off} {gaps}")
    sent = [0x00, 0xFF, 0x55, 0xAA, 0x80, 0x01, *rng.randbytes(12)]

    async def play(line):
        for byte in sent:
            await line.send(byte)
            await line.hold(1, gaps * rng.uniform(0, 3 * cycles))

    assert receive(cycles, play, bit=cycles * (1 + off)) == (sent, 0, 0)


@pytest.mark.parametrize("cycles", [4, 7, 16])
def test_receiver_latency(cycles):
    dut = UartReceiver(cycles)

    async def body(ctx):
        for byte in (0xA5, 0x00, 0xFF):
            await ctx.tick().repeat(20)
            passed = 0
            for level in (0, *(byte >> i & 1 for i in range(8)), 1):
                for _ in range(cycles):
                    ctx.set(dut.rx, level)
                    if not ctx.get(dut.o.valid):
                        passed += 1
                    await ctx.tick()
            while not ctx.get(dut.o.valid):
                passed += 1
                await ctx.tick()
            assert passed == dut.latency and ctx.get(dut.o.payload) == byte
            ctx.set(dut.o.ready, 1)
            await ctx.tick()
            ctx.set(dut.o.ready, 0)
            assert not ctx.get(dut.o.valid)

    simulate(dut, body)


@pytest.mark.parametrize("cycles", [8, 17])
def test_noise_is_no_start_bit(cycles):
    """Pulses of less than half a bit are ignored, wherever they come between bytes."""
    rng = random.Random(cycles)
    sent = list(rng.randbytes(20))

    async def play(line):
        for byte in sent:
            for _ in range(rng.randrange(3)):
                await line.hold(0, rng.randrange(1, cycles // 2))
                await line.hold(1, cycles)
            await line.send(byte)

    assert receive(cycles, play) == (sent, 0, 0)


@pytest.mark.parametrize("cycles", [4, 9])
def test_bad_stop_bit(cycles):
    """A byte without stop bit is dropped and reported; a line that stays low is no bytes; then all is well."""
    async def play(line):
        await line.send(0x12)
        await line.send(0x34, stop=0)
        await line.hold(1, 2)
        await line.send(0x56)
        await line.hold(0, 55 * cycles)
        await line.hold(1, 2)
        await line.send(0x78)

    assert receive(cycles, play) == ([0x12, 0x56, 0x78], 2, 0)


def test_overrun():
    """Who does not take a byte in time loses the later one."""
    waiting = [True]

    async def play(line):
        for byte in (1, 2, 3):
            await line.send(byte)
            await line.hold(1, 8)
        waiting[0] = False
        await line.hold(1, 8)
        await line.send(4)

    assert receive(8, play, stall=lambda: waiting[0]) == ([1, 4], 0, 2)


@pytest.mark.parametrize("cycles", [4, 11])
def test_transmitter_waveform(cycles):
    """The line, cycle by cycle; bytes offered at once follow each other without gap."""
    dut = UartTransmitter(cycles)
    rng = random.Random(cycles)
    levels, expected = [], []

    async def watch(ctx):
        async for _, _, tx in ctx.tick().sample(dut.tx):
            levels.append(tx)

    async def body(ctx):
        for _ in range(3):
            sent = rng.randbytes(8)
            gap = rng.randrange(1, 30)
            await ctx.tick().repeat(gap)
            expected.extend([1] * gap)
            for number, byte in enumerate(sent):
                ctx.set(dut.i.payload, byte)
                ctx.set(dut.i.valid, 1)
                waited = 0
                while not ctx.get(dut.i.ready):
                    await ctx.tick()
                    waited += 1
                await ctx.tick()
                assert waited == (10 * cycles - 1 if number else 0)
                expected.extend([] if number else [1])  # the cycle of the transfer; the others are those of stop bits
                for level in (0, *(byte >> i & 1 for i in range(8)), 1):
                    expected.extend([level] * cycles)
            ctx.set(dut.i.valid, 0)
            ctx.set(dut.i.payload, rng.getrandbits(8))
            await ctx.tick().repeat(10 * cycles)

    simulate(dut, body, processes=(watch,))
    assert levels[:len(expected)] == expected


class Loop(wiring.Component):
    """A transmitter's line into a receiver."""

    def __init__(self, cycles):
        self.cycles = cycles
        self.tx, self.rx = UartTransmitter(cycles), UartReceiver(cycles)
        super().__init__({"i": In(self.tx.i.signature.flip()), "o": Out(self.rx.o.signature)})

    def elaborate(self, platform):
        m = Module()
        m.submodules += [self.tx, self.rx]
        m.d.comb += self.rx.rx.eq(self.tx.tx)
        wiring.connect(m, wiring.flipped(self.i), self.tx.i)
        wiring.connect(m, self.rx.o, wiring.flipped(self.o))
        return m


@pytest.mark.parametrize("stall, seed", [(0.0, 1), (0.3, 2), (0.6, 3)])
def test_there_and_back(stall, seed):
    """All 256 bytes in random order through both, under stalls on both sides; without them a byte in ten bits."""
    dut, cycles = Loop(6), 6
    sent = random.Random(seed).sample(range(256), 256)
    received, passed = [], []
    pause = stalls(seed, stall)

    async def drive(ctx):
        count = 0
        for byte in sent:
            while pause():
                await ctx.tick()
            ctx.set(dut.i.payload, byte)
            ctx.set(dut.i.valid, 1)
            while not ctx.get(dut.i.ready):
                await ctx.tick()
                count += 1
            await ctx.tick()
            count += 1
            ctx.set(dut.i.valid, 0)
        passed.append(count)
        await ctx.tick().repeat(12 * cycles)

    async def listen(ctx):
        await take(ctx, dut.o, received, stalls(seed + 9, stall))

    simulate(dut, drive, processes=(listen,))
    assert received == sent
    assert stall or passed == [10 * cycles * (len(sent) - 1) + 1]


@pytest.mark.parametrize("clock, baud, cycles", [(25e6, 1_000_000, 25), (25e6, 115200, 217), (400e3, 50e3, 8), (12e6, 3e6, 4)])
def test_divisor(clock, baud, cycles):
    assert divisor(clock, baud) == cycles


@pytest.mark.parametrize("clock, baud, message", [
    (25e6, 3e6, "baud 3e+06 cannot be had from a clock of 2.5e+07 Hz: 8 cycles a bit are +4.2% off, more than 2%; 3.125e+06 can"),
    (12e6, 12e6, "baud must be 11.4441 to 3e+06 with a clock of 1.2e+07 Hz, not 1.2e+07"),
    (12e6, 1, "baud must be 11.4441 to 3e+06"),
    (12e6, 0, "baud must be a positive number"),
    (-1, 9600, "clock must be a positive number of Hz or baud, not -1"),
])
def test_divisor_says_no(clock, baud, message):
    with pytest.raises(ConfigError) as error:
        divisor(clock, baud)
    assert message in str(error.value)


@pytest.mark.filterwarnings("ignore::amaranth.hdl.UnusedElaboratable")
@pytest.mark.parametrize("unit", [UartReceiver, UartTransmitter])
@pytest.mark.parametrize("cycles", [3, 0, 2**20 + 1, 8.0])
def test_bad_divisor(unit, cycles):
    with pytest.raises(ConfigError, match=f"divisor must be 4 to 1048576, not {cycles!r}"):
        unit(cycles)
    gc.collect()  # here, where the warning is expected
