"""Several commands under way at once, on whole cores: times of any mix, conflicts, and faults of one of them."""

from dataclasses import replace
from itertools import permutations

import numpy as np
import pytest
from support.rig import bench_of
from test_errors import END, LIMIT, assert_clean, changed, encode, every_config, expect_error, load, memories, step_of

from gradgate.arch.commands import Error, Opcode, length
from gradgate.arch.units import UNITS, conflict
from gradgate.compiler.program import Program
from gradgate.compiler.waits import add_waits
from gradgate.golden.cycles.array import POST_LATENCY, clear_cycles
from gradgate.golden.cycles.program import COSTS
from gradgate.golden.cycles.run import run_cost
from gradgate.golden.cycles.timeline import timeline
from gradgate.golden.cycles.weights import LOAD_LATENCY
from gradgate.hw.weights.loader import Loader

NAMES = [*(opcode.name for opcode in UNITS), "OUT"]  #: OUT is a RUN of OUT turns, RUN one of RED turns
seeds = pytest.mark.parametrize("seed", range(4), ids=lambda s: f"seed{s}")


def dense(command):
    """The command; if it is a RUN, one whose cycles depend on its fields alone."""
    return changed(command, skip_list=0, skip_target=0) if command.opcode == Opcode.RUN else command


def unit_cycles(config, command):
    """Cycles of the unit of a :func:`dense` command."""
    if command.opcode != Opcode.RUN:
        return COSTS[command.opcode](config, command, None).cycles
    flags = np.zeros((config.rows, config.act_bricks, config.lanes), bool)
    return run_cost(config, command, flags, flags).cycles


def longest(config, name):
    """The command of the step that takes longest, waiting for nothing; LOADs, CLEARs and UPDATEs are made as long as they can be."""
    _, _, program, _ = step_of(config)
    opcode = Opcode.RUN if name == "OUT" else Opcode[name]
    found = [dense(c) for c in program.commands if c.opcode == opcode and (opcode != Opcode.RUN or c.outer == (name == "OUT"))]
    command = max(found, key=lambda c: unit_cycles(config, c))
    match opcode:
        case Opcode.CLEAR:
            command = changed(command, words=config.bank_words)
        case Opcode.LOAD | Opcode.UPDATE:
            command = changed(command, bank_addr=0, t_count=1, inner_count=config.bank_words, outer_count=1, t_step=0, inner_step=0)
    return replace(command, waits=frozenset())


def test_constants():
    """The cycle model restates the gateware."""
    assert LOAD_LATENCY == Loader.LATENCY and POST_LATENCY == 11 and clear_cycles(5) == 6


@seeds
@every_config
def test_any_mix(config, seed):
    """Commands of a step in random order, each waiting for what is in its way, with stops: every start and end is the model's.

    Words are rubbish, and cycles do not depend on them.
    """
    bench, (_, _, program, _) = bench_of(config), step_of(config)
    rng = np.random.default_rng([seed, 5])
    chosen = [dense(program.commands[i]) for i in rng.integers(0, len(program.commands) - 1, 60)]
    mixed = Program(batch=1, commands=[*chosen, END])
    add_waits(mixed)
    cycles = [*(unit_cycles(config, c) for c in chosen), 0]
    stops = [] if seed % 2 else sorted(int(i) for i in rng.choice(60, 6, replace=False))
    expected = timeline(mixed.commands, cycles, stops)
    load(bench, mixed.words())
    for number, stop in enumerate([*stops, None]):
        bench.driver.run(100 * LIMIT, at=None if number else 0, stop=stop)
    assert bench.driver.times(61).tolist() == [[one.start, one.end] for one in expected]
    assert sum(one.start < other.end for one, other in zip(expected[1:], expected)) > 5  # that were under way together
    assert_clean(config)


@pytest.mark.parametrize("first, second", [pair for pair in permutations(NAMES, 2) if set(pair) != {"RUN", "OUT"}], ids="-".join)
@every_config
def test_conflict(config, first, second):
    """Of two commands that do not wait, the second is refused if it meets the first at a port, and has done nothing; else both end when
    they should."""
    bench, one, other = bench_of(config), longest(config, first), longest(config, second)
    load(bench, encode([one, END]))
    bench.driver.run(LIMIT)
    before = memories(bench)
    load(bench, encode([one, other, END]))
    expected = timeline([one, other, END], [unit_cycles(config, one), unit_cycles(config, other), 0])
    assert expected[1].start < expected[0].end
    if conflict(one, other):
        expect_error(bench, Error.CONFLICT, 1, length(one.opcode))
        assert bench.driver.times(1).tolist() == [[expected[0].start, expected[0].end]]
        if one.opcode != Opcode.UPDATE:  # whose weights are others the second time
            assert all((words == before[name]).all() for name, words in memories(bench).items())
    else:
        bench.driver.run(LIMIT)
        assert bench.driver.times(3).tolist() == [[part.start, part.end] for part in expected]
    assert_clean(config)


#: Pairs of commands that may be under way together; the second is the one whose time depends on the first.
PAIRS = [("RUN", "LOAD"), ("RUN", "CLEAR"), ("POST", "LOAD"), ("LOSS", "UPDATE"), ("MOVE", "CLEAR"), ("UPDATE", "POST"), ("LOAD", "MOVE")]
#: A field that is wrong from the start on.
WRONG = {"LOAD": {"wm_addr": 65535}, "CLEAR": {"words": 4095}, "UPDATE": {"wm_addr": 65535}, "POST": {"dst_addr": 65535},
         "MOVE": {"row_addr": 65535}}


@pytest.mark.parametrize("first, second", PAIRS, ids="-".join)
@every_config
def test_a_fault_beside_another(config, first, second):
    """The second command is at fault while the first is under way: its index; the first has no end, and all is as after a reset."""
    bench, one, other = bench_of(config), longest(config, first), changed(longest(config, second), **WRONG[second])
    load(bench, encode([one, other, END]))
    expect_error(bench, Error.ADDRESS, 1, length(one.opcode) + length(other.opcode))
    assert_clean(config)


@every_config
def test_a_late_fault_of_the_first(config):
    """A LOAD goes wrong at its last weight, while a RUN that began later is under way: the LOAD's index, and the word after the RUN."""
    bench, run = bench_of(config), longest(config, "RUN")
    late = changed(longest(config, "LOAD"), inner_count=config.bank_weights + 1, wm_addr=0)
    load(bench, encode([late, run, END]))
    expect_error(bench, Error.ADDRESS, 0, length(Opcode.LOAD) + length(Opcode.RUN))
    assert_clean(config)

