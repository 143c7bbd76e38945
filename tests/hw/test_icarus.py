"""The generated Verilog on Icarus, an event-driven simulator: what never changes must still have its value, in every dialect."""

import json
import re
import shutil
import subprocess

import pytest
from support import SUPPORT, TESTS
from support.rig import ODD

from gradgate.arch.config import PRESETS
from gradgate.hw.generate import BUSES, verilog
from gradgate.sim import cocotb, toolchain

STEPS = 3
DIALECTS = ("", "-g2012", "-g2009", "-g2005-sv", "-g2005", "-g2001")
#: Three cores that differ in all that changes the text: one row and two lanes; three rows with momentum; three lists and four lanes.
CONFIGS = [
    ODD[0],
    ODD[0].replace(name="3x2 momentum", rows=3, momentum=True),
    ODD[1].replace(name="1x4", rows=1),
]
#: A network that a simulator of 1,000 cycles a second trains in seconds, with all kinds of commands.
NETWORK = {"input": [4, 4, 2], "layers": [
    {"type": "conv", "name": "c", "out": 3, "kernel": 3, "padding": 1}, {"type": "relu"}, {"type": "maxpool"}, {"type": "dense", "out": 3}]}

pytestmark = pytest.mark.skipif(shutil.which("iverilog") is None, reason="Icarus is not installed; on Debian: apt install iverilog")


def run(config, text, network=NETWORK, tests="stall=0.0"):
    environment = {"BENCH_CONFIG": json.dumps(config.to_dict()), "BENCH_STEPS": str(STEPS), "PYTHONPATH": str(TESTS)}
    if network:
        environment["BENCH_NETWORK"] = json.dumps(network)
    return cocotb.run(text, SUPPORT / "cocotb_step.py", seed=1, simulator="icarus", environment=environment, tests=[f"step/{tests}"])


@pytest.mark.parametrize("config", CONFIGS, ids=lambda c: c.name)
def test_three_steps_from_power_up(config):
    """All words, cycles and counts, in the dialect that cocotb asks for."""
    toolchain.use_yosys()
    assert run(config, verilog(config)) == 1


def test_memories_may_hold_anything_at_first():
    """Synthesis does not read the zeros, and no result depends on them."""
    toolchain.use_yosys()
    text = verilog(CONFIGS[0])
    anything, number = re.subn(r"(\[\\\$word \]) = 0;", r"\1 = {128{$random}};", text)
    assert number > 10 and "$random" in anything
    assert run(CONFIGS[0], anything) == 1


@pytest.mark.full
@pytest.mark.parametrize("name", ["pico", "nano"])
def test_presets(name):
    """The presets that people meet first, with a network that is larger."""
    toolchain.use_yosys()
    assert run(PRESETS[name], verilog(PRESETS[name]), network=None) == 1


#: Two processes without changing inputs, one of them of a single statement, as the Verilog writer of Yosys leaves it.
IDLE = """
module test;
  wire [31:0] r_data;
  gradgate dut (.clk(1'b0), .rst(1'b0), .bus__valid(1'b0), .bus__write(1'b0), .bus__addr(24'd0), .bus__w_data(32'd0),
                .bus__r_data(r_data));
  initial #10 begin $dumpfile("idle.vcd"); $dumpvars(0, dut); #1 $finish; end
endmodule
"""


@pytest.mark.parametrize("dialect", DIALECTS)
def test_everything_has_a_value_before_the_first_clock_edge(dialect, tmp_path):
    """With inputs that never change, no signal of the core is unknown."""
    toolchain.use_yosys()
    (tmp_path / "gradgate.v").write_text(verilog(ODD[0]) + IDLE)
    subprocess.run(["iverilog", *dialect.split(), "-s", "test", "-o", "idle.vvp", "gradgate.v"], cwd=tmp_path, check=True)
    subprocess.run(["vvp", "-n", "idle.vvp"], cwd=tmp_path, check=True, stdout=subprocess.DEVNULL)
    text = (tmp_path / "idle.vcd").read_text()
    names = dict((match[2], match[3]) for match in re.finditer(r"^\$var (\w+) \d+ (\S+) (\S+)", text, re.MULTILINE))
    unknown = [names[key] for key in re.findall(r"^(?:b\S*[xz]\S* |[xz])(\S+)$", text, re.MULTILINE)]
    assert len(names) > 1000 and unknown == []


@pytest.mark.parametrize("bus", BUSES)
@pytest.mark.parametrize("device", ["", "LFE5U-85F"])
def test_no_process_waits_for_what_never_comes(bus, device):
    """The rule that makes it so, in every text that is generated: each combinational process reads what changes at the start."""
    toolchain.use_yosys()
    text = verilog(CONFIGS[1], bus, device=device)
    start = r"    if (\$start ) begin end" + "\n"
    assert text.count("always @*") == text.count("  always @* begin\n" + start) > 500
    for module in re.findall(r"^module .*?^endmodule$", text, re.MULTILINE | re.DOTALL):
        assert (start in module) == (r"  initial \$start  <= 1'h0;" in module)
    assert "dump_module" not in text
