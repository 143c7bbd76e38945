"""cocotb bench: training steps of the generated core over its bus alone, compared with the golden model and the cycle model.

The configuration is in ``$BENCH_CONFIG``, as JSON; ``$BENCH_STEPS`` (1 if not set) is how many steps are made, one after the other.
``$BENCH_NETWORK`` has the network, as JSON with ``input`` and ``layers``; if not set, a random one.
"""

import json
import os

import cocotb
import numpy as np

from gradgate.arch import weights
from gradgate.arch.config import Config
from gradgate.arch.memorymap import STOP_NONE, Csr, Region, address
from gradgate.arch.network import Network
from gradgate.compiler.compile import compile_step
from gradgate.golden.cycles.program import program_costs, program_times
from gradgate.golden.model import GoldenModel
from gradgate.sim.bus import BusMaster
from support.rig import legal_case, random_batch

CONFIG = Config.from_dict(json.loads(os.environ["BENCH_CONFIG"]))
STEPS = int(os.environ.get("BENCH_STEPS", "1"))
LR_SHIFT = 2
MOMENTUM = 3 if CONFIG.momentum else 0


@cocotb.test()
@cocotb.parametrize(stall=[0.0, 0.5])
async def step(dut, stall):
    """Masters, velocities, counters, correct predictions and overflows after each step, polled over the bus while it runs.

    The stalled run begins in the state that the other left, the first one at power-up.
    """
    bus = BusMaster(dut, stall=stall)
    await bus.reset()
    rng = np.random.default_rng(4)
    if "BENCH_NETWORK" in os.environ:
        table = json.loads(os.environ["BENCH_NETWORK"])
        network, batch = Network.build("given", tuple(table["input"]), table["layers"]), 2
    else:
        network, batch = legal_case(CONFIG, rng, most_batch=2)
    golden = GoldenModel(network, CONFIG.formats, 0)
    program = compile_step(network, CONFIG, batch=batch, lr_shift=LR_SHIFT, momentum=MOMENTUM)
    bits = CONFIG.formats.master_bits

    def memories():
        found = [(Region.WEIGHTS, block, tensor, True) for block, tensor in zip(network.weighted, golden.masters)]
        return found + [(Region.VELOCITY, block, tensor, False) for block, tensor in zip(network.weighted, golden.velocities)
                        if CONFIG.momentum]

    async def write(region, offset, values):
        await bus.write(address(region, offset), *(int(v) & 0xFFFFFFFF for v in np.ravel(values)))

    await write(Region.PROGRAM, 0, program.words())
    for region, block, tensor, skew in memories():
        await write(region, program.weights[block.name] * CONFIG.lanes, weights.place_block(block, tensor, CONFIG.lanes, skew=skew))
    for number in range(STEPS):
        x, labels = random_batch(rng, network, batch)
        await write(Region.STAGING, program.staging["input"], x)
        await write(Region.STAGING, program.staging["labels"], labels)
        await write(Region.CSR, Csr.START, [0, STOP_NONE])
        await write(Region.CSR, Csr.CONTROL, [3])  # counts from zero, and starts
        expected = golden.step(x, labels, LR_SHIFT, momentum=MOMENTUM)
        times = program_times(program, program_costs(CONFIG, program, expected.tensors))
        cycles = times[-1].end
        for _ in range(2 * cycles):  # a transfer takes more than a cycle
            if not (await bus.read(address(Region.CSR, Csr.STATUS)))[0] & 1:
                break
        assert await bus.read(address(Region.CSR, Csr.STATUS)) == [2], f"step {number}"
        assert await bus.read(address(Region.CSR, Csr.CORRECT), 2) == [expected.correct, expected.overflow], f"step {number}"
        for region, cycle in ((Region.STARTS, [one.start for one in times]), (Region.ENDS, [one.end for one in times])):
            assert await bus.read(address(region, 0), len(times)) == cycle, f"step {number}, {region.name}"
        assert await bus.read(address(Region.CSR, Csr.CYCLES)) == [cycles], f"step {number}"
        for region, block, tensor, skew in memories():
            words = weights.place_block(block, tensor, CONFIG.lanes, skew=skew).ravel()
            got = np.array(await bus.read(address(region, program.weights[block.name] * CONFIG.lanes), len(words)))
            used = weights.place_block(block, np.ones_like(tensor), CONFIG.lanes, skew=skew).ravel() == 1
            wrong = (got ^ words) & (1 << bits) - 1
            assert not wrong[used].any(), f"step {number}, {region.name} of {block.name}"  # others were never written
        dut._log.info("step %d: %d words, %d cycles exact", number, sum(memory[2].size for memory in memories()), cycles)
