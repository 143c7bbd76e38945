"""Loading ahead: what the compiler moves, what a RUN waits for, and what must not follow."""

import dataclasses

import pytest
from test_errors import END, LIMIT, assert_clean, changed, encode, expect_error, load, step_of

from gradgate.arch.commands import Command, Error, Opcode, length
from gradgate.arch.config import Config
from gradgate.arch.network import Network
from gradgate.compiler.compile import compile_step
from gradgate.compiler.context import Switches
from gradgate.golden.cycles.program import program_costs
from gradgate.golden.cycles.sequencer import command_cycles, fetch_cycles
from gradgate.golden.cycles.weights import AHEAD, LOAD_LATENCY, RUN_END, run_at_least
from gradgate.golden.model import GoldenModel
from gradgate.hw.array.array import Array
from gradgate.hw.weights.loader import Loader
from gradgate.sim.soak import ODD, bench_of

PRESETS = [Config.load(name) for name in ("tiny", "small", "base")]


def bricks(command):
    """Bricks that a LOAD loads."""
    return command.t_count * command.inner_count * command.outer_count


@pytest.mark.parametrize("model", ["digits", "resnet_digits"])
@pytest.mark.parametrize("config", PRESETS, ids=lambda c: c.name)
def test_what_moves(config, model):
    """A LOAD ahead is followed by a RUN of RED turns, beside whose weights its own lie; commands stay the same but for order and place.

    Weights in use are followed command by command.
    """
    network = Network.load(model)
    batch = 4
    moved, plain = (compile_step(network, config, batch=batch, switches=Switches(overlap=overlap)) for overlap in (True, False))
    loose = [changed(c, bank_addr=0, **({"ahead": 0} if c.opcode == Opcode.LOAD else {})) if c.opcode in (Opcode.LOAD, Opcode.RUN) else c
             for c in moved.commands]
    assert sorted(loose, key=repr) == sorted((changed(c, bank_addr=0) if c.opcode in (Opcode.LOAD, Opcode.RUN) else c
                                             for c in plain.commands), key=repr)
    assert [c for c in loose if c.opcode != Opcode.LOAD] == [c if c.opcode != Opcode.RUN else changed(c, bank_addr=0)
                                                            for c in plain.commands if c.opcode != Opcode.LOAD]
    loaded, coming, count = set(), None, 0
    for command, following in zip(moved.commands, moved.commands[1:]):
        if command.opcode == Opcode.LOAD:
            words = set(range(command.bank_addr, command.bank_addr + bricks(command)))
            assert max(words) < config.bank_weights
            if command.ahead:
                count += 1
                assert following.opcode == Opcode.RUN and not following.outer and following.bank_addr in loaded
                assert not {w // 2 for w in words} & {w // 2 for w in loaded} and coming is None
                coming = words
            else:
                loaded = loaded | words if loaded and command.bank_addr else words
        elif command.opcode == Opcode.RUN and not command.outer:
            assert command.bank_addr in loaded
            if coming:
                loaded, coming = coming, None
        elif command.opcode in (Opcode.CLEAR, Opcode.UPDATE):
            loaded = set()
    assert count > 0 and not any(c.opcode == Opcode.LOAD and c.ahead for c in plain.commands)


def test_constants():
    """The cycle model restates the gateware."""
    assert LOAD_LATENCY == Loader.LATENCY and RUN_END == Array.RUN_LATENCY - 2 and AHEAD == 2


@pytest.mark.parametrize("config", ODD, ids=lambda c: c.name)
def test_a_run_waits(config):
    """A short RUN behind a long LOAD ahead ends when the LOAD does, to the cycle; a long one when it is done itself."""
    bench, (network, batches, program, _) = bench_of(config), step_of(config)
    first = next(i for i, c in enumerate(program.commands) if c.opcode == Opcode.RUN)
    x, labels = batches[0]
    step = GoldenModel(network, config.formats, 0).step(x, labels, 2)
    moves = [i for i in range(first) if program.commands[i].opcode == Opcode.MOVE]
    a_load = next(c for c in program.commands if c.opcode == Opcode.LOAD)
    waited = set()
    for inner in (1, 20, config.bank_weights // 2 - 1):
        spare = Command(Opcode.LOAD, dict.fromkeys(a_load.fields, 0) | {"t_count": 1, "inner_count": inner, "outer_count": 1, "ahead": 1})
        run = changed(program.commands[first], bank_addr=config.bank_weights // 2, y_count=1, x_count=1, slots=1, last_rows=1)
        short = dataclasses.replace(program, commands=[*(program.commands[i] for i in moves), spare, run, END],
                                    notes=[*(program.notes[i] for i in moves), *program.notes[first - 1:first + 1], program.notes[-1]])
        load(bench, short.words())
        bench.driver.write_staging(short.staging["input"], x.reshape(-1))
        bench.driver.run(LIMIT)
        costs = [cycles for cycles, _ in program_costs(config, short, step.tensors)]
        assert bench.driver.counters(len(costs)).tolist() == costs
        waited.add(costs[-2] == command_cycles(Opcode.RUN, run_at_least(spare, fetch_cycles(length(Opcode.RUN)))))
    assert waited == {False, True}
    assert_clean(config)


@pytest.mark.parametrize("opcode", [Opcode.LOAD, Opcode.CLEAR, Opcode.UPDATE, Opcode.RUN])
@pytest.mark.parametrize("config", ODD, ids=lambda c: c.name)
def test_what_must_not_follow(config, opcode):
    """A command that needs the banks or the weight memory, while a LOAD goes on; then a clean run."""
    bench, (_, _, program, _) = bench_of(config), step_of(config)
    first = next(c for c in program.commands if c.opcode == Opcode.LOAD)
    ahead = changed(first, ahead=1, t_count=1, inner_count=config.bank_weights, outer_count=1, bank_addr=0, t_step=0, inner_step=0)
    follows = next(c for c in program.commands if c.opcode == opcode and (opcode != Opcode.RUN or c.outer))
    load(bench, encode([ahead, follows, END]))
    expect_error(bench, Error.ADDRESS, 1, length(Opcode.LOAD))
    assert_clean(config)


@pytest.mark.parametrize("follows", ["RUN", "END"])
@pytest.mark.parametrize("config", ODD, ids=lambda c: c.name)
def test_a_load_ahead_that_fails(config, follows):
    """Its error is that of the command under way; if none comes it is forgotten with the next start."""
    bench, (_, _, program, _) = bench_of(config), step_of(config)
    first = next(c for c in program.commands if c.opcode == Opcode.LOAD)
    run = next(c for c in program.commands if c.opcode == Opcode.RUN)
    ahead = changed(first, ahead=1, wm_addr=config.weight_bricks)
    if follows == "RUN":
        load(bench, encode([ahead, changed(run, bank_addr=config.bank_weights // 2), END]))
        expect_error(bench, Error.ADDRESS, 1, length(Opcode.LOAD))
    else:
        late = changed(ahead, wm_addr=0, bank_addr=0, t_count=1, inner_count=config.bank_weights + 1, outer_count=1, t_step=0, inner_step=0)
        load(bench, encode([late, END]))
        bench.driver.run(LIMIT)
        bench.sim.step(config.bank_weights + 50)
    assert_clean(config)
