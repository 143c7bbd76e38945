"""Our models of ECP5 logic, registers and multipliers against arithmetic, in every mode they have; other modes are refused."""

import itertools
import random

import pytest
from support.primitives import answers, design, pack, parameters, pins

from gradgate.fpga.netlist import models
from gradgate.sim import toolchain
from gradgate.sim.toolchain import ToolError

#: Tables with one bit each, of which all others are made, and one with many.
LUTS = [1 << i for i in range(16)] + [0xCA96]
#: The adder and subtractor A + (B ^ C) for D = 1; others, to see every bit of the tables.
CARRIES = [(0x96AA, 0x96AA), (0x1234, 0xFEDC), (0xA5C3, 0x0FF1), (0x7E81, 0x5A96)]
FLIPFLOPS = list(itertools.product(("1", "CE", "INV"), ("CLK", "INV"), ("LSR", "INV"), ("RESET", "SET"), ("LSR_OVER_CE", "ASYNC")))
SIGNS = [(1, 1), (1, 0), (0, 1), (0, 0)]
STAGES = list(itertools.product((0, 1), repeat=4))  #: registers of A, of B, within the multiplier, behind it


def lut4(init, i):
    return f"LUT4 #(.INIT({init})) x_lut{i} (.A(in[0]), .B(in[1]), .C(in[2]), .D(in[3]), .Z(lut4[{i}]));"


def ccu2c(inits, i):
    inputs = ", ".join(f".{pin}{n}(in[{4 * n + k}])" for n in (0, 1) for k, pin in enumerate("ABCD"))
    given = parameters(INIT0=inits[0], INIT1=inits[1], INJECT1_0="NO", INJECT1_1="NO")
    return f"CCU2C #({given}) x_ccu{i} (.CIN(in[8]), {inputs}, .S0(ccu2c[{3 * i}]), .S1(ccu2c[{3 * i + 1}]), .COUT(ccu2c[{3 * i + 2}]));"


def adder(i):
    """Two bits of an adder of ``dia`` and ``dib``; ``cea`` is the carry in, ``ocea`` subtracts."""
    given = parameters(INIT0=0x96AA, INIT1=0x96AA, INJECT1_0="NO", INJECT1_1="NO")
    bits = ", ".join(f".A{n}(in[{2 * i + n}]), .B{n}(in[{18 + 2 * i + n}]), .C{n}(in[65]), .D{n}(1), .S{n}(adder[{2 * i + n}])"
                     for n in (0, 1))
    carry_in, carry_out = f"carry[{i}]" if i else "in[64]", f"carry[{i + 1}]" if i < 8 else "adder[18]"
    return f"CCU2C #({given}) x_add{i} (.CIN({carry_in}), .COUT({carry_out}), {bits});"


def flipflop(i, cemux, clkmux, lsrmux, regset, srmode):
    given = parameters(CEMUX=cemux, CLKMUX=clkmux, LSRMUX=lsrmux, REGSET=regset, SRMODE=srmode, GSR="DISABLED")
    return f"TRELLIS_FF #({given}) x_ff{i} (.CLK(clk), .DI(in[66]), .CE(in[64]), .LSR(in[67]), .Q(ff[{i}]));"


def multiplier(name, signs, stages):
    given = parameters(**{f"REG_{stage}_CLK": "CLK0" if used else "NONE"
                          for stage, used in zip(("INPUTA", "INPUTB", "PIPELINE", "OUTPUT"), stages)})
    return (f"MULT18X18D #({given}) x_{name} ({pins('A', 'in', 18)}, {pins('B', 'in', 18, 18)}, {pins('P', name, 36)}, .CLK0(clk), "
            f".CE0(in[64]), .RST0(in[67]), .SIGNEDA({signs[0]}), .SIGNEDB({signs[1]}), .SOURCEA(0), .SOURCEB(0));")


def multiplier_name(signs, stages):
    return "mult" + "".join(map(str, (*signs, *stages)))


MULTIPLIERS = {multiplier_name(*mode): mode for mode in itertools.product(SIGNS, STAGES)}


@pytest.fixture(scope="module")
def verilog():
    """All modes in one design."""
    return design({
        "lut4": (len(LUTS), " ".join(lut4(init, i) for i, init in enumerate(LUTS))),
        "ccu2c": (3 * len(CARRIES), " ".join(ccu2c(inits, i) for i, inits in enumerate(CARRIES))),
        "adder": (19, "wire [8:0] carry; " + " ".join(map(adder, range(9)))),
        "muxes": (2, "PFUMX pfu (.ALUT(in[0]), .BLUT(in[1]), .C0(in[2]), .Z(muxes[0])); "
                     "L6MUX21 l6 (.D0(in[0]), .D1(in[1]), .SD(in[2]), .Z(muxes[1]));"),
        "ff": (len(FLIPFLOPS), " ".join(flipflop(i, *mode) for i, mode in enumerate(FLIPFLOPS))),
        "lut_ram": (4, "TRELLIS_DPR16X4 #(.INITVAL(64'hfedcba9876543210)) ram (.DI(in[3:0]), .WAD(in[39:36]), .RAD(in[53:50]), "
                       ".WRE(in[66]), .WCK(clk), .DO(lut_ram));"),
        **{name: (36, multiplier(name, *mode)) for name, mode in MULTIPLIERS.items()},
    })


def bit(value, index):
    return value >> index & 1


def test_lut4(verilog):
    """All inputs."""
    for value, answer in enumerate(answers(verilog, ["lut4"], range(16))["lut4"]):
        assert [bit(answer, i) for i in range(len(LUTS))] == [bit(init, value) for init in LUTS], value


def test_ccu2c(verilog):
    """All inputs of a cell: a LUT4's value is added to the carry; where it is 0, the table's lowest quarter gives the next carry."""
    for value, answer in enumerate(answers(verilog, ["ccu2c"], range(512))["ccu2c"]):
        for i, inits in enumerate(CARRIES):
            carry, expected = bit(value, 8), []
            for init, inputs in zip(inits, (value & 15, value >> 4 & 15)):
                here = bit(init, inputs)
                expected.append((here + carry) % 2)
                carry = carry if here else bit(init, inputs & 3)
            assert [bit(answer, 3 * i + n) for n in range(3)] == [*expected, carry], (value, i)


@pytest.mark.parametrize("seed", [1, 2], ids=lambda s: f"seed{s}")
def test_ccu2c_adds_and_subtracts(verilog, seed):
    """Nine cells in a chain: A + B and A - B of 18 bits, with carry in and out."""
    rng = random.Random(seed)
    rows = [{"dia": rng.getrandbits(18), "dib": rng.getrandbits(18), "cea": rng.getrandbits(1), "ocea": rng.getrandbits(1)}
            for _ in range(4000)]
    for row, answer in zip(rows, answers(verilog, ["adder"], pack(rows))["adder"]):
        assert answer == row["dia"] + (row["dib"] ^ 0x3FFFF * row["ocea"]) + row["cea"], row


def test_multiplexers(verilog):
    """All inputs."""
    for value, answer in enumerate(answers(verilog, ["muxes"], range(8))["muxes"]):
        first, second, select = (bit(value, i) for i in range(3))
        assert bit(answer, 0) == (first if select else second) and bit(answer, 1) == (second if select else first)


@pytest.mark.parametrize("seed", [1, 2], ids=lambda s: f"seed{s}")
def test_flipflop(verilog, seed):
    """All settings; before the first row there were zeros."""
    rng = random.Random(seed)
    rows = [{"wea": rng.getrandbits(1), "cea": rng.getrandbits(1), "rsta": rng.random() < 0.3} for _ in range(1000)]
    got = answers(verilog, ["ff"], pack(rows))["ff"]
    for i, (cemux, clkmux, lsrmux, regset, srmode) in enumerate(FLIPFLOPS):
        q = start = int(regset == "SET")
        for n, row in enumerate([{"wea": 0, "cea": 0, "rsta": 0}, *rows]):
            enable = {"1": True, "CE": row["cea"], "INV": not row["cea"]}[cemux]
            clear = row["rsta"] != (lsrmux == "INV")
            before, q = q, start if clear else row["wea"] if enable else q
            # A falling edge comes in the middle of a cycle, and an asynchronous set at its beginning.
            seen = q if clkmux == "INV" else start if clear and srmode == "ASYNC" else before
            assert n == 0 or bit(got[n - 1], i) == seen, (FLIPFLOPS[i], n)


@pytest.mark.parametrize("seed", [1, 2], ids=lambda s: f"seed{s}")
def test_lut_ram(verilog, seed):
    """A word is there in the cycle after it was written, and is read at once; at first there is INITVAL."""
    rng, words, pending = random.Random(seed), list(range(16)), None
    rows = [{"ada": rng.randrange(16), "adb": rng.randrange(16), "dia": rng.randrange(16), "wea": n > 20 and rng.getrandbits(1)}
            for n in range(2000)]
    for row, answer in zip(rows, answers(verilog, ["lut_ram"], pack(rows))["lut_ram"]):
        if pending:
            words[pending["ada"]] = pending["dia"]
        assert answer == words[row["adb"]]
        pending = row if row["wea"] else None


@pytest.mark.parametrize("seed", [1, 2], ids=lambda s: f"seed{s}")
def test_multiplier(verilog, seed):
    """All signs with all choices of registers; these wait while the enable is low, and are cleared by the reset."""
    rng = random.Random(seed)
    edges = [0, 1, 0x1FFFF, 0x20000, 0x3FFFF]
    rows = [{name: rng.choice([*edges, rng.getrandbits(18), rng.getrandbits(18), rng.getrandbits(18)]) for name in ("dia", "dib")}
            | {"cea": rng.random() < 0.9, "rsta": rng.random() < 0.03} for _ in range(2000)]
    got = answers(verilog, MULTIPLIERS, pack(rows))
    for name, (signs, stages) in MULTIPLIERS.items():
        held = [0, 0, 0, 0]
        for n, row in enumerate(rows):
            a, b = (row[field] - (sign and row[field] >> 17) * (1 << 18) for sign, field in zip(signs, ("dia", "dib")))
            product = (held[0] if stages[0] else a) * (held[1] if stages[1] else b)
            inside = held[2] if stages[2] else product
            assert got[name][n] == (held[3] if stages[3] else inside) % (1 << 36), (name, n)
            held = [0, 0, 0, 0] if row["rsta"] else [a, b, product, inside] if row["cea"] else held


#: Instances in modes that are not modelled, and what is said about them.
REFUSED = [
    ('CCU2C #(.INJECT1_0("YES"), .INJECT1_1("NO")) x ()', "INJECT1 must be NO"),
    ("CCU2C x ()", "INJECT1 must be NO"),
    ('TRELLIS_FF #(.CEMUX("0")) x ()', "CEMUX must be"),
    ('TRELLIS_FF #(.CLKMUX("0")) x ()', "CLKMUX must be"),
    ('TRELLIS_FF #(.LSRMUX("1")) x ()', "LSRMUX must be"),
    ('TRELLIS_FF #(.REGSET("X")) x ()', "REGSET must be"),
    ('TRELLIS_FF #(.SRMODE("CE_OVER_LSR")) x ()', "SRMODE must be"),
    ('TRELLIS_FF #(.LSRMODE("PRLD")) x ()', "Parameter not found: 'LSRMODE'"),
    ("TRELLIS_FF x (.M(m))", "Pin not found: 'M'"),
    ('TRELLIS_DPR16X4 #(.WCKMUX("INV")) x ()', "WCKMUX must be WCK"),
    ('TRELLIS_DPR16X4 #(.WREMUX("INV")) x ()', "WREMUX must be WRE"),
    ('MULT18X18D #(.REG_INPUTA_CLK("CLK1")) x ()', "CLK must be NONE or CLK0"),
    ('MULT18X18D #(.REG_INPUTB_CLK("CLK2")) x ()', "CLK must be NONE or CLK0"),
    ('MULT18X18D #(.REG_INPUTC_CLK("CLK0")) x ()', "CLK must be NONE or CLK0"),
    ('MULT18X18D #(.REG_PIPELINE_CLK("CLK3")) x ()', "CLK must be NONE or CLK0"),
    ('MULT18X18D #(.REG_OUTPUT_CLK("CLK1")) x ()', "CLK must be NONE or CLK0"),
    ('MULT18X18D #(.REG_OUTPUT_CE("CE1")) x ()', "CE must be CE0"),
    ('MULT18X18D #(.REG_INPUTA_RST("RST1")) x ()', "RST must be RST0"),
    ('MULT18X18D #(.MULT_BYPASS("ENABLED")) x ()', "plain multiplier"),
    ('MULT18X18D #(.RESETMODE("ASYNC")) x ()', "plain multiplier"),
    ("MULT18X18D x (.CLK1(m))", "Pin not found: 'CLK1'"),
    ("MULT18X18D x (.ROA0(m))", "Pin not found: 'ROA0'"),
    ("DP16KE x ()", "module: 'DP16KE'"),
]


@pytest.mark.parametrize("instance, message", REFUSED, ids=[text.split(" x ")[0] + str(i) for i, (text, _) in enumerate(REFUSED)])
def test_refused(instance, message, tmp_path):
    """A design with a mode, pin, parameter or cell that is not modelled does not build."""
    (tmp_path / "top.v").write_text(f"module top(input m); {instance}; endmodule\n{models()}")
    with pytest.raises(ToolError) as caught:
        toolchain.run_verilator(["--lint-only", "-Wno-lint", "-Wno-style", "--top-module", "top", "top.v"], tmp_path)
    assert message in caught.value.output
