"""The order of a step: one list of tasks, from which lifetimes, places, commands and what is compared follow."""

import dataclasses
import functools
import itertools
from collections import Counter

import numpy as np
import pytest
from support.rig import ODD, TINY, bench_of, legal_case, random_batch, train

from gradgate.arch.commands import Opcode
from gradgate.arch.network import Network
from gradgate.compiler import compile as compiler
from gradgate.compiler import plan
from gradgate.compiler.compile import EMITTERS, compile_step
from gradgate.compiler.step import Task, completed, inference_step, lent, lifetimes, training_step
from gradgate.golden.model import GoldenModel

SEED = 5
NETWORKS = 30  #: random ones of a test


@functools.cache
def cases():
    """(configuration, network, batch) of random networks that fit; odd configurations in turn."""
    rng = np.random.default_rng(SEED)
    return [(config, *legal_case(config, rng)) for config in itertools.islice(itertools.cycle(ODD), NETWORKS)]


def overwritten(tasks, program, slots):
    """(task, tensor) of all that is read, while other words lie in its place, when ``tasks`` use the places of ``program``.

    It knows of no lifetimes: every brick remembers which tensor was the last that was written there.
    """
    owners, bricks, result = lent(tasks), {}, []
    tables = (("rows", program.places), ("argmax", program.choices))

    def bricks_of(name):
        return [(memory, brick) for memory, table in tables if name in table
                for brick in range(table[name].base, table[name].base + slots * table[name].slot)]

    for task in tasks:
        for name in task.writes:
            bricks |= dict.fromkeys(bricks_of(name), owners.get(name, name))
        result += [(task.what, name) for name in task.reads if any(bricks.get(at) != owners.get(name, name) for at in bricks_of(name))]
    return result


def test_order_by_eye():
    """A pooled block, a residual that only one block reads, and one that is only added."""
    conv = {"type": "conv", "out": 2, "kernel": 3, "padding": 1}
    network = Network.build("eye", (4, 4, 1), [
        {**conv, "name": "a"}, {"type": "relu"}, {"type": "maxpool"},
        {**conv, "name": "b"}, {"type": "add", "from": "a"},
        {**conv, "name": "c"}, {**conv, "name": "d", "from": "b"}, {"type": "add", "from": "c"},
        {"type": "dense", "name": "e", "out": 2}])
    tasks = training_step(network)
    assert [(task.what, task.block and task.block.name, task.reads, task.writes) for task in tasks] == [
        ("inputs", None, (), ("input", "labels")),
        ("forward", "a", ("input", "a.master"), ("a.out", "a.argmax")),
        ("forward", "b", ("a.out", "b.master", "a.out"), ("b.out",)),
        ("forward", "c", ("b.out", "c.master"), ("c.out",)),
        ("forward", "d", ("b.out", "d.master", "c.out"), ("d.out",)),
        ("forward", "e", ("d.out", "e.master"), ("e.out",)),
        ("loss", "e", ("e.out", "labels"), ("e.grad",)),
        ("backward_data", "e", ("e.grad", "d.out", "e.master"), ("d.grad",)),
        ("weight_gradient", "e", ("e.grad", "d.out"), ("e.master",)),
        ("lend", "d", ("d.grad",), ("c.grad",)),
        ("backward_data", "d", ("d.grad", "b.out", "d.master"), ("b.grad",)),
        ("weight_gradient", "d", ("d.grad", "b.out"), ("d.master",)),
        ("backward_data", "c", ("c.grad", "b.out", "c.master", "b.grad"), ("b.grad",)),
        ("weight_gradient", "c", ("c.grad", "b.out"), ("c.master",)),
        ("backward_data", "b", ("b.grad", "a.out", "b.master", "b.grad"), ("a.grad",)),
        ("weight_gradient", "b", ("b.grad", "a.out"), ("b.master",)),
        ("expand", "a", ("a.grad", "a.argmax"), ("a.expanded",)),
        ("weight_gradient", "a", ("a.expanded", "input"), ("a.master",)),
        ("end", None, ("a.argmax",), ())]
    lives = lifetimes(tasks)
    assert lives["c.out"] == (3, 4) and lives["d.grad"] == (7, 13) and lives["b.grad"] == (10, 15) and lives["a.argmax"] == (1, 18)
    assert lent(tasks) == {"c.grad": "d.grad"} and "c.grad" not in lives
    assert completed(tasks)[10] == () and completed(tasks)[12] == ("b.grad",)
    assert inference_step(network)[6:] == [Task("loss", network.blocks[-1], ("e.out", "labels"), ()), tasks[-1]]


def test_gradients_are_lent_on():
    """Three sums in a row, each of which is only added to the next: one gradient, kept until the first of them has used it."""
    conv, config = {"type": "conv", "out": 5, "kernel": 3, "padding": 1}, ODD[1]
    layers = [{**conv, "name": "x"}, {"type": "relu"}, {**conv, "name": "a"}]
    for name, other in ("ba", "cb", "dc"):
        layers += [{**conv, "name": name, "from": "x"}, {"type": "add", "from": other}]
    network = Network.build("lent", (3, 3, 2), [*layers, {"type": "dense", "name": "e", "out": 3}])
    tasks, program = training_step(network), compile_step(network, config, batch=4)
    assert lent(tasks) == dict.fromkeys(("a.grad", "b.grad", "c.grad"), "d.grad")
    first = next(task for task in reversed(tasks) if "a.grad" in task.reads)
    assert first.block.name == "a" and lifetimes(tasks)["d.grad"][1] == tasks.index(first)
    assert len({program.places[f"{name}.grad"].base for name in "abcd"}) == 1 and overwritten(tasks, program, 2) == []
    rng = np.random.default_rng(SEED)
    assert train(bench_of(config), network, [random_batch(rng, network, 4) for _ in range(2)]).exact


def test_all_is_written_before_it_is_read_and_weights_after():
    """All but weights is made by the first task that names it; weights change after all that multiply by them."""
    for _, network, _ in cases():
        for tasks in (training_step(network, velocities=True), inference_step(network)):
            for name in {name for task in tasks for name in task.reads + task.writes}:
                naming = [task for task in tasks if name in task.reads + task.writes]
                if name.endswith((".master", ".velocity")):
                    assert not any(name in task.writes for task in naming[:-1]), name
                else:
                    assert name in naming[0].writes and name not in naming[0].reads, name


def test_every_task_has_an_emitter_and_every_emitter_a_task():
    assert {task.what for _, network, _ in cases() for task in training_step(network)} == set(EMITTERS)


class Watched(dict):
    """Places; those that are looked up are added to the set ``seen``."""

    def __init__(self, places, seen):
        super().__init__(places)
        self.seen = seen

    def __getitem__(self, name):
        self.seen.add(name)
        return super().__getitem__(name)


@pytest.mark.parametrize("training", [True, False], ids=["training", "inference"])
def test_emitters_use_the_tensors_that_their_tasks_name(monkeypatch, training):
    """All of them and no other, or a list would say of a tensor that it is no longer needed while commands still read it."""
    honest, emitted = compiler._emit_task, set()

    def watched(ctx, task, complete):
        program, seen = ctx.program, set()
        places, choices = program.places, program.choices
        program.places, program.choices = Watched(places, seen), Watched(choices, seen)
        honest(ctx, task, complete)
        program.places, program.choices = places, choices
        named = {name for name in task.reads + task.writes if name in places | choices}
        assert seen == (set() if task.what in ("lend", "end") else named), task
        emitted.add(task.what)

    monkeypatch.setattr(compiler, "_emit_task", watched)
    for config, network, batch in cases():
        compile_step(network, config, batch=batch, training=training)
    assert emitted == (set(EMITTERS) if training else {"inputs", "forward", "loss", "end"})


@pytest.mark.parametrize("training", [True, False], ids=["training", "inference"])
def test_nothing_is_overwritten_that_is_read_later(training):
    reused = 0
    for config, network, batch in cases():
        program = compile_step(network, config, batch=batch, training=training)
        tasks = (training_step if training else inference_step)(network)
        slots = -(-batch // config.rows)
        assert overwritten(tasks, program, slots) == [], (network, config.name)
        sizes = [slots * place.slot for name, place in program.places.items() if name not in lent(tasks)]
        reused += sum(sizes) > max(place.base + slots * place.slot for place in program.places.values())
    assert reused > NETWORKS // 2  # where nothing lies in the place of another, nothing could be overwritten


def test_tensors_live_from_first_to_last_name():
    for _, network, _ in cases():
        tasks = training_step(network)
        owners = lent(tasks)
        names = [[owners.get(name, name) for name in task.reads + task.writes] for task in tasks]
        for name, (born, dies) in lifetimes(tasks).items():
            naming = [number for number, those in enumerate(names) if name in those]
            assert (born, dies) == (naming[0], naming[-1]), name


def test_everything_that_is_computed_is_compared_once():
    """Commands complete every tensor of the golden model but weight gradients, those that are lent and the images."""
    rng = np.random.default_rng(SEED)
    for config, network, batch in cases()[:9]:
        program = compile_step(network, config, batch=batch)
        step = GoldenModel(network, config.formats, 0).step(*random_batch(rng, network, batch), 2)
        done = [name for note in program.notes for name in note.completes]
        compared = [name for name in step.tensors if not name.endswith(".wgrad") and name not in lent(training_step(network))]
        assert sorted(done + ["input"]) == sorted(compared)


@pytest.mark.parametrize("momentum", [0, 1])
def test_velocities_are_completed_with_momentum(momentum):
    network, config = Network.load("digits"), dataclasses.replace(TINY, name="momentum", momentum=True)
    notes = compile_step(network, config, batch=4, momentum=momentum).notes
    done = {name for note in notes for name in note.completes}
    assert {f"{block.name}.velocity" for block in network.weighted} & done == (
        {f"{block.name}.velocity" for block in network.weighted} if momentum else set())


def shortened(network):
    """``lifetimes`` in which the first block's output is forgotten after the forward pass."""
    name, last = f"{network.blocks[0].name}.out", len(network.blocks)

    def lives(tasks):
        honest = lifetimes(tasks)
        return {**honest, name: (honest[name][0], min(last, honest[name][1]))}
    return lives


def test_a_life_that_is_too_short_is_found(monkeypatch):
    found = 0
    for config, network, batch in cases():
        monkeypatch.setattr(plan, "lifetimes", shortened(network))
        wrong = overwritten(training_step(network), compile_step(network, config, batch=batch), -(-batch // config.rows))
        assert {name for _, name in wrong} <= {f"{network.blocks[0].name}.out"}
        found += bool(wrong)
    assert found > NETWORKS // 4


def updates_last(network, velocities=False):
    """A step whose weight gradients all come after the gradients of all tensors."""
    tasks = training_step(network, velocities)
    return sorted(tasks, key=lambda task: {"weight_gradient": 1, "end": 2}.get(task.what, 0))


@pytest.mark.parametrize("config", ODD, ids=lambda c: c.name)
def test_another_order_is_another_list(monkeypatch, config):
    """Plan and program follow a list in another order, and the core computes the same words; no other code knows of it."""
    rng = np.random.default_rng(SEED)
    for _ in range(3):
        network, batch = legal_case(config, rng)
        usual = compile_step(network, config, batch=batch)
        monkeypatch.setattr(compiler, "training_step", updates_last)
        program = compile_step(network, config, batch=batch)
        assert overwritten(updates_last(network), program, -(-batch // config.rows)) == []
        phases = [note.phase for note in program.notes]
        assert "BD" not in phases[phases.index("WG"):]
        counts = [Counter(command.opcode for command in made.commands) for made in (program, usual)]
        assert counts[0].pop(Opcode.CLEAR) <= counts[1].pop(Opcode.CLEAR)  # one does for gradients that follow each other
        assert counts[0] == counts[1]
        assert train(bench_of(config), network, [random_batch(rng, network, batch) for _ in range(2)]).exact
        monkeypatch.undo()
