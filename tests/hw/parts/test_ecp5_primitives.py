"""Block RAM, multiplier and copies as the ECP5 primitives that the generator places, and their portable twins: the same in each cycle.

The primitives are our models, tested in ``test_primitives.py`` and ``test_block_ram_models.py``. All cases are one design, built once.
"""

import random
import re
from collections import Counter
from types import SimpleNamespace

import pytest
from amaranth.back import verilog as backend
from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from support.primitives import answers, design
from support.units import pack, signed, unpack

from gradgate.arch import latency
from gradgate.fpga import synthesis
from gradgate.hw.parts.copy import Copy
from gradgate.hw.parts.ecp5 import WIDTHS
from gradgate.hw.parts.multiplier import Multiplier
from gradgate.hw.parts.ram import Ram
from gradgate.sim import toolchain

DEVICES = {"placed": "LFE5U-85F", "portable": ""}  #: module: device that it is made for
CYCLES = 2500  #: of a run, one row of stimuli each

#: width, depth, parts by the bits of a block's words
RAMS = {
    36: [(36, 512, 1), (37, 16, 1), (80, 512, 1), (5, 300, 1), (64, 512, 4), (128, 16, 8), (36, 512, 3), (45, 300, 5), (6, 16, 6),
         (80, 512, 2)],
    18: [(18, 1024, 1), (37, 700, 1), (64, 1024, 4), (45, 1024, 5), (36, 700, 3), (40, 513, 2)],
    9: [(9, 2048, 1), (5, 1025, 1), (64, 2048, 4), (36, 2048, 3), (8, 2000, 4)],
    4: [(4, 4096, 1), (9, 4096, 1), (18, 4096, 2), (12, 3000, 3), (6, 2049, 2)],
    2: [(2, 8192, 1), (5, 5000, 1), (9, 8192, 3), (6, 4097, 3)],
    1: [(1, 16384, 1), (5, 9000, 1), (4, 16384, 2), (3, 8193, 3)],
    0: [(5, 16385, 1)],  # deeper than a block: portable on every target
}
CASES = {f"ram_{width}_{depth}_{parts}": (width, depth, parts) for rams in RAMS.values() for width, depth, parts in rams}
MULTIPLIERS = {f"multiplier_{width}": width for width in range(2, 19)}
COPIES = {f"copy_{width}": width for width in (1, 37)}
HELD = {f"held_{width}": width for width in (1, 37)}


def inputs(unit):
    """Bits of a unit's inputs by their names."""
    return {name: len(getattr(unit, name)) for name, member in unit.signature.members.items() if member.flow == In}


def output(unit):
    return unit.r_data if isinstance(unit, Ram) else unit.o


class Units(wiring.Component):
    """All units side by side, with the ports ``unit_input`` and ``unit_out``."""

    def __init__(self):
        self.units = {name: Ram(width=width, depth=depth, parts=parts) for name, (width, depth, parts) in CASES.items()}
        self.units |= {name: Multiplier(width) for name, width in MULTIPLIERS.items()}
        self.units |= {name: Copy(width) for name, width in COPIES.items()}
        self.units |= {name: Copy(width, held=True) for name, width in HELD.items()}
        ports = {f"{name}_{field}": In(bits) for name, unit in self.units.items() for field, bits in inputs(unit).items()}
        super().__init__(ports | {f"{name}_out": Out(len(output(unit))) for name, unit in self.units.items()})

    def elaborate(self, platform):
        m = Module()
        for name, unit in self.units.items():
            m.submodules[name] = unit
            m.d.comb += [getattr(unit, field).eq(getattr(self, f"{name}_{field}")) for field in inputs(unit)]
            m.d.comb += getattr(self, f"{name}_out").eq(output(unit))
        return m


@pytest.fixture(scope="module")
def built():
    """The units by their names, and the Verilog of all of them for each device."""
    toolchain.use_yosys()
    tops = {name: Units() for name in DEVICES}
    return tops["placed"].units, {
        name: backend.convert(top, platform=SimpleNamespace(device=DEVICES[name]), name=name, emit_src=False, strip_internal_attrs=True)
        for name, top in tops.items()}


@pytest.fixture(scope="module", params=[1, 2], ids=lambda s: f"seed{s}")
def run(request, built):
    """What goes in, ``{unit: [inputs]}``, and what each unit answers, ``{(module, unit): [words]}``."""
    seed, (units, modules) = request.param, built
    print(f"seed {seed}")
    given = {name: ram_inputs(random.Random(f"{seed} {name}"), *case) for name, case in CASES.items()}
    given |= {name: multiplier_inputs(random.Random(f"{seed} {name}"), width) for name, width in MULTIPLIERS.items()}
    for name, width in {**COPIES, **HELD}.items():
        rng = random.Random(f"{seed} {name}")
        given[name] = [{"i": rng.getrandbits(width), "en": rng.getrandbits(1)} for _ in range(CYCLES)]
    for name in HELD:
        given[name][0]["en"] = 1
    rows, connections, instances, at = [0] * CYCLES, [], {}, 0
    for name, unit in units.items():
        for field, bits in inputs(unit).items():
            rows = [row | (values[field] & (1 << bits) - 1) << at for row, values in zip(rows, given[name])]
            connections.append(f".{name}_{field}(in[{at} +: {bits}])")
            at += bits
        instances |= {f"{module}_{name}": (len(output(unit)), "") for module in DEVICES}
    for module in DEVICES:
        outputs = [f".{name}_out({module}_{name})" for name in given]
        instances[module] = 1, f"assign {module} = 0; {module} x_{module} (.clk(clk), .rst(rst), {', '.join(connections + outputs)});"
    found = answers(design(instances, bits=-(-at // 32) * 32) + "".join(modules.values()), instances, rows)
    return given, {(module, name): [pack(word, 32) if isinstance(word, list) else word for word in found[f"{module}_{name}"]]
                   for module in DEVICES for name in given}


def ram_inputs(rng, width, depth, parts):
    """A read and a write in most cycles, of any parts; many of words that differ in one bit of the address, or written just now.

    No address is read in the cycle of its write.
    """
    places = [0, depth - 1, *(1 << i for i in range((depth - 1).bit_length())), *(rng.randrange(depth) for _ in range(8))]
    result, before = [], 0
    for n in range(CYCLES):
        enable = rng.choice([0, (1 << parts) - 1, rng.getrandbits(parts), 1 << rng.randrange(parts)])
        write = rng.choice(places) if rng.random() < 0.9 else rng.randrange(depth)
        if n < len(places):  # what is read most is there soon
            write, enable = places[n], (1 << parts) - 1
        read = rng.choice([before, rng.choice(places), rng.choice(places), rng.randrange(depth), write])
        if enable and read == write:
            read = rng.choice([place for place in places if place != write])
        result.append({"r_addr": read, "w_addr": write, "w_data": rng.getrandbits(width), "w_en": enable})
        before = write
    return result


def multiplier_inputs(rng, width):
    """All pairs of extremes, and of all numbers if they are few; random ones."""
    low, high = -(1 << width - 1), (1 << width - 1) - 1
    numbers = range(low, high + 1) if width <= 5 else [low, low + 1, -1, 0, 1, high - 1, high]
    pairs = [(a, b) for a in numbers for b in numbers]
    pairs += [(rng.randint(low, high), rng.randint(low, high)) for _ in range(CYCLES - len(pairs))]
    rng.shuffle(pairs)
    return [{"a": a, "b": b} for a, b in pairs]


def compare(found, name, cycles, values):
    """Both modules answer ``values``, one a cycle, exactly ``cycles`` late; zeros before."""
    expected = [0] * cycles + values
    for module in DEVICES:
        for n, (word, wanted) in enumerate(zip(found[module, name], expected)):
            assert word == wanted, f"{module}, cycle {n}: {word:#x}, not {wanted:#x}"
    assert found["placed", name] == found["portable", name]
    assert len(set(values)) > 1 and expected[:CYCLES] != expected[1:CYCLES + 1], "a cycle more or less would not show"


@pytest.mark.parametrize("name", CASES)
def test_ram(run, name):
    """A read sees all writes of earlier cycles, of the parts that they enable, ``latency.RAM`` cycles late."""
    given, found = run
    width, depth, parts = CASES[name]
    words, values, seen, before = {}, [], Counter(), None
    for row in given[name]:
        write, data, enable = row["w_addr"], row["w_data"], row["w_en"]
        assert not (enable and row["r_addr"] == write)
        values.append(words.get(row["r_addr"], 0))
        seen["next cycle"] += row["r_addr"] == before
        seen["partial"] += 0 < enable < (1 << parts) - 1
        seen["no write"] += not enable and row["r_addr"] == write
        before = write if enable else None
        old, new = (unpack(value, width // parts, parts) for value in (words.get(write, 0), data))
        words[write] = pack([n if enable >> i & 1 else o for i, (o, n) in enumerate(zip(old, new))], width // parts)
    compare(found, name, latency.RAM, values)
    assert seen["next cycle"] > 100 and seen["no write"] > 50 and (seen["partial"] > 500 or parts == 1), seen
    assert 0 in words and depth - 1 in words


@pytest.mark.parametrize("name", MULTIPLIERS)
def test_multiplier(run, name):
    """Signed products, one a cycle, ``latency.MULTIPLY`` cycles late; the most negative number squared among them."""
    given, found = run
    width = MULTIPLIERS[name]
    compare({unit: [signed(word, 2 * width) for word in words] for unit, words in found.items() if unit[1] == name},
            name, latency.MULTIPLY, [row["a"] * row["b"] for row in given[name]])
    assert {"a": -(1 << width - 1), "b": -(1 << width - 1)} in given[name]


@pytest.mark.parametrize("name", COPIES)
def test_copy(run, name):
    """What came in, a cycle late."""
    given, found = run
    compare(found, name, 1, [row["i"] for row in given[name]])


@pytest.mark.parametrize("name", HELD)
def test_held_copy(run, name):
    """What came in with the last enable, a cycle late."""
    given, found = run
    expected = []
    for row in given[name]:
        expected.append(row["i"] if row["en"] else expected[-1])
    compare(found, name, 1, expected)


class Twins(wiring.Component):
    """Two copies of the same."""

    def __init__(self):
        super().__init__({"i": In(5), "o": Out(10)})

    def elaborate(self, platform):
        m = Module()
        for number in range(2):
            m.submodules[f"copy{number}"] = copy = Copy(5)
            m.d.comb += [copy.i.eq(self.i), self.o[5 * number:5 * number + 5].eq(copy.o)]
        return m


@pytest.mark.parametrize("device, registers", [("LFE5U-85F", 10), ("", 5)])
def test_copies_stay_apart(tmp_path, device, registers):
    """Synthesis for an ECP5 merges registers that hold the same, but no copies."""
    toolchain.use_yosys()
    text = backend.convert(Twins(), platform=SimpleNamespace(device=device), name="twins", emit_src=False)
    (tmp_path / "gradgate.v").write_text(text, encoding="utf-8")
    synthesis.yosys(tmp_path, [*synthesis.READ_VERILOG, "synth_ecp5 -top twins", "tee -o cells.txt select -list t:TRELLIS_FF"])
    assert len((tmp_path / "cells.txt").read_text(encoding="utf-8").split()) == registers


def test_primitives(built):
    """Every port mode of a block is there; no memory and no product is left to synthesis but that which no block is deep enough for."""
    _, modules = built
    placed, portable = modules["placed"], modules["portable"]
    for name, (width, depth, parts) in CASES.items():
        text = [module[1] for module in re.finditer(rf"^module \\?placed\.{name}\.block\d+ ?\(.*?\);$(.*?)^endmodule", placed, re.M | re.S)]
        mode = next(mode for mode, rams in RAMS.items() if (width, depth, parts) in rams)
        assert bool(text) == bool(mode)
        assert all(block.count("DP16KD #(") == 1 and f".DATA_WIDTH_A(32'd{mode})" in block for block in text), name
        if parts == 1 and mode:
            assert len(text) == -(-width // mode)
    assert set(RAMS) == {*WIDTHS.values(), 0}
    assert placed.count("MULT18X18D #(") == len(MULTIPLIERS) and " * " not in placed
    assert "DP16KD" not in portable and "MULT18X18D" not in portable
