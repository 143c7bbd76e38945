"""The simulator and the cocotb bus master on the stand-in of a core: bus, memories, waves."""

import json

import numpy as np
import pytest
from support import SUPPORT
from support.standin import BAD, DEAD, NARROW_ROWS, SUMS, WIDE_ROWS, command

from gradgate.arch.commands import Command, Opcode
from gradgate.arch.memorymap import REGION_SHIFT, Csr, Region, address, row_offset
from gradgate.host.link import DeviceTimeout
from gradgate.sim import cocotb
from gradgate.sim.simulator import SimulationError, Simulator


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
        "starts.mem": (config.counters, 32), "ends.mem": (config.counters, 32),
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


def test_pause_where_a_word_changes(sim, driver):
    """The clock stops in the cycle in which one of the watched words changes, and goes on from there; others do not matter."""
    driver.load_program([command(5), command(30), command(7), *Command(Opcode.END, {}).encode()])
    whole, ends = driver.run(1000), sim.memory("ends")
    expected = ends[:3].tolist()
    assert expected == [8, 41, 51] and whole == 54
    ends[:] = 0
    driver.start()
    assert sim.run(1000, ends, [1, 2]) == 41 and sim.busy and ends[:3].tolist() == [8, 41, 0]
    assert sim.run(1000, ends, [2]) == 10 and sim.busy and ends[:3].tolist() == expected
    with pytest.raises(DeviceTimeout, match="still busy after 2 cycles"):
        sim.run(2, ends, [2])
    assert sim.run(1000, ends, [0, 1, 2]) == 1 and not sim.busy and sim.run(1000, ends, [0]) == 0


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


# Waves and cocotb

def test_waves(texts, tmp_path):
    path = tmp_path / "waves.vcd"
    with Simulator(NARROW_ROWS, verilog=texts["narrow"], trace=path) as sim:
        sim.write(address(Region.STAGING, 0), range(10))
        sim.step(100)
    text = path.read_text()
    assert "bus__w_data" in text and "#200\n" in text
    with pytest.raises(ValueError, match=r"trace must be a path that ends in .vcd or .fst, not 'waves.txt'"):
        Simulator(NARROW_ROWS, verilog=texts["narrow"], trace="waves.txt")


def test_cocotb_bus(texts):
    bench = SUPPORT / "cocotb_native.py"
    environment = {"BENCH_CONFIG": json.dumps(WIDE_ROWS.to_dict())}
    assert cocotb.run(texts["wide"], bench, environment=environment) == 9
    # the bench must notice a memory of half the size
    environment = {"BENCH_CONFIG": json.dumps(WIDE_ROWS.replace(staging_words=128).to_dict())}
    with pytest.raises(cocotb.BenchError, match="cocotb_native.py: memories/stall=0.5"):
        cocotb.run(texts["wide"], bench, environment=environment, tests=["memories/stall=0.5"], seed=1)
