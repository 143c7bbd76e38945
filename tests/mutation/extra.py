"""Stimuli that mutants asked for, and that the units' own tests have not: as strict as those; ``make mutate`` runs them."""

import random

import test_lane
import test_sequencer
from support import sequencing
from support.lists_bench import Bench, Brick, Lists, Position, random_brick
from support.units import simulate

from gradgate.arch import commands
from gradgate.arch.commands import WITH_UNIT, Opcode
from gradgate.hw.array.item import Kind, tag_layout
from gradgate.hw.array.lane import Lane

#: A word of ones.
ONES = 0xFFFFFFFF


class Noisy(Position):
    """A position with anything in the fields of an item that say nothing."""

    def items(self, config):
        layout, rng = tag_layout(config), random.Random(self.psum)
        brick = config.lanes * (config.formats.act_bits + 1)

        def noise(kind, raw):
            mask = 0 if kind == Kind.LIST else layout.const({"k": -1}).as_bits()
            if kind != Kind.TARGET:
                mask |= layout.const({"t": rng.randrange(config.targets), "tail": 1}).as_bits()
            if kind == Kind.HEAD:
                mask |= (1 << brick) - 1 << layout.size
            return kind, raw | rng.getrandbits(layout.size + brick) & mask

        return [noise(*item) for item in super().items(config)]


def one_flag(config, rng, lane):
    """A brick in which one word counts."""
    words = [rng.randrange(1 << config.formats.act_bits) for _ in range(config.lanes)]
    return Brick(k=rng.randrange(config.bank_weights), words=words, flags=[j == lane for j in range(config.lanes)])


def single_flags(config, seed):
    """Positions with a target in one lane, or none; entries of one lane; sums up to the last word, or in OUT turns anywhere."""
    rng, dut = random.Random(seed), Lists(config)

    async def bench(ctx):
        play = Bench(config, dut, ctx)
        for outer in (0, 1, 0, 1):
            t_count, count = rng.randint(1, config.targets), 2 * config.lanes
            last = config.psum_words - count * t_count
            fields = {"fetch": 1, "outer": outer, "bias": rng.getrandbits(1), "k_bias": rng.getrandbits(16), "t_count": t_count,
                      "t_tail": rng.randint(1, config.lanes), "psum_addr": rng.getrandbits(16) if outer else max(0, last)}
            count = count if outer or last >= 0 else config.psum_words // t_count
            positions = []
            for number in range(count):
                bricks = [one_flag(config, rng, rng.randrange(config.lanes)) for _ in range(rng.randint(0, 2))]
                targets = [random_brick(config, rng, 0) for _ in range(t_count)]
                if number % 4:
                    targets[rng.randrange(t_count)] = one_flag(config, rng, (number + seed) % config.lanes)
                positions.append(Noisy(targets=targets, bricks=bricks).expect(config, fields, number))
            await play.run(fields, positions)
            play.check()
            play.check_cycles()

    simulate(dut, bench, limit=20_000)


def sums_outside(config, psum_addr):
    """A position whose sums lie outside, or just inside."""
    rng, dut = random.Random(psum_addr), Lists(config)
    fields = {"fetch": 0, "outer": 0, "bias": 1, "k_bias": 3, "t_count": rng.randint(1, config.targets), "t_tail": 1,
              "psum_addr": psum_addr}
    positions = [Position(targets=[], bricks=[one_flag(config, rng, 0)]).expect(config, fields, m) for m in range(2)]

    async def bench(ctx):
        await Bench(config, dut, ctx).run(fields, positions)

    simulate(dut, bench)


def cleared_one_by_one(config):
    """Of a bank full of accumulators some are cleared, the others stay."""
    rng, dut = random.Random(0), Lane(config)
    low = -(1 << config.formats.act_bits - 1)
    everything = test_lane.Position(entries=[(k, low + k) for k in range(config.bank_words)], targets=[(0, low)])

    async def bench(ctx):
        play = test_lane.Bench(config, dut, ctx, rng)
        await play.clear()
        await play.run(test_lane.Run(outer=1, fetch=1, positions=[everything]))
        for _ in range(4):
            ctx.set(dut.fill.en, 3)
            ctx.set(dut.fill.data, 0)
            for address in rng.sample(range(config.bank_words), 4):
                ctx.set(dut.fill.addr, address)
                await play.tick()
                play.bank[address] = 0
            ctx.set(dut.fill.en, 0)
            await play.check()

    simulate(dut, bench, limit=20_000)


def anywhere(seed):
    """Programs at any place of the memory, stop indices that differ from a command's in one bit, any words in fields."""
    async def body(bench, ctx):
        rng, size = bench.random, bench.config.program_words
        for bit in range(16):
            code = []
            for opcode in [rng.choice(sequencing.UNITS), Opcode.RUN][:rng.randint(1, 2)]:
                fill = rng.choice([None, 0, ONES])
                waits = WITH_UNIT if rng.random() < 0.5 else frozenset()
                code += [commands.header(opcode, waits)]
                code += [rng.getrandbits(32) if fill is None else fill for _ in range(commands.length(opcode) - 1)]
            at = rng.choice([1 << rng.randrange(size.bit_length()), rng.randrange(1, size)]) % (size - len(code) - 1)
            bench.load(code + sequencing.END.encode(), at)
            stop = (bench.state.index if at else 0) ^ (1 << bit if bit < 15 else 0x7fff)
            await bench.run(ctx, at, stop, works=[sequencing.Work(rng.randint(2, 5)) for _ in range(2)])

    test_sequencer.simulate(body, program_words=300, seed=seed)


def long_command(bits):
    """A command that takes 2**bits cycles or a little more; the watchdog may have any bit set."""
    async def body(bench, ctx):
        bench.load(test_sequencer.words([test_sequencer.command("CLEAR"), sequencing.END]))
        for duration in (1 << bits, (1 << bits) + 1):
            await bench.run(ctx, works=[sequencing.Work(duration)], watchdog=duration | 1 << 31)

    test_sequencer.simulate(body)
