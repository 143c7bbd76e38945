"""Verilog and manifest of a core."""

import json
from importlib.metadata import version
from pathlib import Path

from gradgate.arch import commands, memorymap
from gradgate.arch.checks import one_of
from gradgate.arch.config import Config
from gradgate.arch.files import write_files
from gradgate.arch.fingerprint import fingerprint
from gradgate.arch.latency import MULTIPLY, RAM
from gradgate.hw.verilog import WAIVERS, convert
from gradgate.hw.verilog import rtlil as convert_rtlil

TOP = "gradgate"
#: What the host reaches the core by, and what a host has to know of it.
BUSES = {
    "native": {"signals": "bus__*", "address_unit": "word"},
    "wishbone": {"signals": "wb_*", "address_unit": "word"},
    "axi-lite": {"signals": "s_axi_*", "address_unit": "byte"},
}


def verilog(config: Config, bus: str = "native", *, device: str = "", shared: bool = True) -> str:
    """The core of ``config`` behind ``bus`` as Verilog; the same text for the same arguments. Needs Yosys (see ``sim.toolchain``).

    ``shared``: modules that are the same are written once (:func:`gradgate.hw.verilog.share`).

    With the name of an ECP5 as ``device`` ("LFE5U-85F"), multipliers and block RAMs are its primitives, with all their
    registers; the text then is for that family only. No cycle differs.
    """
    return convert(_top(config, bus), TOP, device=device, shared=shared)


def rtlil(config: Config, bus: str = "native", *, device: str = "") -> str:
    """What :func:`verilog` is made of, in the language of Yosys."""
    return convert_rtlil(_top(config, bus), TOP, device=device)


def _top(config, bus):
    """The core of ``config`` behind ``bus``."""
    from gradgate.hw.bus.axilite import AxiLiteCore  # elaboration is slow to import, and not needed for the manifest
    from gradgate.hw.bus.wishbone import WishboneCore
    from gradgate.hw.core import Core

    one_of("bus", bus, BUSES)
    return {"native": Core, "wishbone": WishboneCore, "axi-lite": AxiLiteCore}[bus](config)


def manifest(config: Config, bus: str = "native") -> dict:
    """What a program that drives the core has to know about it."""
    return {
        "generator": "gradgate", "version": version("gradgate"), "top": TOP,
        "lint": f"verilator --lint-only -Wall {TOP}.vlt {TOP}.v",
        "bus": {"kind": bus, **BUSES[bus]},
        "config": config.to_dict(), "fingerprint": f"{fingerprint(config):#010x}",
        "latency_cycles": {"ram": RAM, "multiply": MULTIPLY},
        "memory_map": {
            "address_bits": memorymap.ADDRESS_BITS, "region_shift": memorymap.REGION_SHIFT,
            "csr": {csr.name: {"offset": int(csr), "access": access, "meaning": doc}
                    for csr, (access, doc) in memorymap.CSR_DOC.items()},
            "windows": {region.name: {"base": memorymap.address(region, 0), "words": window.words, "bits": window.bits,
                                      "meaning": window.doc} for region, window in memorymap.windows(config).items()},
        },
        "commands": {op.name: {"opcode": int(op), "words": commands.length(op), "wait_bit": commands.WAIT_BIT.get(op),
                               "meaning": commands.COMMANDS[op][0],
                               "fields": {name: {"bit": offset, "bits": f.bits, "meaning": f.doc}
                                          for name, (offset, f) in commands.layout(op).items()}} for op in commands.Opcode},
        "errors": {error.name: int(error) for error in commands.Error},
    }


def generate(config: Config, directory: Path, bus: str = "native") -> list:
    """Write ``gradgate.v``, Verilator's waivers for it ``gradgate.vlt``, and ``manifest.json`` to ``directory``; returns the paths.

    Nothing is written if generation fails.
    """
    return write_files(directory, {
        f"{TOP}.v": verilog(config, bus), f"{TOP}.vlt": WAIVERS.read_text(encoding="utf-8"),
        "manifest.json": json.dumps(manifest(config, bus), indent=1) + "\n"})
