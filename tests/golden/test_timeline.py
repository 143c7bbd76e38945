"""When commands begin and end: a program by eye, and random ones against a sequencer that goes cycle by cycle."""

import random

import pytest

from gradgate.arch.commands import WITH_UNIT, Command, Opcode, layout, length
from gradgate.golden.cycles.timeline import Times, advances, timeline

SEEDS = range(20)
LOAD, CLEAR, RUN, POST, END = Opcode.LOAD, Opcode.CLEAR, Opcode.RUN, Opcode.POST, Opcode.END


def command(opcode, *waits):
    return Command(opcode, dict.fromkeys(layout(opcode), 0), WITH_UNIT if opcode == END else frozenset(waits))


def stepped(commands, cycles, stops=()):
    """(start, end) of the commands, from what the sequencer promises, one cycle after the other.

    A command of L words can be issued L + 5 cycles after the one before it (7, if it is shorter than two words), or after the program
    began or went on; its unit starts a cycle later. A unit that is done has its end recorded a cycle later at the earliest, one a cycle,
    that of the lowest opcode first, and is idle from the next cycle on. ``END`` ends as it is issued.
    """
    starts, ends = {}, {}
    running, done = {}, {}  # opcode: (index, cycle of ``done``); those that may be recorded
    free = {opcode: 0 for opcode in WITH_UNIT}  # opcode: first cycle in which it is idle
    begun, now, index, draining = 0, 0, 0, False
    while len(ends) < len(commands):
        now += 1
        if done:
            opcode = min(done)
            ends[done.pop(opcode)] = now
            free[opcode] = now + 1
        for opcode, (number, last) in list(running.items()):
            if last == now:
                done[opcode] = number
                del running[opcode]
        if draining and not running and not done and all(cycle <= now for cycle in free.values()):
            draining, begun = False, now
            continue
        if draining or index == len(commands):
            continue
        one = commands[index]
        opcode = one.opcode
        idle = all(op not in running and op not in done and free[op] <= now for op in one.waits | {opcode} if op != END)
        if now - begun >= max(length(opcode) + 5, 7) and idle:
            starts[index] = begun = now
            if opcode == END:
                ends[index] = now
            else:
                running[opcode] = index, now + cycles[index]
            draining = index in stops
            index += 1
    return [Times(starts[i], ends[i]) for i in range(len(commands))]


def test_by_eye():
    """A RUN waits for its weights; the next weights load beside it; a POST waits for the RUN."""
    program = [command(LOAD), command(RUN, LOAD, POST), command(LOAD), command(POST, RUN), command(END)]
    lengths = [length(c.opcode) for c in program]
    assert lengths == [6, 14, 6, 13, 1]
    assert timeline(program, [40, 100, 40, 20, 0]) == [
        Times(11, 52),  # 6 words + 5; 40 cycles from the cycle after; a cycle to record
        Times(53, 154),  # it was there at 11 + 14 + 5 = 30, and the LOAD was idle after 52
        Times(64, 105),  # 6 words + 5 after the RUN
        Times(155, 176),  # there at 64 + 13 + 5 = 82; the RUN was idle after 154
        Times(177, 177)]  # there at 155 + 7, and all idle after 176


def test_ends_are_recorded_one_a_cycle():
    """Three units are done in the same cycle: their ends follow each other in the order of opcodes."""
    program = [command(POST), command(CLEAR), command(LOAD), command(END)]
    starts = [one.start for one in timeline(program, [100, 100, 100, 0])[:3]]
    cycles = [500 - start for start in starts]
    assert [one.end for one in timeline(program, [*cycles, 0])] == [503, 502, 501, 504]


def test_a_stop_waits_for_all_units():
    """After a stop at the LOAD the next command is fetched a cycle after the last record, and ``now`` does not count what is between."""
    program = [command(RUN), command(LOAD), command(POST, RUN), command(END)]
    assert timeline(program, [100, 10, 20, 0]) == [Times(19, 120), Times(30, 41), Times(121, 142), Times(143, 143)]
    assert timeline(program, [100, 10, 20, 0], stops=[1])[2:] == [Times(120 + 1 + 13 + 5, 160), Times(161, 161)]


@pytest.mark.parametrize("seed", SEEDS)
def test_random_programs(seed):
    """Random commands, waits, cycles and stops; often several units are done at once."""
    rng = random.Random(seed)
    print(f"seed {seed}")
    for _ in range(20):
        program, cycles = [], []
        for _ in range(rng.randrange(1, 30)):
            opcode = rng.choice(sorted(WITH_UNIT))
            program.append(command(opcode, *rng.sample(sorted(WITH_UNIT), rng.choice([0, 0, 1, 2, 7]))))
            cycles.append(rng.choice([2, rng.randrange(2, 20), rng.randrange(2, 200)]))
        stops = [i for i in range(len(program)) if rng.random() < 0.1]
        program, cycles = [*program, command(END)], [*cycles, 0]
        times = timeline(program, cycles, stops)
        assert times == stepped(program, cycles, stops)
        assert sum(advances(times)) == times[-1].end


def test_advances_by_eye():
    """What ends before an earlier command adds nothing; what ends after it adds what is left."""
    assert advances([Times(10, 100), Times(20, 60), Times(30, 110), Times(110, 110)]) == [100, 0, 10, 0]
