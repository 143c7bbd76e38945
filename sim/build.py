"""Builds Verilog into things that run, once each: a cache keyed by everything that goes into a build.

The cache is ``$GRADGATE_BUILD``, or ``build/sim`` in the current directory. Several processes may use it at once.
"""

import fcntl
import functools
import hashlib
import logging
import os
import platform
import re
import shutil
import tempfile
from pathlib import Path

from gradgate.sim import toolchain
from gradgate.sim.toolchain import ToolError

LOG = logging.getLogger(__name__)

HARNESS = Path(__file__).with_name("harness.cpp")
LZ4 = Path(__file__).with_name("lz4")  # for FST waves
LIBRARY = "model.so"
TRACES = ("vcd", "fst")

VERILATOR_FLAGS = (
    "--cc", "--exe", "--build", "-j", "2", "--prefix", "Vtop", "--top-module", "gradgate", "--assert",
    "-Wno-lint", "-Wno-style", "-O3", "--x-assign", "fast", "--x-initial", "fast",
    # Several models live in one process: no symbol of one may be found by another.
    "-CFLAGS", "-march=native -fPIC -fvisibility=hidden -fno-gnu-unique", "-LDFLAGS", "-shared -Wl,-Bsymbolic",
)

MEMORY = re.compile(r"^ *reg (?:signed )?(?:\[\d+:0\] )?(\S+) +\[\d+:0\];$", re.MULTILINE)
ZEROS = re.compile(r"^  initial begin\n((?:    (\S+) ?\[\d+\] = \d+'h0+;\n)+)  end\n", re.MULTILINE)


def directory() -> Path:
    """The cache."""
    return Path(os.environ.get("GRADGATE_BUILD", "build/sim")).resolve()


@functools.cache
def machine() -> str:
    """What code compiled for this very processor depends on."""
    try:
        flags = re.search(r"^flags.*$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    except OSError:
        flags = None
    return platform.machine() + (flags.group(0) if flags else platform.processor())


def key(*parts: str) -> str:
    """Name of a build: a hash of ``parts``, of the tools' version and flags, and of the machine."""
    everything = (*parts, toolchain.verilator_version(), repr(toolchain.MAKE_VARIABLES), machine())
    return hashlib.sha256("\0".join(everything).encode()).hexdigest()[:20]


def cached(name: str, make) -> Path:
    """Directory ``name`` of the cache; when it is not there, ``make(directory)`` fills it.

    The directory appears whole or not at all. Where two processes want the same one, the second waits. When ``make``
    raises :class:`ToolError`, what the tool wrote is left in ``name.log``, and the message says so.
    """
    root = directory()
    final = root / name
    if final.is_dir():
        return final
    root.mkdir(parents=True, exist_ok=True)
    with open(root / f"{name}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if final.is_dir():
            return final
        work = Path(tempfile.mkdtemp(prefix=f"{name}.", dir=root))
        try:
            make(work)
            work.rename(final)
        except ToolError as error:
            if not error.output:
                raise
            log = root / f"{name}.log"
            log.write_text(error.output, encoding="utf-8")
            raise ToolError(f"{error} (all of it: {log})", error.output) from None
        finally:
            shutil.rmtree(work, ignore_errors=True)
    return final


def compact(verilog: str) -> str:
    """The same design, with memories set to zero by a loop instead of a line a word: half the time to build."""
    def loop(match):
        words, name = match.group(1).count("\n"), match.group(2)
        zero = match.group(1).split(" = ", 1)[1].split(";", 1)[0]
        return f"  initial for (int i = 0; i < {words}; i = i + 1) {name} [i] = {zero};\n"
    return ZEROS.sub(loop, verilog)


def readable(verilog: str) -> str:
    """The same design, with the unnamed wires of the Verilog writer renamed so that they stay out of wave files."""
    return verilog.replace("\\$", "\\_")


def visible(verilog: str) -> str:
    """Verilator control file that makes all memories of a design, and nothing else, accessible."""
    names = sorted(set(MEMORY.findall(verilog)))
    return "`verilator_config\n" + "".join(f'public_flat_rw -module "*" -var "{n.lstrip(chr(92))}"\n' for n in names)


def library(verilog: str, trace: str | None = None) -> Path:
    """Path of the shared library that simulates ``verilog``, whose top module is ``gradgate``; built when necessary.

    ``trace``: "vcd" or "fst" for a library that writes waves of that kind, None for a fast one.
    Raises :class:`ToolError` when a tool is missing or fails.
    """
    if trace not in (None, *TRACES):
        raise ValueError(f"trace must be None or one of {', '.join(TRACES)}, not {trace!r}")
    verilog = readable(verilog) if trace else verilog
    flags = VERILATOR_FLAGS + ((f"--trace-{trace}", "-CFLAGS", f"-I{LZ4}", "-LDFLAGS", "-L..") if trace else ())
    harness = HARNESS.read_text(encoding="utf-8")

    def make(work):
        toolchain.require("perl", "make", "g++")
        if trace == "fst":
            toolchain.require_header("zlib.h", "FST waves need it; on Debian: apt install zlib1g-dev; or write .vcd")
            (work / "liblz4.a").write_bytes(b"!<arch>\n")  # what the linker asks for; LZ4 has all there is
        LOG.info("building the simulation, once; this takes a minute or more ...")
        (work / "gradgate.v").write_text(compact(verilog), encoding="utf-8")
        (work / "harness.cpp").write_text(harness, encoding="utf-8")
        (work / "memories.vlt").write_text(visible(verilog), encoding="utf-8")
        toolchain.run_verilator([*flags, "--Mdir", "obj", "-o", f"../{LIBRARY}", "memories.vlt", "gradgate.v",
                                 "harness.cpp"], cwd=work)
        shutil.rmtree(work / "obj")

    return cached(key(verilog, harness, repr(flags)), make) / LIBRARY
