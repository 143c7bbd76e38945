"""cocotb bench of a core behind any of its buses: ``$BENCH_BUS``; configuration in ``$BENCH_CONFIG``, as JSON.

What reads return goes to ``$BENCH_LOG``: it must be the same for all buses.
"""

import itertools
import json
import os
import random
from pathlib import Path

import cocotb
from cocotb.triggers import RisingEdge, with_timeout

from gradgate.arch.commands import Command, Opcode
from gradgate.arch.config import Config
from gradgate.arch.memorymap import ID_VALUE, Csr, Region, address, windows
from support.cocotb_native import places
from support.ports import port

CONFIG = Config.from_dict(json.loads(os.environ["BENCH_CONFIG"]))
BUS = os.environ["BENCH_BUS"]
LOG = Path(os.environ["BENCH_LOG"])
STALLS = [0.0, 0.5, 0.8]
END, = Command(Opcode.END, {}).encode()
STAGING = address(Region.STAGING, 0)


def clock_of(dut):
    return dut.s_axi_aclk if BUS == "axi-lite" else dut.clk


@cocotb.test()
@cocotb.parametrize(stall=STALLS)
async def everything(dut, stall):
    """Random words to and from every region, with and without a word there, registers, and a program again and again."""
    rng = random.Random(5)
    bus = port(BUS, dut, stall, seed=cocotb.RANDOM_SEED)
    await bus.reset()
    log = []

    async def read(where, n=1):
        log.append([where, await bus.read(where, n)])
        return log[-1][1]

    assert await read(0) == [ID_VALUE]
    held = {}
    for _ in range(3):
        for region in (Region.STAGING, Region.WEIGHTS, Region.ROWS):
            for offset in places(region, rng, 20):
                held[address(region, offset)] = rng.getrandbits(32), (1 << windows(CONFIG)[region].bits) - 1
                await bus.write(address(region, offset), held[address(region, offset)][0])
        for where in rng.sample(sorted(held), 20):
            word, mask = held[where]
            assert (await read(where))[0] & mask == word & mask, hex(where)
        for region in Region:
            await read(address(region, rng.randrange(1 << 12)), 3)
        await bus.write(address(Region.CSR, Csr.START), 7, 9)
        assert await read(address(Region.CSR, Csr.START), 2) == [7, 9]
        await bus.write(address(Region.CSR, Csr.STOP), 0xFFFF)
        await bus.write(address(Region.PROGRAM, 0), END)
        await bus.write(address(Region.CSR, Csr.START), 0)
        await bus.write(address(Region.CSR, Csr.CONTROL), 3)
        while (await bus.read(address(Region.CSR, Csr.STATUS)))[0] & 1:
            pass
        assert await read(address(Region.CSR, Csr.STATUS)) == [2]
        await read(address(Region.CSR, Csr.CYCLES))
    with LOG.open("a") as file:
        file.write(json.dumps(log) + "\n")


@cocotb.test()
async def full_rate(dut):
    """Cycles of a write and of a read of a register and of staging, one behind the other."""
    bus = port(BUS, dut, 0.0, seed=1)
    await bus.reset()
    await bus.write(STAGING, 1)
    wanted = {"native": (1, 5, 6), "wishbone": (3, 7, 8), "axi-lite": (2, 6, 7)}[BUS]
    for n in (20, 40):
        taken = []
        for transfer in (bus.write(STAGING, *range(n)), bus.read(0, n), bus.read(STAGING, n)):
            began = bus.cycles
            await transfer
            taken.append(bus.cycles - began)
        if n == 20:
            first = taken
    assert [(b - a) / 20 for a, b in zip(first, taken)] == list(wanted)


@cocotb.test()
async def reset_in_the_middle(dut):
    """A reset in any cycle of a transfer: the next one is answered rightly, and only once."""
    bus = port(BUS, dut, 0.0, seed=2)
    await bus.reset()
    for cycle in range(12):
        transfer = cocotb.start_soon(bus.write(STAGING + 1, *range(4)) if cycle % 2 else bus.read(STAGING, 3))
        for _ in range(1 + cycle):
            await RisingEdge(clock_of(dut))
        transfer.cancel()
        await bus.reset()
        await bus.write(STAGING, cycle, 1000 + cycle)
        assert await with_timeout(cocotb.start_soon(bus.read(STAGING, 2)), 10, "us") == [cycle, 1000 + cycle]
        assert await bus.read(0) == [ID_VALUE]


@cocotb.test(skip=BUS != "wishbone")
async def wishbone_partial_writes_and_aborts(dut):
    """A write of some bytes ends with an error and writes nothing; a request that is taken back is not answered later."""
    bus = port(BUS, dut, 0.0, seed=cocotb.RANDOM_SEED)
    await bus.reset()
    await bus.write(STAGING, 0x1234)
    for sel in range(15):
        assert (await bus.transfer(1, STAGING, 0x5678, sel))[1]
        assert await bus.read(STAGING) == [0x1234]
    for cycles in range(1, 9):
        for where in (0, STAGING):
            bus.request(1, 1, 0, where, 0, 15)
            await bus.step(cycles)
            bus.request(1, 0, 0, 0, 0, 0)
            await bus.step(1 + cycles % 3)
            assert await bus.read(STAGING) == [0x1234]
            assert await bus.read(0) == [ID_VALUE]


@cocotb.test(skip=BUS != "axi-lite")
@cocotb.parametrize(stall=STALLS)
async def axi_errors(dut, stall):
    """Addresses within a word and writes of some bytes: SLVERR, nothing written, and the next transaction works."""
    bus = port(BUS, dut, stall, seed=cocotb.RANDOM_SEED)
    await bus.reset()
    await bus.write(STAGING, 0x1234, 0x2345)
    for offset, end in itertools.combinations(range(5), 2):
        n = end - offset
        if n == 4:
            continue
        assert (await bus.master.write(4 * STAGING + offset, bytes(n))).resp == 2, (offset, n)
        assert await bus.read(STAGING, 2) == [0x1234, 0x2345]
    channel = bus.master.read_if.ar_channel
    for offset in (1, 2, 3):
        request = channel._transaction_obj()
        request.araddr = 4 * STAGING + offset
        await channel.send(request)
        answer = await bus.master.read_if.r_channel.recv()
        assert (int(answer.rdata), int(answer.rresp)) == (0, 2)
    assert await bus.read(STAGING, 2) == [0x1234, 0x2345]


@cocotb.test(skip=BUS != "axi-lite")
@cocotb.parametrize(stall=STALLS)
async def axi_together(dut, stall):
    """Reads and writes at once: each is answered, in the order of its channel, and sees the writes that were answered before."""
    bus = port(BUS, dut, stall, seed=cocotb.RANDOM_SEED)
    rng = random.Random(cocotb.RANDOM_SEED)
    await bus.reset()
    await bus.write(STAGING, *[0] * 60)
    done = {}

    async def writes():
        for number in range(1, 120):
            where = rng.randrange(60)
            await bus.write(STAGING + where, number)
            done[where] = number

    async def reads():
        for _ in range(80):
            where = rng.randrange(60)
            before = done.get(where, 0)
            word, = await bus.read(STAGING + where)
            assert word >= before, f"word {where} is {word}, and {before} had been written"

    both = cocotb.start_soon(writes()), cocotb.start_soon(reads())
    for task in both:
        await with_timeout(task, 1, "ms")
    for where, number in done.items():
        assert await bus.read(STAGING + where) == [number]


@cocotb.test(skip=BUS != "axi-lite")
async def axi_address_and_data_apart(dut):
    """Address first, data first, far apart; answers that are not taken for long."""
    bus = port(BUS, dut, 0.0, seed=3)
    aw, w, b, _, r = bus.channels
    await bus.reset()
    for number, (first, second) in enumerate([(aw, w), (w, aw)] * 2):
        first.pause, second.pause = False, True
        writing = cocotb.start_soon(bus.write(STAGING, number))
        for _ in range(30):
            await RisingEdge(dut.s_axi_aclk)
        assert not writing.done()
        b.pause, second.pause = True, False
        for _ in range(30):
            await RisingEdge(dut.s_axi_aclk)
        assert not writing.done() and int(dut.s_axi_bvalid.value)
        r.pause = True
        reading = cocotb.start_soon(bus.read(STAGING))
        for _ in range(30):
            await RisingEdge(dut.s_axi_aclk)
        assert not reading.done() and int(dut.s_axi_rvalid.value)
        b.pause = r.pause = False
        await with_timeout(writing, 1, "us")
        assert await with_timeout(reading, 1, "us") == [number]
