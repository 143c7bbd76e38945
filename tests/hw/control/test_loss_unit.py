"""The loss unit against plain integers, and its duration against the cycle model."""

import random

import pytest
from amaranth.sim import Simulator
from support.rowmem import RowMemory, run_to_fault, run_unit

from gradgate.arch import commands
from gradgate.arch.commands import Opcode
from gradgate.arch.config import Config
from gradgate.arch.formats import Formats
from gradgate.golden.cycles.loss import loss_cycles
from gradgate.hw.control.loss import Loss
from gradgate.hw.control.softmax import Divider, Exponential

LAYOUT = commands.layout(Opcode.LOSS)


def make(rows, lanes, **formats):
    return Config(rows=rows, lanes=lanes, act_bricks=256, formats=Formats(**formats))


def reference(logits, label, formats):
    """``(correct, gradient)`` of one image, word by word."""
    top = max(logits)
    exponentials = []
    for z in logits:
        t = (top - z) * 23637 >> 14
        n, f = t >> formats.act_frac, t % (1 << formats.act_frac)
        scaled = f * 2 ** 14 // 2 ** formats.act_frac
        exponentials.append((32768 - scaled) >> min(n, 20))
    one = 1 << formats.grad_frac
    total = sum(exponentials)
    gradient = [e * one // total - (one if j == label else 0) for j, e in enumerate(exponentials)]
    return logits.index(top) == label, gradient


def draw(rng, classes, bits):
    """Logits of one image: close together, spread, saturated, all equal, with ties."""
    low, high = -(1 << bits - 1), (1 << bits - 1) - 1
    kind = rng.randrange(6)
    if kind == 0:
        return [rng.randint(-2000, 2000) if bits > 12 else rng.randint(low, high) for _ in range(classes)]
    if kind == 1:
        return [rng.randint(low, high) for _ in range(classes)]
    if kind == 2:
        return [rng.choice((low, high)) for _ in range(classes)]
    if kind == 3:
        return [rng.randint(low, high)] * classes
    if kind == 4:
        values = [rng.randint(low, high) for _ in range(2)]
        return [rng.choice(values) for _ in range(classes)]
    return [low] * (classes - 1) + [high]


async def step(ctx, dut, memory, rng, images, classes, grad, labels_beyond=False):
    """One LOSS command on random images, checked whole: gradients, zeros, nothing else written, count, duration."""
    config = dut.config
    bricks = config.bricks(classes)
    slots = -(-images // config.rows)
    gap = bricks + rng.randrange(2)
    fields = {"grad": grad, "classes": classes, "images": images,
              "labels": 0, "labels_slot": 1, "logits": slots, "logits_slot": gap,
              "grads": slots + gap * slots, "grads_slot": bricks}
    assert fields["grads"] + bricks * slots <= config.act_bricks
    expected, correct = None, 0
    for i in range(images):
        row, slot = i % config.rows, i // config.rows
        logits, label = draw(rng, classes, config.formats.act_bits), rng.randrange(classes)
        if rng.randrange(2):
            label = logits.index(max(logits))
        if labels_beyond:
            label = rng.choice((classes, 32, 64 + label, -1, label - 256))
        memory.put(row, slot, [label])
        memory.put(row, fields["logits"] + slot * gap, logits)
    expected = memory.copy()
    for i in range(images):
        row, slot = i % config.rows, i // config.rows
        first = fields["logits"] + slot * gap
        logits = [memory.signed(row, first + j // config.lanes, j % config.lanes) for j in range(classes)]
        hit, gradient = reference(logits, memory.signed(row, slot, 0), config.formats)
        correct += hit
        if grad:
            for j in range(bricks * config.lanes):
                value = gradient[j] if j < classes else 0
                expected[row][fields["grads"] + slot * bricks + j // config.lanes][j % config.lanes] = (
                    value % (1 << config.formats.act_bits))
    writes = memory.writes
    cycles, (counted,) = await run_unit(ctx, dut.unit, fields, LAYOUT, (dut.correct,))
    assert counted == correct
    assert cycles == loss_cycles(config, images, classes, grad)
    assert memory.words == expected
    assert grad or memory.writes == writes


def simulate(config, seed, body):
    dut = Loss(config)
    memory = RowMemory(config, dut.rows, seed)
    sim = Simulator(dut)
    sim.add_clock(1e-6)
    sim.add_process(memory.process)

    async def bench(ctx):
        await body(ctx, dut, memory, random.Random(seed))

    sim.add_testbench(bench)
    sim.run()


@pytest.mark.parametrize("rows, lanes, seed", [(1, 2, 11), (2, 4, 12), (3, 8, 13), (2, 2, 14), (1, 16, 15)])
def test_all_class_counts(rows, lanes, seed):
    async def body(ctx, dut, memory, rng):
        for classes in range(2, 14):
            await step(ctx, dut, memory, rng, images=rng.randint(1, 2 * rows + 1), classes=classes, grad=1)
        await step(ctx, dut, memory, rng, images=2, classes=32, grad=1)

    simulate(make(rows, lanes), seed, body)


@pytest.mark.parametrize("rows, lanes, seed", [(1, 4, 21), (3, 4, 22)])
def test_without_gradient_and_mixed(rows, lanes, seed):
    async def body(ctx, dut, memory, rng):
        for grad in (0, 1, 0, 0, 1):
            await step(ctx, dut, memory, rng, images=rng.randint(0, 9), classes=rng.randint(2, 13), grad=grad)
        await step(ctx, dut, memory, rng, images=0, classes=10, grad=1)

    simulate(make(rows, lanes), seed, body)


@pytest.mark.parametrize("formats, seed", [
    ({"act_bits": 8, "act_frac": 3, "weight_frac": 4, "grad_frac": 5, "master_frac": 20}, 31),
    ({"act_bits": 17, "act_frac": 15, "weight_frac": 12, "grad_frac": 1, "master_frac": 19}, 32),
    ({"act_bits": 18, "act_frac": 16, "weight_frac": 12, "grad_frac": 16, "master_frac": 18}, 33),
    ({"act_bits": 18, "act_frac": 1, "weight_frac": 12, "grad_frac": 13, "master_frac": 18}, 34),
    ({"act_bits": 16, "act_frac": 14, "weight_frac": 12, "grad_frac": 14}, 35),
], ids=lambda value: str(value) if isinstance(value, int) else "-".join(f"{v}" for v in value.values()))
def test_formats(formats, seed):
    async def body(ctx, dut, memory, rng):
        for _ in range(6):
            await step(ctx, dut, memory, rng, images=4, classes=rng.randint(2, 13), grad=1)

    simulate(make(2, 4, **formats), seed, body)


@pytest.mark.parametrize("seed", [41])
def test_label_that_is_no_class(seed):
    async def body(ctx, dut, memory, rng):
        await step(ctx, dut, memory, rng, images=8, classes=10, grad=1, labels_beyond=True)
        await step(ctx, dut, memory, rng, images=8, classes=10, grad=1)

    simulate(make(2, 4), seed, body)


@pytest.mark.parametrize("images", [0, 2])
@pytest.mark.parametrize("classes", [0, 1, 33, 63])
def test_illegal_class_count(classes, images):
    async def body(ctx, dut, memory, rng):
        fields = {name: 0 for name in LAYOUT} | {"grad": 1, "classes": classes, "images": images}
        assert await run_to_fault(ctx, dut.unit, fields, LAYOUT) == 2

    simulate(make(2, 4), 51, body)


@pytest.mark.parametrize("grad_frac", [1, 13])
@pytest.mark.parametrize("change, cycle", [
    ({"labels": 256}, 3), ({"labels": 65535}, 3), ({"logits": 256}, 4), ({"logits": 255}, 8), ({"grads": 256}, "grads"),
    ({"grads": 255}, "grads"), ({"grads": 65535}, "grads"), ({"labels_slot": 250}, "slot"), ({"logits_slot": 65534}, "slot")], ids=str)
def test_outside(change, cycle, grad_frac):
    """A fault one cycle behind the first read outside, or before an image's first gradient is written."""
    config = make(2, 4, grad_frac=grad_frac)
    fields = {"grad": 1, "classes": 6, "images": 3, "labels": 9, "labels_slot": 1, "logits": 0, "logits_slot": 2, "grads": 20,
              "grads_slot": 2} | change
    image = loss_cycles(config, 1, 6, True) - 2
    grads = 1 + image - 6 - (grad_frac + 2)  # the first division
    expected = {"grads": grads + 1, "slot": 2 * image + (3 if "labels_slot" in change else 4)}

    async def body(ctx, dut, memory, rng):
        assert await run_to_fault(ctx, dut.unit, fields, LAYOUT) == expected.get(cycle, cycle)
        ctx.set(dut.unit.payload, 0)

    simulate(config, 52, body)


@pytest.mark.parametrize("frac", [1, 10, 16])
def test_exponential(frac):
    """Distances around every power of two and at random, streamed at full rate."""
    formats = Formats(act_bits=18, act_frac=frac, master_frac=18)
    rng = random.Random(frac)
    values = sorted({v for n in range(19) for v in ((1 << n) - 1, 1 << n, (1 << n) + 1) if v < 1 << 18})
    values += [rng.getrandbits(rng.randint(1, 18)) for _ in range(1500)]
    dut = Exponential(formats)
    got = []

    async def bench(ctx):
        for d in values + [0] * dut.LATENCY:
            ctx.set(dut.i, d)
            _, _, o = await ctx.tick().sample(dut.o)
            got.append(o)

    sim = Simulator(dut)
    sim.add_clock(1e-6)
    sim.add_testbench(bench)
    sim.run()
    for d, e in zip(values, got[dut.LATENCY:], strict=True):
        t = d * 23637 >> 14
        assert e == (32768 - t % (1 << frac) * 2 ** 14 // 2 ** frac) >> min(t >> frac, 20), f"d = {d}"


@pytest.mark.parametrize("frac, seed", [(1, 61), (13, 62), (16, 63)])
def test_divider(frac, seed):
    """Streams at full rate, over one denominator each."""
    rng = random.Random(seed)
    dut = Divider(bits=22, frac=frac)

    async def bench(ctx):
        runs = [(1, [0, 1]), (32768, [32768, 1, 32767]), (32 * 32768, [32768, 0]), ((1 << 22) - 1, [1, 32768])]
        for _ in range(30):
            top = rng.getrandbits(rng.randint(1, 16))
            denominator = rng.randint(max(1, top), max(2, top) << rng.randint(0, 6))
            runs.append((denominator, [rng.randint(0, top) for _ in range(rng.randint(1, 20))]))
        for denominator, numerators in runs:
            ctx.set(dut.denominator, denominator)
            for cycle in range(len(numerators) + dut.latency):
                ctx.set(dut.numerator, numerators[cycle] if cycle < len(numerators) else rng.getrandbits(16))
                if cycle >= dut.latency:
                    wanted = numerators[cycle - dut.latency]
                    assert ctx.get(dut.quotient) == (wanted << frac) // denominator, f"{wanted} / {denominator}"
                await ctx.tick()

    sim = Simulator(dut)
    sim.add_clock(1e-6)
    sim.add_testbench(bench)
    sim.run()
