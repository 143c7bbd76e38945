"""The measurement in a fresh clone, on a repository whose commands take no time."""

import json
import os
import subprocess
import sys

import fresh
import pytest

MAKEFILE = """
demo:
	test ! -e uncommitted
	test -z "$$GRADGATE_BUILD$$MAKEFILES"
	test "$${XDG_CACHE_HOME#$$HOME}" = "$$XDG_CACHE_HOME"
	mkdir -p .venv/bin
	printf '#!/bin/sh\\nexec %s "$$@"\\n' $(PYTHON) > .venv/bin/python
	chmod +x .venv/bin/python
	echo demo >> $(LOG)
test:
	.venv/bin/python -m pytest -q -p no:cacheprovider -m "not full"
"""
TESTS = """
import pytest

@pytest.mark.parametrize("config", ["tiny", pytest.param("small", marks=pytest.mark.full),
                                    pytest.param("base", marks=pytest.mark.full), "odd"])
def test_verilog_is_deterministic_and_clean(config):
    assert config != "base"

def test_other():
    pytest.skip("this test is there to be counted as skipped")
"""


@pytest.fixture
def sources(tmp_path):
    """A repository with a commit, and a file that is not in it."""
    place = tmp_path / "sources"
    (place / "tests" / "hw").mkdir(parents=True)
    (place / "Makefile").write_text(MAKEFILE.replace("$(PYTHON)", sys.executable).replace("$(LOG)", str(tmp_path / "log")))
    (place / "tests" / "hw" / "test_generated.py").write_text(TESTS)
    (place / "pytest.ini").write_text("[pytest]\nmarkers = full\n")
    for command in (["init", "-q"], ["add", "."], ["-c", "user.name=n", "-c", "user.email=e", "commit", "-qm", "first"]):
        subprocess.run(["git", *command], cwd=place, check=True)
    (place / "uncommitted").touch()
    return place


def test_measure(sources, tmp_path, monkeypatch):
    """All commands run in the clone of the commit, in turn, whatever the environment; one that fails does not stop the others."""
    for name in ("GRADGATE_BUILD", "MAKEFILES"):
        monkeypatch.setenv(name, str(tmp_path / "nothing"))
    found = fresh.measure(sources, {**fresh.COMMANDS, "failing": "sleep 0.3; exit 3"})
    runs = found["runs"]
    assert {name: run["exit_code"] for name, run in runs.items()} == {"demo": 0, "demo again": 0, "test": 0, "generated": 1, "failing": 3}
    assert (tmp_path / "log").read_text() == "demo\n" * 2 and 0.3 <= runs["failing"]["seconds"] < 30
    counts = ("passed", "failed", "skipped", "presets")
    assert [runs["test"][key] for key in counts] == [2, 0, 1, ["tiny"]]
    assert [runs["generated"][key] for key in counts] == [3, 1, 1, ["tiny", "small"]]
    assert "passed" not in runs["demo"] and "passed" not in runs["failing"]
    head = subprocess.run(["git", "rev-parse", "HEAD"], cwd=sources, check=True, capture_output=True, text=True).stdout.strip()
    assert found["commit"] == head and found["cpus"] == len(os.sched_getaffinity(0))


@pytest.mark.parametrize("command, status", [("true", 0), ("false", 1)])
def test_command_line(command, status, sources, tmp_path, monkeypatch, capfd):
    """The figures are written whether or not a command fails, which the exit status tells."""
    monkeypatch.setattr(fresh, "SOURCES", sources)
    monkeypatch.setattr(fresh, "COMMANDS", {"first": command, "second": "true"})
    monkeypatch.setattr(sys, "argv", ["fresh.py", "--json", str(tmp_path / "deep" / "fresh.json")])
    assert fresh.main() == status
    runs = json.loads((tmp_path / "deep" / "fresh.json").read_text())["runs"]
    assert [run["exit_code"] for run in runs.values()] == [status, 0]
    assert f"exit code {status}" in capfd.readouterr().out
