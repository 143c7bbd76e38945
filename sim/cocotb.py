"""Builds a design for cocotb, and runs a cocotb bench on it."""

import os
import shutil
import sys
import tempfile
from pathlib import Path
from unittest.mock import patch
from xml.etree import ElementTree

from cocotb_tools import runner

from gradgate.arch.files import write_files
from gradgate.sim import build, toolchain
from gradgate.sim.toolchain import ToolError

MODEL = {"verilator": "gradgate", "icarus": "sim.vvp"}  #: the file that is run, as cocotb calls it
#: Simulators, and what they are told when they build; nothing for Icarus, so that it takes cocotb's default, ``-g2012``.
ARGUMENTS = {"verilator": ("--assert", "-Wno-lint", "-Wno-style", "-O3"), "icarus": ()}


class BenchError(AssertionError):
    """A test of a cocotb bench failed; the message has the names of the tests and the end of the output."""


def executable(verilog: str, *, waves: bool = False, simulator: str = "verilator") -> Path:
    """Directory with what ``simulator``, "verilator" or "icarus", makes of ``verilog`` (top module ``gradgate``) for cocotb; built
    when necessary.

    Raises :class:`ToolError` when a tool is missing or fails.
    """
    arguments = ARGUMENTS[simulator]

    def make(work):
        toolchain.require(*(("perl", "make", "g++") if simulator == "verilator" else ("iverilog", "vvp")))
        source, log = work / "gradgate.v", work / "build.log"
        write_files(work, {source.name: verilog})
        with toolchain.environment() as environment, patch.dict(os.environ, environment):
            try:
                runner.get_runner(simulator).build(
                    sources=[source], hdl_toplevel="gradgate", build_dir=work / "obj", build_args=arguments,
                    waves=waves, timescale=("1ns", "1ps"), log_file=log)
            except RuntimeError:
                output = log.read_text(errors="replace")
                raise ToolError(f"building for cocotb failed: {toolchain.first_error(output)}", output) from None
        model = MODEL[simulator]
        shutil.copy2(work / "obj" / model, work / model)
        shutil.rmtree(work / "obj")

    return build.cached(build.key(verilog, "cocotb", simulator, repr(arguments), repr(waves)), make)


def run(verilog: str, bench: Path, *, seed: int | None = None, tests: list | None = None,
        environment: dict | None = None, waves: Path | None = None, simulator: str = "verilator") -> int:
    """Run the cocotb tests in the Python file ``bench`` on ``verilog``; returns how many there were.

    Parameters
    ----------
    verilog : text with the top module ``gradgate``
    seed : of all random choices in the bench; printed by cocotb when it is chosen there
    tests : names of the tests to run, all without
    environment : additional environment variables for the bench
    waves : path of a VCD file to write; "verilator" only
    simulator : "verilator" or "icarus"

    Raises :class:`BenchError` when a test failed or there was none, :class:`ToolError` when the build failed.
    """
    bench = Path(bench).resolve()
    built = executable(verilog, waves=waves is not None, simulator=simulator)
    with tempfile.TemporaryDirectory(prefix="gradgate-cocotb-") as work, \
            patch.object(sys, "path", [str(bench.parent), *sys.path]), patch.dict(os.environ):
        os.environ.pop("PYTEST_CURRENT_TEST", None)  # the results are read here
        log, results = Path(work, "log"), Path(work, "results.xml")
        failed = None
        try:
            runner.get_runner(simulator).test(
                test_module=bench.stem, hdl_toplevel="gradgate", hdl_toplevel_lang="verilog", build_dir=built,
                test_dir=work, results_xml=str(results), seed=seed, testcase=tests, extra_env=environment or {},
                log_file=log, waves=waves is not None)
        except (RuntimeError, SystemExit) as error:
            failed = str(error)
        output = log.read_text(errors="replace")
        print(output)
        if waves is not None and Path(work, "dump.vcd").exists():
            shutil.move(Path(work, "dump.vcd"), waves)
        cases = list(ElementTree.parse(results).iter("testcase")) if results.exists() else []
    bad = [case.get("name") for case in cases if case.find("failure") is not None or case.find("error") is not None]
    if bad or failed or not cases:
        tail = "\n".join(output.splitlines()[-60:])
        raise BenchError(f"{bench.name}: {', '.join(bad) or failed or 'no tests ran'}\n{tail}")
    return len(cases)
