"""The examples of the control units of docs/examples.md."""

import re

import test_loss_unit
import test_move
import test_sequencer
from support.examples import core, table, trace
from support.hostport_bench import Around
from support.rowmem import run_unit
from support.sequencing import Work
from support.units import blank, signed, simulate

from gradgate.arch.commands import WITH_UNIT, Command, Opcode, length
from gradgate.arch.memorymap import Region, address
from gradgate.hw.control.softmax import Divider, Exponential

FORMATS = core().formats
BITS = FORMATS.act_bits


def test_times_of_the_sequencer():
    rows = table("Sequencer", "index", "command", "words", "waits for", "cycles of the unit", "start", "end")
    waits = [WITH_UNIT if row["waits for"] == "all" else frozenset(map(Opcode.__getitem__, re.findall(r"[A-Z]+", row["waits for"] or "")))
             for row in rows]
    program = [Command(Opcode[row["command"]], blank(Opcode[row["command"]]), units) for row, units in zip(rows, waits)]

    async def body(bench, ctx):
        bench.load(test_sequencer.words(program))
        await bench.run(ctx, works=[Work(row["cycles of the unit"]) for row in rows[:-1]])

    found = test_sequencer.simulate(body).state
    assert [row["words"] for row in rows] == [length(command.opcode) for command in program]
    assert (found.starts, found.ends) == tuple({row["index"]: row[when] for row in rows} for when in ("start", "end"))
    assert found.busy == found.now == rows[-1]["end"] and found.ended


def test_move_in():
    words = table("Move", "staging word", "value", "image", "row", "brick", "lane")
    bricks = table("Move", "row", "brick", "words", "cycles")
    fields = blank(Opcode.MOVE) | {"channels": 3, "pixels": 1, "images": 3, "stage_addr": 4, "row_addr": 1, "slot_step": 2}

    async def body(ctx, dut, rows, staging, rng):
        for row in words:
            staging.words[row["staging word"]] = row["value"]
        expected = rows.copy()
        for row in bricks:
            expected[row["row"]][row["brick"]] = list(row["words"])
        cycles, _ = await run_unit(ctx, dut.unit, fields, test_move.LAYOUT)
        assert cycles == bricks[0]["cycles"] and rows.words == expected
        assert all(rows.words[row["row"]][row["brick"]][row["lane"]] == row["value"] for row in words)

    test_move.simulate(core(rows=2), 0, body)
    assert [(row["staging word"], row["image"]) for row in words] == [(4 + word, word // 3) for word in range(9)]
    assert all(row["row"] == row["image"] % 2 for row in words)


def test_loss():
    images = table("Loss", "image", "label in brick", "label", "logits in brick", "logits", "gradient in brick", "gradient")
    total, = table("Loss", "correct", "cycles")
    fields = blank(Opcode.LOSS) | {"grad": 1, "classes": 2, "images": len(images), "labels_slot": 1, "logits_slot": 1, "grads_slot": 1}
    fields |= {"labels": images[0]["label in brick"], "logits": images[0]["logits in brick"], "grads": images[0]["gradient in brick"]}

    async def body(ctx, dut, memory, rng):
        for row in images:
            memory.put(0, row["label in brick"], [row["label"]])
            memory.put(0, row["logits in brick"], row["logits"])
        cycles, (correct,) = await run_unit(ctx, dut.unit, fields, test_loss_unit.LAYOUT, (dut.correct,))
        assert (correct, cycles) == (total["correct"], total["cycles"])
        for number, row in enumerate(images):
            gradient = tuple(signed(word, BITS) for word in memory.words[0][row["gradient in brick"]])
            assert (number, gradient) == (row["image"], row["gradient"])

    test_loss_unit.simulate(core(), 0, body)


def test_exponential():
    dut, rows = Exponential(FORMATS), table("Exponential", "cycle", "i", "o")
    simulate(dut, lambda ctx: trace(ctx, rows, {"i": dut.i}, {"o": dut.o}))


def test_divider():
    dut, rows = Divider(bits=17, frac=FORMATS.grad_frac), table("Divider", "cycle", "numerator", "denominator", "quotient")
    inputs = {"numerator": dut.numerator, "denominator": dut.denominator}
    simulate(dut, lambda ctx: trace(ctx, rows, inputs, {"quotient": dut.quotient}))


def test_hostport():
    around = Around(core(), 0)
    rows = table("HostPort", "access", "write", "region", "word", "data", "cycles", "STATUS")

    async def body(ctx, master):
        for number, row in enumerate(rows):
            where = address(Region[row["region"]], row["word"])
            word, cycles = await master.transfer(ctx, row["write"], where, row["data"])
            assert (number, cycles) == (row["access"], row["cycles"]), row
            assert row["write"] or word == row["data"], (row, word)
            assert await master.status(ctx) == row["STATUS"], row

    around.simulate(body)
