"""For which units commands wait: enough that nothing meets, in whatever time units take, and not more than that."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
from support.rig import ODD, TINY, legal_case

from gradgate.arch.commands import WITH_UNIT, Command, Opcode, layout
from gradgate.arch.network import Network
from gradgate.arch.units import UNITS, Port, conflict
from gradgate.compiler.compile import compile_step
from gradgate.compiler.context import SPARSE, Switches
from gradgate.compiler.program import Program
from gradgate.compiler.waits import WORDS, add_waits, check_waits, in_the_way, weight_words
from gradgate.golden.cycles.timeline import timeline

LOAD, CLEAR, RUN, POST, UPDATE = Opcode.LOAD, Opcode.CLEAR, Opcode.RUN, Opcode.POST, Opcode.UPDATE
#: Ports of each memory; the banks are left out.
MEMORIES = [{Port.ROW_READ, Port.ROW_WRITE}, {Port.SUMS}, {Port.ARGMAX}, {Port.WEIGHT_READ, Port.WEIGHT_WRITE}, {Port.STAGING}]
SEED = 3


def command(opcode, **fields):
    return Command(opcode, dict.fromkeys(layout(opcode), 0) | fields)


def load(bank_addr, words):
    return command(LOAD, bank_addr=bank_addr, t_count=1, inner_count=words, outer_count=1)


def run(bank_addr, words, **fields):
    """A RUN of RED turns that reads ``words`` weights."""
    return command(RUN, bank_addr=bank_addr, kh=1, kw=1, l_bricks=1, l_tail=words, t_count=1, **fields)


def random_programs(count, switches=SPARSE):
    """Programs of training steps of random networks, on the odd configurations in turn."""
    rng = np.random.default_rng(SEED)
    for config in itertools.islice(itertools.cycle(ODD), count):
        network, batch = legal_case(config, rng)
        yield compile_step(network, config, batch=batch, switches=switches)


def test_ports_tell_all_but_the_banks_apart():
    """In every other memory, whatever is written has no other user at the same time. So only words of the banks are compared."""
    assert set().union(*MEMORIES) == set(Port) - {Port.BANK_READ, Port.BANK_WRITE}
    single = {Port.SUMS, Port.ARGMAX, Port.STAGING}  # one port for reading and writing
    for memory in MEMORIES:
        users = [op for op, unit in UNITS.items() if unit.ports.union(*unit.more_ports.values()) & memory]
        writers = [op for op in users if UNITS[op].ports & memory & ({Port.ROW_WRITE, Port.WEIGHT_WRITE} | single)]
        assert writers
        for writer, user in itertools.product(writers, users):
            assert conflict(command(writer), command(user)), (writer, user)


@pytest.mark.parametrize("one, other, meet", [
    (load(0, 20), run(20, 10), False), (load(0, 21), run(20, 10), True), (load(0, 20), run(21, 10), False),
    (load(10, 21), run(31, 10), True), (load(30, 10), run(20, 10), False), (load(29, 10), run(20, 10), True),
    (command(CLEAR, words=10), run(20, 10), False), (command(CLEAR, words=11), run(20, 10), True),
    (command(CLEAR, words=10), command(UPDATE, bank_addr=10, t_count=1, inner_count=5, outer_count=2), False),
    (command(CLEAR, words=10), command(UPDATE, bank_addr=9, t_count=1, inner_count=5, outer_count=2), True),
    (load(0, 10), run(0, 1, bias=1, k_bias=9), True), (load(11, 10), run(0, 1, bias=1, k_bias=10), True),
    (load(12, 10), run(0, 1, bias=1, k_bias=11), False), (load(0, 10), run(20, 10, outer=1), True),
    (command(CLEAR, words=1), run(20, 10, outer=1), True), (load(0, 10), command(UPDATE), True)])
def test_what_meets(one, other, meet):
    """Ports, or words of the banks; two weights lie in one."""
    assert in_the_way(one, other) == in_the_way(other, one) == meet


def test_words_of_weights():
    assert [weight_words(*part) for part in ((0, 2), (0, 3), (1, 1), (3, 2))] == [range(0, 1), range(0, 2), range(0, 1), range(1, 3)]


def test_a_unit_without_an_entry_uses_all_words(monkeypatch):
    assert not in_the_way(load(0, 10), run(20, 10))
    monkeypatch.delitem(WORDS, RUN)
    assert in_the_way(load(0, 10), run(20, 10))


def test_words_of_runs():
    """The words that a RUN may read, one by one: of every word of its windows, and of the bias, for every brick of targets."""
    seen = set()
    for program in random_programs(6):
        for c in program.commands:
            if c.opcode == RUN and not c.outer:
                taps = itertools.product(range(c.kh), range(c.kw), range(c.l_bricks))
                words = {y * c.k_row + x * c.k_tap + b * c.k_brick + word * c.t_count + t for y, x, b in taps
                         for word in range(c.l_tail if b == c.l_bricks - 1 else c.k_brick // c.t_count) for t in range(c.t_count)}
                words |= {(c.k_bias if c.bias else 0) + t for t in range(c.t_count)}
                addresses = {(c.bank_addr + word) // 2 for word in words}
                assert set(WORDS[RUN](c)) == set(range(min(addresses), max(addresses) + 1)), c
                seen.add((bool(c.bias), c.bank_addr > 0, c.l_bricks > 1))
    assert len(seen) >= 6, seen


def test_waits_by_eye():
    """Weights beside those in use, then on top of them."""
    program = Program(batch=1, commands=[
        load(0, 20), run(0, 20), load(20, 20), command(POST), run(20, 20), load(10, 20), command(CLEAR, words=5), command(Opcode.END)])
    add_waits(program)
    assert [set(c.waits) for c in program.commands[:-1]] == [set(), {LOAD}, set(), {RUN}, {LOAD, POST}, {RUN}, {LOAD}]
    check_waits(program.commands)
    add_waits(program, overlap=False)
    assert all(c.waits == WITH_UNIT for c in program.commands)


def meets(commands, slow) -> bool:
    """Whether commands that are in each other's way are under way together when all units take 2 cycles but that of command ``slow``."""
    times = timeline(commands, [2 if index != slow else 10**6 for index in range(len(commands))])
    return any(times[i].start <= times[slow].end for i in range(slow + 1, len(commands)) if in_the_way(commands[i], commands[slow]))


def test_every_bit_is_checked():
    """The check finds a bit that is missing if, and only if, there are cycles of units with which two commands would meet."""
    found = {True: 0, False: 0}
    for program in random_programs(3):
        commands = program.commands[:-1][:25] + program.commands[-1:]
        for index, one in enumerate(commands[:-1]):
            for unit in one.waits:
                worse = [*commands[:index], replace(one, waits=one.waits - {unit}), *commands[index + 1:]]
                wrong = any(meets(worse, slow) for slow in range(index))
                found[wrong] += 1
                try:
                    check_waits(worse)
                except ValueError as error:
                    assert wrong and str(error).startswith("command "), (index, unit)
                else:
                    assert not wrong, (index, unit)
    assert min(found.values()) > 20, found


def test_the_message_names_the_command():
    commands = [load(0, 20), replace(run(0, 20), waits=frozenset({POST}))]
    with pytest.raises(ValueError, match=r"^command 1 \(RUN\) must wait for LOAD, which is in its way, and waits only for POST$"):
        check_waits(commands)


def test_a_wait_that_the_compiler_forgets_is_found(monkeypatch):
    """Every program is checked as it is compiled."""
    monkeypatch.setattr("gradgate.compiler.compile.add_waits", lambda program, overlap: program.commands.__setitem__(
        3, replace(program.commands[3], waits=frozenset())))
    with pytest.raises(ValueError, match=r"command 3 \(RUN\) must wait for"):
        compile_step(Network.load("digits"), TINY, batch=4)


def test_nothing_runs_beside_anything_without_overlap():
    for program in random_programs(3, Switches(overlap=False)):
        assert all(c.waits == WITH_UNIT for c in program.commands)
