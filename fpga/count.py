"""What a whole core takes of a family of FPGAs, after synthesis only."""

from dataclasses import asdict
from datetime import date
from pathlib import Path

from gradgate.arch.checks import ConfigError
from gradgate.arch.config import Config
from gradgate.arch.files import write_files
from gradgate.fpga import place, synthesis
from gradgate.fpga.families import FAMILIES, Family
from gradgate.hw.generate import TOP, verilog
from gradgate.sim.toolchain import use_yosys


def family(name: str) -> Family:
    """The family called ``name``; raises :class:`ConfigError`."""
    if name not in FAMILIES:
        raise ConfigError(f"family must be one of {', '.join(FAMILIES)}, not {name!r}")
    return FAMILIES[name]


def run(config: Config, name: str, directory: Path) -> dict:
    """Figures of the core of ``config`` on the family ``name``; Yosys' files stay in ``directory``."""
    target = family(name)
    use_yosys()
    text = verilog(config, device="LFE5U" if name == "ecp5" else "")
    write_files(directory, {f"{TOP}.v": text})
    synthesis.yosys(directory, place.script(target, 100.0, read=synthesis.READ_VERILOG))
    found = place.cells(directory)
    return {"family": name, "config": config.to_dict(), "pes": config.pes, "synthesised": asdict(target.resources(found)),
            "cells": found, "tools": synthesis.tool_version(), "date": date.today().isoformat()}

