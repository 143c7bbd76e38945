"""Errors planted in compiler, golden model and gateware are found: the comparison can fail, and says where."""

from dataclasses import replace

import numpy as np
import pytest
from amaranth.hdl import Module, Signal, signed
from support.rig import ODD, bench_of, legal_case, random_batch, train

from gradgate.arch.commands import Opcode
from gradgate.arch.network import Network
from gradgate.compiler import overlap, plan, waits, weight_gradient
from gradgate.compiler.context import Switches
from gradgate.compiler.step import training_step
from gradgate.golden import fixed
from gradgate.golden.cycles import sequencer
from gradgate.golden.cycles.timeline import Times
from gradgate.host.driver import DeviceError, Driver
from gradgate.hw.array.lane import Lane
from gradgate.hw.generate import verilog
from gradgate.hw.parts.multiplier import Multiplier
from gradgate.sim import compare, toolchain
from gradgate.sim.compare import Bench
from gradgate.sim.simulator import Simulator

CONFIG = ODD[0]


def case(config=CONFIG):
    rng = np.random.default_rng(2)
    network, batch = legal_case(config, rng)
    return network, [random_batch(rng, network, batch) for _ in range(2)]


def test_no_bug_no_difference():
    network, batches = case()
    assert train(bench_of(CONFIG), network, batches).exact


def test_overlapping_tensors_are_found(monkeypatch):
    """A memory plan that puts one tensor a brick into another."""
    network, batches = case()
    honest = plan.allocate

    def crooked(lives):
        result = honest(lives)
        name = f"{network.blocks[0].name}.out"
        return {**result, name: result["input"] + 1} if name in result else result

    monkeypatch.setattr(plan, "allocate", crooked)
    tally = train(bench_of(CONFIG), network, batches)
    assert tally.mismatched_words > 0 and tally.first.tensor.endswith((".out", "wgrad"))


def test_short_life_is_found(monkeypatch):
    """A memory plan that forgets the images after the forward pass, though the first weight gradient reads them."""
    network, batches = case()
    honest = plan.lifetimes
    monkeypatch.setattr(plan, "lifetimes", lambda tasks: {**honest(tasks), "input": (0, 1)})
    tally = train(bench_of(CONFIG), network, batches)
    assert tally.mismatched_words > 0 and tally.first.tensor.endswith(("wgrad", ".master"))


def test_wrong_order_of_a_step_is_found(monkeypatch):
    """Weights that are updated before the backward-data pass that needs the old ones."""
    network, batches = case()

    def hasty(network, velocities):
        tasks = training_step(network, velocities)
        for late, task in enumerate(tasks):
            if task.what == "weight_gradient" and tasks[late - 1].what == "backward_data":
                tasks[late - 1:late + 1] = task, tasks[late - 1]
        return tasks

    monkeypatch.setattr("gradgate.compiler.compile.training_step", hasty)
    tally = train(bench_of(CONFIG), network, batches)
    assert tally.mismatched_words > 0 and tally.first.tensor.endswith(".grad")


def test_wrong_weight_address_is_found(monkeypatch):
    """A weight plan in which two layers share a brick."""
    network, batches = case()
    honest = plan.plan_weights
    monkeypatch.setattr("gradgate.compiler.compile.plan_weights", lambda *a: {
        name: max(0, base - 1) for name, base in honest(*a).items()})
    assert train(bench_of(CONFIG), network, batches).mismatched_words > 0


def swapping(config=ODD[2]):
    """A network with two kernels of 3x3, whose weight-gradient roles are all swapped on ``config``, and batches."""
    rng = np.random.default_rng(4)
    network = Network.build("swapped", (5, 6, 3), [
        {"type": "conv", "name": "a", "out": 9, "kernel": 3, "padding": 1}, {"type": "relu"},
        {"type": "conv", "name": "b", "out": 6, "kernel": 3}, {"type": "relu"}, {"type": "dense", "out": 3}])
    batches = [random_batch(rng, network, 4) for _ in range(2)]
    return config, network, batches, (Switches(swapped=frozenset("ab")),)


def test_swapped_roles_without_a_bug():
    config, network, batches, switches = swapping()
    assert train(bench_of(config), network, batches, switches=switches).exact


def test_wrong_turn_is_found(monkeypatch):
    """An UPDATE that looks for the taps in other lanes than the RUN has put them into; the sums in the banks are right."""
    config, network, batches, switches = swapping()
    honest = weight_gradient.common.update
    monkeypatch.setattr(weight_gradient.common, "update", lambda ctx, block, tile, loop, *rest, **more: honest(
        ctx, block, tile, {**loop, "turn_outer": 0}, *rest, **more))
    tally = train(bench_of(config), network, batches, switches=switches)
    assert tally.mismatched_words > 0 and tally.first.tensor.endswith(".master")


def test_hazard_on_the_banks_left_out_is_found(monkeypatch):
    """Weights go where the RUN before still reads its own, and no command waits for what it would meet in the banks."""
    config, network, batches, _ = swapping()
    monkeypatch.setattr(overlap, "_place", lambda *_: 0)
    assert train(bench_of(config), network, batches).exact  # the LOADs wait
    monkeypatch.setattr(waits, "_meet", lambda *_: False)
    tally = train(bench_of(config), network, batches)
    assert tally.mismatched_words > 0 and tally.first.tensor.endswith(".out")


@pytest.mark.parametrize("opcode, unit", [(Opcode.POST, Opcode.RUN), (Opcode.RUN, Opcode.LOAD), (Opcode.UPDATE, Opcode.RUN)],
                         ids=lambda opcode: opcode.name)
def test_missing_wait_is_found(monkeypatch, opcode, unit):
    """A command that does not wait for a unit in its way: by the compiler's check; without it by the core, at that command; and where
    they meet in the banks only, by the words."""
    config, network, batches, _ = swapping()
    index = {}

    def forgetful(program, overlap):
        waits.add_waits(program, overlap)
        able = [i for i, c in enumerate(program.commands) if c.opcode == opcode and unit in c.waits]
        at = index["at"] = min(able, key=lambda i: program.commands[i - 1].opcode != unit)  # right after it, if there is one
        program.commands[at] = replace(program.commands[at], waits=program.commands[at].waits - {unit})

    monkeypatch.setattr("gradgate.compiler.compile.add_waits", forgetful)
    with pytest.raises(ValueError, match=rf"command \d+ \({opcode.name}\) must wait for {unit.name}, which is in its way"):
        train(bench_of(config), network, batches)
    monkeypatch.setattr("gradgate.compiler.compile.check_waits", lambda commands: None)
    if unit == Opcode.LOAD:
        assert train(bench_of(config), network, batches).mismatched_words > 0
        return
    with pytest.raises(DeviceError, match=r"error 5 \(CONFLICT\)") as caught:
        train(bench_of(config), network, batches)
    assert caught.value.index == index["at"]


def test_time_that_is_one_off_is_found(monkeypatch):
    """A start a cycle later than the model says, and an end a cycle later, of all commands and of one."""
    network, batches = case()
    honest = sequencer.fetch_cycles
    monkeypatch.setattr(sequencer, "fetch_cycles", lambda length: honest(length) + 1)
    tally = train(bench_of(CONFIG), network, batches)
    assert tally.mismatched_words == 0 and tally.wrong_cycles == len(bench_of(CONFIG)._program.commands)
    monkeypatch.setattr(sequencer, "fetch_cycles", honest)
    honest_times = compare.program_times
    last = len(bench_of(CONFIG)._program.commands) - 1
    for change in ({"start": -1}, {"end": 1}):
        monkeypatch.setattr(compare, "program_times", lambda *a, change=change: [
            one if i != last // 2 else Times(one.start + change.get("start", 0), one.end + change.get("end", 0))
            for i, one in enumerate(honest_times(*a))])
        tally = train(bench_of(CONFIG), network, batches)
        assert tally.wrong_cycles == 1 and tally.first_cycles.startswith(f"step 0, command {last // 2} ("), tally.first_cycles


def test_wrong_rounding_in_the_golden_model_is_found(monkeypatch):
    network, batches = case()
    honest = fixed.requantise
    monkeypatch.setattr(fixed, "requantise", lambda acc, shift, bits: honest(acc - (1 << shift - 1), shift, bits))
    tally = train(bench_of(CONFIG), network, batches)
    first = tally.first
    assert first.tensor == f"{network.blocks[0].name}.out" and first.got != first.expected
    assert str(first).startswith("step 0, command ")


def unsigned_multiplier(self, platform):
    """The multiplier, but for the sign of its second operand."""
    m = Module()
    a, b, pipe = Signal(signed(self.width)), Signal(self.width), Signal(signed(2 * self.width))
    m.d.sync += [a.eq(self.a), b.eq(self.b), pipe.eq(a * b), self.o.eq(pipe)]
    return m


@pytest.mark.parametrize("config, part, attribute, value", [
    (ODD[1], Lane, "BUBBLE", 0), (ODD[0], Multiplier, "elaborate", unsigned_multiplier)], ids=["stale sums", "no sign"])
def test_bug_in_a_pe_is_found(monkeypatch, config, part, attribute, value):
    """Accumulators read before they are written back; products without the sign of an operand."""
    monkeypatch.setattr(part, attribute, value)
    toolchain.use_yosys()
    sim = Simulator(config, verilog=verilog(config))
    network, batches = case(config)
    assert train(Bench(config, sim, Driver(sim, config)), network, batches).mismatched_words > 0
