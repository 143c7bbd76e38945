"""The sequencer: what it issues when, what it records, how it stops, to the cycle, and what units see of it."""

import random
from itertools import product

import pytest
from support.sequencing import END, UNITS, Bench, State, Work

from gradgate.arch import commands
from gradgate.arch.commands import WAIT_BIT, WITH_UNIT, Command, Error, Opcode
from gradgate.arch.memorymap import STOP_NONE
from gradgate.arch.units import conflict

NAMES = [op.name for op in UNITS] + ["OUT"]  # OUT: a RUN with ``outer``


def command(name, waits=frozenset(), **fields) -> Command:
    """A command by its name in ``NAMES``; fields that are not given are 0."""
    opcode = Opcode.RUN if name == "OUT" else Opcode[name]
    fields |= {"outer": 1} if name == "OUT" else {}
    return Command(opcode, dict.fromkeys(commands.layout(opcode), 0) | fields, frozenset(waits))


def words(program) -> list:
    return [word for each in program for word in each.encode()]


def draw(rng, n, careful=1.0) -> list:
    """``n`` random commands with random waits; a part ``careful`` of them waits for whatever they may meet at a port."""
    program = []
    for _ in range(n):
        opcode = rng.choice(UNITS)
        fields = {name: rng.getrandbits(f.bits) for name, (_, f) in commands.layout(opcode).items()}
        waits = {op for op in UNITS if rng.random() < 0.15}
        if rng.random() < careful:
            waits |= {command(name).opcode for name in NAMES if conflict(Command(opcode, fields), command(name))}
        program.append(Command(opcode, fields, frozenset(waits)))
    return program


def log(program) -> list:
    """What the units of ``program`` get to see."""
    return [(c.opcode, sum(word << 32 * i for i, word in enumerate(c.encode()[1:]))) for c in program]


def simulate(body, **kwargs) -> Bench:
    """Run ``body(bench, ctx)`` on a new bench."""
    bench = Bench(**kwargs)

    async def run(ctx):
        await body(bench, ctx)

    bench.simulate(run)
    return bench


@pytest.mark.parametrize("seed", range(4))
def test_random_programs(seed):
    """Programs without stops, one after the other without reset; of some a command meets another at a port."""
    rng = random.Random(seed)

    async def body(bench, ctx):
        errors = set()
        for _ in range(12):
            program = draw(rng, rng.randint(0, 14), rng.choice((1, 1, 0.7)))
            bench.load(words([*program, END]))
            works = [Work(rng.randint(2, 70), rng.choice((1, 8, 32))) for _ in program]
            bench.log = []
            found = await bench.run(ctx, works=works)
            assert bench.log == log(program[:len(found.starts) - found.ended])
            errors.add(found.error)
        assert errors == {Error.NONE, Error.CONFLICT}

    simulate(body, program_words=300, counters=16, seed=seed)


@pytest.mark.parametrize("seed", range(10, 14))
def test_random_faults(seed):
    """Units at fault while others are at work, also in their last cycle; a watchdog that is short, or too short."""
    rng = random.Random(seed)

    async def body(bench, ctx):
        errors = set()
        for _ in range(25):
            program = draw(rng, rng.randint(3, 10))
            bench.load(words([*program, END]))
            works = []
            for _ in program:
                cycles = rng.randint(2, 60)
                fault = rng.choice((cycles, rng.randint(2, cycles))) if rng.random() < 0.15 else None
                works.append(Work(cycles, 1 if fault else rng.choice((1, 16)), fault))
            errors.add((await bench.run(ctx, works=works, watchdog=rng.choice((1000, 1000, 70, rng.randint(0, 60))))).error)
        assert errors == {Error.NONE, Error.ADDRESS, Error.WATCHDOG}

    simulate(body, program_words=300, counters=16, seed=seed)


@pytest.mark.parametrize("seed", range(20, 24))
def test_stop_and_resume(seed):
    """A program in pieces: every piece ends when all units are idle, and the next goes on; a stop that has passed does not stop."""
    rng = random.Random(seed)

    async def body(bench, ctx):
        for _ in range(5):
            program = draw(rng, 13)
            bench.load(words([*program, END]))
            bench.log, pc, ends = [], 0, {}
            for stop in [*sorted(rng.sample(range(13), 4)), 0, STOP_NONE]:
                works = [Work(rng.randint(2, 60), rng.choice((1, 32))) for _ in program]
                found = await bench.run(ctx, pc, stop=stop, works=works)
                pc, ends = found.pc, ends | found.ends
                if found.ended:
                    break
                assert found.index == stop + 1 and pc == len(words(program[:stop + 1]))
            assert found.ended and bench.log == log(program)
            assert set(ends) == set(range(14)), "every end is recorded"

    simulate(body, program_words=300, counters=16, seed=seed)


def test_pairs():
    """A command that does not wait for another goes on beside it, or is refused if they share a port; it waits for its own unit."""
    async def body(bench, ctx):
        for one, other in product(NAMES, NAMES):
            bench.load(words([command(one), command(other), END]))
            found = await bench.run(ctx, works=[Work(60), Work(5)])
            if command(one).opcode == command(other).opcode:
                assert found.ended and found.starts[1] == found.ends[0] + 1, (one, other)
            elif conflict(command(one), command(other)):
                assert (found.error, found.index, found.pc) == (Error.CONFLICT, 1, len(command(one).encode())), (one, other)
                assert set(found.starts) == {0} == set(found.ends)
            else:
                assert found.ended and found.ends[1] < found.ends[0], (one, other)
            bench.load(words([command(one), command(other, {command(one).opcode}), END]))
            found = await bench.run(ctx, works=[Work(60), Work(5)])
            assert found.ended and found.starts[1] == found.ends[0] + 1, (one, other)

    simulate(body)


def test_ends_of_one_cycle():
    """CLEAR, POST and UPDATE that are done in the same cycle are recorded one after the other, in the order of opcodes."""
    async def body(bench, ctx):
        program = [command("UPDATE"), command("POST"), command("CLEAR")]
        bench.load(words([*program, END]))
        found = await bench.run(ctx, works=[Work(2, align=64)] * 3)
        assert found.ends == {2: 65, 1: 66, 0: 67, 3: 68}

    simulate(body)


def test_faults_of_one_cycle():
    """Of two units at fault in the same cycle, that of the lower opcode gives the index; both are reset, the next run is clean."""
    async def body(bench, ctx):
        bench.load(words([command("UPDATE"), command("POST"), command("CLEAR", WITH_UNIT), END]))
        distance = len(command("POST").encode()) + 5
        found = await bench.run(ctx, works=[Work(100, fault=distance + 9), Work(100, fault=9)])
        assert (found.error, found.index, found.aborts, found.ends) == (Error.ADDRESS, 1, 1, {})
        assert (await bench.run(ctx)).ended

    simulate(body)


def test_watchdog():
    """As many cycles as the watchdog says may pass from the start of a unit to its record, not one more; then the program stops."""
    async def body(bench, ctx):
        for opcode, duration in product(UNITS, (2, 3, 20)):
            bench.load(words([command(opcode.name), END]))
            assert (await bench.run(ctx, works=[Work(duration)], watchdog=duration)).ended
            found = await bench.run(ctx, works=[Work(duration)], watchdog=duration - 1)
            assert (found.error, found.index, found.pc, found.ends) == (Error.WATCHDOG, 0, len(command(opcode.name).encode()), {})
        for bit in range(7, 32):
            assert (await bench.run(ctx, works=[Work(100)], watchdog=1 << bit)).ended, bit
        found = await bench.run(ctx, works=[Work(10**6)], watchdog=100)
        assert found.error == Error.WATCHDOG and found.busy == found.starts[0] + 1 + 100 + 3

    simulate(body)


def headers() -> list:
    """Illegal ones: each bit but those of waits changed, wrong lengths, unknown opcodes, END that does not wait for one of the units."""
    found = [8 | 4 << 8, 0xff | 1 << 8, 0]
    right = {commands.header(op, WITH_UNIT) for op in Opcode}
    for op in Opcode:
        header = commands.header(op, WITH_UNIT)
        found += [header ^ (length ^ commands.length(op)) << 8 for length in (0, commands.length(op) - 1, commands.length(op) + 1)]
        found += [header ^ 1 << bit for bit in (*range(16), *range(23, 32))]
    return sorted({*found, *(commands.header(Opcode.END, WITH_UNIT - {op}) for op in UNITS)} - right)


def test_illegal_headers():
    """Nothing is issued after an illegal header; what is under way ends, and the next run is clean."""
    assert len(headers()) > 200

    async def body(bench, ctx):
        for header in headers():
            bench.load([header] + [0] * 20)
            found = await bench.run(ctx)
            assert (found.error, found.index, found.pc, found.starts) == (Error.ILLEGAL, 0, 0, {}), hex(header)
        program = [command("LOAD"), command("CLEAR", {Opcode.LOAD})]
        at = len(words(program))
        bench.load(words(program) + [header])
        found = await bench.run(ctx, works=[Work(3), Work(40)])
        assert (found.error, found.index, found.pc, set(found.ends)) == (Error.ILLEGAL, 2, at, {0, 1})
        bench.load(END.encode(), at)
        assert (await bench.run(ctx, at)).ended

    simulate(body)


def test_legal_headers():
    """A unit may be waited for or not, by every command but END."""
    async def body(bench, ctx):
        for opcode, bit in product(UNITS, (None, *WAIT_BIT.values())):
            header = opcode | commands.length(opcode) << 8 | (0 if bit is None else 1 << bit)
            bench.load([header] + [0] * (commands.length(opcode) - 1) + END.encode())
            assert (await bench.run(ctx)).ended, hex(header)

    simulate(body)


@pytest.mark.parametrize("program_words", [16, 50, 64])
def test_missing_end(program_words):
    """A command that ends with the memory is done, what would follow is an error; so is every cut of it."""
    async def body(bench, ctx):
        for opcode in Opcode:
            encoded = Command(opcode, dict.fromkeys(commands.layout(opcode), 0)).encode()
            at = program_words - len(encoded)
            bench.load(encoded, at)
            found = await bench.run(ctx, at)
            assert found.ended if opcode == Opcode.END else (found.error, found.pc) == (Error.NO_END, program_words)
            bench.log = []
            for kept in range(1, len(encoded)):
                bench.load(encoded[:kept], program_words - kept)
                found = await bench.run(ctx, program_words - kept)
                assert (found.error, found.pc) == (Error.NO_END, program_words - kept)
            assert bench.log == []
        for beyond in (program_words, (1 << len(bench.control.pc)) - 1):
            assert (await bench.run(ctx, beyond)).error == Error.NO_END

    simulate(body, program_words=program_words, seed=program_words)


def test_an_earlier_fault_comes_first():
    """A unit is at fault after an illegal command was fetched: its index counts."""
    async def body(bench, ctx):
        bench.load(words([command("CLEAR")]) + [8])
        found = await bench.run(ctx, works=[Work(100, fault=50)])
        assert (found.error, found.index) == (Error.ADDRESS, 0)

    simulate(body)


@pytest.mark.parametrize("stop, ended", [(STOP_NONE, True), (STOP_NONE - 1, False)])
def test_last_index(stop, ended):
    """The index that means "none" is no stop, the one before it is; the index wraps."""
    async def body(bench, ctx):
        bench.load(words([command("CLEAR"), END]), at=8)
        bench.state = State(index=stop)
        found = await bench.run(ctx, 8, stop)
        assert (found.index, found.ended) == (1 if ended else STOP_NONE, ended)
        assert set(found.starts) == ({0} if ended else set()) == set(found.ends)

    bench = Bench()
    bench.control.index._init = stop  # 65535 commands later

    async def run(ctx):
        await body(bench, ctx)

    bench.simulate(run)


def test_start_at_zero_counts_anew():
    """A start at 0 sets index and cycles to 0, another start goes on."""
    async def body(bench, ctx):
        bench.load(END.encode() * 8)
        for at, index, now in ((0, 1, 7), (3, 2, 14), (4, 3, 21), (0, 1, 7)):
            found = await bench.run(ctx, at)
            assert (found.index, found.now, found.ends) == (index, now, {index - 1: now})

    simulate(body)
