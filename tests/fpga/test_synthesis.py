"""Resource counts: what is counted on small designs, and the claims about a whole core."""

import json
import re
from types import SimpleNamespace

import pytest
from amaranth.back import verilog as backend
from click.testing import CliRunner

from gradgate.arch.config import Config, preset
from gradgate.cli.main import main
from gradgate.fpga import synthesis
from gradgate.fpga.resources import CELLS, DEVICE, Resources
from gradgate.fpga.same import same_modules
from gradgate.fpga.synthesis import Memory, Netlist, Synthesis, Unit
from gradgate.hw.array.lane import Lane
from gradgate.hw.control.move import Move
from gradgate.hw.generate import rtlil
from gradgate.report import resources as report
from gradgate.sim import toolchain
from gradgate.sim.toolchain import ToolError

TINY = preset("tiny")

#: Two modules that differ in names alone.
TWINS = """
module top(a, b, y);
  input [7:0] a, b;
  output [15:0] y;
  \\top.one  one (.\\x[0] (a), .y(b), .z(y[7:0]));
  \\top.two  two (.u(a), .v(b), .w(y[15:8]));
endmodule

module \\top.one (\\x[0] , y, z);
  input [7:0] \\x[0] , y; // eight bits
  output [7:0] z;
  assign z = \\x[0] - y;
endmodule

module \\top.two (u, v, w);
  input [7:0] u, v;
  output [7:0] w;
  assign w = u - v;
endmodule
"""


def test_costs_of_cells():
    """Carry cells and LUT RAM take LUT4s; what comes with a slice is free; a cell of unknown cost is not passed over."""
    cells = {"LUT4": 10, "CCU2C": 3, "TRELLIS_DPR16X4": 2, "PFUMX": 5, "L6MUX21": 1, "$scopeinfo": 7, "TRELLIS_FF": 4, "MULT18X18D": 1,
             "DP16KD": 3}
    assert Resources.of(cells) == Resources(lut4=28, ff=4, dsp=1, bram=3, lutram=2)
    assert Resources.of({}) == Resources()
    with pytest.raises(ToolError, match="unknown cost: ALU54B, LUT5"):
        Resources.of({**cells, "LUT5": 1, "ALU54B": 1})


def test_total_counts_every_instance():
    """Modules without contents count as the one that they are identical to."""
    netlist = Netlist(cells={"top": {"LUT4": 1}, "row": {"LUT4": 10, "TRELLIS_FF": 1}, "lane": {"LUT4": 100, "DP16KD": 2}},
                      children={"top": {"row": 2}, "row": {"lane": 1, "lane2": 3}, "lane": {}}, places={})
    assert netlist.total("row", {"lane2": "lane"}) == Resources(lut4=410, ff=1, bram=8)
    assert netlist.total("top", {"lane2": "lane"}) == Resources(lut4=821, ff=2, bram=16)


def test_identical_modules_synthesise_alike(tmp_path):
    netlist = synthesis.synthesise(TWINS, tmp_path, top="top", keep=["top.one", "top.two"])
    assert netlist.cells["top.one"] == netlist.cells["top.two"] != {}
    assert netlist.children == {"top": {"top.one": 1, "top.two": 1}, "top.one": {}, "top.two": {}}
    alone = synthesis.synthesise(TWINS, tmp_path, top="top", keep=["top.one"], empty=["top.two"])
    same = same_modules((tmp_path / "gradgate.il").read_text())
    assert same == {"top": "top", "top.one": "top.one", "top.two": "top.one"}
    assert alone.total("top", same) == netlist.total("top")


def test_names_of_units():
    names = {"gradgate": "between the units", "gradgate.array": "array control", "gradgate.array$7": "array control",
             "gradgate.array.row3": "row without its lanes", "gradgate.array.row12.lane0": "lane",
             "gradgate.array.row0.lane0.bank": None, "gradgate.weights": "weights", "gradgate.new": "new",
             "gradgate.array.post_walk": None, "other": None}
    assert {module: synthesis.unit_name(module) for module in names} == names
    assert synthesis.generic("array.row12.fetch$229.fifo.storage") == "array.row*.fetch.fifo.storage"


@pytest.mark.parametrize("device", ["", DEVICE])
def test_lane(tmp_path, device):
    """One multiplier in a DSP, its two large memories in a block RAM each, its targets in LUT RAM."""
    toolchain.use_yosys()
    text, placed = (backend.convert(Lane(TINY), platform=SimpleNamespace(device=name), name="gradgate", emit_src=False,
                                    strip_internal_attrs=True) for name in ("", device))
    netlist = synthesis.synthesise(placed, tmp_path)
    found = netlist.total("gradgate")
    assert (found.dsp, found.bram) == (1, 2)
    assert 200 < found.lut4 < 1000 and 300 < found.ff < 1000
    where = {memory.name: (memory.kind, memory.cells) for memory in synthesis.memories(text, netlist)}
    assert {name: kind for name, (kind, _) in where.items()} == {
        "bank.mem": "DP16KD", "sums.mem": "DP16KD", "targets.mem": "TRELLIS_DPR16X4"}
    assert where["targets.mem"][1] == found.lutram == 21  # three slots of 16 words, 25 bits in seven cells


def test_unit_with_arrays_at_its_ports(tmp_path):
    """Words of an array and bits of a port get the same names in ABC9, unless one of them is hidden."""
    toolchain.use_yosys()
    text = backend.convert(Move(TINY), name="gradgate", emit_src=False, strip_internal_attrs=True)
    assert re.search(r"wire \[15:0\] \\rows__w_data\[1\] ;", text)
    found = synthesis.synthesise(text, tmp_path).total("gradgate")
    assert found.lut4 > 100 and found.dsp == found.bram == 0
    assert synthesis.synthesise(text, tmp_path, period=20).total("gradgate").lut4 < found.lut4  # time to spare makes it smaller


def test_failures_are_one_line(tmp_path, monkeypatch):
    with pytest.raises(ToolError, match=r"^yosys failed: ERROR: .*missing.* is not part of the design.*yosys\.log\)$"):
        synthesis.synthesise("module top(); missing m (); endmodule", tmp_path, top="top")
    monkeypatch.setenv("YOSYS", str(tmp_path / "none"))
    with pytest.raises(ToolError, match="yosys is needed, .*none is not there; run: pip install -e ."):
        synthesis.synthesise(TWINS, tmp_path, top="top")


def example(name="tiny"):
    """Made-up results."""
    one = Resources(lut4=1000, ff=2)
    units = [Unit(name="lane", number=8, each=one, all=Resources(lut4=8000, ff=16)),
             Unit(name="row without its lanes", number=2, each=one, all=Resources(lut4=1900, ff=4, dsp=1))]
    memories = [Memory(name="array.row*.act.mem", number=2, words=2048, bits=64, kind="DP16KD", cells=16),
                Memory(name="loss.words", number=1, words=32, bits=16, kind="TRELLIS_DPR16X4", cells=8),
                Memory(name="odd.mem", number=1, words=2, bits=1, kind="", cells=0)]
    return Synthesis(config=preset(name), tool="Yosys 0.0", period=None, units=units, core=Resources(lut4=41820, ff=9, dsp=78, bram=208),
                     memories=memories, multipliers={"a.b": 8}, wall_s=1.25)


def test_report_and_page():
    text = report.report(example())
    assert "| lane                  |      8 |  1,000 |  2 |" in text
    assert "| row                   |      2 |  5,000 | 10 |" in text  # four lanes and the largest row
    assert "| sum of the units      |      1 |  9,900 | 20 |   1 |" in text
    assert "LFE5U-85F: LUT4 50%, FF 0%, DSP 50%, BRAM 100%." in text
    assert "Multipliers: 8 in `a.b`." in text
    page = report.page([example("tiny"), example("small")], "2000-01-01")
    assert "`gradgate synth --docs tiny,small` on 2000-01-01 with Yosys 0.0" in page
    assert "## tiny (2x4)" in page and "## small (4x8)" in page
    assert f"- `loss.words`: {report.LUT_RAM['loss.words']}." in page and "- `odd.mem`: not expected." in page


def test_command(tmp_path, monkeypatch):
    """Table and figures; the page of several configurations; errors in one line."""
    monkeypatch.setattr(synthesis, "run", lambda config, directory, period, progress: example(config.name))
    figures, out = tmp_path / "deep" / "tiny.json", ["--out", str(tmp_path / "out")]

    def call(*arguments):
        return CliRunner().invoke(main, ["synth", *arguments, *out])
    done = call("--config", "tiny", "--json", str(figures))
    assert done.exit_code == 0 and "| whole core " in done.output
    table = json.loads(figures.read_text())
    assert {key: table[key] for key in ("lut4", "ff", "dsp", "bram")} == {"lut4": 41820, "ff": 9, "dsp": 78, "bram": 208}
    assert table["units"]["lane"]["lut4"] == 1000 and table["config"]["name"] == "tiny"

    monkeypatch.chdir(tmp_path)
    for arguments, message in ((("--config", "none"), "must be one of pico, nano, tiny, small, base, paper or a TOML file, not 'none'"),
                               (("--docs", "tiny,none"), "must be one of pico, nano, tiny, small, base, paper or a TOML file, not 'none'"),
                               (("--docs", "tiny"), "docs is not here")):
        done = call(*arguments)
        assert done.exit_code == 1 and message in done.stderr and len(done.stderr.splitlines()) == 1
    (tmp_path / "docs").mkdir()
    assert call("--docs", "tiny,small", "--json", "both.json").exit_code == 0
    assert "## small (4x8)" in (tmp_path / "docs" / "resources.md").read_text()
    both = json.loads((tmp_path / "both.json").read_text())
    assert {name: table["config"]["name"] for name, table in both.items()} == {"tiny": "tiny", "small": "small"}
    assert both["tiny"]["units"]["lane"]["lut4"] == 1000


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    """The whole core, a minute or more."""
    return synthesis.run(TINY, tmp_path_factory.mktemp("tiny"))


@pytest.mark.full
def test_memories_of_a_core(tiny):
    """Every large memory is in block RAM, and nothing else is; the small ones are those that the page explains."""
    for memory in tiny.memories:
        assert (memory.kind in CELLS["bram"]) == (memory.words > 64), memory
    assert tiny.core.bram == tiny.sum.bram == sum(memory.cells for memory in tiny.memories if memory.kind in CELLS["bram"])
    assert set(report.lut_rams(tiny)) == set(report.LUT_RAM)


@pytest.mark.full
def test_multipliers_of_a_core(tiny):
    """One in every lane, one in the loss unit, no other."""
    assert tiny.multipliers == {"array.row*.lane*.multiplier": TINY.pes, "loss.exponential.multiplier": 1}
    assert tiny.core.dsp == tiny.sum.dsp == TINY.pes + 1


@pytest.mark.full
def test_units_add_up(tiny):
    """The flattened core is a little smaller than its parts: constants, and equal logic of neighbours."""
    assert tiny.core.lutram == tiny.sum.lutram
    for name in ("lut4", "ff"):
        assert 0.9 * getattr(tiny.sum, name) < getattr(tiny.core, name) <= getattr(tiny.sum, name)


@pytest.mark.parametrize("device", ["", DEVICE])
def test_other_configurations_have_the_same_units(device):
    """The names of units are found in cores of other shapes."""
    toolchain.use_yosys()
    config = Config(name="1x2", rows=1, lanes=2, act_bricks=512)
    same = same_modules(rtlil(config, device=device))
    units = [unit for unit in map(synthesis.unit_name, same) if unit]
    assert {name: units.count(name) for name in units} == {
        **dict.fromkeys([*synthesis.UNITS.values(), "weights", "loss", "move", "sequencer"], 1), "lane": 2}
    assert len({same[module] for module in same if synthesis.unit_name(module) == "lane"}) == 1
