"""Building simulations: where paths have spaces, where others build too, and after builds that were killed."""

import fcntl
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from support import SOURCES

from gradgate.sim import build, toolchain
from gradgate.sim.toolchain import ToolError

#: As little as a simulation can be.
DESIGN = "module gradgate(input clk, output reg [7:0] n = 8'd7); always @(posedge clk) n <= n + 8'd1; endmodule\n"
HARNESS = """#include "Vtop.h"
extern "C" __attribute__((visibility("default"))) int after(int cycles) {
    VerilatedContext context;
    Vtop top{&context};
    for (int i = 0; i < 2 * cycles; ++i) { top.clk = i & 1; top.eval(); }
    return top.n;
}
"""


@pytest.fixture
def cache(monkeypatch, tmp_path):
    """An empty build cache."""
    monkeypatch.setenv("GRADGATE_BUILD", str(tmp_path / "builds"))
    return tmp_path / "builds"


def folders(cache):
    """Names in the cache, without locks."""
    return sorted(path.name for path in cache.iterdir() if path.suffix != ".lock") if cache.is_dir() else []


# Paths

@pytest.mark.parametrize("path, plain", [
    ("/home/me/gradgate-1.0_a+b", True), *((f"/a{c}b", False) for c in " $#:'\"\\\n\u00e4%=~(&;*?!|<>`,")])
def test_plain_paths(path, plain):
    assert toolchain.is_plain(path) == plain


def test_spaces_everywhere(tmp_path):
    """In the working directory, in the checkout, in the paths of Python, Verilator and temporary files, and in the cache."""
    place = tmp_path / "it's a $path #1: \u00e4"
    package, cwd, temporary = place / "gradgate", place / "work dir", place / "tmp dir"
    for path in (package, cwd, temporary):
        path.mkdir(parents=True)
    for name in ("arch", "sim", "hw", "host"):
        (package / name).symlink_to(SOURCES / name)
    (place / "verilator").symlink_to(toolchain.verilator_root())
    (place / "python 3").symlink_to(sys.executable)
    site = Path(toolchain.verilator_root()).parent
    code = (f"import ctypes, sys; from pathlib import Path; from gradgate.sim import build, toolchain\n"
            f"assert all(' ' in str(path) for path in (sys.executable, toolchain.verilator_root(), build.__file__))\n"
            f"Path('harness.cpp').write_text({HARNESS!r})\n"
            f"path = build.library({DESIGN!r}, 'fst', Path('harness.cpp'))\n"
            f"print(ctypes.CDLL(str(path)).after(5), flush=True)\n")
    env = {key: value for key, value in os.environ.items() if key != "GRADGATE_BUILD"}
    env |= {"TMPDIR": str(temporary)}
    code = f"import sys; sys.path[:0] = [{str(place)!r}, {str(site)!r}]\n" + code
    done = subprocess.run([place / "python 3", "-c", code], cwd=cwd, env=env, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "12\n"), done.stderr
    [built] = folders(cwd / "build" / "sim")
    assert [file.name for file in (cwd / "build" / "sim" / built).glob("*.so")] == ["model.so"]
    assert not list(temporary.iterdir()), "what was built elsewhere is gone"


def test_no_place_without_a_space(cache, monkeypatch, tmp_path):
    """One line, before anything is built."""
    monkeypatch.setenv("GRADGATE_BUILD", str(tmp_path / "a b"))
    monkeypatch.setattr(toolchain, "is_plain", lambda path: False)
    with pytest.raises(ToolError, match="^make cannot build where a path has a space .*; set TMPDIR or GRADGATE_BUILD to a path without$"):
        build.cached("name", lambda work: pytest.fail("built"))
    assert folders(tmp_path / "a b") == []


def test_empty_variable_is_none(monkeypatch):
    monkeypatch.setenv("GRADGATE_BUILD", "")
    assert build.directory() == Path("build/sim").resolve()


# Others

def test_waiting_is_said(cache, caplog):
    caplog.set_level("INFO", "gradgate")
    cache.mkdir()
    with open(cache / "name.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        thread = threading.Thread(target=lambda: build.cached("name", lambda work: (work / "file").write_text("whole")))
        thread.start()
        for _ in range(500):
            if caplog.messages:
                break
            time.sleep(0.01)
        assert caplog.messages == ["waiting for another process that builds the simulation ..."] and folders(cache) == []
    thread.join(10)
    assert (cache / "name" / "file").read_text() == "whole"


def test_nobody_waits_alone(cache, caplog):
    caplog.set_level("INFO", "gradgate")
    build.cached("name", lambda work: None)
    build.cached("name", lambda work: None)
    assert caplog.messages == []


# Ends

@pytest.fixture
def sleeper(tmp_path, monkeypatch):
    """``perl``, and so ``verilator``, writes its process number to a file and sleeps."""
    tools, started = tmp_path / "tools", tmp_path / "started"
    tools.mkdir()
    (tools / "perl").write_text(f"#!/bin/sh\nsleep 1000 &\necho $! > {started}.part\nmv {started}.part {started}\nwait\n")
    (tools / "perl").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tools}{os.pathsep}{os.environ['PATH']}")
    return started


def start(code):
    """A process of its own."""
    return subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def wait_for(path, child):
    """The text of a file that ``child`` will write."""
    for _ in range(3000):
        if path.exists():
            return path.read_text()
        assert child.poll() is None, child.communicate()
        time.sleep(0.01)
    raise AssertionError(f"no {path}")


def ends(pid):
    """Whether a process ends soon."""
    for _ in range(500):
        try:
            if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
                return True
        except (FileNotFoundError, ProcessLookupError):
            return True
        time.sleep(0.01)
    return False


BUILD = f"from gradgate.sim import build; build.library({DESIGN!r})"


@pytest.mark.parametrize("place", ["builds", "with space"])
def test_killed_build_is_removed_by_the_next(place, sleeper, monkeypatch, tmp_path):
    cache = tmp_path / place
    monkeypatch.setenv("GRADGATE_BUILD", str(cache))
    with start(BUILD) as child:
        tool = int(wait_for(sleeper, child))
        [work] = folders(cache)
        target = (cache / work).resolve()
        assert (target / "gradgate.v").read_text() == DESIGN and (target.parent == cache) == (place == "builds")
        build.cached("other", lambda work: None)
        assert folders(cache) == sorted(["other", work]) and target.is_dir(), "that build goes on"
        child.kill()
        child.wait()
    os.kill(tool, signal.SIGKILL)  # nobody ends the tools of a process that is killed so
    build.cached("third", lambda work: None)
    assert folders(cache) == ["other", "third"] and not target.exists()


def test_a_killed_build_is_done_again(cache, sleeper):
    with start(BUILD) as child:
        tool = int(wait_for(sleeper, child))
        [work] = folders(cache)
        child.kill()
        child.wait()
    os.kill(tool, signal.SIGKILL)
    name = work.rpartition(".")[0]
    assert build.cached(name, lambda new: (new / "file").write_text("whole")) == cache / name
    assert folders(cache) == [name] and (cache / name / "file").read_text() == "whole"


def test_other_folders_stay(cache):
    """Somebody may give a directory with files of his own as the cache."""
    for name in ("data.old", "name.12345678", "note.lock"):
        (cache / name).mkdir(parents=True)
    build.cached("0" * 20, lambda work: None)
    assert folders(cache) == ["0" * 20, "data.old", "name.12345678"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP], ids=lambda number: number.name)
def test_a_build_that_is_ended_leaves_nothing(number, cache, sleeper):
    """No folder, no tool that goes on, and one line."""
    code = ("import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
            f"from gradgate.sim import generated; generated.core = lambda config: {DESIGN!r}\n"
            "from gradgate.cli.main import main\n"
            "main(['train', '--config', 'tiny', '--steps', '1'], prog_name='gradgate')")
    with start(code) as child:
        tool = int(wait_for(sleeper, child))
        assert len(folders(cache)) == 1
        child.send_signal(number)
        out, errors = child.communicate(timeout=30)
    assert folders(cache) == [] and ends(tool) and "Traceback" not in errors
    if number != signal.SIGINT:
        assert child.returncode == 128 + number and errors.splitlines()[-1] == f"gradgate: ended by {number.name}"
