"""The generated core against the golden models: every word of training steps, and when every command begins and ends."""

import numpy as np
import pytest
from support.rig import ODD, SWITCHES, TINY, assert_exact, bench_of, legal_case, random_batch, train

from gradgate.arch.memorymap import Region
from gradgate.arch.network import Network
from gradgate.compiler.context import DENSE
from gradgate.golden.cycles.program import program_costs, program_times
from gradgate.golden.model import GoldenModel
from gradgate.sim.compare import Bench
from gradgate.sim.views import Wire
from gradgate.training.datasets import digits, quantise


def digits_batches(count, batch, seed=0):
    data = digits(seed)
    x = quantise(data.train_x, TINY.formats)
    return [(x[i * batch:(i + 1) * batch], data.train_y[i * batch:(i + 1) * batch]) for i in range(count)]


def test_digits_on_tiny():
    """Real data, all switch settings in turn; every kind of tensor was compared; skipping saves cycles in every pass."""
    bench, network = bench_of(TINY), Network.load("digits")
    tally = train(bench, network, digits_batches(8, 4), switches=SWITCHES)
    assert_exact(tally, 8)
    assert set(tally.compared) == {"out", "argmax", "grad", "expanded", "wgrad", "master", "correct", "overflow"}
    batches = digits_batches(2, 4)
    sparse = train(bench, network, batches).rtl_cycles
    dense = train(bench, network, batches, switches=(DENSE,)).rtl_cycles
    assert all(sparse[phase] < dense[phase] for phase in ("FW", "BD", "WG"))
    assert all(sparse[phase] == dense[phase] for phase in ("load", "post", "loss", "move", "update"))


def test_residual_network_on_tiny():
    """Residuals, strides and a global average."""
    tally = train(bench_of(TINY), Network.load("resnet_digits"), digits_batches(4, 4), switches=SWITCHES)
    assert_exact(tally, 4)


@pytest.mark.parametrize("seed", range(8), ids=lambda s: f"seed{s}")
@pytest.mark.parametrize("config", ODD, ids=lambda c: c.name)
def test_random_networks(config, seed):
    """Random networks, batches that do not fill the rows, all switch settings, one program after the other without reset."""
    rng = np.random.default_rng([seed, config.lanes])
    network, batch = legal_case(config, rng)
    batches = [random_batch(rng, network, batch) for _ in range(4)]
    assert_exact(train(bench_of(config), network, batches, switches=SWITCHES, seed=seed), 4)


@pytest.mark.parametrize("kind", ["zero", "saturated", "negative"])
@pytest.mark.parametrize("config", ODD, ids=lambda c: c.name)
def test_extreme_images(config, kind):
    rng = np.random.default_rng(5)
    network, batch = legal_case(config, rng)
    batches = [random_batch(rng, network, batch, kind) for _ in range(4)]
    tally = train(bench_of(config), network, batches, switches=SWITCHES)
    assert_exact(tally, 4)


def test_one_row_far_slower():
    """All images but those of one row are empty."""
    config = ODD[1]
    rng = np.random.default_rng(3)
    network, _ = legal_case(config, rng)
    x, labels = random_batch(rng, network, 8)
    x[np.arange(8) % config.rows != 1] = 0
    assert_exact(train(bench_of(config), network, [(x, labels)] * 2), 2)


@pytest.mark.parametrize("config", [TINY, *ODD], ids=lambda c: c.name)
def test_backdoor_equals_host_port(config):
    """What the backdoor shows is what the host port reads, word for word; and the other way round."""
    bench = bench_of(config)
    rng = np.random.default_rng(1)
    network, batch = legal_case(config, rng)
    assert_exact(train(bench, network, [random_batch(rng, network, batch)]), 1)
    for row in range(config.rows):
        assert (bench.driver.read_rows(row, 0, config.act_bricks) == bench.view.rows(row, 0, config.act_bricks)).all()
        assert (bench.driver.read_argmax(row, 0, config.argmax_bricks) == bench.view.choices(row, 0, config.argmax_bricks)).all()
    words = rng.integers(-2**15, 2**15, (3, config.lanes))
    bench.driver.write_rows(config.rows - 1, 7, words)
    bench.sim.step(8)  # the host port's writes are posted
    assert (bench.view.rows(config.rows - 1, 7, 3) == words).all()
    weights = rng.integers(-2**23, 2**23, (config.weight_bricks, config.lanes))
    bench.driver.write_weights(0, weights)
    bench.sim.step(8)
    banks = np.stack([bench.sim.memory(f"weights.memory.bank{b}.mem") for b in range(config.lanes)], axis=1).astype(np.int64)
    assert (banks - (banks >> 23 << 24) == weights).all()
    assert (bench.driver.read_weights(0, config.weight_bricks) == weights).all()
    staging = rng.integers(-2**15, 2**15, bench.driver.windows[Region.STAGING].words)
    bench.driver.write_staging(0, staging)
    assert (bench.driver.read_staging(0, len(staging)) == staging).all()


def test_stopping_after_every_command_changes_times_only():
    """Results of a run in single commands are those of a run in one go, and the times are those of the model with stops."""
    bench, network = bench_of(TINY), Network.load("digits")
    (x, labels), = digits_batches(1, 4)
    golden = GoldenModel(network, TINY.formats, 0)
    start, step = golden.masters, golden.step(x, labels, 2)
    assert_exact(train(bench, network, [(x, labels)]), 1)
    program, updated = bench._program, bench.driver.read_weights(0, TINY.weight_bricks)
    count = len(program.commands)
    bench.write_weights(program, network, start)
    for index in range(count):
        bench.driver.run(bench.MAX_CYCLES, at=None if index else 0, stop=index)
        assert bench.driver.status().index == index + 1
    assert bench.driver.status().ended and (bench.driver.read_weights(0, TINY.weight_bricks) == updated).all()
    costs = program_costs(TINY, program, step.tensors)
    stopped, whole = (program_times(program, costs, stops) for stops in (range(count), ()))
    assert bench.driver.times(count).tolist() == [[one.start, one.end] for one in stopped]
    assert bench.driver.status().cycles == stopped[-1].end > whole[-1].end


@pytest.mark.parametrize("config", ODD, ids=lambda c: c.name)
def test_over_the_bus(config):
    """The comparison that stops the program and reads the memories over the bus is exact, too, and later by the stops."""
    bench, rng = bench_of(config), np.random.default_rng(9)
    network, batch = legal_case(config, rng)
    batches = [random_batch(rng, network, batch) for _ in range(2)]
    wired = Bench(config, None, bench.driver, Wire(bench.driver))
    fast, slow = (train(one, network, batches) for one in (bench, wired))
    assert_exact(fast, 2)
    assert_exact(slow, 2)
    assert set(fast.compared) - set(slow.compared) == {"wgrad"} and slow.rtl_total > fast.rtl_total
    bench._program = None
