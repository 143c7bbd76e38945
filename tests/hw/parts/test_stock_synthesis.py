"""Multiplier and block RAM after the stock synthesis of each family, simulated on Yosys' own models of the cells.

Nothing of this project's synthesis is used: a user may read ``gradgate.v`` into any of these flows.
"""

import random

import pytest
from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from support import DOCS
from support.primitives import answers, design
from support.stock import FLOWS, has_model, synthesised, with_models

from gradgate.arch import latency
from gradgate.hw.parts.multiplier import Multiplier
from gradgate.hw.parts.ram import Ram
from gradgate.hw.parts.registers import Unreset, behind
from gradgate.hw.verilog import convert
from gradgate.sim import toolchain
from gradgate.sim.toolchain import ToolError

WIDTHS = [8, 9, 16, 17, 18]  # of operands: where a DSP of some family ends
EVERY = [*range(8, 19)]  # that a configuration may have
BANK = {"width": 36, "depth": 512, "parts": 2}  # a PE's accumulators
CYCLES = 1500
#: First bit and bits of what a row of stimuli holds.
FIELDS = {"a": (0, 18), "b": (18, 18), "r_addr": (36, 9), "w_addr": (45, 9), "w_en": (54, 2), "w_data": (56, 36)}


class Multipliers(wiring.Component):
    """A multiplier of each width; they take the low bits of the same operands."""

    def __init__(self, widths, unit=Multiplier):
        self.widths, self.unit = widths, unit
        super().__init__({"a": In(18), "b": In(18)} | {f"o{width}": Out(2 * width) for width in widths})

    def elaborate(self, platform):
        m = Module()
        for width in self.widths:
            m.submodules[f"multiplier{width}"] = unit = self.unit(width)
            m.d.comb += [unit.a.eq(self.a[:width]), unit.b.eq(self.b[:width]), getattr(self, f"o{width}").eq(unit.o)]
        return m


class TwoAfter(Multiplier):
    """As a multiplier was once: with two registers after the product."""

    def elaborate(self, platform):
        m = Module()
        a = Unreset(self.a.shape())
        b = Unreset(self.b.shape())
        pipe = Unreset(self.o.shape())
        product = behind(m, self.o, "product")
        m.d.sync += [
            a.eq(self.a),
            b.eq(self.b),
            pipe.eq(a * b),
            product.eq(pipe),
        ]
        return m


def signed(value, bits):
    value &= (1 << bits) - 1
    return value - (value >> bits - 1 << bits)


def stimuli(rng):
    """Rows of random values by name, extremes of every width among the operands; a word is not read in the cycle of its write."""
    edges = [1 << width - 1 for width in EVERY] + [(1 << width - 1) - 1 for width in EVERY] + [0, 1, (1 << 18) - 1]
    rows = []
    for _ in range(CYCLES):
        row = {name: rng.getrandbits(bits) for name, (_, bits) in FIELDS.items()}
        row |= {name: rng.choice([row[name], rng.choice(edges)]) for name in "ab"}
        row["r_addr"] = (row["w_addr"] + rng.choice([-1, 1, rng.randint(1, 511)])) % 512
        rows.append(row)
    return rows


def products(rows, width):
    """What the multiplier must answer in each cycle; nothing is known of the first ones."""
    late = [signed(row["a"], width) * signed(row["b"], width) & (1 << 2 * width) - 1 for row in rows]
    return [None] * latency.MULTIPLY + late[:-latency.MULTIPLY]


def words(rows):
    """What the RAM must answer in each cycle."""
    memory, read = [0] * 512, []
    for row in rows:
        read.append(memory[row["r_addr"]])
        mask = sum(0x3FFFF << 18 * part for part in range(2) if row["w_en"] >> part & 1)
        memory[row["w_addr"]] = memory[row["w_addr"]] & ~mask | row["w_data"] & mask
    return [None] * latency.RAM + read[:-latency.RAM]


def joined(answer):
    """The number of an answer, which may be a list of 32-bit words."""
    return sum(word << 32 * i for i, word in enumerate(answer)) if isinstance(answer, list) else answer


def wired(fields):
    return ", ".join(f".{name}(in[{FIELDS[name][0] + FIELDS[name][1] - 1}:{FIELDS[name][0]}])" for name in fields)


@pytest.fixture(scope="module", params=[WIDTHS, pytest.param(EVERY, marks=pytest.mark.full)], ids=["some", "every"])
def widths(request):
    return request.param


@pytest.fixture(scope="module")
def netlists(tmp_path_factory, widths):
    """``{(flow, unit): (cells, directory)}``."""
    toolchain.use_yosys()
    texts = {"multipliers": convert(Multipliers(widths), "gradgate"), "bank": convert(Ram(**BANK), "gradgate")}
    found = {}
    for name, flow in FLOWS.items():
        for unit, text in texts.items():
            directory = tmp_path_factory.mktemp(f"{name}_{unit}")
            found[name, unit] = synthesised(text, flow, directory), directory
    return found


@pytest.mark.parametrize("name", FLOWS)
def test_cells(netlists, widths, name):
    """Each multiplier is in a DSP, the bank in block RAM, and Yosys has models of these cells where the table says so."""
    flow = FLOWS[name]
    cells = netlists[name, "multipliers"][0]
    extra = 2 if name == "ice40" else 0  # it has 16 x 16 bits: 17 and 18 take another for the upper bits of an operand
    assert sum(cells.get(kind, 0) for kind in flow.dsp) == len(widths) + extra
    assert sum(netlists[name, "bank"][0].get(kind, 0) for kind in flow.bram) >= 1
    assert {cell for cell in flow.dsp + flow.bram if not has_model(flow, cell)} == set(flow.silent)


def test_products_and_words(netlists, widths):
    """Back to back, against Python's arithmetic."""
    seed = 5
    print(f"seed {seed}")
    rows = stimuli(random.Random(seed))
    instances, texts, wanted = {}, [], {}
    for name, flow in FLOWS.items():
        for unit, kinds in (("multipliers", flow.dsp), ("bank", flow.bram)):
            cells, directory = netlists[name, unit]
            if set(kinds) & set(cells) & set(flow.silent):
                continue
            texts.append(with_models(flow, f"{name}_{unit}", directory))
            if unit == "bank":
                ports = [("r_data", 36, words(rows))]
                inputs = wired(("r_addr", "w_addr", "w_en", "w_data"))
            else:
                ports = [(f"o{width}", 2 * width, products(rows, width)) for width in widths]
                inputs = wired("ab")
            ports = [(f"{name}_{port}", port, bits, values) for port, bits, values in ports]
            names = ", ".join(f".{port}({wire})" for wire, port, _, _ in ports)
            for wire, _, bits, values in ports:
                instances[wire] = bits, ""
                wanted[wire] = values
            first = ports[-1][0]
            instances[first] = instances[first][0], f"{name}_{unit} dut_{name}_{unit}(.clk(clk), .rst(1'b0), {inputs}, {names});"
    assert len(wanted) == 4 * len(widths) + 2
    found = answers(design(instances) + "\n".join(texts), wanted, [
        sum(row[name] << low for name, (low, _) in FIELDS.items()) for row in rows])
    for wire, values in wanted.items():
        assert [None if want is None else joined(got) for got, want in zip(found[wire], values)] == values, wire




def test_two_registers_after_the_product(tmp_path):
    """What the test is for: Yosys 0.70 gets this wrong, and says so in a warning that this project takes for an error."""
    toolchain.use_yosys()
    with pytest.raises(ToolError, match="^yosys made a netlist that is wrong: Driver-driver conflict"):
        synthesised(convert(Multipliers([16], TwoAfter), "gradgate"), FLOWS["ice40"], tmp_path)


def test_page():
    """The table of docs/simulators.md."""
    page = (DOCS / "simulators.md").read_text(encoding="utf-8")
    for flow in FLOWS.values():
        shown = {cells: "no model" if set(cells) & set(flow.silent) else "simulated" for cells in (flow.dsp, flow.bram)}
        row = f"| `{flow.command}` | " + " | ".join(f"{', '.join(cells)}: {word}" for cells, word in shown.items()) + " |"
        assert row in page, row
