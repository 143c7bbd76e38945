"""What nextpnr reports of a placed and routed design, by the names of its units."""

import json
import re
from dataclasses import dataclass
from pathlib import Path

from gradgate.fpga.synthesis import UNITS, generic
from gradgate.sim.toolchain import ToolError

CORE = "system.core."
SERIAL = {"bridge", "receiver", "transmitter"}  #: beside the core, in the system
BEL = re.compile(r"^X(\d+)/?Y(\d+)")

#: What nextpnr's cells are, by the beginning of their type; the rest (pins, clock buffers) is not counted.
KINDS = (("TRELLIS_COMB", "lut4"), ("TRELLIS_FF", "ff"), ("DP16KD", "bram"), ("MULT18X18D", "dsp"),
         ("LUT", "lut4"), ("ALU", "lut4"), ("RAM16SDP", "lut4"), ("DFF", "ff"), ("DP", "bram"), ("SDP", "bram"), ("SP", "bram"),
         ("MULT18X18", "dsp"), ("ICESTORM_LC", "lut4"), ("ICESTORM_RAM", "bram"), ("ICESTORM_DSP", "dsp"))


@dataclass(frozen=True, kw_only=True)
class CriticalPath:
    """The longest path between two registers."""

    start: str  #: the signal that leaves a register or memory, instance numbers left out
    end: str
    logic_ns: float  #: clock to output, cells, setup
    routing_ns: float
    cells: int  #: cells on the way
    units: list  #: units that it passes, in order

    def json(self) -> dict:
        return {"from": self.start, "to": self.end, "logic_ns": round(self.logic_ns, 2), "routing_ns": round(self.routing_ns, 2),
                "cells": self.cells, "units": self.units}

    def text(self) -> str:
        """One line."""
        return (f"from {self.start} to {self.end}: logic {self.logic_ns:.1f} ns, routing {self.routing_ns:.1f} ns, "
                f"{self.cells} cells in {', '.join(self.units)}")


@dataclass(frozen=True, kw_only=True)
class Placed:
    """One seed's result."""

    fmax: float  #: MHz
    path: CriticalPath
    used: dict  #: {nextpnr's cell type: (used, there)}
    units: dict  #: {unit: {"lut4", "ff", "dsp", "bram"}}
    sites: list  #: (x, y, kind, unit) of every cell that is counted


def unit(cell: str) -> str:
    """Name of the unit that a cell of the flattened design is in."""
    if cell.startswith("$nextpnr_"):
        return "ends of carry chains"  # which nextpnr adds, without a name
    if not cell.startswith(CORE):
        if not cell.startswith("system."):
            return "clock and pins"
        first, dot, _ = generic(cell.removeprefix("system.")).partition(".")
        return first if dot and first not in SERIAL else "serial line"
    path = generic(cell.removeprefix(CORE))
    for module, name in UNITS.items():
        if module and path.startswith(f"{module}."):
            return name
    first, dot, _ = path.partition(".")
    return first if dot else UNITS[""]


def signal(cell: str) -> str:
    """The signal that Yosys named a cell after, without instance numbers: names of cell types and ports are capitals."""
    return generic(re.split(r"_(?=[A-Z])", cell.removeprefix(CORE))[0])


def critical_path(report: dict, clock: str) -> CriticalPath:
    """The longest path of ``clock`` in nextpnr's report. Raises :class:`ToolError` where it has none."""
    edge = f"posedge {clock}"
    path = next((found["path"] for found in report["critical_paths"] if found["from"] == found["to"] == edge), None)
    if not path:
        raise ToolError(f"nextpnr's report has no path of clock {clock}")
    routing = sum(step["delay"] for step in path if step["type"] == "routing")
    passed = [path[0]["from"]["cell"], *(step["to"]["cell"] for step in path)]
    logic = sum(step["delay"] for step in path) - routing
    return CriticalPath(start=signal(passed[0]), end=signal(passed[-1]), routing_ns=routing, logic_ns=logic,
                        cells=len(dict.fromkeys(passed)), units=list(dict.fromkeys(map(unit, passed))))


def read(directory: Path) -> Placed:
    """The ``report.json`` and ``placed.json`` of a run. Raises :class:`ToolError` where something is missing in them."""
    report = json.loads((directory / "report.json").read_text(encoding="utf-8"))
    if not report["fmax"]:
        raise ToolError(f"nextpnr's report has no clock: {directory / 'report.json'}")
    clock = min(report["fmax"], key=lambda name: report["fmax"][name]["achieved"] / report["fmax"][name]["constraint"])
    netlist = json.loads((directory / "placed.json").read_text(encoding="utf-8"))["modules"]
    sites = [site for module in netlist.values() for site in map(_site, module["cells"].items()) if site]
    units = {}
    for _, _, kind, name in sites:
        units.setdefault(name, dict.fromkeys(("lut4", "ff", "dsp", "bram"), 0))[kind] += 1
    return Placed(fmax=report["fmax"][clock]["achieved"], path=critical_path(report, clock), sites=sites, units=units,
                  used={kind: (n["used"], n["available"]) for kind, n in report["utilization"].items() if n["used"]})


def _site(item):
    """Place, kind and unit of a cell; None for one that is not counted."""
    name, cell = item
    kind = next((kind for begin, kind in KINDS if cell["type"].startswith(begin)), None)
    place = BEL.match(cell["attributes"].get("NEXTPNR_BEL", ""))
    return (int(place[1]), int(place[2]), kind, unit(name)) if kind and place else None
