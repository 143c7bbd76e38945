"""What somebody sees who clones the sources: seconds and outcome of the commands of the README in a clone of the last commit.

Nothing that earlier runs left is used: no environment, no builds, no caches of tools. ``make fresh`` runs it.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from xml.etree import ElementTree

from gradgate.arch.config import PRESETS
from gradgate.cli.output import require_outputs, write_json

SOURCES = Path(__file__).parent.parent
COMMANDS = {
    "demo": "make demo",
    "demo again": "make demo",
    "test": "make test",
    "generated": ".venv/bin/python -m pytest -n 2 tests/hw/test_generated.py",
}
#: The test that generates a configuration under two hash seeds and lints it.
CLEAN = "test_verilog_is_deterministic_and_clean"
#: Settings of whoever starts this that the commands must not see.
PRIVATE = ("MAKE", "MFLAGS", "GRADGATE_", "PYTEST_", "VIRTUAL_ENV")


def outcomes(report: Path) -> dict:
    """What pytest says in its JUnit file: numbers of tests; presets whose Verilog is clean and deterministic."""
    cases = list(ElementTree.parse(report).iter("testcase"))
    bad = {kind: [case for case in cases if case.find(kind) is not None] for kind in ("failure", "error", "skipped")}
    passed = [case.get("name") for case in cases if not any(case in some for some in bad.values())]
    return {"passed": len(passed), "failed": len(bad["failure"]) + len(bad["error"]), "skipped": len(bad["skipped"]),
            "presets": [name for name in PRESETS if f"{CLEAN}[{name}]" in passed]}


def measure(sources: Path, commands: dict) -> dict:
    """Run ``commands``, {name: shell command}, one behind the other in a fresh clone of the last commit of ``sources``.

    For each: the command, its seconds and exit code; if it ran pytest, what :func:`outcomes` tells. None stops those behind it.
    """
    environment = {name: value for name, value in os.environ.items() if not name.startswith(PRIVATE)}
    runs = {}
    with tempfile.TemporaryDirectory() as place:
        clone, report = Path(place) / "clone", Path(place) / "report.xml"
        subprocess.run(["git", "clone", "--quiet", sources, clone], check=True)
        commit = subprocess.run(["git", "rev-parse", "HEAD"], cwd=clone, check=True, capture_output=True, text=True).stdout.strip()
        environment |= {"XDG_CACHE_HOME": f"{place}/cache", "PYTEST_ADDOPTS": f"--junit-xml={report}"}
        for name, command in commands.items():
            report.unlink(missing_ok=True)
            start = time.monotonic()
            code = subprocess.run(command, shell=True, cwd=clone, env=environment).returncode
            runs[name] = {"command": command, "seconds": round(time.monotonic() - start, 2), "exit_code": code}
            if report.exists():
                runs[name] |= outcomes(report)
    return {"commit": commit, "cpus": len(os.sched_getaffinity(0)), "runs": runs}


def main() -> int:
    """Exit status 1 if a command failed; the figures are written all the same."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--json", required=True, help="write the figures here")
    arguments = parser.parse_args()
    require_outputs(None, arguments.json)
    found = measure(SOURCES, COMMANDS)
    write_json(arguments.json, found)
    for name, run in found["runs"].items():
        print(f"{name:12}{run['seconds']:8.1f} s, exit code {run['exit_code']}", f"{run['passed']} passed" if "passed" in run else "")
    return int(any(run["exit_code"] for run in found["runs"].values()))


if __name__ == "__main__":
    sys.exit(main())
