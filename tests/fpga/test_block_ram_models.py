"""Our models of ECP5 block RAM against words in a dictionary, in every mode they have; other modes and uses are refused."""

import random
from dataclasses import dataclass

import pytest
from support.primitives import ROWS, answers, design, pack, parameters, pins

from gradgate.fpga.netlist import models
from gradgate.sim import toolchain
from gradgate.sim.simulator import SimulationError
from gradgate.sim.toolchain import ToolError

SKIP = {1: 0, 2: 1, 4: 2, 9: 3, 18: 4, 36: 5}  #: lowest address bit in use, by width
QUARTERS = [0x1FF << 9 * i for i in range(4)]
CONTROL = ".CEA(in[64]), .WEA(in[66]), .RSTA(in[67]), .CEB(in[68]), .OCEB(in[69]), .RSTB(in[71])"
DUAL = ", ".join([pins("DIA", "in", 18), pins("DIB", "in", 18, 18), pins("ADA", "in", 14, 36), pins("ADB", "in", 14, 50), CONTROL,
                  pins("CSA", "in", 3, 72), pins("CSB", "in", 3, 75), ".CLKA(clk)"])


@dataclass(frozen=True)
class Mode:
    """One way to set a block RAM. ``old``: READBEFOREWRITE; ``cs``: chip select that it answers to; ``wide``: writes words of 36 bits."""

    width: int
    registered: bool
    old: bool = False
    cs: int = 0
    wide: bool = False

    @property
    def name(self):
        return (f"{'wide' if self.wide else 'dual'}_{self.width}_{'reg' if self.registered else 'noreg'}_"
                f"{'old' if self.old else 'normal'}_{self.cs}")

    def instance(self):
        """Its Verilog: port A answers in the lower half of the answer."""
        regmode, decode = "OUTREG" if self.registered else "NOREG", f"0b{self.cs:03b}"
        mode = "READBEFOREWRITE" if self.old else "NORMAL"
        a, web, ocea = (36, "0", "in[69]" if self.width == 36 else "in[65]") if self.wide else (self.width, "in[70]", "in[65]")
        given = parameters(DATA_WIDTH_A=a, DATA_WIDTH_B=self.width, WRITEMODE_A=mode, WRITEMODE_B=mode, REGMODE_A=regmode,
                           REGMODE_B=regmode, CSDECODE_A=decode, CSDECODE_B=decode)
        outputs = f"{pins('DOA', self.name, 18)}, {pins('DOB', self.name, 18, 18)}"
        return f"DP16KD #({given}) x_{self.name} ({DUAL}, .CLKB(clk), .WEB({web}), .OCEA({ocea}), {outputs});"


#: Two ports; one that writes words of 36 bits, and one that reads.
TWO = [Mode(width, registered, old) for width in (1, 2, 4, 9, 18) for registered in (False, True) for old in (False, True)]
TWO += [Mode(18, False, True, 6), Mode(9, True, False, 1)]
ONE = [Mode(width, registered, wide=True) for width in (9, 18, 36) for registered in (False, True)]
ONE += [Mode(36, True, cs=3, wide=True), Mode(36, False, cs=4, wide=True)]


@pytest.fixture(scope="module")
def verilog():
    """All modes in one design."""
    return design({mode.name: (36, mode.instance()) for mode in (*TWO, *ONE)})


def stimuli(seed):
    """Rows with addresses that often meet; both ports do not write at once, and a reset comes with the enable of what it resets."""
    rng, rows = random.Random(seed), []
    places = [rng.getrandbits(14) & ~31 for _ in range(4)]
    for _ in range(ROWS):
        row = {name: rng.getrandbits(18) for name in ("dia", "dib")}
        row |= {f"ad{port}": rng.choice(places) | rng.getrandbits(5) if rng.random() < 0.9 else rng.getrandbits(14) for port in "ab"}
        row |= {f"ce{port}": rng.random() < 0.9 for port in "ab"} | {f"cs{port}": rng.choice([0, 0, 1, 3, 4, 6]) for port in "ab"}
        row |= {f"rst{port}": rng.random() < 0.05 for port in "ab"}
        row |= {f"oce{port}": row[f"rst{port}"] or rng.random() < 0.8 for port in "ab"}
        row |= {"wea": rng.getrandbits(1), "web": 0}
        if not row["wea"]:
            row["web"] = rng.getrandbits(1)
        rows.append(row)
    return rows


class Output:
    """What a port shows: the word read last, or what that was one enabled cycle ago; zero by a reset.

    Where the data sheet says nothing, a word comes inverted: ``clash``, the other port writes it; a word on its way to a register
    that is reset.
    """

    def __init__(self, mode):
        self.mask, self.registered, self.latch, self.shown = (1 << mode.width) - 1, mode.registered, 0, 0

    def edge(self, word, read, clash, reset, enable):
        """A clock edge."""
        before, inverted = self.latch, word ^ self.mask
        if self.registered:
            self.latch = inverted if reset or read and clash else word if read else self.latch
            self.shown = 0 if reset else before if enable else self.shown
        else:
            self.latch = 0 if reset else self.latch if not read else inverted if clash else word
            self.shown = self.latch


def selected(mode, row, port):
    """Whether a port does anything in this cycle."""
    return row[f"ce{port}"] and row[f"cs{port}"] == mode.cs


@pytest.mark.parametrize("seed", [1, 2], ids=lambda s: f"seed{s}")
def test_two_ports(verilog, seed):
    """Both ports read and write words of all widths, words of 18 bits in halves."""
    rows, counts = stimuli(seed), dict.fromkeys(("clash", "read", "write", "half"), 0)
    got = answers(verilog, [mode.name for mode in TWO], pack(rows))
    for mode in TWO:
        words, outputs = {}, {port: Output(mode) for port in "ab"}
        for n, (row, answer) in enumerate(zip(rows, got[mode.name])):
            assert answer == outputs["a"].shown | outputs["b"].shown << 18, (mode, n)
            at = {port: row[f"ad{port}"] >> SKIP[mode.width] for port in "ab"}
            mask = {}
            for port in "ab":
                enables = row[f"ad{port}"] & 3 if mode.width == 18 else 3
                chosen = sum(QUARTERS[i] for i in range(2) if enables >> i & 1) & (1 << mode.width) - 1
                mask[port] = chosen if selected(mode, row, port) and row[f"we{port}"] else 0
                counts["half"] += mask[port] in QUARTERS and mode.width == 18
                counts["write"] += mask[port] > 0
            for port, other in ("ab", "ba"):
                read = selected(mode, row, port) and (mode.old or not row[f"we{port}"])
                clash = mask[other] > 0 and at["a"] == at["b"]
                counts["read"], counts["clash"] = counts["read"] + read, counts["clash"] + (read and clash)
                outputs[port].edge(words.get(at[port], 0), read, clash, row[f"rst{port}"], row[f"oce{port}"])
            for port in "ab":
                words[at[port]] = words.get(at[port], 0) & ~mask[port] | row[f"di{port}"] & mask[port]
    assert min(counts.values()) > 100, counts


@pytest.mark.parametrize("seed", [1, 2], ids=lambda s: f"seed{s}")
def test_one_port_writes_36_bits(verilog, seed):
    """Quarters are written; words of 9, 18 and 36 bits are read, the lowest address from the lowest bits."""
    rows, clashes = stimuli(seed), 0
    got = answers(verilog, [mode.name for mode in ONE], pack(rows))
    for mode in ONE:
        words, output = {}, Output(mode)
        for n, (row, answer) in enumerate(zip(rows, got[mode.name])):
            answer = answer if mode.width == 36 else answer >> 18  # the upper half of a word, and a narrow word, are at DOB
            assert answer == output.shown, (mode, n)
            mask = sum(QUARTERS[i] for i in range(4) if row["ada"] >> i & 1) if selected(mode, row, "a") and row["wea"] else 0
            place, read = row["adb"] >> 5, selected(mode, row, "b")
            part = (row["adb"] & 31) >> SKIP[mode.width]
            word = words.get(place, 0) >> part * mode.width & output.mask
            clash = mask > 0 and row["ada"] >> 5 == place
            clashes += bool(read and clash)
            output.edge(word, read, clash, row["rstb"], row["oceb"])
            data = row["dia"] | row["dib"] << 18
            words[row["ada"] >> 5] = words.get(row["ada"] >> 5, 0) & ~mask | data & mask
    assert clashes > 100


REFUSED = [
    (".DATA_WIDTH_A(18), .DATA_WIDTH_B(9)", "DATA_WIDTH must be"), (".DATA_WIDTH_A(5), .DATA_WIDTH_B(5)", "DATA_WIDTH must be"),
    (".DATA_WIDTH_A(36), .DATA_WIDTH_B(4)", "DATA_WIDTH must be"), (".DATA_WIDTH_A(18), .DATA_WIDTH_B(36)", "DATA_WIDTH must be"),
    ('.REGMODE_A("REG")', "REGMODE must be"), ('.REGMODE_B("REG")', "REGMODE must be"),
    ('.WRITEMODE_A("WRITETHROUGH")', "WRITEMODE must be"), ('.WRITEMODE_B("WRITETHROUGH")', "WRITEMODE must be"),
    ('.CLKAMUX("INV")', "must not be inverted"), ('.CLKBMUX("INV")', "must not be inverted"),
    (".INITVAL_3F(1)", "INITVAL must be zero"), (".WEAMUX(1)", "WEAMUX"),
    ('.DATA_WIDTH_A(36), .DATA_WIDTH_B(36), .REGMODE_B("OUTREG")', "both REGMODE must be the same"),
]


@pytest.mark.parametrize("given, message", REFUSED, ids=[given for given, _ in REFUSED])
def test_refused(given, message, tmp_path):
    """A design with a mode that is not modelled does not build."""
    (tmp_path / "top.v").write_text(f"module top; DP16KD #({given}) x (); endmodule\n{models()}")
    with pytest.raises(ToolError) as caught:
        toolchain.run_verilator(["--lint-only", "-Wno-lint", "-Wno-style", "--top-module", "top", "top.v"], tmp_path)
    assert message in caught.value.output


#: Uses that only show while the design runs: instances, a row that makes them, and what is said.
MISUSED = {
    "both write": ("DP16KD x1 (.CLKA(clk), .CLKB(clk), .CEA(1), .CEB(1), .WEA(in[66]), .WEB(in[66]), .ADA0(1), .ADB0(1));",
                   {"wea": 1}, "both ports write the same word"),
    "reset": ('DP16KD #(.REGMODE_B("OUTREG")) x2 (.CLKA(clk), .CLKB(clk), .RSTB(in[71]));', {"rstb": 1}, "with its clock enable low"),
    "asynchronous reset": ('DP16KD #(.RESETMODE("ASYNC")) x9 (.CLKA(clk), .CLKB(clk), .RSTA(in[67]));', {"rsta": 1}, "must be SYNC"),
    "clocks": ("DP16KD x3 (.CLKA(clk), .CLKB(clk && !in[68]));", {"ceb": 1}, "must be one clock"),
    "wide port writes": ("DP16KD #(.DATA_WIDTH_A(36), .DATA_WIDTH_B(36)) x5 (.CLKA(clk), .CLKB(clk), .WEB(in[70]));", {"web": 1},
                         "cannot write"),
    "output enables": ('DP16KD #(.DATA_WIDTH_A(36), .DATA_WIDTH_B(36), .REGMODE_A("OUTREG"), .REGMODE_B("OUTREG")) x8 '
                       "(.CLKA(clk), .CLKB(clk), .OCEA(in[2]));", {"dia": 4}, "OCEA and OCEB must be the same"),
    "shift register": ("MULT18X18D x6 (.SOURCEA(in[0]));", {"dia": 1}, "SOURCEA and SOURCEB must be 0"),
    "sign": ('MULT18X18D #(.REG_OUTPUT_CLK("CLK0")) x7 (.CLK0(clk), .SIGNEDB(in[1]));', {"dia": 2}, "must not change"),
}


@pytest.fixture(scope="module")
def misused():
    """All of them in one design."""
    return design({"nothing": (1, "assign nothing = 0; " + "\n".join(text for text, _, _ in MISUSED.values()))})


@pytest.mark.parametrize("case", MISUSED)
def test_misused(misused, case, capfd):
    """A use that is not modelled ends the simulation."""
    answers(misused, ["nothing"], [0] * 10)
    with pytest.raises(SimulationError):
        answers(misused, ["nothing"], pack([{}, {}, MISUSED[case][1], {}, {}, {}]))
    assert MISUSED[case][2] in capfd.readouterr().out
