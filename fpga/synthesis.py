"""Synthesis of a core for ECP5 with Yosys: what each unit takes of the device, and where its memories and multipliers went."""

import json
import os
import re
import subprocess
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from gradgate.arch.config import Config
from gradgate.arch.files import write_files
from gradgate.fpga.resources import CELLS, DEVICE, Resources
from gradgate.fpga.same import same_modules
from gradgate.hw.generate import TOP, rtlil, verilog
from gradgate.sim.toolchain import ToolError, first_error, use_yosys

#: Modules that are units of their own, instance numbers left out, and their names in tables; other modules right in the core have
#: the module's name.
UNITS = {
    "array.row*.lane*": "lane",
    "array.row*": "row without its lanes",
    "array": "array control",
    "host": "host port",
    "row_port": "row port",
    "": "between the units",
}

#: Yosys' commands that read a design. Amaranth shows word 1 of an array a as a[1], the name ABC9 gives to bit 1: hidden, they cannot
#: collide. Verilog becomes RTLIL first: a module of Verilog with a primitive that Yosys 0.70 does not know yet is read again as soon as
#: it does, at the latest by the check behind synthesis, which then has the unsynthesised top in the place of its result.
READ_RTLIL = (f"read_rtlil {TOP}.il", "rename -hide w:*[*")
READ_VERILOG = (f"read_verilog {TOP}.v", f"write_rtlil {TOP}.il", "design -reset", *READ_RTLIL)

MODULE = re.compile(r"^module (\S+?) *\(.*?^endmodule$", re.MULTILINE | re.DOTALL)
MEMORY = re.compile(r"^ *reg (?:signed )?(?:\[(\d+):0\] )?(\S+) +\[(\d+):0\];$", re.MULTILINE)
#: What Yosys only warns of, but a netlist with it is wrong: no signal of ours has two drivers.
CONFLICT = re.compile(r"Driver-driver conflict .*")


@dataclass(frozen=True, kw_only=True)
class Netlist:
    """Yosys' result: of each module its own cells, and the modules in it, as ``{type: number}``; places of memories and
    multipliers as ``{type: [path]}``."""

    cells: dict
    children: dict
    places: dict

    def total(self, module: str, same: dict | None = None) -> Resources:
        """Resources of a module with all in it. ``same`` names, for a module without contents, one that has the same."""
        found = Resources.of(self.cells[module])
        for child, number in self.children[module].items():
            for _ in range(number):
                found += self.total((same or {}).get(child, child), same)
        return found


@dataclass(frozen=True, kw_only=True)
class Unit:
    """One kind of unit. Rows differ in the number they compare with, so that ``each`` is the largest of them."""

    name: str
    number: int
    each: Resources
    all: Resources


@dataclass(frozen=True, kw_only=True)
class Memory:
    """Memories of one kind: ``number`` of them, ``cells`` cells of type ``kind`` in all ("": became flip-flops)."""

    name: str
    number: int
    words: int
    bits: int
    kind: str
    cells: int


@dataclass(frozen=True, kw_only=True)
class Synthesis:
    """A core, synthesised unit by unit (``units``) and, for what it really takes, as a whole (``core``)."""

    config: Config
    tool: str
    period: float | None  #: ns that paths may take, routing not counted; None: as short as possible
    units: list
    core: Resources
    memories: list
    multipliers: dict  #: places of multipliers, instance numbers left out: how many
    wall_s: float

    @property
    def sum(self) -> Resources:
        """Sum of the units."""
        return sum((unit.all for unit in self.units), Resources())

    def row(self) -> Resources:
        """The largest row, lanes included."""
        lane, row = (next(unit.each for unit in self.units if unit.name == name) for name in ("lane", "row without its lanes"))
        return sum([lane] * self.config.lanes, row)

    def json(self) -> dict:
        """All figures."""
        return {
            "config": self.config.to_dict(), "tool": self.tool, "period_ns": self.period, "wall_s": round(self.wall_s, 1),
            **asdict(self.core),
            "sum_of_units": asdict(self.sum), "row": asdict(self.row()),
            "units": {unit.name: {"number": unit.number, **asdict(unit.each), "all": asdict(unit.all)} for unit in self.units},
            "memories": [asdict(memory) for memory in self.memories], "multipliers": self.multipliers,
        }


def modules(text: str) -> dict:
    """The modules of generated Verilog, as ``{name: text}``."""
    return {match[1].removeprefix("\\"): match[0] for match in MODULE.finditer(text)}


def yosys(directory: Path, script: list) -> str:
    """Run Yosys in ``directory``, which holds all files that ``script`` names, and return its log. Raises :class:`ToolError`."""
    use_yosys()
    command = os.environ["YOSYS"]
    write_files(directory, {"yosys.ys": "\n".join(script) + "\n"})
    log = directory / "yosys.log"
    log.unlink(missing_ok=True)
    # Absolute paths mean something else in a WebAssembly Yosys, and its output ends where it starts another tool.
    done = subprocess.run([command, "-q", "-l", log.name, "yosys.ys"], cwd=directory, text=True, errors="replace",
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    text = log.read_text(encoding="utf-8", errors="replace") if log.exists() else done.stdout
    if done.returncode:
        raise ToolError(f"yosys failed: {first_error(done.stdout or text)} (all of it: {log})", text)
    if wrong := CONFLICT.search(text):
        raise ToolError(f"yosys made a netlist that is wrong: {wrong[0]} (all of it: {log})", text)
    return text


def synthesise(text: str, directory: Path, *, top: str = TOP, keep=(), empty=(), period: float | None = None) -> Netlist:
    """Synthesise Verilog for ECP5, flattened but for the modules ``keep``; those in ``empty`` stay black boxes.

    With ``period``, in ns, logic whose longest path is shorter is made smaller, not faster.
    """
    write_files(directory, {f"{TOP}.v": text})
    listed = [kind for costs in (CELLS["dsp"], CELLS["bram"], CELLS["lutram"]) for kind in costs]
    yosys(directory, [
        *READ_VERILOG,
        *(f"blackbox {name}" for name in empty), *(f"setattr -mod -set keep_hierarchy 1 {name}" for name in keep if name not in empty),
        *([f"scratchpad -set abc9.D {round(1000 * period)}"] if period else []),
        f"synth_ecp5 -top {top}",
        "tee -o cells.json stat -json",
        *(f"tee -o {kind}.txt select -list t:{kind}" for kind in listed),
    ])
    counts = {name.removeprefix("\\"): {kind.removeprefix("\\"): number for kind, number in module["num_cells_by_type"].items()}
              for name, module in json.loads((directory / "cells.json").read_text(encoding="utf-8"))["modules"].items()}
    kept = set(keep) | set(empty)
    return Netlist(
        cells={module: {kind: n for kind, n in cells.items() if kind not in kept} for module, cells in counts.items()},
        children={module: {kind: n for kind, n in cells.items() if kind in kept} for module, cells in counts.items()},
        places={kind: [line.partition("/")[2] for line in (directory / f"{kind}.txt").read_text(encoding="utf-8").splitlines()]
                for kind in listed})


def unit_name(module: str) -> str | None:
    """Name of the unit that a module is, or None for a part of one."""
    if module != TOP and not module.startswith(f"{TOP}."):
        return None
    path = generic(module.removeprefix(TOP).removeprefix("."))
    return UNITS.get(path, None if "." in path else path)


def generic(path: str) -> str:
    """A path without instance numbers."""
    return re.sub(r"(?<=[a-z])\d+(?=\.|$)", "*", re.sub(r"\$\d+", "", path))


def memories(text: str, netlist: Netlist) -> list:
    """The memories of Verilog that was generated for any device, and where they are in the netlist, whose top is flat.

    In the place of ``mem``, a netlist for a device may have primitives called ``block0`` and so on.
    """
    found = {}
    kinds = {**CELLS["bram"], **CELLS["lutram"]}
    for module, body in modules(text).items():
        for high, name, last in MEMORY.findall(body):
            path = ".".join([*module.split(".")[1:], name.removeprefix("\\")])
            inside = f"{path}.", f"{path.removesuffix('mem')}block"
            cells = {kind: sum(place.startswith(inside) for place in netlist.places[kind]) for kind in kinds}
            kind = max(cells, key=cells.get)
            key = generic(path), int(last) + 1, int(high or 0) + 1, kind if cells[kind] else ""
            number, total = found.get(key, (0, 0))
            found[key] = number + 1, total + cells[kind]
    return [Memory(name=name, words=words, bits=bits, kind=kind, number=number, cells=cells)
            for (name, words, bits, kind), (number, cells) in found.items()]


def run(config: Config, directory: Path, *, period: float | None = None, progress=lambda step: None) -> Synthesis:
    """Synthesise the core of ``config`` unit by unit and as a whole; Yosys' files stay in ``directory``. ``period``: see
    :func:`synthesise`.

    Modules that are identical up to names are synthesised once. ``progress`` is called with the name of each step.
    """
    begin = time.monotonic()
    progress("generate")
    use_yosys()
    text = verilog(config, device=DEVICE, shared=False)  # units are counted by their places
    same = same_modules(rtlil(config, device=DEVICE))
    units = {module: unit_name(module) for module in sorted(same) if unit_name(module)}
    progress("units")
    netlist = synthesise(text, directory / "units", period=period, keep=sorted(set(units) - {TOP}),
                         empty=sorted(module for module in units if same[module] != module))
    table = []
    for name in sorted(set(units.values()), key=[*UNITS.values(), *units.values()].index):
        own = [Resources.of(netlist.cells[same[module]]) for module, unit in units.items() if unit == name]
        table.append(Unit(name=name, number=len(own), each=max(own, key=lambda r: r.lut4), all=sum(own, Resources())))
    progress("whole core")
    flat = synthesise(text, directory / "core", period=period)
    multipliers = [generic(place.rpartition(".")[0]) for kind in CELLS["dsp"] for place in flat.places[kind]]
    return Synthesis(config=config, tool=tool_version(), period=period, units=table, core=flat.total(TOP),
                     memories=memories(verilog(config, shared=False), flat),
                     multipliers={place: multipliers.count(place) for place in sorted(set(multipliers))},
                     wall_s=time.monotonic() - begin)


def tool_version() -> str:
    """What ``yosys --version`` says, without its build's particulars."""
    use_yosys()
    done = subprocess.run([os.environ["YOSYS"], "--version"], capture_output=True, text=True)
    return re.sub(r" \(.*", "", done.stdout.strip())
