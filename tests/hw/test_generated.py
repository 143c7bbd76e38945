"""The files that `gradgate generate` writes: the same every time, clean under lint, and right when driven over the bus alone."""

import json
import re
import time

import pytest
from support import DOCS, SUPPORT, TESTS
from support.fresh_process import text_with_hash_seed
from support.rig import ODD

from gradgate.arch import commands, memorymap
from gradgate.arch.config import PRESETS, Config
from gradgate.hw.generate import generate, verilog
from gradgate.hw.verilog import MODULE, share
from gradgate.report.commands import markdown
from gradgate.sim import cocotb, toolchain


@pytest.mark.parametrize("config", [ODD[0], *(pytest.param(c, marks=pytest.mark.full) for c in PRESETS.values())],
                         ids=lambda c: c.name)
def test_verilog_is_deterministic_and_clean(config, tmp_path):
    """Byte-identical for two hash seeds; no warning of ``verilator --lint-only -Wall`` beyond the waivers."""
    one, two = (text_with_hash_seed(config.to_dict(), seed) for seed in (1, 2))
    assert one == two and "module gradgate(" in one
    path = tmp_path / "gradgate.v"
    path.write_text(one, encoding="utf-8")
    toolchain.lint(path)


def test_manifest_tells_what_a_driver_needs(tmp_path):
    """The configuration comes back from it; commands and memory map are those of ``arch``."""
    toolchain.use_yosys()
    config = ODD[1]
    assert sorted(p.name for p in generate(config, tmp_path)) == ["gradgate.v", "gradgate.vlt", "manifest.json"]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["gradgate.v", "gradgate.vlt", "manifest.json"]
    manifest = json.loads((tmp_path / "manifest.json").read_text())
    assert Config.from_dict(manifest["config"]) == config
    assert {name: c["words"] for name, c in manifest["commands"].items()} == {
        op.name: commands.length(op) for op in commands.Opcode}
    assert manifest["memory_map"]["windows"]["ROWS"]["words"] == memorymap.windows(config)[memorymap.Region.ROWS].words
    assert (tmp_path / "gradgate.v").read_text() == verilog(config)


def test_the_waivers_are_beside_the_verilog(tmp_path):
    """What the manifest says, run in the output directory, is silent; without the waivers it is not."""
    toolchain.use_yosys()
    generate(ODD[1].replace(momentum=True), tmp_path)
    command, *arguments = json.loads((tmp_path / "manifest.json").read_text())["lint"].split()
    assert command == "verilator" and arguments == ["--lint-only", "-Wall", "gradgate.vlt", "gradgate.v"]
    said = toolchain.run_verilator(arguments, cwd=tmp_path).splitlines()
    assert all(line.startswith("- V e r i l") or line.startswith("- Verilator: ") for line in said), said  # its report, no warning
    with pytest.raises(toolchain.ToolError, match="Warning-"):
        toolchain.run_verilator([argument for argument in arguments if argument != "gradgate.vlt"], cwd=tmp_path)


def test_size():
    """Memories take no text: the same core with memories eight times as large is not a tenth longer."""
    toolchain.use_yosys()
    small, large = (len(verilog(ODD[0].replace(act_bricks=bricks, weight_bricks=bricks, staging_words=bricks))) for bricks in (2048, 16384))
    assert small < large < 1.1 * small < 1_000_000


def test_command_page_is_fresh():
    assert (DOCS / "commands.md").read_text(encoding="utf-8") == markdown(), "run `gradgate docs`"


@pytest.mark.parametrize("bench, tests", [("cocotb_native.py", 9), ("cocotb_step.py", 2)])
def test_cocotb(bench, tests):
    """Protocol and a whole training step on the generated Verilog, at full rate and under random stalls."""
    toolchain.use_yosys()
    config = ODD[0]
    environment = {"BENCH_CONFIG": json.dumps(config.to_dict()), "PYTHONPATH": str(TESTS)}
    assert cocotb.run(verilog(config), SUPPORT / bench, seed=1, environment=environment) == tests


PAIR = r"""
module top(a, y);
  \top.one  one (
    .\port$7$0 (a),
    .q(y[0])
  );
  \top.two  two (
    .\port$9$4 (\port$9$4 ),
    .q(y[1])
  );
  \top.three  three (
    .\port$9$5 (a),
    .q(y[2])
  );
endmodule

module \top.one (\port$7$0 , q);
  input \port$7$0 ;
  assign q = 1'h1 & \port$7$0 ;
endmodule

module \top.two (\port$9$4 , q);
  input \port$9$4 ;
  assign q = 1'h1 & \port$9$4 ;
endmodule

module \top.three (\port$9$5 , q);
  input \port$9$5 ;
  assign q = 1'h0 & \port$9$5 ;
endmodule
"""


def test_modules_that_are_the_same():
    """The second module becomes an instance of the first, its port's name with it, and nothing that is connected to it; the third stays."""
    text = share(PAIR)
    assert re.findall(r"^module (\S+)", text, re.MULTILINE) == ["top(a,", r"\top.one", r"\top.three"]
    assert r"  \top.one  two (" in text and r"    .\port$7$0 (\port$9$4 )," in text
    assert r"  \top.three  three (" in text and r"    .\port$9$5 (a)," in text


def instances(text: str) -> set:
    """Paths of all instances in generated Verilog."""
    modules = {name: re.findall(r"^  (\S+) +(\S+) +\(\n", body, re.MULTILINE) for name, body in MODULE.findall(text)}

    def below(module, path):
        for kind, name in modules.get(module, ()):
            yield f"{path}.{name}"
            yield from below(kind, f"{path}.{name}")
    return set(below("gradgate", "gradgate"))


@pytest.mark.parametrize("config", [ODD[0], ODD[1].replace(momentum=True)], ids=["odd", "momentum"])
def test_shared_modules_of_a_core(config):
    """All instances are where they were, with fewer modules; that they do the same is what all simulations show."""
    toolchain.use_yosys()
    shared, single = verilog(config), verilog(config, shared=False)
    assert instances(shared) == instances(single) and len(instances(shared)) > 50
    assert len(MODULE.findall(shared)) < len(MODULE.findall(single))
    assert share(shared) == shared


@pytest.mark.full
def test_largest_preset():
    """The text of `paper`, and the time that it takes, once tools are compiled."""
    toolchain.use_yosys()
    began = time.monotonic()
    text = verilog(PRESETS["paper"])
    assert len(text) < 4_000_000 and time.monotonic() - began < 120, time.monotonic() - began
