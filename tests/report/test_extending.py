"""A command and a layer, added to a copy of the sources by docs/extending.md: in the places that its tables name, and in no other."""

import os
import re
import shutil
import subprocess
import sys

import pytest
from support import DOCS, SOURCES

#: A command that does nothing for so many cycles, at the staging memory; it comes before every LOSS.
COMMAND = {
    "arch/commands.py": [
        ("    UPDATE = 7\n", "    UPDATE = 7\n    REST = 8\n"),
        ("COMMANDS = {\n", "COMMANDS = {\n    Opcode.REST: ('Nothing.', (count('cycles', 'at least 2'),)),\n")],
    "arch/units.py": [("UNITS = {\n", "UNITS = {\n    Opcode.REST: _unit('rest', 'resting', Port.STAGING),\n")],
    "hw/control/rest.py": [("", """
from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import Out

from gradgate.arch.commands import Opcode
from gradgate.hw.parts.command import UnitSignature


class Rest(wiring.Component):
    unit: Out(UnitSignature(Opcode.REST))

    def elaborate(self, platform):
        m = Module()
        left = Signal(12)
        m.d.comb += self.unit.done.eq(left == 1)
        with m.If(self.unit.start):
            m.d.sync += left.eq(self.unit.payload.cycles - 1)
        with m.Elif(left != 0):
            m.d.sync += left.eq(left - 1)
        return m
""")],
    "hw/core.py": [
        ("from gradgate.hw.control.move import Move\n",
         "from gradgate.hw.control.move import Move\nfrom gradgate.hw.control.rest import Rest\n"),
        ('{"array": array,', '{"rest": Rest(), "array": array,')],
    "golden/cycles/program.py": [("COSTS = {\n", "COSTS = {\n    Opcode.REST: lambda config, rest, _: Cost(rest.cycles),\n")],
    "compiler/compile.py": [
        ("    ctx.program.add(Opcode.LOSS,",
         "    ctx.program.add(Opcode.REST, Note(), cycles=2000)\n    ctx.program.add(Opcode.LOSS,")],
}
#: What is asked of the copy: the tables, a core, and the times of a step.
TABLES = """
from gradgate.arch.commands import COMMANDS, Opcode, decode
from gradgate.hw.core import Core
from gradgate.report import training
from gradgate.report.commands import markdown
from gradgate.sim.soak import ODD, legal_case
from amaranth.back import rtlil
import numpy as np
from gradgate.compiler.compile import compile_step
from gradgate.golden.cycles.program import program_costs, program_times
from gradgate.golden.model import GoldenModel
from gradgate.sim.soak import random_batch

config = ODD[0]
rng = np.random.default_rng(1)
network, batch = legal_case(config, rng)
program = compile_step(network, config, batch=batch)
index = next(i for i, c in enumerate(program.commands) if c.opcode == Opcode.REST)
after = next(i for i, c in enumerate(program.commands) if c.opcode == Opcode.LOSS)
rest, loss = program.commands[index], program.commands[after]
assert decode(program.words())[index] == rest and rest.cycles == 2000
assert rest.waits >= {Opcode.MOVE} and Opcode.REST not in loss.waits  # the staging memory; no port in common
step = GoldenModel(network, config.formats, 0).step(*random_batch(rng, network, batch), 2)
times = program_times(program, program_costs(config, program, step.tensors))
assert times[index].cycles >= 2000 + 1 and times[after].start < times[index].end
assert program.phase(index) == 'resting' and 'resting' in training.PHASES and '## REST (opcode 8, 2 words' in markdown()
assert 'rest' in rtlil.convert(Core(config))
"""
#: What is asked with a simulation: training steps of a core that has the unit, exact in words and times.
RUN = """
import numpy as np
from gradgate.sim.soak import ODD, bench_of, legal_case, random_batch, train

rng = np.random.default_rng(1)
network, batch = legal_case(ODD[0], rng)
tally = train(bench_of(ODD[0]), network, [random_batch(rng, network, batch) for _ in range(2)])
assert tally.exact and tally.steps == 2, (tally.first, tally.first_cycles)
"""

#: A layer that halves every word, by a POST.
LAYER = {
    "arch/layers.py": [
        ('    "relu": {"type"},\n', '    "halve": {"type", "name", "from"},\n    "relu": {"type"},\n'),
        ('    if kind in ("conv", "depthwise", "dense", "avgpool"):\n',
         '    if kind in ("conv", "depthwise", "dense", "avgpool", "halve"):\n'),
        ('    if kind == "avgpool":\n',
         '    if kind == "halve":\n        return Block(**common, cout=cin, kh=1, kw=1, stride=1, padding=0, kind="halve")\n'
         '    if kind == "avgpool":\n')],
    "arch/block.py": [
        ('return self.kind != "average"', 'return self.kind not in ("average", "halve")'),
        ("return (self.kh * self.kw).bit_length() - 1", 'return 1 if self.kind == "halve" else (self.kh * self.kw).bit_length() - 1')],
    "golden/layers.py": [("def average(x:", "def halve(x):\n    return (x + 1) // 2\n\n\ndef average(x:")],
    "golden/model.py": [
        ("y = layers.average(x, block.kh, block.kw)",
         'y = layers.halve(x) if block.kind == "halve" else layers.average(x, block.kh, block.kw)'),
        ("parts = layers.spread(grad, block.kh, block.kw)",
         'parts = layers.halve(grad) if block.kind == "halve" else layers.spread(grad, block.kh, block.kw)')],
    "golden/floating.py": [
        ("        b, h, wide, c = x.shape\n        y = ",
         "        b, h, wide, c = x.shape\n        y = x / 2 if block.kind == 'halve' else "),
        ("contribute(block.source, (grad /", "contribute(block.source, grad / 2 if block.kind == 'halve' else (grad /")],
    "compiler/compile.py": [
        ("average=forward.average)", "average=forward.average, halve=forward.average)"),
        ("average=backward_data.average_backward)", "average=backward_data.average_backward, halve=backward_data.average_backward)")],
    "sim/soak.py": [
        ('    layers.append({"type": "dense",', '    layers.append({"type": "halve"})\n    layers.append({"type": "dense",'),
        ('"average": any(', '"halve": any(b.kind == "halve" for b in network.blocks), "average": any(')],
}
#: What is asked of the copy: values by hand, gradients in floating point, a program.
VALUES = """
import numpy as np
from gradgate.arch.formats import Formats
from gradgate.arch.network import Network
from gradgate.compiler.compile import compile_step
from gradgate.golden.floating import FloatModel
from gradgate.golden.model import GoldenModel
from gradgate.sim.soak import ODD, Soak, legal_case

conv = {"type": "conv", "name": "c", "out": 2, "kernel": 1}
network = Network.build("toy", (2, 2, 1), [conv, {"type": "relu"}, {"type": "halve", "name": "h"}, {"type": "dense", "out": 2}])
rng = np.random.default_rng(1)
x, labels = rng.integers(-2000, 2000, (4, 2, 2, 1)), np.array([0, 1, 1, 0])
tensors = GoldenModel(network, Formats(), 0).step(x, labels, 2).tensors
for out, half in zip(tensors["c.out"].ravel(), tensors["h.out"].ravel()):
    assert half == (int(out) + 1) // 2
for out, whole, part in zip(tensors["c.out"].ravel(), tensors["h.grad"].ravel(), tensors["c.grad"].ravel()):
    assert part == ((int(whole) + 1) // 2 if out else 0)
assert tensors["c.grad"].any()
model = FloatModel(network, dtype=np.float64)
real, step = x / 1024, 1e-6
trace = model.forward(real)
assert (trace["h"][1] == trace["c"][1] / 2).all() and trace["c"][1].any()
before, gradients = model.gradients(real, labels)
model.weights[0][0, 0] += step
assert abs((model.gradients(real, labels)[0] - before) / step - gradients[0][0, 0]) < 1e-4
count = Soak()
random, batch = legal_case(ODD[0], rng)
count.count(random, compile_step(random, ODD[0], batch=batch))
assert count.kinds["halve"] == 1
"""


def copied(tmp_path, edits):
    """The sources as a package in ``tmp_path``, with ``edits``: {file: [(what, by what it is replaced)]}; a new file replaces nothing."""
    rooms = [path for path in SOURCES.iterdir() if (path / "__init__.py").is_file() and path.name not in ("tests", "package")]
    package = tmp_path / "gradgate"
    for room in rooms:
        shutil.copytree(room, package / room.name, ignore=shutil.ignore_patterns("__pycache__", "*.npz"))
    shutil.copy(SOURCES / "package/__init__.py", package)
    for name, changes in edits.items():
        path = package / name
        for old, new in changes:
            text = path.read_text() if path.exists() else ""
            assert text.count(old) == 1 or not text, (name, old)
            path.write_text(text.replace(old, new) if text else new)
    return tmp_path


def ask(where, code):
    """What a process says that uses the copy: its errors, empty if it had none."""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env={**os.environ, "PYTHONPATH": str(where)})
    assert (run.returncode == 0) == (not run.stderr), run.stderr
    return run.stderr


def places(section):
    """Files and rooms in the first column of the first table of a section of docs/extending.md, one list for each of its lines."""
    text = (DOCS / "extending.md").read_text(encoding="utf-8").split(f"## {section}\n")[1].split("\n## ")[0]
    lines = [line.split("|")[1] for line in text.splitlines() if line.startswith("|")][2:]
    return [re.findall(r"`([a-z][\w/.]*)`", line) for line in lines]


def named(edits, section, count):
    """Every file that is edited is named by the table, or in a room that is, and the table has so many places."""
    table = places(section)
    assert len(table) == count
    for name in edits:
        assert any(name == place or place.endswith("/") and name.startswith(place) for line in table for place in line), name


def test_a_command(tmp_path):
    """Four places are enough for all tables, the gateware, the waits and the times."""
    named(COMMAND, "A new command", 4)
    assert ask(copied(tmp_path, COMMAND), TABLES) == ""


@pytest.mark.parametrize("without, message", [
    ("arch/units.py", "UNITS must have an entry for REST"),
    ("golden/cycles/program.py", "COSTS must have an entry for REST")])
def test_a_command_without(tmp_path, without, message):
    """A table that lacks the opcode is an error at import, with its name."""
    edits = {name: changes for name, changes in COMMAND.items() if name != without}
    assert f"ValueError: {message}" in ask(copied(tmp_path, edits), "import gradgate.golden.cycles.program")


@pytest.mark.full
def test_a_command_in_simulation(tmp_path):
    """The new unit takes its cycles, beside LOSS, and disturbs nothing."""
    assert ask(copied(tmp_path, COMMAND), RUN) == ""


def test_a_layer(tmp_path):
    """Six places are enough for values, gradients, programs and random networks."""
    named(LAYER, "A new layer", 6)
    assert ask(copied(tmp_path, LAYER), VALUES) == ""


@pytest.mark.parametrize("without", ["golden/floating.py", "golden/model.py"])
def test_a_layer_without(tmp_path, without):
    """A model that lacks the layer is found."""
    edits = {name: changes for name, changes in LAYER.items() if name != without}
    assert "AssertionError" in ask(copied(tmp_path, edits), VALUES)


@pytest.mark.full
def test_a_layer_in_simulation(tmp_path):
    """The core trains networks that have it, exact in words and times."""
    assert ask(copied(tmp_path, LAYER), RUN) == ""
