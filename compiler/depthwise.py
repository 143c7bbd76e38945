"""Passes of a depthwise convolution: brick by brick of channels, each a convolution from these channels to themselves.

Of its weights only those count that lead from a channel to itself; the others are zero and are never updated. So a lane spends a
turn of all channels of the brick on each output, and one of ``lanes`` multiplications is of use.
"""

import numpy as np

from gradgate.arch.commands import Opcode
from gradgate.compiler import backward_data as conv
from gradgate.compiler import common, tiles
from gradgate.compiler.context import Context
from gradgate.compiler.forward import post_forward
from gradgate.compiler.geometry import Grid, list_fields, target_fields
from gradgate.compiler.loops import weight_loop
from gradgate.compiler.program import Note
from gradgate.compiler.tiles import Span


def _parts(ctx, block, bank, where, positions=0):
    """(brick of channels, first brick of its weights) of every part; checks that a part, and one step of ``positions``, fit."""
    lanes = ctx.config.lanes
    tiles.cut(ctx.config, f"{block.name} {where}", taps=block.k, channels=lanes, bias=True, targets=1, bank=bank,
              positions=positions)
    base = ctx.program.weights[block.name]
    return [(Span(first=n, count=1), base + n * (block.k * lanes + 1)) for n in range(ctx.config.bricks(block.cout))]


def _all_weights(base, block, lanes):
    """Loop over all weights of a part, bias included."""
    return weight_loop(wm_addr=base, bank_addr=0, counts=(1, block.k * lanes + 1, 1), steps=(1, 1, 0), rot=0, rot_steps=(1, 0), lanes=lanes)


def forward(ctx: Context, task):
    """Forward pass of a block, from its source to its ``out``."""
    block, config, program = task.block, ctx.config, ctx.program
    x, out = program.places[block.source], program.places[f"{block.name}.out"]
    rows, columns = common.windows(block)
    step = 2 if block.pool else 1
    for part, base in _parts(ctx, block, config.bank_weights, "forward", step * block.out_width):
        tail = {"t_count": 1, "t_tail": min(config.lanes, block.cout - part.first * config.lanes)}
        program.add(Opcode.LOAD, Note(block=block.name), **_all_weights(base, block, config.lanes), spread=0, out_bricks=0)
        cuts = tiles.position_tiles(config, slots=ctx.slots, rows=block.out_height // step * step, columns=block.out_width, targets=1,
                                    step=step)
        for slots, span in cuts:
            program.add(
                Opcode.RUN, Note(phase="FW", block=block.name, reads=block.source, tile=f"n{part.first}"),
                outer=0, fetch=0, bias=1, accumulate=0, skip_list=ctx.switches.input_skip, skip_target=0,
                slots=slots.count, last_rows=ctx.last_rows(slots), y_count=span.count, x_count=block.out_width,
                **list_fields(x, slots.first, rows.at(span.first, block.stride), columns, block.stride, part, config.lanes, 1,
                              config.lanes),
                **tail, t_addr=0, t_x=0, t_y=0, t_slot=0, bank_addr=0, psum_addr=0)
            post_forward(ctx, block, part, slots, span, tail["t_tail"], out)


def backward_data(ctx: Context, task):
    """Gradient of a block's source, as :func:`gradgate.compiler.backward_data.backward_data`."""
    block = task.block
    for part, base in _parts(ctx, block, ctx.config.bank_weights, "backward-data", -(-block.width // block.stride)):
        for phase in conv.phases(block):
            _backward_phase(ctx, task, part, base, phase)


def _backward_phase(ctx, task, part, base, phase):
    block, gradient = task.block, task.reads[0]
    config, program, lanes = ctx.config, ctx.program, ctx.config.lanes
    dy, x = program.places[gradient], program.places[block.source]
    rows, row_taps = conv.phase_axis(phase[0], block.stride, block.kh, block.padding, block.out_height)
    columns, column_taps = conv.phase_axis(phase[1], block.stride, block.kw, block.padding, block.out_width)
    grid = conv.phase_grid(block, phase)
    for number, row in enumerate(row_taps if column_taps else ()):
        k = (row * block.kw + column_taps[0]) * lanes
        program.add(Opcode.LOAD, Note(block=block.name), spread=1, out_bricks=1, **weight_loop(
            wm_addr=base + k, bank_addr=number * len(column_taps) * lanes, counts=(1, lanes, len(column_taps)),
            steps=(0, 1, -block.stride * lanes), rot=k, rot_steps=(1, -block.stride * lanes), lanes=lanes))
    for slots, span in tiles.position_tiles(config, slots=ctx.slots, rows=grid.rows, columns=grid.columns, targets=1):
        here = grid.part(span)
        targets = target_fields(x, slots.first, here, part, lanes)
        program.add(
            Opcode.RUN, Note(phase="BD", block=block.name, reads=gradient, targets=block.source, tile=f"n{part.first}"),
            outer=0, fetch=block.input_relu and ctx.switches.output_skip, bias=0, accumulate=0, skip_list=ctx.switches.input_skip,
            skip_target=1, slots=slots.count, last_rows=ctx.last_rows(slots), y_count=span.count, x_count=here.columns,
            **list_fields(dy, slots.first, rows.at(span.first, 1), columns, 1, part, lanes, 1, lanes), **targets, bank_addr=0, psum_addr=0)
        conv.post_backward(ctx, task, part, slots, here, targets["t_tail"])


def weight_gradient(ctx: Context, task):
    """Weight gradient of a block and its update: a part's whole matrix is computed, its diagonal used."""
    block, gradient = task.block, task.reads[0]
    config, program, lanes = ctx.config, ctx.program, ctx.config.lanes
    x, dy = program.places[block.source], program.places[gradient]
    rows, columns = common.windows(block)
    grid, slots = Grid(rows=block.out_height, columns=block.out_width), Span(first=0, count=ctx.slots)
    entries = block.k * lanes + 1
    for part, base in _parts(ctx, block, config.bank_words, "weight-gradient"):
        targets = target_fields(dy, 0, grid, part, lanes)
        program.add(Opcode.CLEAR, Note(block=block.name), words=entries)
        program.add(
            Opcode.RUN, Note(phase="WG", block=block.name, reads=block.source, targets=gradient, tile=f"n{part.first}",
                             sums=_sums(block, lanes, part)),
            outer=1, fetch=1, bias=1, accumulate=0, skip_list=ctx.switches.input_skip, skip_target=ctx.switches.input_skip,
            slots=slots.count, last_rows=ctx.last_rows(slots), y_count=grid.rows, x_count=grid.columns,
            **list_fields(x, 0, rows, columns, block.stride, part, lanes, 1, lanes), **targets, bank_addr=0, psum_addr=0)
        weights = weight_loop(wm_addr=base, bank_addr=0, counts=(1, entries - 1, 1), steps=(1, 1, 0), rot=0, rot_steps=(1, 0), lanes=lanes)
        bias = weight_loop(wm_addr=base + entries - 1, bank_addr=entries - 1, counts=(1, 1, 1), steps=(0, 0, 0), rot=entries - 1,
                           rot_steps=(0, 0), lanes=lanes)
        common.update(ctx, block, "", weights, targets["t_tail"], diagonal=1)
        common.update(ctx, block, "", bias, targets["t_tail"])


def _sums(block, lanes, part):
    """Where the weight gradients of ``part`` lie: of each lane, those whose input is its own channel, and the bias."""
    co = np.arange(part.first * lanes, min(part.end * lanes, block.cout))
    k = np.arange(block.k + 1)[:, None]
    lane = co % lanes
    sums = np.broadcast_arrays(lane, np.where(k < block.k, k * lanes + lane, block.k * lanes), co, k)
    return tuple(s.ravel() for s in sums)
