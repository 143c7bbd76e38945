"""The netlist of ECP5 cells that synthesis makes of a core does what the core does: bit-exact and cycle-exact.

The cells are our models, tested in ``test_primitives.py`` and ``test_block_ram_models.py``.
"""

from types import SimpleNamespace

import pytest
import test_lane
from amaranth.back import verilog as backend
from formal.proof import small
from mutation.record import Recorder, ports
from mutation.stimuli import lane_observed
from support.primitives import answers, design
from support.rig import SWITCHES, TINY, assert_exact, train
from test_core import digits_batches

from gradgate.arch.network import Network
from gradgate.fpga.netlist import gates, netlist
from gradgate.host.driver import Driver
from gradgate.hw.array.lane import Lane
from gradgate.hw.generate import verilog
from gradgate.sim import toolchain
from gradgate.sim.compare import Bench
from gradgate.sim.simulator import Simulator
from gradgate.sim.views import Wire

DEVICE = "LFE5U-85F"  #: with primitives from the generator; without, Yosys finds the places for them

#: A lane whose bank is so large that it goes to block RAM.
LANE = small(lists=3, targets=3, bank_words=256)


def lane_traces():
    """What goes on at a lane's ports while its tests run."""
    recorder = Recorder(lambda top: top, lane_observed)
    for seed in (0, 2):
        recorder.run(test_lane.test_turns, LANE, seed, 0)
        recorder.run(test_lane.test_accumulators_updated_again, LANE, seed, 0.25)
    recorder.run(test_lane.test_sums_wrap, LANE)
    return recorder


@pytest.mark.parametrize("device", [DEVICE, pytest.param("", marks=pytest.mark.full)])
def test_netlist_of_a_lane(device):
    """The netlist of a lane, in the place of the lane in its own tests: the outputs that these look at are the same.

    All kinds of cells are in it. Behind every RUN, the tests look for its last result in the cycle in which it is written, to see
    that it is not there yet. On an FPGA this word is anything, in our models the inverse.
    """
    toolchain.use_yosys()
    platform = SimpleNamespace(device=device)
    cells = netlist(backend.convert(Lane(LANE), platform=platform, name="lane", emit_src=False, strip_internal_attrs=True), top="lane")
    for kind in ("LUT4", "CCU2C", "PFUMX", "TRELLIS_FF", "TRELLIS_DPR16X4", "DP16KD", "MULT18X18D"):
        assert f"  {kind} " in cells
    recorder = lane_traces()
    inputs, outputs = ports(recorder.unit)
    first, at = {}, 0
    for name, value in inputs.items():
        first[name], at = at, at + len(value)
    # Some names are words of SystemVerilog.
    connections = [f".\\{name} (in[{first[name]} +: {len(value)}])" for name, value in inputs.items()]
    connections += [f".\\{name} (o_{name})" for name in outputs]
    instances = {f"o_{name}": (len(value), "") for name, value in outputs.items()}
    instances["dut"] = 1, f"assign dut = 0; lane x_dut (.clk(clk), .rst(rst), {', '.join(connections)});"
    text = design(instances, bits=max(96, -(-at // 32) * 32)) + cells
    compared = early = 0
    for trace in recorder.traces:
        rows = [sum((value & (1 << len(inputs[name])) - 1) << first[name] for name, value in row.items()) for row in trace.inputs]
        got = answers(text, instances, rows)
        for n, mask in enumerate(trace.masks):
            for name in mask:
                expected = trace.outputs[n][name] & (1 << len(outputs[name])) - 1
                found = got[f"o_{name}"][n]
                if name != "visit__fin" and found == expected ^ (1 << len(outputs[name])) - 1:
                    early += 1
                    continue
                assert found == expected, f"cycle {n}: {name} is {found:#x}, not {expected:#x}"
                compared += 1
    assert compared > 5000 and early <= 25, (compared, early)


@pytest.mark.full
@pytest.mark.parametrize("device", [DEVICE, ""])
def test_digits_on_tiny(device):
    """Training steps on the netlist of a whole core, with all settings of skipping in turn. What the host port reads is compared at
    every step: all tensors but the gradients of weights, which are in the weights."""
    toolchain.use_yosys()
    with Simulator(TINY, verilog=gates(verilog(TINY, device=device))) as sim:
        driver = Driver(sim, TINY)
        tally = train(Bench(TINY, sim, driver, Wire(driver)), Network.load("digits"), digits_batches(8, 4), switches=SWITCHES)
    assert_exact(tally, 8)
    assert set(tally.compared) == {"out", "argmax", "grad", "expanded", "master", "correct", "overflow"}
