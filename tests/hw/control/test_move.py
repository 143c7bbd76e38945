"""MOVE both ways against plain lists, and its duration against the cycle model."""

import random

import pytest
from amaranth.sim import Simulator
from support.rowmem import RowMemory, run_to_fault, run_unit

from gradgate.arch import commands, latency
from gradgate.arch.commands import Opcode
from gradgate.arch.config import Config
from gradgate.golden.cycles.move import move_cycles
from gradgate.hw.control.move import Move

LAYOUT = commands.layout(Opcode.MOVE)


class Staging:
    """The staging memory in Python: a read shows ``latency.RAM`` cycles later."""

    def __init__(self, config, port, seed):
        self.port, rng = port, random.Random(seed)
        self.words = [rng.getrandbits(config.formats.act_bits) for _ in range(config.staging_words)]

    async def process(self, ctx):
        pipe = [0] * (latency.RAM - 1)
        port = self.port
        async for _, _, addr, w_addr, w_data, w_en in ctx.tick().sample(port.addr, port.w_addr, port.w_data, port.w_en):
            pipe.append(self.words[addr % len(self.words)])
            ctx.set(port.r_data, pipe.pop(0))
            if w_en:
                self.words[w_addr] = w_data


def places(config, fields):
    """``(staging word, row, brick, lane)`` of every word of a MOVE."""
    step = config.bricks(fields["channels"])
    word = fields["stage_addr"]
    for i in range(fields["images"]):
        image = fields["row_addr"] + i // config.rows * fields["slot_step"]
        for pixel in range(fields["pixels"]):
            for channel in range(fields["channels"]):
                brick = (image + pixel * step + channel // config.lanes) % 65536
                yield word, i % config.rows, brick, channel % config.lanes
                word += 1


async def move(ctx, dut, rows, staging, fields):
    """One MOVE, with all of both memories compared."""
    config = dut.config
    expected_rows, expected_stage = rows.copy(), list(staging.words)
    for word, row, brick, lane in places(config, fields):
        if fields["out"]:
            expected_stage[word] = expected_rows[row][brick][lane]
        else:
            if lane == 0:
                expected_rows[row][brick] = [0] * config.lanes
            expected_rows[row][brick][lane] = staging.words[word]
    words = fields["channels"] * fields["pixels"] * fields["images"]
    cycles, _ = await run_unit(ctx, dut.unit, fields, LAYOUT)
    assert cycles == move_cycles(config, words)
    assert rows.words == expected_rows
    assert staging.words == expected_stage


def draw(rng, config):
    """A legal MOVE at random."""
    while True:
        fields = {"out": rng.randrange(2), "channels": rng.randint(1, 20), "pixels": rng.randint(1, 9),
                  "images": rng.randint(1, 3 * config.rows)}
        words = fields["channels"] * fields["pixels"] * fields["images"]
        image = config.bricks(fields["channels"]) * fields["pixels"]
        step = image + rng.randrange(3)
        space = config.act_bricks - step * -(-fields["images"] // config.rows)
        if words <= config.staging_words and space >= 0:
            stage_addr = rng.randint(0, config.staging_words - words)
            return fields | {"stage_addr": stage_addr, "row_addr": rng.randint(0, space), "slot_step": step}


def simulate(config, seed, body):
    dut = Move(config)
    rows, staging = RowMemory(config, dut.rows, seed), Staging(config, dut.stage, seed)
    sim = Simulator(dut)
    sim.add_clock(1e-6)
    sim.add_process(rows.process)
    sim.add_process(staging.process)

    async def bench(ctx):
        await body(ctx, dut, rows, staging, random.Random(seed))

    sim.add_testbench(bench)
    sim.run()


@pytest.mark.parametrize("rows, lanes, seed", [(1, 2, 1), (1, 8, 2), (2, 4, 3), (3, 2, 4), (3, 8, 5), (5, 4, 6)])
def test_random_moves(rows, lanes, seed):
    """Back to back without reset, both ways mixed."""
    config = Config(rows=rows, lanes=lanes, act_bricks=150, staging_words=600)

    async def body(ctx, dut, memory, staging, rng):
        for _ in range(12):
            await move(ctx, dut, memory, staging, draw(rng, config))

    simulate(config, seed, body)


@pytest.mark.parametrize("zero", ["channels", "pixels", "images"])
def test_nothing_to_move(zero):
    """A count of zero moves nothing, either way, and ends."""
    config = Config(rows=2, lanes=4, act_bricks=64, staging_words=64)

    async def body(ctx, dut, memory, staging, rng):
        fields = {"channels": 3, "pixels": 2, "images": 4, "stage_addr": 1, "row_addr": 2, "slot_step": 2}
        for out in (0, 1):
            await move(ctx, dut, memory, staging, fields | {"out": out, zero: 0})
            await move(ctx, dut, memory, staging, fields | {"out": out})

    simulate(config, 7, body)


def test_there_and_back():
    """What went in comes out; the channels behind the last are zero in row memory."""
    config = Config(rows=3, lanes=4, act_bricks=64, staging_words=512)

    async def body(ctx, dut, memory, staging, rng):
        fields = {"out": 0, "channels": 5, "pixels": 4, "images": 8, "stage_addr": 0, "row_addr": 5, "slot_step": 9}
        before = staging.words[:160]
        await move(ctx, dut, memory, staging, fields)
        assert all(memory.words[i % 3][5 + i // 3 * 9 + 2 * p + 1][1:] == [0] * 3 for i in range(8) for p in range(4))
        await move(ctx, dut, memory, staging, fields | {"out": 1, "stage_addr": 300})
        assert staging.words[300:460] == before

    simulate(config, 8, body)


@pytest.mark.parametrize("out", [0, 1])
@pytest.mark.parametrize("change, word", [
    ({"stage_addr": 64}, 0), ({"stage_addr": 65535}, 0), ({"stage_addr": 50}, 14), ({"row_addr": 50}, 0), ({"row_addr": 65535}, 0),
    ({"row_addr": 47}, 10), ({"slot_step": 46}, 24), ({"slot_step": 65531}, 24)], ids=str)
def test_outside(change, word, out):
    """A fault one cycle behind the first word whose address is outside, in time to keep it from being written."""
    config = Config(rows=2, lanes=4, act_bricks=50, staging_words=64)
    fields = {"out": out, "channels": 6, "pixels": 2, "images": 5, "stage_addr": 0, "row_addr": 4, "slot_step": 4} | change

    async def body(ctx, dut, memory, staging, rng):
        assert await run_to_fault(ctx, dut.unit, fields, LAYOUT) == 3 + word

    simulate(config, 10, body)


@pytest.mark.parametrize("depth", [32768, 65536])
def test_last_word(depth):
    """The last word of the largest memories is inside; the one behind it is not the first."""
    config = Config(rows=1, lanes=2, act_bricks=64, staging_words=depth)
    fields = {"out": 0, "channels": 2, "pixels": 1, "images": 1, "stage_addr": depth - 2, "row_addr": 0, "slot_step": 0}

    async def body(ctx, dut, memory, staging, rng):
        await run_unit(ctx, dut.unit, fields, LAYOUT)
        assert await run_to_fault(ctx, dut.unit, fields | {"stage_addr": depth - 1}, LAYOUT) == 4

    simulate(config, 11, body)


def test_negative_step():
    """Steps count modulo 2**16, so that slots may go backwards."""
    config = Config(rows=2, lanes=4, act_bricks=64, staging_words=64)

    async def body(ctx, dut, memory, staging, rng):
        fields = {"out": 0, "channels": 4, "pixels": 2, "images": 6, "stage_addr": 0, "row_addr": 20}
        await move(ctx, dut, memory, staging, fields | {"slot_step": 65536 - 4})

    simulate(config, 9, body)
