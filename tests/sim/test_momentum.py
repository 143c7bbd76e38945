"""Training with momentum: the arithmetic, the models, the compiler, the driver, and the generated core word for word."""

import json
from fractions import Fraction

import numpy as np
import pytest
from click.testing import CliRunner
from support.rig import ODD, TINY, assert_exact, bench_of, legal_case, random_batch, train

from gradgate.arch.checks import ConfigError
from gradgate.arch.commands import Opcode
from gradgate.arch.config import Config
from gradgate.arch.formats import Formats
from gradgate.arch.memorymap import Region, windows
from gradgate.arch.network import Network
from gradgate.cli.main import main
from gradgate.compiler.compile import compile_step
from gradgate.compiler.context import DENSE, SPARSE
from gradgate.golden import fixed
from gradgate.golden.floating import FloatModel
from gradgate.golden.model import GoldenModel
from gradgate.host.driver import Driver
from gradgate.hw.generate import verilog
from gradgate.hw.weights.velocity_memory import VelocityMemory
from gradgate.sim import toolchain
from gradgate.sim.compare import Bench
from gradgate.sim.simulator import Simulator
from gradgate.training.datasets import Dataset, batches, digits, quantise
from gradgate.training.run import Trainer
from gradgate.training.schedule import Schedule

CONFIG = ODD[1].replace(name="3x4 momentum", momentum=True)
NARROW = Formats(act_bits=10, act_frac=5, weight_frac=6, master_bits=16, master_frac=12, grad_frac=7, acc_bits=20)
DECAYS = range(1, 8)


def clip(value, bits):
    return max(-(1 << bits - 1), min((1 << bits - 1) - 1, value))


def moved(master, velocity, total, shift, decay, bits):
    """Master weight and velocity after an update by the sum ``total``, in exact fractions."""
    kept = int(velocity * (1 - Fraction(1, 2**decay)))  # int() rounds towards zero
    velocity = clip(kept + (total + 2 ** (shift - 1)) // 2**shift, bits)
    return clip(master - velocity, bits), velocity


@pytest.mark.parametrize("decay", DECAYS)
def test_a_velocity_is_rounded_towards_zero_and_dies_out(decay):
    v = np.array([*range(-300, 301), -(1 << 23), (1 << 23) - 1])
    want = [int(n * (1 - Fraction(1, 2**decay))) for n in v.tolist()]
    assert fixed.decayed(v, decay).tolist() == want
    assert (fixed.decayed(v, 0) == 0).all()
    steps = 0
    while v.any():
        v, steps = fixed.decayed(v, decay), steps + 1
    assert steps < 2000


@pytest.mark.parametrize("bits", [16, 24])
@pytest.mark.parametrize("decay", DECAYS)
def test_update_equals_exact_fractions(decay, bits):
    """Random numbers and both ends: masters and velocities saturate, the arguments stay as they are."""
    rng, top = np.random.default_rng(decay), 1 << bits - 1
    ends = np.array([-top, -top + 1, -1, 0, 1, top - 1])
    masters, velocities = (np.where(rng.random(400) < 0.3, rng.choice(ends, 400), rng.integers(-top, top, 400)) for _ in range(2))
    for shift in (1, 7, 31):
        gradient = (rng.uniform(-1, 1, 400) * 2.0 ** rng.uniform(0, 35, 400)).astype(np.int64)
        before = masters.copy(), velocities.copy()
        got = fixed.update_momentum(masters, velocities, gradient, shift, decay, bits)
        assert (masters == before[0]).all() and (velocities == before[1]).all()
        want = [moved(*one, shift, decay, bits) for one in zip(masters.tolist(), velocities.tolist(), gradient.tolist())]
        assert [tuple(pair) for pair in np.stack(got, axis=1).tolist()] == want
        assert {-top, top - 1} <= set(got[1].tolist()) or shift == 31


@pytest.mark.parametrize("decay", DECAYS)
def test_equal_steps_add_up_to_the_effective_learning_rate(decay):
    """The velocity comes to rest within one rounding of ``2**decay`` steps."""
    m, v = np.zeros(1, np.int64), np.zeros(1, np.int64)
    for _ in range(3000):
        m, v = fixed.update_momentum(m, v, np.array([100 << 3]), 3, decay, 40)
    assert 99 * 2**decay < v[0] <= 100 * 2**decay


def residual():
    return Network.build("residual", (4, 4, 2), [
        {"type": "conv", "name": "a", "out": 3, "kernel": 3, "padding": 1}, {"type": "relu"},
        {"type": "conv", "name": "b", "out": 3, "kernel": 1}, {"type": "add", "from": "a"}, {"type": "relu"},
        {"type": "avgpool", "size": 2},
        {"type": "dense", "out": 3}])


@pytest.mark.parametrize("formats", [Formats(), NARROW], ids=["default", "narrow"])
def test_steps_of_the_model_follow_from_its_gradients(formats):
    """With decays that change, and plain steps between, which leave the velocities alone."""
    rng, network = np.random.default_rng(3), residual()
    model = GoldenModel(network, formats, 1)
    bits = formats.master_bits
    assert not any(v.any() for v in model.velocities)
    kept, old = model.masters, [m.copy() for m in model.masters]
    for momentum in (3, 3, 0, 5, 0, 1, 7):
        masters, velocities = ([a.copy() for a in arrays] for arrays in (model.masters, model.velocities))
        x = rng.integers(0, 1 << formats.act_bits - 2, (4, 4, 4, 2))
        tensors = model.step(x, rng.integers(0, 3, 4), 0, momentum=momentum).tensors
        shift = formats.update_shift(4, 0)
        for i, block in enumerate(network.weighted):
            assert (f"{block.name}.velocity" in tensors) == bool(momentum)
            assert tensors[f"{block.name}.master"] is model.masters[i]
            for at in np.ndindex(masters[i].shape):
                numbers = (int(a[at]) for a in (masters[i], velocities[i], tensors[f"{block.name}.wgrad"]))
                if momentum:
                    want = moved(*numbers, shift, momentum, bits)
                    assert tensors[f"{block.name}.velocity"][at] == want[1]
                else:
                    m, v, g = numbers
                    want = clip(m - ((g + 2 ** (shift - 1)) >> shift), bits), v
                assert (model.masters[i][at], model.velocities[i][at]) == want
    assert any(v.any() for v in model.velocities)
    assert all((a == b).all() for a, b in zip(kept, old)), "a step makes new arrays"


def test_set_velocities_copies_and_checks():
    model = GoldenModel(residual(), Formats())
    given = [np.ones_like(v) for v in model.velocities]
    model.set_velocities(given)
    given[0][:] = 5
    assert all((v == 1).all() for v in model.velocities)
    with pytest.raises(ValueError, match="velocities must have the shapes"):
        model.set_velocities(given[:1])
    with pytest.raises(ValueError, match="velocities of a must fit 24 bits"):
        model.set_velocities([v << 23 for v in given])
    for momentum in (-1, 8, True):
        before = model.masters
        with pytest.raises(ConfigError, match="momentum must be 0 to 7"):
            model.step(np.zeros((1, 4, 4, 2), int), np.zeros(1, int), 0, momentum=momentum)
        assert model.masters is before


def test_float_model_with_momentum():
    rng, network = np.random.default_rng(0), residual()
    model, plain = (FloatModel(network, 2, np.float64) for _ in range(2))
    velocities = [0 * w for w in model.weights]
    for momentum in (3, 1, 0, 3):
        x, labels, weights = rng.random((4, 4, 4, 2)), rng.integers(0, 3, 4), model.weights
        gradients = model.gradients(x, labels)[1]
        model.step(x, labels, 0.25, momentum)
        steps = [0.25 * g for g in gradients]
        if momentum:
            steps = velocities = [(1 - 2.0**-momentum) * v + s for v, s in zip(velocities, steps)]
        for got, want in zip(model.weights + model.velocities, [w - s for w, s in zip(weights, steps)] + velocities):
            np.testing.assert_allclose(got, want, rtol=1e-12)
        plain.step(x, labels, 0.25)
    assert not any(v.any() for v in plain.velocities)


def test_an_epoch_on_digits_is_as_good_as_float32():
    data, network = digits(0), Network.load("digits")
    golden, floating = GoldenModel(network, Formats(), 0), FloatModel(network, 0)
    order = list(batches(1437, 16, np.random.default_rng(0)))
    loss = golden.train(quantise(data.train_x, Formats()), data.train_y, order, 5, momentum=3)
    assert loss == pytest.approx(floating.train(data.train_x, data.train_y, order, 2.0**-5, momentum=3), rel=0.05)
    accuracies = golden.accuracy(quantise(data.test_x, Formats()), data.test_y), floating.accuracy(data.test_x, data.test_y)
    assert min(accuracies) > 0.9 and abs(accuracies[0] - accuracies[1]) < 0.03


def test_configuration_and_memory_map():
    with pytest.raises(ConfigError, match="momentum must be one of False, True, not 1"):
        Config(rows=1, lanes=2, momentum=1)
    assert Config.from_dict({"preset": "tiny", "momentum": True}) == TINY.replace(momentum=True)
    for config in (TINY, TINY.replace(momentum=True)):
        window = windows(config)[Region.VELOCITY]
        assert window.words == config.momentum * config.weight_bricks * config.lanes and window.bits == 24


def test_the_driver_has_no_velocities_without_momentum():
    driver = Driver(None, TINY)
    for call in (lambda: driver.write_velocity(0, np.zeros((1, 4), int)), lambda: driver.read_velocity(0, 1)):
        with pytest.raises(ValueError, match=r"this core has no VELOCITY words \(configuration tiny\)"):
            call()


def test_the_compiler_sets_the_decay_and_nothing_else():
    network = residual()
    plain, program = (compile_step(network, CONFIG, batch=4, momentum=m) for m in (0, 5))
    assert {c.decay for c in program.commands if c.opcode == Opcode.UPDATE} == {5}
    assert len(plain.commands) == len(program.commands)
    for one, other in zip(plain.commands, program.commands):
        assert one.fields | {"decay": 5} == other.fields | {"decay": 5}
    assert plain.words().tolist() == compile_step(network, ODD[1], batch=4).words().tolist()
    assert {n for note in program.notes for n in note.completes if n.endswith("velocity")} == {
        f"{block.name}.velocity" for block in network.weighted}


@pytest.mark.parametrize("config, momentum, message", [
    (ODD[1], 3, "momentum must be 0 for the configuration 3x4, which has no velocities .set momentum = true in it., not 3"),
    (CONFIG, 8, "momentum must be 0 to 7, not 8"), (CONFIG, -1, "momentum must be 0 to 7, not -1")])
def test_the_compiler_refuses(config, momentum, message):
    with pytest.raises(ConfigError, match=message):
        compile_step(residual(), config, batch=4, momentum=momentum)


def test_command_line(tmp_path):
    """One error in one line; the run says and records what it did."""
    toml, figures = tmp_path / "m.toml", tmp_path / "r.json"
    toml.write_text('preset = "tiny"\nmomentum = true\n')
    arguments = ["train", "--backend", "golden", "--steps", "3", "--batch", "4", "--lr-shift", "5", "--momentum", "3"]
    run = CliRunner().invoke(main, [*arguments, "--config", "tiny"])
    assert run.exit_code == 1 and "momentum must be 0 for the configuration tiny" in run.output
    run = CliRunner().invoke(main, [*arguments, "--config", str(toml), "--json", str(figures)])
    assert run.exit_code == 0 and "momentum 1 - 2^-3" in run.output
    recorded = json.loads(figures.read_text())
    assert recorded["momentum"] == 3 and recorded["config"]["update"]["momentum"] is True
    assert "effective learning rate is 2^M" in " ".join(CliRunner().invoke(main, ["train", "-h"]).output.split())


@pytest.mark.parametrize("seed", range(4), ids=lambda s: f"seed{s}")
def test_core(seed):
    """Random networks, the decay another one in every step, plain steps between, skipping on and off."""
    rng = np.random.default_rng([seed, 77])
    network, batch = legal_case(CONFIG, rng)
    data = [random_batch(rng, network, batch) for _ in range(7)]
    tally = train(bench_of(CONFIG), network, data, switches=(SPARSE, DENSE), momentum=(3, 0, 1, 7, 2), seed=seed)
    assert_exact(tally, 7)
    assert tally.compared["velocity"] == 5 * sum(m.size for m in GoldenModel(network, CONFIG.formats).masters)


def test_core_saturates():
    """Steps so large that velocities and masters reach both ends."""
    rng = np.random.default_rng(5)
    network, _ = legal_case(CONFIG, rng)
    golden = GoldenModel(network, CONFIG.formats)
    data = [random_batch(rng, network, 1) for _ in range(5)]
    assert_exact(train(bench_of(CONFIG), network, data, lr_shift=-2, momentum=(2,), golden=golden), 5)
    for arrays in (golden.velocities, golden.masters):
        every = np.concatenate([a.ravel() for a in arrays])
        assert {every.min(), every.max()} == {-(1 << 23), (1 << 23) - 1}


def test_plain_steps_leave_velocities_alone():
    """A core with momentum trains without it as any other, whatever its velocities hold; the host reads what lies there."""
    rng, bench = np.random.default_rng(6), bench_of(CONFIG)
    network, batch = legal_case(CONFIG, rng)
    golden = GoldenModel(network, CONFIG.formats)
    golden.set_velocities([rng.integers(-1 << 23, 1 << 23, v.shape) for v in golden.velocities])
    words = rng.integers(-1 << 23, 1 << 23, (CONFIG.weight_bricks, CONFIG.lanes))
    bench.driver.write_velocity(0, words)
    assert_exact(train(bench, network, [random_batch(rng, network, batch) for _ in range(2)], golden=golden), 2)
    lanes = np.stack([bench.sim.memory(f"weights.velocities.lane{j}.mem") for j in range(CONFIG.lanes)], axis=1).astype(np.int64)
    assert (bench.driver.read_velocity(0, CONFIG.weight_bricks) == lanes - (lanes >> 23 << 24)).all()
    program = compile_step(network, CONFIG, batch=batch)
    bench.tally.mismatched.clear()
    for block, v in zip(network.weighted, golden.velocities):
        bench._compare(0, f"{block.name}.velocity", program, network, {f"{block.name}.velocity": v})
    assert bench.tally.exact
    assert not any("velocit" in path for path in bench_of(ODD[1]).sim.memories())


def test_trainer_begins_at_rest():
    """A run on the core with momentum, and the same steps with skipping on and off from the same velocities."""
    rng, network = np.random.default_rng(7), residual()
    data = Dataset(*(a for n in (16, 8) for a in (rng.random((n, 4, 4, 2)), rng.integers(0, 3, n))))
    schedule = Schedule(network=network, config=CONFIG, batch=4, lr_shifts=(5, 6), momentum=3, dense_steps=2)
    result = Trainer(schedule, data).run()
    assert result.exact and result.tally.compared["velocity"] > 0
    assert result.steps == len(result.losses) == 8 and result.dense.steps == result.sparse.steps == 2 and result.test.steps == 2
    assert result.json()["momentum"] == 3


def test_verilog_is_clean(tmp_path):
    """No warning of ``verilator --lint-only -Wall`` beyond the waivers."""
    toolchain.use_yosys()
    (tmp_path / "gradgate.v").write_text(verilog(CONFIG), encoding="utf-8")
    toolchain.lint(tmp_path / "gradgate.v")


def nearest(velocities, decay):
    """Decay that rounds to the nearest."""
    v = np.asarray(velocities, np.int64)
    return v - (v + (1 << decay - 1) >> decay)


def test_wrong_rounding_in_the_golden_model_is_found(monkeypatch):
    rng = np.random.default_rng(8)
    network, batch = legal_case(CONFIG, rng)
    data = [random_batch(rng, network, batch) for _ in range(2)]
    monkeypatch.setattr(fixed, "decayed", nearest)
    first = train(bench_of(CONFIG), network, data, momentum=(3,)).first
    assert first.step == 1 and first.tensor.endswith((".velocity", ".master")) and abs(first.got - first.expected) == 1


def test_late_velocities_are_found(monkeypatch):
    """An updater that asks for velocities a cycle late, and so adds steps to its neighbours'."""
    config = ODD[0].replace(name="1x2 momentum", momentum=True)
    monkeypatch.setattr(VelocityMemory, "READ", 1)
    toolchain.use_yosys()
    sim = Simulator(config, verilog=verilog(config))
    rng = np.random.default_rng(9)
    network, batch = legal_case(config, rng)
    data = [random_batch(rng, network, batch) for _ in range(2)]
    tally = train(Bench(config, sim, Driver(sim, config)), network, data, momentum=(3,))
    assert tally.first.step == 1 and tally.first.tensor.endswith((".velocity", ".master")) and tally.wrong_cycles == 0
