"""What a synthesis found, as text."""

from gradgate.fpga.resources import CELLS, DEVICE, DEVICES, Resources
from gradgate.fpga.synthesis import Synthesis
from gradgate.report.tables import table

#: Memories of a few words that are read in the cycle of their address, which no block RAM can do.
LUT_RAM = {
    "targets.mem": "the targets of a lane, which are needed in the same cycle as the list entry they are multiplied with",
    "fetch.fifo": "16 items under way to the list builder; the first is always at the output",
    "loss.words": "32 logits, then their exponentials; read and written in turn",
    "sequencer.indices": "the command that each unit has begun, by the unit; needed in the cycle after its end",
}


def lut_rams(*results) -> list:
    """Names of the memories that are not in block RAM, instance names left out."""
    return list(dict.fromkeys(".".join(memory.name.split(".")[-2:]) for synthesis in results for memory in synthesis.memories
                              if memory.kind not in CELLS["bram"]))


def report(synthesis: Synthesis, device: str = DEVICE) -> str:
    """The tables of a synthesis, in Markdown."""
    def row(name, number, each):
        return [name, number, each.lut4, each.ff, each.dsp, each.bram, each.lutram]

    config, core, has = synthesis.config, synthesis.core, DEVICES[device]
    units = [row(unit.name, unit.number, unit.each) for unit in synthesis.units]
    units.insert(2, row("row", config.rows, synthesis.row()))
    places = [[memory.name, memory.number, memory.words, memory.bits, memory.kind or "flip-flops", memory.cells]
              for memory in synthesis.memories]
    return "\n".join([
        *table(["unit", "number", "LUT4", "FF", "DSP", "BRAM", "LUT RAM"], [
            *units, row("sum of the units", 1, synthesis.sum), row("whole core", 1, core)]),
        "", f"{device}: " + ", ".join(f"{name} {getattr(core, key) / getattr(has, key):.0%}" for name, key in (
            ("LUT4", "lut4"), ("FF", "ff"), ("DSP", "dsp"), ("BRAM", "bram"))) + ".",
        "", *table(["memory", "number", "words", "bits", "in", "cells"], places),
        "", "Multipliers: " + ", ".join(f"{n} in `{place}`" for place, n in synthesis.multipliers.items()) + "."])


def page(results: list, date: str) -> str:
    """The page ``docs/resources.md``."""
    period = results[0].period
    command = f"gradgate synth --docs {','.join(s.config.name for s in results)}" + (f" --period {period:g}" if period else "")
    lines = [
        "# Resources", "",
        f"Written by `{command}` on {date} with {results[0].tool} (`synth_ecp5`, before place and route, "
        f"{f'for {period:g} ns' if period else 'as fast as possible'}); do not edit.", "",
        " ".join(Resources.__doc__.split()), "",
        "As on boards, multipliers and block RAMs are primitives from the generator, with all their registers.", "",
        "Units are synthesised with their boundaries kept, the whole core flattened, which lets Yosys optimise across them: the core's "
        "figures are those of the last line. Modules that are identical up to names, as all lanes are, are synthesised once and "
        "counted often; that they are is checked. Rows differ in the number they compare with: the table shows the largest.", "",
        "Memories that are not in block RAM, and why:", "",
        *(f"- `{name}`: {LUT_RAM.get(name, 'not expected')}." for name in lut_rams(*results))]
    for s in results:
        lines += ["", f"## {s.config.name} ({s.config.rows}x{s.config.lanes})", "", report(s)]
    return "\n".join(lines) + "\n"
