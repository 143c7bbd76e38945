"""The array alone, without sequencer and host port: passes of one layer against the golden layers and the cycle model."""

import numpy as np
import pytest
from units import CONFIGS, simulate

from gradgate.arch.commands import Opcode
from gradgate.arch.formats import Formats
from gradgate.arch.network import Block
from gradgate.compiler import passes
from gradgate.compiler.passes import Context, Switches
from gradgate.compiler.program import Place, Program
from gradgate.golden import fixed, layers
from gradgate.golden.cycles.array import clear_cycles, post_cycles
from gradgate.golden.cycles.run import run_cost
from gradgate.hw.array import Array
from gradgate.sim.image import RowImage, to_bricks

FORMATS = Formats()


def block_of(rng, stride, lanes):
    """A small random convolution."""
    kernel, padding = [(1, 0), (2, 1), (3, 1), (3, 2)][rng.integers(4)]
    return Block(name="b", height=int(rng.integers(3, 6)), width=int(rng.integers(3, 6)), cin=int(rng.integers(1, lanes + 3)),
                 cout=int(rng.integers(1, lanes + 3)), kh=kernel, kw=kernel, stride=stride, padding=padding, relu=True, input_relu=True)


def sparse(rng, shape, limit, density):
    """Random words, some of them zero."""
    return np.where(rng.random(shape) < density, rng.integers(-limit, limit, shape), 0)


class Layer:
    """One block with places for its tensors, and a bench that runs the commands of a pass on an :class:`Array`."""

    def __init__(self, config, block, batch, rng, switches):
        self.config, self.block, self.rng = config, block, rng
        self.x = np.abs(sparse(rng, (batch, block.height, block.width, block.cin), 3000, 0.5))
        self.dy = sparse(rng, (batch, block.out_height, block.out_width, block.cout), 3000, 0.5)
        self.w = rng.integers(-4000, 4000, (block.cout, block.k + 1))
        program, slots, base = Program(batch=batch), -(-batch // config.rows), 0
        for name, tensor in (("x.out", self.x), ("b.out", self.dy), ("b.grad", self.dy), ("x.grad", self.x)):
            _, height, width, channels = tensor.shape
            place = Place(base=base, height=height, width=width, channels=channels, bricks=config.bricks(channels))
            program.places[name], base = place, base + slots * place.slot
        assert base <= config.act_bricks
        program.weights = {"b": 0}
        self.program, self.image = program, RowImage(config)
        self.ctx = Context(config=config, program=program, batch=batch, switches=switches, shift=8)
        self.image.write(program.places["x.out"], self.x)
        self.image.write(program.places["b.grad"], self.dy)
        self.array = Array(config)

    def weight(self, address, rot, spread, out_bricks, lane):
        """What the weight memory gives for a brick: the weight at a place of its linear layout, or noise."""
        co_bricks = self.config.bricks(self.block.cout)
        brick = address + (lane * out_bricks if spread else 0)
        bank = (lane + rot) % self.config.lanes
        k = brick // co_bricks
        co = brick % co_bricks * self.config.lanes + (bank - k) % self.config.lanes
        inside = brick >= 0 and k <= self.block.k and co < self.block.cout
        return int(self.w[co, k]) if inside else int(self.rng.integers(-9, 9))

    async def start(self, ctx, unit, command):
        """Start a unit and return its cycles."""
        words = command.encode()[1:]
        ctx.set(unit.payload, sum(word << 32 * i for i, word in enumerate(words)))
        ctx.set(unit.start, 1)
        cycles = 0
        while True:
            cycles += 1
            _, _, done = await ctx.tick().sample(unit.done)
            ctx.set(unit.start, 0)
            if done:
                return cycles
            assert cycles < 50_000, f"{command} hangs"

    async def load(self, ctx, c):
        """Play the loader."""
        ctx.set(self.array.w_en, 1)
        where, outer, rot_outer = c.bank_addr, c.wm_addr, c.rot
        for _ in range(c.outer_count):
            inner, rot = outer, rot_outer
            for i in range(c.inner_count):
                for t in range(c.t_count):
                    ctx.set(self.array.w_addr, where)
                    for lane in range(self.config.lanes):
                        value = self.weight((inner + t * c.t_step) % 65536, rot, c.spread, c.out_bricks, lane)
                        ctx.set(self.array.w_data[lane], value & 0xFFFF)
                    await ctx.tick()
                    where += 1
                inner += c.inner_step if not c.spread or i % self.config.lanes == self.config.lanes - 1 else 0
                rot += c.rot_inner
            outer, rot_outer = outer + c.outer_step, rot_outer + c.rot_outer
        ctx.set(self.array.w_en, 0)

    async def fill(self, ctx):
        """Write the image to the row memories."""
        port = self.array.port
        ctx.set(port.en, (1 << self.config.lanes) - 1)
        for row in range(self.config.rows):
            for brick, words in enumerate(self.image.words[row]):
                ctx.set(port.row, row)
                ctx.set(port.addr, brick)
                for lane, word in enumerate(words):
                    ctx.set(port.w_data[lane], int(word) & 0xFFFF)
                await ctx.tick()
        ctx.set(port.en, 0)

    async def read(self, ctx, name):
        """A tensor as bricks of each row: arrays (images, bricks, lanes)."""
        port, place = self.array.port, self.program.places[name]
        result = []
        for row, bricks in enumerate(to_bricks(getattr(self, "x" if name[0] == "x" else "dy"), self.config.rows, self.config.lanes)):
            words = []
            for brick in range(len(bricks) * place.slot):
                ctx.set(port.row, row)
                ctx.set(port.addr, place.base + brick)
                await ctx.tick().repeat(port.signature.READ)
                words.append([ctx.get(port.r_data[lane]) for lane in range(self.config.lanes)])
            words = np.array(words, dtype=np.int64).reshape(bricks.shape)
            result.append(words - (words >> 15 << 16))
        return result

    async def run(self, ctx):
        """Execute the program's commands; every unit's cycles are the model's."""
        for command in self.program.commands:
            if command.opcode == Opcode.LOAD:
                await self.load(ctx, command)
            elif command.opcode == Opcode.RUN:
                cost = run_cost(self.config, command, self.image.flags, self.image.flags)
                assert await self.start(ctx, self.array.run, command) == cost.cycles, command
            elif command.opcode == Opcode.POST:
                assert await self.start(ctx, self.array.post, command) == post_cycles(command)
            elif command.opcode == Opcode.CLEAR:
                assert await self.start(ctx, self.array.clear, command) == clear_cycles(command)


CASES = [(config, seed) for config in CONFIGS for seed in (1, 2)]


def layer_of(config, seed, dense):
    rng = np.random.default_rng(seed)
    block = block_of(rng, 1 + seed % 2, config.lanes)
    batch = int(rng.integers(1, 2 * config.rows + 1))
    return Layer(config, block, batch, rng, Switches(input_skip=not dense, output_skip=not dense))


cases = pytest.mark.parametrize("config, seed", CASES, ids=lambda v: v.name if hasattr(v, "name") else f"seed{v}")
switches = pytest.mark.parametrize("dense", [False, True], ids=["sparse", "dense"])


@switches
@cases
def test_forward(config, seed, dense):
    layer = layer_of(config, seed, dense)
    block = layer.block
    kernel = layer.w[:, :-1].reshape(block.cout, block.kh, block.kw, block.cin)
    acc = layers.forward(layer.x, kernel, layer.w[:, -1], block.stride, block.padding, FORMATS)
    expected = np.maximum(fixed.requantise(acc, FORMATS.weight_frac, FORMATS.act_bits), 0)
    passes.forward(layer.ctx, block, "x.out")

    async def bench(ctx):
        await layer.fill(ctx)
        await layer.run(ctx)
        got = await layer.read(ctx, "b.out")
        for g, e in zip(got, to_bricks(expected, config.rows, config.lanes)):
            assert (g == e).all()

    simulate(layer.array, bench)


@switches
@cases
def test_backward_data(config, seed, dense):
    layer = layer_of(config, seed, dense)
    block = layer.block
    kernel = layer.w[:, :-1].reshape(block.cout, block.kh, block.kw, block.cin)
    acc = layers.backward_data(layer.dy, kernel, block.height, block.width, block.stride, block.padding, FORMATS)
    expected = np.where(layer.x != 0, fixed.requantise(acc, FORMATS.weight_frac, FORMATS.act_bits), 0)
    passes.backward_data(layer.ctx, block, "b.grad", "x.out")

    async def bench(ctx):
        await layer.fill(ctx)
        await layer.run(ctx)
        got = await layer.read(ctx, "x.grad")
        for g, e in zip(got, to_bricks(expected, config.rows, config.lanes)):
            assert (g == e).all()

    simulate(layer.array, bench)


@switches
@cases
def test_weight_gradient(config, seed, dense):
    """Accumulators are read where an UPDATE would."""
    layer = layer_of(config, seed, dense)
    block, array = layer.block, layer.array
    dw, db = layers.weight_gradient(layer.x, layer.dy, block.kh, block.kw, block.stride, block.padding, FORMATS)
    expected = np.column_stack([dw.reshape(block.cout, -1), db])
    passes.weight_gradient(layer.ctx, block, "x.out", "b.grad")
    program = layer.program
    sums = [note.sums for note in program.notes if note.sums]
    commands = program.commands

    async def bench(ctx):
        await layer.fill(ctx)
        part = []
        for command in commands:
            program.commands = part = part + [command]
            if command.opcode != Opcode.RUN:
                continue
            await layer.run(ctx)
            part = []
            first, bricks, k = sums.pop(0)
            for number, where in enumerate(k):
                for t in range(bricks):
                    ctx.set(array.acc_addr, number * bricks + t)
                    await ctx.tick().repeat(2)
                    for lane in range(config.lanes):
                        co = (first + t) * config.lanes + lane
                        if co < block.cout:
                            total = sum(ctx.get(array.acc[row][lane]) for row in range(config.rows))
                            assert fixed.wrap(np.array(total), FORMATS.acc_bits) == expected[co, where]
        assert not sums

    simulate(layer.array, bench)
