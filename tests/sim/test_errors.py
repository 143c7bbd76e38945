"""Programs that are wrong, on whole cores in simulation: each stops with the right error, and the next run is exact."""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from support.rig import ODD, assert_exact, bench_of, legal_case, random_batch, train

from gradgate.arch.commands import COMMANDS, POST_LEVELS, WITH_UNIT, Command, Error, Opcode, header, layout, length
from gradgate.arch.memorymap import WATCHDOG_DEFAULT
from gradgate.compiler.compile import compile_step
from gradgate.golden.cycles.sequencer import AROUND, fetch_cycles
from gradgate.host.driver import DeviceError

CONFIGS = ODD[:2]
LATE = 4  #: cycles from the last that a command may take to the last of the program
LIMIT = 100_000  #: cycles in which every wrong program has stopped
END = Command(Opcode.END, {})
every_config = pytest.mark.parametrize("config", CONFIGS, ids=lambda c: c.name)
seeds = pytest.mark.parametrize("seed", range(3), ids=lambda s: f"seed{s}")


@cache
def step_of(config):
    """A training step of a network with every kind of command: network, batches, program, starts and ends of its commands."""
    rng = np.random.default_rng(config.lanes)
    network, batch = legal_case(config, rng)
    while not (len(network.blocks) > 2 and any(block.pool for block in network.blocks) and batch > config.rows):
        network, batch = legal_case(config, rng)
    batches = [random_batch(rng, network, batch)]
    program = compile_step(network, config, batch=batch)
    assert_exact(train(bench_of(config), network, batches), 1)
    return network, batches, program, bench_of(config).driver.times(len(program.commands))


def assert_clean(config):
    """A training step, from new weights, is exact in all words and cycles, as if nothing had been before."""
    bench, (network, batches, _, _) = bench_of(config), step_of(config)
    bench.driver.set_watchdog(WATCHDOG_DEFAULT)
    assert_exact(train(bench, network, batches), 1)


def load(bench, words):
    """Load a program that is none of the compiler's."""
    bench.driver.load_program(np.array(words, dtype=np.uint32))
    bench._program = None


def encode(commands):
    """Words of a program."""
    return [word for command in commands for word in command.encode()]


def changed(command, **change):
    """A command with some other fields."""
    return replace(command, fields=command.fields | change)


def alone(commands):
    """The commands, one after the other."""
    return [replace(command, waits=WITH_UNIT) for command in commands]


def memories(bench):
    """All words that outlive a command, by name: staging, weights, and each row's activations and choices."""
    config, sim = bench.config, bench.sim
    result = {"staging": sim.memory("host.staging.mem")[:, None].copy(),
              "weights": np.stack([sim.memory(f"weights.memory.bank{b}.mem") for b in range(config.lanes)], axis=1)}
    for row in range(config.rows):
        result[f"row {row}"] = bench.view.rows(row, 0, config.act_bricks)
        result[f"choices {row}"] = bench.view.choices(row, 0, config.argmax_bricks)
    return result


def expect_error(bench, code, index, pc, **run):
    """Run to an error; returns the cycles that the program was busy."""
    with pytest.raises(DeviceError) as caught:
        bench.driver.run(LIMIT, **run)
    error, status = caught.value, bench.driver.status()
    assert (error.code, error.index, error.pc) == (code, index, pc), error
    assert str(error) == f"error {int(code)} ({code.name}) at command {index} (program word {pc})"
    assert (status.busy, status.ended, status.refused, status.error) == (False, False, False, code)
    assert bench.sim.error and not bench.sim.busy
    return status.cycles


#: Field classes of every opcode: what is changed, for a configuration and the command; and where words may still be written,
#: None where the very first address is wrong, so that nothing at all changes.
LAST = {"staging": lambda c: c.staging_words - 1, "weights": lambda c: c.weight_bricks - 1, "row": lambda c: c.act_bricks - 1}
#: Fields of a POST that copies words of row memory, from brick 0 on, a beat for each ``slot_count``.
BEATS = {f.name: 0 for f in COMMANDS[Opcode.POST][1]} | {
    "rows": 1, "tail": 1, "last_rows": 1, "slot_src": 1, "slot_dst": 1,
    **{f"{level}_count": 1 for level in POST_LEVELS}}
WRONG = {
    Opcode.MOVE: {
        "stage_addr": (lambda c, f: {"stage_addr": c.staging_words}, None),
        "stage_addr top": (lambda c, f: {"stage_addr": 65535}, None),
        "stage_addr outwards": (lambda c, f: {"out": 1, "stage_addr": c.staging_words}, None),
        "stage_addr last, outwards": (lambda c, f: {"out": 1, "stage_addr": c.staging_words - 1}, "staging"),
        "row_addr": (lambda c, f: {"row_addr": c.act_bricks}, None),
        "row_addr top": (lambda c, f: {"row_addr": 65535}, None),
        "row_addr last": (lambda c, f: {"row_addr": c.act_bricks - 1, "pixels": 3}, "row"),
        "row_addr outwards": (lambda c, f: {"row_addr": c.act_bricks, "out": 1}, None),
        "slot_step": (lambda c, f: {"channels": 1, "pixels": 1, "images": c.rows + 1, "row_addr": c.act_bricks - 1, "slot_step": 1}, "row"),
        "images": (lambda c, f: {"images": 65535, "row_addr": c.act_bricks - 1, "channels": 1, "pixels": 1, "slot_step": 0}, "row"),
    },
    Opcode.LOAD: {
        "wm_addr": (lambda c, f: {"wm_addr": c.weight_bricks}, None),
        "wm_addr top": (lambda c, f: {"wm_addr": 65535}, None),
        "wm_addr last": (lambda c, f: {"wm_addr": c.weight_bricks - 1, "t_count": 2, "t_step": 1}, None),
        "bank_addr": (lambda c, f: {"bank_addr": c.bank_weights}, None),
        "bank_addr top": (lambda c, f: {"bank_addr": 65535}, None),
        "bank_addr last": (lambda c, f: {"bank_addr": c.bank_weights - 1, "inner_count": 2}, None),
        "t_step": (lambda c, f: {"t_count": 2, "t_step": c.weight_bricks}, None),
        "inner_step": (lambda c, f: {"inner_count": c.lanes + 1, "inner_step": c.weight_bricks}, None),
        "outer_step": (lambda c, f: {"outer_count": 2, "outer_step": c.weight_bricks}, None),
        **{name: (lambda c, f, name=name: {name: 0}, None) for name in ("t_count", "inner_count", "outer_count")},
        "t_count most": (lambda c, f: {"t_count": 4095, "t_step": 0}, None),
    },
    Opcode.CLEAR: {
        "words 0": (lambda c, f: {"words": 0}, None),
        "words": (lambda c, f: {"words": c.bank_words + 1}, None),
        "words most": (lambda c, f: {"words": 4095}, None),
    },
    Opcode.RUN: {
        **{f"{name} 0": (lambda c, f, name=name: {name: 0}, None)
           for name in ("slots", "y_count", "x_count", "l_bricks", "l_tail", "t_count", "t_tail", "stride")},
        "stride": (lambda c, f: {"stride": 3}, None),
        "l_tail": (lambda c, f: {"l_tail": c.lanes + 1}, None),
        "t_tail": (lambda c, f: {"t_tail": c.lanes + 1}, None),
        "t_count": (lambda c, f: {"t_count": c.targets + 1}, None),
        "t_count most": (lambda c, f: {"t_count": 63}, None),
        "l_addr": (lambda c, f: {"l_addr": c.act_bricks}, None),
        "l_addr top": (lambda c, f: {"l_addr": 65535}, None),
        "l_slot": (lambda c, f: {"slots": 2, "l_slot": c.act_bricks, "psum_addr": 0, "y_count": 1, "x_count": 1}, None),
        "l_pitch": (lambda c, f: {"kh": 2, "room_y": 9, "skip_y": 0, "l_pitch": c.act_bricks}, None),
        "l_col": (lambda c, f: {"kw": 2, "room_x": 9, "skip_x": 0, "l_col": 4095, "l_addr": c.act_bricks - 4000 & 0xFFFF}, None),
        "l_bricks": (lambda c, f: {"l_bricks": 4095, "k_brick": 0}, None),
        "t_addr": (lambda c, f: {"fetch": 1, "t_addr": c.act_bricks}, None),
        "t_x": (lambda c, f: {"fetch": 1, "x_count": 2, "t_x": c.act_bricks}, None),
        "t_y": (lambda c, f: {"fetch": 1, "y_count": 2, "t_y": c.act_bricks}, None),
        "t_slot": (lambda c, f: {"fetch": 1, "slots": 2, "last_rows": c.rows, "t_slot": c.act_bricks}, None),
        "bank_addr": (lambda c, f: {"bank_addr": c.bank_words if f.outer else c.bank_weights}, None),
        "bank_addr top": (lambda c, f: {"bank_addr": 65535}, None),
        "k_tap": (lambda c, f: {"kw": 2, "room_x": 9, "skip_x": 0, "k_tap": 1023}, None),
        "k_row": (lambda c, f: {"kh": 2, "room_y": 9, "skip_y": 0, "k_row": 60000}, None),
        "k_brick": (lambda c, f: {"l_bricks": 2, "k_brick": 2048}, None),
        "k_first": (lambda c, f: {"kh": 2, "room_y": 9, "skip_y": 1, "k_first_y": 1024}, None),
        "k_bias": (lambda c, f: {"bias": 1, "k_bias": 1024}, None),
        "k_bias top": (lambda c, f: {"bias": 1, "k_bias": 65535}, None),
        "list length": (lambda c, f: {"kh": 15, "kw": 15, "skip_y": 0, "skip_x": 0, "room_y": 15, "room_x": 15, "skip_list": 0,
                                      "l_pitch": 0, "l_col": 0, "k_tap": 0, "k_row": 0, "k_brick": 0, "fetch": 0}, None),
    },
    Opcode.POST: {  # one beat, and so many that beats go on while the fault is on its way
        **{f"{name}, {n} beats": (lambda c, f, name=name, n=n: BEATS | {"slot_count": n, name: c.act_bricks}, None)
           for name in ("dst_addr", "src_addr") for n in (1, 40)},
        "dst_addr top": (lambda c, f: BEATS | {"slot_count": 40, "dst_addr": 65535}, None),
        "dst_addr last": (lambda c, f: BEATS | {"slot_count": 40, "dst_addr": c.act_bricks - 1}, "row"),
        "src_addr, sums": (lambda c, f: BEATS | {"slot_count": 40, "rows": 0, "src_addr": c.psum_words}, None),
        "add_addr": (lambda c, f: BEATS | {"slot_count": 40, "add": 1, "rows": 0, "add_addr": c.act_bricks}, None),
        "aux_addr, mask": (lambda c, f: BEATS | {"slot_count": 40, "mask": 1, "aux_addr": c.act_bricks}, None),
    },
    Opcode.LOSS: {
        **{f"classes {n}": (lambda c, f, n=n: {"classes": n}, None) for n in (0, 1, 33, 63)},
        **{name: (lambda c, f, name=name: {name: c.act_bricks}, None) for name in ("labels", "logits", "grads")},
        **{f"{name} top": (lambda c, f, name=name: {name: 65535}, None) for name in ("labels", "logits", "grads")},
        "grads last": (lambda c, f: {"classes": c.lanes + 1, "grads": c.act_bricks - 1, "logits": 0}, "row"),
        "labels_slot": (lambda c, f: {"labels": c.act_bricks - 1, "labels_slot": 1, "images": c.rows + 1, "grad": 0}, None),
        "logits_slot": (lambda c, f: {"logits_slot": c.act_bricks, "images": 65535, "grad": 0}, None),
        "grads_slot": (lambda c, f: {"classes": 2, "grads": c.act_bricks - 1, "grads_slot": 1, "images": c.rows + 1}, "row"),
    },
    Opcode.UPDATE: {
        "wm_addr": (lambda c, f: {"wm_addr": c.weight_bricks}, None),
        "wm_addr top": (lambda c, f: {"wm_addr": 65535}, None),
        "wm_addr last": (lambda c, f: {"wm_addr": c.weight_bricks - 1, "t_count": 2, "t_step": 1}, "weights"),
        "bank_addr": (lambda c, f: {"bank_addr": c.bank_words}, None),
        "bank_addr top": (lambda c, f: {"bank_addr": 65535}, None),
        "inner_step": (lambda c, f: {"wm_addr": c.weight_bricks - 1, "t_count": 1, "inner_count": 2, "inner_step": 1}, "weights"),
        "outer_step": (lambda c, f: {"wm_addr": c.weight_bricks - 1, "t_count": 1, "inner_count": 1, "outer_count": 2,
                                     "outer_step": 1}, "weights"),
        **{name: (lambda c, f, name=name: {name: 0}, None) for name in ("t_count", "inner_count", "outer_count", "shift")},
    },
}
RED_ONLY = {
    "psum_addr": lambda c, f: {"psum_addr": c.psum_words},
    "psum_addr top": lambda c, f: {"psum_addr": 65535},
    "psum_addr last": lambda c, f: {"psum_addr": c.psum_words - f.t_count + 1},
    "positions": lambda c, f: {"y_count": 4095, "l_pitch": 0, "l_col": 0, "kh": 0, "fetch": 0},
}


def places(program, opcode):
    """Indices of the first and the last command of an opcode; of RUN, one for each pass."""
    if opcode == Opcode.RUN:
        phases = {note.phase: i for i, note in enumerate(program.notes) if program.commands[i].opcode == Opcode.RUN}
        return sorted(phases.values())
    found = [i for i, command in enumerate(program.commands) if command.opcode == opcode]
    return sorted({found[0], found[-1]})


@pytest.mark.parametrize("opcode, name", [(op, name) for op, cases in WRONG.items() for name in cases],
                         ids=lambda v: v.name if isinstance(v, Opcode) else v.replace(" ", "_"))
@every_config
def test_address(config, opcode, name):
    """One field of a command of a legal program is wrong. What lies outside the command's tensors stays as it is."""
    bench, (_, _, program, _) = bench_of(config), step_of(config)
    change, writes = WRONG[opcode][name]
    for index in places(program, opcode):
        commands = alone(program.commands)
        command = commands[index]
        commands[index] = changed(command, **change(config, command))
        load(bench, encode(commands))
        if index:
            bench.driver.run(LIMIT, stop=index - 1)
        before, after_it = memories(bench), program.position(index + 1)
        expect_error(bench, Error.ADDRESS, index, after_it, at=None if index else 0)
        after = memories(bench)
        for memory, words in before.items():
            same = (words == after[memory]).all(axis=1)
            if writes is not None and memory.startswith(writes):
                same[LAST[writes](config)] = True
            assert same.all(), f"{memory}, from {np.argmin(same)} on"
        # the rest of the program runs as if the command had not been there
        if index + 1 < len(commands):
            bench.driver.run(LIMIT, at=None)
            assert bench.driver.status().ended
    assert_clean(config)


@pytest.mark.parametrize("name", RED_ONLY, ids=lambda n: n.replace(" ", "_"))
@every_config
def test_sums_address(config, name):
    """Sums outside their memory; OUT turns make none."""
    bench, (_, _, program, _) = bench_of(config), step_of(config)
    for index in places(program, Opcode.RUN):
        commands = alone(program.commands)
        command = commands[index]
        commands[index] = changed(command, **RED_ONLY[name](config, command))
        if name == "positions" and command.outer:
            continue
        load(bench, encode(commands))
        if command.outer:
            bench.driver.run(10 * LIMIT)
        else:
            expect_error(bench, Error.ADDRESS, index, program.position(index + 1))
    assert_clean(config)


@pytest.mark.parametrize("opcode", sorted(WITH_UNIT), ids=lambda op: op.name)
@every_config
def test_watchdog(config, opcode):
    """A unit may take as many cycles as the watchdog says; one less is an error, at a cycle that is known."""
    bench, (_, _, program, _) = bench_of(config), step_of(config)
    rng, driver = np.random.default_rng(opcode), bench.driver
    commands = alone(program.commands)
    for index in places(program, opcode):
        load(bench, encode(commands))
        driver.set_watchdog(WATCHDOG_DEFAULT)
        driver.run(LIMIT, stop=index)
        (start, end), = driver.times(1, index).tolist()
        unit = end - start - AROUND
        again = index + 1 if index else 0  # the command once more; where it is the first, counting begins anew
        at, after_it = program.position(index), program.position(index + 1)
        for limit in (unit - 1, *(int(n) for n in rng.integers(1, unit, 4))):
            driver.set_watchdog(limit)
            before = driver.status().cycles if index else 0
            cycles = expect_error(bench, Error.WATCHDOG, again, after_it, at=at, stop=again)
            assert cycles - before == fetch_cycles(length(opcode)) + limit + LATE
        driver.set_watchdog(unit)
        driver.run(LIMIT, at=at, stop=again)
        assert driver.status().index == again + 1
    assert_clean(config)


STEPS = [f.name for f in COMMANDS[Opcode.POST][1] if f.name.endswith(("_src", "_dst"))]


@pytest.mark.parametrize("opcode, change", [
    (Opcode.LOSS, {"images": 65535, "labels_slot": 0, "logits_slot": 0, "grads_slot": 0}),
    (Opcode.POST, {"slot_count": 65535, "x_count": 65535, **dict.fromkeys(STEPS, 0)}),
    (Opcode.RUN, {"outer": 1, "fetch": 0, "slots": 4095, "y_count": 4095, "x_count": 4095, "kh": 0, "bank_addr": 0, "l_slot": 0})],
    ids=lambda v: v.name if isinstance(v, Opcode) else "")
@every_config
def test_endless(config, opcode, change):
    """Commands whose addresses are all legal, but which would take days."""
    bench, (_, _, program, _) = bench_of(config), step_of(config)
    bench.driver.set_watchdog(20_000)
    for index in places(program, opcode):
        commands = alone(program.commands)
        commands[index] = changed(commands[index], **change)
        load(bench, encode(commands))
        expect_error(bench, Error.WATCHDOG, index, program.position(index + 1))
    assert_clean(config)


@pytest.mark.parametrize("code, words", [
    (Error.ILLEGAL, [8 | 1 << 8]), (Error.ILLEGAL, [0xFFFFFFFF]), (Error.ILLEGAL, [0]),
    *((Error.ILLEGAL, [header(op, WITH_UNIT) + (by << 8)]) for op in Opcode for by in (-1, 1)),
    *((Error.ILLEGAL, [header(op, WITH_UNIT) | 1 << bit]) for op in (Opcode.CLEAR, Opcode.END) for bit in (23, 31)),
    *((Error.ILLEGAL, [header(Opcode.END, WITH_UNIT - {op})]) for op in WITH_UNIT),
    (Error.NO_END, []),
], ids=lambda v: v.name if isinstance(v, Error) else "-".join(hex(w) for w in v) or "at_the_end")
def test_illegal(code, words):
    """Unknown opcodes, wrong lengths, bits that must be zero, an END that does not wait for all, a program without its END that fills the
    memory."""
    config = CONFIGS[0]
    bench = bench_of(config)
    clears = [Command(Opcode.CLEAR, {"words": 1 + i % 7}).encode() for i in range(config.program_words // 2)]
    if words:
        body, index = clears[:9], 9
    else:
        body, index = clears, len(clears)
    load(bench, [*(word for command in body for word in command), *words])
    expect_error(bench, code, index, 2 * index)
    assert_clean(config)


@seeds
@every_config
def test_reset(config, seed):
    """A reset at any moment of a step; registers are as after the first."""
    bench, (_, _, program, times) = bench_of(config), step_of(config)
    rng = np.random.default_rng([seed, 77])
    driver = bench.driver
    for cycles in rng.integers(1, times.max() // 2, 6):
        load(bench, program.words())
        driver.start()
        bench.sim.step(int(cycles))
        assert bench.sim.busy
        bench.sim.reset()
        status = driver.status()
        assert not any((status.busy, status.ended, status.refused, status.error, status.index, status.pc, status.cycles))
        assert driver.correct() == driver.overflow() == 0
        assert driver.identify()
    assert_clean(config)


def fuzzed(rng, program, config):
    """A command: a legal one with some fields random, or one whose fields are all random; it waits for all units or for random ones."""
    waits = WITH_UNIT if rng.random() < 0.5 else frozenset(op for op in WITH_UNIT if rng.random() < 0.5)
    edges = (0, 1, 2, config.lanes, config.targets, config.bank_words, config.psum_words, config.act_bricks, config.weight_bricks,
             config.staging_words)
    if rng.random() < 0.25:
        opcode = Opcode(int(rng.integers(1, len(Opcode))))
        return Command(opcode, {f.name: int(rng.integers(0, 1 << f.bits)) for f in COMMANDS[opcode][1]}, waits)
    command = program.commands[int(rng.integers(0, len(program.commands) - 1))]
    change = {}
    for name in rng.choice(list(command.fields), int(rng.integers(1, 4))):
        high = (1 << layout(command.opcode)[str(name)][1].bits) - 1
        kind = rng.integers(3)
        value = rng.integers(0, high + 1) if kind == 0 else rng.choice(edges) + rng.integers(-1, 2) if kind == 1 else rng.choice([0, high])
        change[str(name)] = int(np.clip(value, 0, high))
    return replace(changed(command, **change), waits=waits)


@seeds
@every_config
def test_fuzz(config, seed):
    """Random commands, one after the other without reset, often several at once: each ends in time, by itself or with an error."""
    bench, (_, _, program, _) = bench_of(config), step_of(config)
    rng, driver = np.random.default_rng([seed, 99]), bench.driver
    seen = {}
    limit = 3000
    driver.set_watchdog(limit)
    for _ in range(8):
        commands = [fuzzed(rng, program, config) for _ in range(40)]
        load(bench, encode([*commands, END]))
        positions = np.cumsum([0] + [length(command.opcode) for command in commands])
        index = 0  # of the next command
        while index < len(commands):
            driver.start(at=int(positions[index]))
            try:
                driver.wait((limit + 2) * len(commands))
                assert driver.status().ended
                break
            except DeviceError as error:
                assert error.code in (Error.ADDRESS, Error.WATCHDOG, Error.CONFLICT), error
                seen[error.code] = seen.get(error.code, 0) + 1
                refused = error.code == Error.CONFLICT
                issued = list(positions).index(error.pc)  # counted from 0; the index counts from where it was started last
                assert issued + refused > index
                index = issued + refused
    assert seen[Error.ADDRESS] > 20 and seen[Error.CONFLICT] > 2 and seen[Error.WATCHDOG] > 0, seen
    assert_clean(config)
