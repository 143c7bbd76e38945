"""cocotb bench of the host bus of any core: its configuration is in ``$BENCH_CONFIG``, as JSON."""

import json
import os
import random

import cocotb

from gradgate.arch.commands import Command, Opcode
from gradgate.arch.config import Config
from gradgate.arch.memorymap import ID_VALUE, STOP_NONE, Csr, Region, address, row_offset, windows
from gradgate.sim.bus import BusMaster

CONFIG = Config.from_dict(json.loads(os.environ["BENCH_CONFIG"]))
STALLS = [0.0, 0.5, 0.9]


def places(region, rng, n):
    """Offsets of ``n`` different words of ``region``."""
    if region is Region.ROWS:
        every = [row_offset(CONFIG, CONFIG.act_bricks, row, brick, lane) for row in range(CONFIG.rows)
                 for brick in rng.sample(range(CONFIG.act_bricks), 4) for lane in range(CONFIG.lanes)]
    else:
        every = range(windows(CONFIG)[region].words)
    return rng.sample(every, min(n, len(every)))


@cocotb.test()
@cocotb.parametrize(stall=STALLS)
async def registers(dut, stall):
    """Identification and the registers that can be written."""
    bus = BusMaster(dut, stall=stall)
    await bus.reset()
    assert await bus.read(address(Region.CSR, Csr.ID)) == [ID_VALUE]
    assert await bus.read(address(Region.CSR, Csr.STATUS)) == [0]
    assert await bus.read(address(Region.CSR, Csr.START)) == [0]
    assert await bus.read(address(Region.CSR, Csr.STOP)) == [STOP_NONE]
    await bus.write(address(Region.CSR, Csr.START), 7, 9)
    assert await bus.read(address(Region.CSR, Csr.START), 2) == [7, 9]


@cocotb.test()
@cocotb.parametrize(stall=STALLS)
async def memories(dut, stall):
    """Words written in random order to all memories at once are read back in another."""
    bus = BusMaster(dut, stall=stall)
    rng = random.Random(bus.seed)
    await bus.reset()
    expected = {}
    for region in (Region.STAGING, Region.WEIGHTS, Region.ROWS):
        for offset in places(region, rng, 40):
            expected[address(region, offset)] = rng.getrandbits(32), (1 << windows(CONFIG)[region].bits) - 1
    for order in (rng.sample(sorted(expected), len(expected)) for _ in range(2)):
        for where in order:
            await bus.write(where, expected[where][0])
        for where in rng.sample(order, len(order)):
            word, mask = expected[where]
            actual, = await bus.read(where)
            assert actual & mask == word & mask, f"{where:#08x}: {actual & mask:#x}, not {word & mask:#x}"


@cocotb.test()
@cocotb.parametrize(stall=STALLS)
async def empty_program(dut, stall):
    """A program of nothing but its end, started again and again then reset in the middle of a transfer."""
    bus = BusMaster(dut, stall=stall)
    await bus.reset()
    for _ in range(3):
        await bus.write(address(Region.PROGRAM, 0), *Command(Opcode.END, {}).encode())
        await bus.write(address(Region.CSR, Csr.START), 0)
        await bus.write(address(Region.CSR, Csr.CONTROL), 1)
        await bus.run(1000)
        assert await bus.read(address(Region.CSR, Csr.STATUS)) == [2]
    dut.bus__write.value = 0
    dut.bus__addr.value = address(Region.STAGING, 0)
    dut.bus__valid.value = 1
    await bus.step()
    await bus.reset()
    assert await bus.read(address(Region.CSR, Csr.STATUS)) == [0]


