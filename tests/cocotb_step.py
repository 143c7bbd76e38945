"""cocotb bench: one training step of the generated core over its bus alone, compared with the golden model.

The configuration is in ``$BENCH_CONFIG``, as JSON.
"""

import json
import os

import cocotb
import numpy as np
from rig import legal_case, random_batch

from gradgate.arch import weights
from gradgate.arch.config import Config
from gradgate.arch.memorymap import STOP_NONE, Csr, Region, address
from gradgate.compiler.compile import compile_step
from gradgate.golden.model import GoldenModel
from gradgate.sim.bus import BusMaster
from gradgate.sim.costs import program_costs

CONFIG = Config.from_dict(json.loads(os.environ["BENCH_CONFIG"]))


@cocotb.test()
@cocotb.parametrize(stall=[0.0, 0.5])
async def step(dut, stall):
    """Masters, counters, correct predictions and overflows behind one step, polled over the bus while it runs."""
    bus = BusMaster(dut, stall=stall)
    await bus.reset()
    rng = np.random.default_rng(4)
    network, batch = legal_case(CONFIG, rng, most_batch=2)
    golden = GoldenModel(network, CONFIG.formats, 0)
    program = compile_step(network, CONFIG, batch=batch)
    x, labels = random_batch(rng, network, batch)

    async def write(region, offset, values):
        await bus.write(address(region, offset), *(int(v) & 0xFFFFFFFF for v in np.ravel(values)))

    await write(Region.PROGRAM, 0, program.words())
    for block, m in zip(network.weighted, golden.masters):
        await write(Region.WEIGHTS, program.weights[block.name] * CONFIG.lanes, weights.place_block(block, m, CONFIG.lanes))
    await write(Region.STAGING, program.staging["input"], x)
    await write(Region.STAGING, program.staging["labels"], labels)
    await write(Region.CSR, Csr.START, [0, STOP_NONE])
    await write(Region.CSR, Csr.CONTROL, [1])
    expected = golden.step(x, labels, 2)
    while (await bus.read(address(Region.CSR, Csr.STATUS)))[0] & 1:
        pass
    assert await bus.read(address(Region.CSR, Csr.STATUS)) == [2]
    assert await bus.read(address(Region.CSR, Csr.CORRECT), 2) == [expected.correct, expected.overflow]
    counters = await bus.read(address(Region.COUNTERS, 0), len(program.commands))
    assert counters == [cycles for cycles, _ in program_costs(CONFIG, program, expected.tensors)]
    assert await bus.read(address(Region.CSR, Csr.CYCLES)) == [sum(counters)]
    bits = CONFIG.formats.master_bits
    for block, m in zip(network.weighted, golden.masters):
        words = weights.place_block(block, m, CONFIG.lanes).ravel() & (1 << bits) - 1
        got = await bus.read(address(Region.WEIGHTS, program.weights[block.name] * CONFIG.lanes), len(words))
        used = weights.place_block(block, np.ones_like(m), CONFIG.lanes).ravel() == 1  # words between the tensors' were never written
        assert ((np.array(got) & (1 << bits) - 1) == words)[used].all()
