"""The cycle model's examples of docs/examples.md."""

import numpy as np
from support.examples import core, table
from support.units import blank

from gradgate.arch.commands import POST_LEVELS, WITH_UNIT, Command, Opcode, length
from gradgate.golden.cycles import run
from gradgate.golden.cycles.array import clear_cycles, post_cycles
from gradgate.golden.cycles.loss import loss_cycles
from gradgate.golden.cycles.move import move_cycles
from gradgate.golden.cycles.sequencer import AROUND, fetch_cycles
from gradgate.golden.cycles.timeline import Times, timeline
from gradgate.golden.cycles.weights import load_cycles, update_cycles

CONFIG = core()
OTHERS = "Cycles of other commands", "command", "of", "unit", "words of the command", "issue to issue", "start to end"
WALK = {"t_count": 1, "inner_count": 4, "outer_count": 1}  # four bricks


def command(opcode, **fields):
    """A command; fields left out are 0."""
    return Command(opcode, blank(opcode) | fields)


def test_cycles_of_a_run():
    pixels = table("Cycles of a RUN", "pixel", "first brick", "second brick")
    flags = np.zeros((1, CONFIG.act_bricks, CONFIG.lanes), bool)
    flags[0, :2 * len(pixels)] = [[word != 0 for word in row[name]] for row in pixels for name in ("first brick", "second brick")]
    whole = command(Opcode.RUN, skip_list=1, stride=1, slots=1, last_rows=1, y_count=1, x_count=len(pixels), l_slot=6, l_pitch=6, l_col=2,
                    l_bricks=2, l_tail=2, kh=1, kw=1, room_y=1, room_x=len(pixels), t_count=1, t_tail=2, k_brick=2)
    total, = table("Cycles of a RUN", "cycles", "multiplications")
    assert run.run_cost(CONFIG, whole, flags) == run.RunCost(cycles=total["cycles"], macs=total["multiplications"])

    entries = flags[0, :2 * len(pixels)].reshape(len(pixels), 2, CONFIG.lanes).sum(axis=2)
    build = np.maximum(entries, 1).sum(axis=1)
    released, free = run.row_times(CONFIG.lists, False, np.zeros((3, 1), int), build[:, None], entries.sum(axis=1)[:, None],
                                   np.ones((3, 1, CONFIG.lanes), int))
    shown = table("Cycles of a RUN", "pixel", "head", "close", "entries", "first", "last")
    for row, pixel in zip(shown, pixels, strict=True):
        m = row["pixel"]
        assert pixel["pixel"] == m and row["entries"] == max(1, entries[m].sum())
        assert (row["last"], row["close"], row["head"]) == (released[m], free[m] - 1, free[m] - 1 - build[m]), row
        assert row["first"] == released[m] + 1 - row["entries"], row


def test_cycles_of_other_commands():
    post = {f"{level}_count": 1 for level in POST_LEVELS} | {"x_count": 6}
    units = {
        "MOVE": ("9 words", move_cycles(CONFIG, 9)),
        "LOAD": ("4 bricks", load_cycles(command(Opcode.LOAD, **WALK))),
        "CLEAR": ("16 accumulators", clear_cycles(16)),
        "POST": ("6 beats", post_cycles(command(Opcode.POST, **post))),
        "LOSS": ("2 images of 2 classes", loss_cycles(CONFIG, 2, 2, True)),
        "UPDATE": ("4 bricks", update_cycles(CONFIG, command(Opcode.UPDATE, **WALK))),
        "END": ("nothing", 0),
    }
    shown = table(*OTHERS)
    assert {row["command"]: (row["of"], row["unit"]) for row in shown} == units
    for row in shown:
        opcode = Opcode[row["command"]]
        assert (row["words of the command"], row["issue to issue"]) == (length(opcode), fetch_cycles(length(opcode))), row
        assert row["start to end"] == (row["unit"] + AROUND if opcode != Opcode.END else 0), row


def test_times_of_a_program():
    cycles = {row["command"]: row["unit"] for row in table(*OTHERS)}
    cycles["RUN"], = (row["cycles"] for row in table("Cycles of a RUN", "cycles", "multiplications"))
    waits = {"nothing": (), "all": WITH_UNIT, **{opcode.name: (opcode,) for opcode in WITH_UNIT}}
    shown = table("Times of a program", "command", "waits for", "start", "end")
    program = [Command(Opcode[row["command"]], blank(Opcode[row["command"]]), frozenset(waits[row["waits for"]])) for row in shown]
    times = timeline(program, [cycles[row["command"]] for row in shown])
    assert times == [Times(row["start"], row["end"]) for row in shown]
