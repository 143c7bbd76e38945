"""Boards: the table, the clock, the pins, and what does not fit."""

import dataclasses
import re
from types import SimpleNamespace

import pytest
from amaranth.hdl import Cat, Fragment, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.io import SimulationPort
from amaranth.lib.wiring import In, Out
from amaranth.sim import Simulator

from gradgate.arch.checks import ConfigError
from gradgate.arch.config import preset
from gradgate.fpga import pll
from gradgate.fpga.boards import BOARDS, board
from gradgate.fpga.families import FAMILIES
from gradgate.fpga.pll import Pll
from gradgate.fpga.resources import Resources
from gradgate.fpga.top import BoardTop
from gradgate.fpga.yardstick import MacArray
from gradgate.sim.toolchain import ToolError

#: What the makers say of the devices: LUTs, flip-flops, multipliers, block RAMs. The 12F is a 25F.
DEVICES = {
    "ulx3s_12f": (24288, 24288, 28, 56), "ulx3s_25f": (24288, 24288, 28, 56), "ulx3s_45f": (43848, 43848, 72, 108),
    "ulx3s_85f": (83640, 83640, 156, 208), "icebreaker": (5280, 5280, 8, 30), "tang_primer_20k": (20736, 15552, 48, 46),
}


def small(name, mhz=None):
    """A board's design with little in it."""
    return BoardTop(board(name), lambda *_: MacArray(2), mhz)


def test_table():
    assert {name: (b.has.lut4, b.has.ff, b.has.dsp, b.has.bram) for name, b in BOARDS.items()} == DEVICES
    with pytest.raises(ConfigError, match="^board must be one of ulx3s_12f, .*, tang_primer_20k, not 'arty'$"):
        board("arty")


@pytest.mark.parametrize("name", BOARDS)
def test_design_of_a_board(name):
    """The clock and the serial line are on the board's pins, the frequency of its clock is known, and its configuration exists."""
    target = board(name)
    plan = target.make().prepare(small(name), name="gradgate", emit_src=False, debug_verilog=False)
    text = plan.files[f"gradgate.{target.family.constraints}"]
    text = text if isinstance(text, str) else text.decode()
    clock, rx, tx = {"ulx3s": ("G2", "M1", "L4"), "icebreaker": ("35", "6", "9"), "tang": ("H11", "T13", "M11")}[name.split("_")[0]]
    for port, pin in (("clk", clock), ("uart_0__rx", rx), ("uart_0__tx", tx)):
        assert re.search(rf'{port}\S* .*\b{pin}\b', text), text
    assert len(set(re.findall(r"\bled_(\d)", text))) == target.leds
    assert ("button" in text) == bool(target.button)
    if name.startswith("ulx3s"):
        assert "25000000.0 HZ" in text
        assert target.device == f"LFE5U-{name[-3:].upper()}" and target.make().device == target.device
    assert preset(target.config).name == target.config
    assert re.search("EHXPLLL", plan.files["gradgate.il"]) is not None or not target.family.pll


class Pins(wiring.Component):
    """A system that shows what it gets."""

    def __init__(self, *_):
        super().__init__({"rx": In(1), "tx": Out(1), "busy": Out(1), "error": Out(1), "alive": Out(1), "link": Out(1)})
        self.out = Signal(4)
        self.running = Signal(8)

    def elaborate(self, platform):
        m = Module()
        m.d.comb += [self.tx.eq(~self.rx), Cat(self.busy, self.error, self.alive, self.link).eq(self.out)]
        m.d.sync += self.running.eq(self.running + 1)
        return m


class Desk:
    """Stands in for a platform: its pins are signals of the simulation."""

    default_clk = "clk"

    def __init__(self):
        self.ports = {}

    def request(self, name, number=0, dir=None):
        assert dir == "-" and (name, number) not in self.ports
        if name == "uart":
            port = SimpleNamespace(rx=SimulationPort("i", 1), tx=SimulationPort("o", 1))
        else:
            port = SimulationPort("o" if name == "led" else "i", 1)
        self.ports[name, number] = port
        return port


@pytest.mark.parametrize("locks", (True, False), ids=("pll", "no pll"))
def test_pins_and_reset(monkeypatch, locks):
    """LEDs in order, the line both ways; reset while the PLL has no lock and while the button is pressed, and at no other time."""
    desk, lock = Desk(), Signal(init=not locks)

    def instance(setting, source, clock, locked):
        m = Module()
        m.d.comb += [clock.eq(source), locked.eq(lock)]
        return m
    monkeypatch.setattr(pll, "instance", instance)
    target = dataclasses.replace(board("ulx3s_85f" if locks else "icebreaker"), leds=4)
    top = BoardTop(target, Pins)
    simulator = Simulator(Fragment.get(top, desk))
    line, button = desk.ports["uart", 0], desk.ports[target.button]

    async def cycles(ctx, number):
        for _ in range(number):
            for level in (0, 1):
                ctx.set(desk.ports["clk", 0].i, level)
                await ctx.delay(1e-8)

    async def bench(ctx):
        for value in range(16):
            ctx.set(top.system.out, value)
            assert [ctx.get(desk.ports["led", number].o) for number in range(4)] == [value >> number & 1 for number in range(4)]
        for level in (0, 1, 0):
            ctx.set(line.rx.i, level)
            assert ctx.get(line.tx.o) == 1 - level
        if locks:
            await cycles(ctx, 10)
            assert ctx.get(top.system.running) == 0
            ctx.set(lock, 1)
        await cycles(ctx, 20)
        before = ctx.get(top.system.running)
        assert 15 <= before <= 20
        ctx.set(button.i, 1)
        await cycles(ctx, 5)
        assert ctx.get(top.system.running) == 0
        ctx.set(button.i, 0)
        await cycles(ctx, 20)
        assert 15 <= ctx.get(top.system.running) <= 20
    simulator.add_testbench(bench)
    simulator.run()


def test_simulation_needs_no_platform():
    """Without one, the design is the system, at the frequency it was asked for."""
    clocks = []
    top = BoardTop(board("ulx3s_85f"), lambda *clock: clocks.append(clock) or Pins(), 50.0)
    assert clocks == [(50e6, 1_000_000)] and top.mhz == 50.0

    async def bench(ctx):
        await ctx.tick().repeat(10)
        assert ctx.get(top.system.running) == 10
    simulator = Simulator(top)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()


def test_clock_of_a_board():
    assert board("ulx3s_85f").pll().mhz == 100.0
    assert board("ulx3s_85f").pll(80.0).mhz == 80.0
    assert board("icebreaker").pll() is board("icebreaker").pll(12.0) is None
    with pytest.raises(ConfigError, match="^clock of icebreaker must be 12 MHz, its own, not 24$"):
        board("icebreaker").pll(24.0)


@pytest.mark.parametrize("source", (12.0, 25.0, 27.0, 48.0))
def test_dividers(source):
    """Every frequency asked for is made to a thousandth within the limits of the data sheet, or refused, and then no dividers make it."""
    possible = {source / reference * loop / output for reference in range(1, 129) if source / reference >= 10
                for loop in range(1, 129) if 400 <= source / reference * loop <= 800 for output in range(1, 129)}
    made = 0
    for mhz in [*range(4, 200, 3), *range(200, 401, 20)]:
        try:
            found = pll.pll(source, mhz)
        except ConfigError as error:
            assert all(abs(f - mhz) > mhz / 1000 for f in possible), error
        else:
            made += 1
            assert abs(found.mhz - mhz) <= mhz / 1000
            assert 400 <= found.vco_mhz <= 800 and 10 <= source / found.reference <= 400
            assert all(1 <= divider <= 128 for divider in (found.reference, found.loop, found.output))
            assert found.mhz == source / found.reference * found.loop / found.output
    assert made > 15


def test_known_dividers():
    assert pll.pll(25.0, 80.0) == Pll(source_mhz=25.0, reference=1, loop=16, output=5)
    assert pll.pll(25.0, 62.5).vco_mhz in (500.0, 625.0, 437.5, 562.5, 687.5, 750.0)


def test_clocks_that_cannot_be_made():
    for source, mhz, message in (
        (25.0, 93.0, "clock 93 MHz cannot be made of 25 MHz: next to it are 92.8571 and 93.75 MHz"),
        (25.0, 3.0, "clock must be 3.125 to 400 MHz, not 3"), (25.0, 401.0, "clock must be 3.125 to 400 MHz, not 401"),
        (5.0, 50.0, "source of the clock must be 10 to 400 MHz, not 5")):
        with pytest.raises(ConfigError) as error:
            pll.pll(source, mhz)
        assert str(error.value) == message


def test_what_does_not_fit():
    target = board("ulx3s_25f")
    target.require("nano", Resources(lut4=24288, ff=24288, dsp=28, bram=56))
    with pytest.raises(ConfigError) as error:
        target.require("small", Resources(lut4=39018, ff=3, dsp=29, bram=56))
    assert str(error.value) == "small needs 39,018 LUT4, ulx3s_25f has 24,288; 29 DSP, ulx3s_25f has 28"


def test_costs_on_other_families():
    """Cells of one family are unknown in another."""
    for family, cells, found in (
        ("ice40", {"SB_LUT4": 3, "SB_CARRY": 9, "SB_DFFESR": 2, "SB_MAC16": 1, "SB_RAM40_4K": 4}, Resources(lut4=3, ff=2, dsp=1, bram=4)),
        ("gowin", {"LUT1": 1, "LUT4": 2, "ALU": 4, "RAM16SDP4": 1, "DFFSE": 1, "DPX9B": 1, "MULT18X18": 1},
         Resources(lut4=11, ff=1, dsp=1, bram=1, lutram=1)),
        ("xc7", {"LUT6": 1, "CARRY4": 5, "FDRE": 1, "RAM32M": 1, "RAMB36E1": 1, "RAMB18E1": 1, "DSP48E1": 1},
         Resources(lut4=5, ff=1, dsp=1, bram=3, lutram=1))):
        assert FAMILIES[family].resources(cells) == found
    with pytest.raises(ToolError, match="unknown cost: TRELLIS_FF"):
        FAMILIES["xc7"].resources({"TRELLIS_FF": 1})
