"""The weight-gradient pass as commands, with the update of the weights."""

import numpy as np

from gradgate.arch.commands import Opcode
from gradgate.compiler import common, tiles
from gradgate.compiler.context import Context
from gradgate.compiler.geometry import Grid, list_fields, target_fields
from gradgate.compiler.program import Note
from gradgate.compiler.tiles import Span


def weight_gradient(ctx: Context, block, gradient: str):
    """Weight gradient of ``block`` and, at once, the update of its weights."""
    config, program, lanes, source = ctx.config, ctx.program, ctx.config.lanes, block.source
    x, dy = program.places[source], program.places[gradient]
    rows, columns = common.windows(block)
    grid = Grid(rows=block.out_height, columns=block.out_width)
    slots = Span(first=0, count=ctx.slots)
    ks, ns = tiles.cut(config, f"{block.name} weight-gradient", taps=block.kh * block.kw, channels=block.cin, bias=True,
                       targets=config.bricks(block.cout), bank=config.bank_words, positions=0)
    for outputs in ns:
        for inputs in ks:
            bias = inputs is ks[-1]
            first, count = common.channels_of(inputs, block.cin, lanes)
            k = (np.arange(block.kh * block.kw)[:, None] * block.cin + first + np.arange(count)).ravel()
            k = np.append(k, block.k) if bias else k
            tile = common.tile_name(inputs, outputs)
            targets = target_fields(dy, 0, grid, outputs, lanes)
            program.add(Opcode.CLEAR, Note(phase="load", block=block.name, tile=tile), words=len(k) * outputs.count)
            program.add(
                Opcode.RUN, Note(phase="WG", block=block.name, reads=source, targets=gradient, tile=tile,
                                 sums=(outputs.first, outputs.count, k)),
                outer=1, fetch=1, bias=bias, accumulate=0, skip_list=ctx.switches.input_skip, skip_target=ctx.switches.input_skip,
                slots=slots.count, last_rows=ctx.last_rows(slots), y_count=grid.rows, x_count=grid.columns,
                **list_fields(x, 0, rows, columns, block.stride, inputs, lanes, outputs.count), **targets, bank_addr=0, psum_addr=0)
            loops = common.output_loops(ctx, block, inputs, outputs, bias)
            finished = outputs is ns[-1] and inputs is ks[-1]
            for loop in loops:
                common.update(ctx, block, tile, loop, targets["t_tail"], finished and loop is loops[-1])
