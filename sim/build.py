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
from contextlib import contextmanager
from pathlib import Path

from gradgate.arch.files import write_files
from gradgate.sim import toolchain
from gradgate.sim.toolchain import ToolError

LOG = logging.getLogger(__name__)

HARNESS = Path(__file__).with_name("harness.cpp")
WAVES = Path(__file__).with_name("waves.h")
LZ4 = Path(__file__).with_name("lz4") / "lz4.h"  # for FST waves
LIBRARY = "model.so"
TRACES = ("vcd", "fst")
WORK = re.compile(r"(.+)\.(?:gradgate-)?[a-z0-9_]{8}")  # names of folders in which something is built

VERILATOR_FLAGS = (
    "--cc", "--exe", "--build", "-j", "2", "--prefix", "Vtop", "--top-module", "gradgate", "--assert",
    "-Wno-lint", "-Wno-style", "-O3", "--x-assign", "fast", "--x-initial", "fast",
    # Moving logic about to merge its conditions takes nine tenths of Verilator's time and does not make a core faster; the
    # compiler's time grows with the square of a function's length.
    "-fno-merge-cond-motion", "--output-split", "8000", "--output-split-cfuncs", "1000",
    # Several models live in one process: no symbol of one may be found by another.
    "-CFLAGS", "-march=native -fPIC -fvisibility=hidden -fno-gnu-unique", "-LDFLAGS", "-shared -Wl,-Bsymbolic",
)

MEMORY = re.compile(r"^ *reg (?:signed )?(?:\[\d+:0\] )?(\S+) +\[\d+:0\];$", re.MULTILINE)
TOP = re.compile(r"^(module gradgate\(.*?\);)$(.*?)^endmodule$", re.MULTILINE | re.DOTALL)


def directory() -> Path:
    """The cache."""
    return Path(os.environ.get("GRADGATE_BUILD") or "build/sim").resolve()


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


def cached(name: str, make, what: str = "the simulation") -> Path:
    """Directory ``name`` of the cache; when it is not there, ``make(directory)`` fills it.

    The directory appears whole or not at all. Where two processes want the same one, the second says that it waits for ``what``. When
    ``make`` raises :class:`ToolError`, what the tool wrote is left in ``name.log``, and the message says so.
    """
    root = directory()
    final = root / name
    if final.is_dir():
        return final
    root.mkdir(parents=True, exist_ok=True)
    with open(root / f"{name}.lock", "w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            LOG.info("waiting for another process that builds %s ...", what)
            fcntl.flock(lock, fcntl.LOCK_EX)
        if final.is_dir():
            return final
        _sweep(root, name)
        try:
            with _workshop(root, name) as work:
                make(work)
                if work.parent != root:
                    with _folder(root, f"{name}.") as copy:
                        shutil.copytree(work, copy, dirs_exist_ok=True)
                        copy.rename(final)
                else:
                    work.rename(final)
        except ToolError as error:
            if not error.output:
                raise
            [log] = write_files(root, {f"{name}.log": error.output})
            raise ToolError(f"{error} (all of it: {log})", error.output) from None
    return final


@contextmanager
def _folder(root: Path, prefix: str):
    """A new folder, removed at the end if it is still there."""
    path = Path(tempfile.mkdtemp(prefix=prefix, dir=root))
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


@contextmanager
def _workshop(root: Path, name: str):
    """A folder to build in: in the cache, or where a path has no characters that ``make`` cannot cope with.

    In the cache there is then a link to it, by which :func:`_sweep` finds it.
    """
    if toolchain.is_plain(root):
        with _folder(root, f"{name}.") as work:
            yield work
        return
    with _folder(toolchain.plain_directory(), "gradgate-") as work:
        link = root / f"{name}.{work.name}"
        link.symlink_to(work)
        try:
            yield work
        finally:
            link.unlink(missing_ok=True)


def _sweep(root: Path, held: str) -> None:
    """Remove the folders of builds that were killed: their locks are held by nobody. ``held``: the lock that the caller holds."""
    for leftover in root.iterdir():
        match = WORK.fullmatch(leftover.name)
        if not match or not leftover.is_dir() and not leftover.is_symlink() or not (root / f"{match[1]}.lock").is_file():
            continue
        with open(root / f"{match[1]}.lock") as lock:
            try:
                if match[1] != held:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                continue
            if leftover.is_symlink():
                if leftover.readlink().name == leftover.name.rpartition(".")[2]:
                    shutil.rmtree(leftover.readlink(), ignore_errors=True)
                leftover.unlink(missing_ok=True)
            else:
                shutil.rmtree(leftover, ignore_errors=True)


def registered_reset(verilog: str) -> str:
    """The same design, with a register behind the reset of the top module ``gradgate``: two thirds of the time to simulate.

    Amaranth puts the reset into the logic in front of registers. As an input, Verilator would have all this logic depend on it, and
    evaluate all of it at both edges of the clock.
    """
    top = TOP.search(verilog)
    if not top or "  input rst;\n  wire rst;\n" not in top[2]:
        return verilog
    body = re.sub(r"(?<!\.)\brst\b", "rst_q", top[2])
    body = body.replace("  input rst_q;\n  wire rst_q;\n", "  input rst;\n  reg rst_q = 1'h0;\n  always @(posedge clk) rst_q <= rst;\n")
    return verilog[:top.start(2)] + body + verilog[top.end(2):]


def readable(verilog: str) -> str:
    """The same design, with the unnamed wires of the Verilog writer renamed so that they stay out of wave files."""
    return verilog.replace("\\$", "\\_")


def visible(verilog: str) -> str:
    """Verilator control file that makes all memories of a design, and nothing else, accessible."""
    names = sorted(set(MEMORY.findall(verilog)))
    return "`verilator_config\n" + "".join(f'public_flat_rd -module "*" -var "{n.lstrip(chr(92))}"\n' for n in names)


def library(verilog: str, trace: str | None = None, harness: Path = HARNESS) -> Path:
    """Path of the shared library that simulates ``verilog``, whose top module is ``gradgate``; built when necessary.

    ``trace``: "vcd" or "fst" for a library that writes waves of that kind, None for a fast one.
    ``harness``: the C++ file that makes a library of the model.
    Raises :class:`ToolError` when a tool is missing or fails.
    """
    if trace not in (None, *TRACES):
        raise ValueError(f"trace must be None or one of {', '.join(TRACES)}, not {trace!r}")
    verilog = readable(verilog) if trace else verilog
    flags = VERILATOR_FLAGS + ((f"--trace-{trace}", "-CFLAGS", "-I..", "-LDFLAGS", "-L..") if trace else ())
    sources = {"gradgate.v": registered_reset(verilog), "harness.cpp": harness.read_text(encoding="utf-8"),
               "memories.vlt": visible(verilog)}
    if trace:
        sources |= {file.name: file.read_text(encoding="utf-8") for file in (WAVES, LZ4)}

    def make(work):
        toolchain.require("perl", "make", "g++")
        if trace == "fst":
            toolchain.require_header("zlib.h", "FST waves need it; on Debian: apt install zlib1g-dev; or write .vcd")
            (work / "liblz4.a").write_bytes(b"!<arch>\n")  # what the linker asks for; LZ4 has all there is
        LOG.info("building the simulation, once; this takes a minute or more ...")
        write_files(work, sources)
        toolchain.run_verilator([*flags, "--Mdir", "obj", "-o", f"../{LIBRARY}", "memories.vlt", "gradgate.v", "harness.cpp"], cwd=work)
        shutil.rmtree(work / "obj")

    return cached(key(*sources.values(), repr(flags)), make) / LIBRARY
