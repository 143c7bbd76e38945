"""Backward passes to a block's input as commands: unpooling, backward-data, average."""

from gradgate.arch.commands import Opcode
from gradgate.compiler import common, tiles
from gradgate.compiler.context import Context
from gradgate.compiler.geometry import Axis, Grid, list_fields, target_fields
from gradgate.compiler.loops import post_levels, weight_loop
from gradgate.compiler.program import Note


def expand(ctx: Context, task):
    """Sends the gradient of the pooled output back to the convolution's output."""
    block, places = task.block, ctx.program.places
    (gradient, choices), (expanded,) = task.reads, task.writes
    grad, full = places[gradient], places[expanded]
    shared = {"rows": 1, "choose": 1, "last_rows": ctx.config.rows}
    common.post(ctx, block, **shared, tail=ctx.config.lanes, src_addr=grad.base, dst_addr=full.base,
                aux_addr=ctx.program.choices[choices].base, **post_levels(
                    wx=(2, 0, full.bricks), wy=(2, 0, full.pitch), t=(grad.bricks, 1, 1), x=(grad.width, grad.bricks, 2 * full.bricks),
                    y=(grad.height, grad.pitch, 2 * full.pitch), slot=(ctx.slots, grad.slot, full.slot)))
    # rows and columns that no pooling window covers have no gradient: a tail of no words makes zeros
    if full.height % 2:
        common.post(ctx, block, **shared, tail=0, dst_addr=full.base + (full.height - 1) * full.pitch,
                    **post_levels(x=(full.pitch, 0, 1), slot=(ctx.slots, 0, full.slot)))
    if full.width % 2:
        common.post(ctx, block, **shared, tail=0, dst_addr=full.base + full.pitch - full.bricks,
                    **post_levels(x=(full.bricks, 0, 1), y=(full.height, 0, full.pitch), slot=(ctx.slots, 0, full.slot)))


def average_backward(ctx: Context, task):
    """Gradient of an average's source: every pixel of a window has its part."""
    block = task.block
    dy, x, dx = (ctx.program.places[name] for name in task.reads + task.writes)
    levels = post_levels(
        wx=(block.kw, 0, dx.bricks), wy=(block.kh, 0, dx.pitch), t=(dx.bricks, 1, 1), x=(dy.width, dy.bricks, block.kw * dx.bricks),
        y=(dy.height, dy.pitch, block.kh * dx.pitch), slot=(ctx.slots, dy.slot, dx.slot))
    common.post(ctx, block, rows=1, mask=block.input_relu, shift=block.mean_shift, tail=ctx.config.lanes, last_rows=ctx.config.rows,
                src_addr=dy.base, dst_addr=dx.base, aux_addr=x.base, **levels)


def backward_data(ctx: Context, task):
    """Gradient of a block's source from that of its convolution output; what the gradient is so far is added to it.

    With stride s the positions of the input fall into s x s phases; each is a convolution of stride 1 with the taps that reach it.
    """
    for phase in phases(task.block):
        _backward_phase(ctx, task, phase)


def phases(block) -> list:
    """(row, column) of the first pixel of each phase of the input."""
    return [(y, x) for y in range(min(block.stride, block.height)) for x in range(min(block.stride, block.width))]


def phase_axis(phase, stride, kernel, padding, size):
    """(window axis over the gradient, taps in window order) of the input pixels ``phase + i * stride`` of one axis."""
    taps = list(range((phase + padding) % stride, kernel, stride))
    centre = (phase + padding) // stride
    return Axis(first=centre - len(taps) + 1, kernel=len(taps), size=size), taps[::-1]


def phase_grid(block, phase) -> Grid:
    """Input pixels of a phase."""
    return Grid(rows=-(-(block.height - phase[0]) // block.stride), columns=-(-(block.width - phase[1]) // block.stride),
                y0=phase[0], x0=phase[1], step=block.stride)


def _backward_phase(ctx, task, phase):
    block, (gradient, source) = task.block, task.reads[:2]
    config, program, lanes = ctx.config, ctx.program, ctx.config.lanes
    dy, x = program.places[gradient], program.places[source]
    rows, row_taps = phase_axis(phase[0], block.stride, block.kh, block.padding, block.out_height)
    columns, column_taps = phase_axis(phase[1], block.stride, block.kw, block.padding, block.out_width)
    grid = phase_grid(block, phase)
    ks, ns = tiles.cut(config, f"{block.name} backward-data", taps=max(1, len(row_taps) * len(column_taps)), channels=block.cout,
                       bias=False,
                       targets=config.bricks(block.cin), bank=config.bank_weights, positions=grid.columns)
    fetch = block.input_relu and ctx.switches.output_skip
    for inputs in ns:
        parts = tiles.position_tiles(config, slots=ctx.slots, rows=grid.rows, columns=grid.columns, targets=inputs.count)
        for slots, span in parts:
            part = grid.part(span)
            targets = target_fields(x, slots.first, part, inputs, lanes)
            for outputs in ks:
                tile = common.tile_name(outputs, inputs, f" s{slots.first}+{slots.count} y{span.first}+{span.count}")
                if len(ks) > 1 or (slots, span) == parts[0]:
                    _load_spread(ctx, block, outputs, inputs, row_taps, column_taps, tile)
                program.add(
                    Opcode.RUN, Note(phase="BD", block=block.name, reads=gradient, targets=source, tile=tile),
                    outer=0, fetch=fetch, bias=0, accumulate=outputs is not ks[0], skip_list=ctx.switches.input_skip, skip_target=1,
                    slots=slots.count, last_rows=ctx.last_rows(slots), y_count=span.count, x_count=part.columns,
                    **list_fields(dy, slots.first, rows.at(span.first, 1), columns, 1, outputs, lanes, inputs.count),
                    **targets, bank_addr=0, psum_addr=0)
            post_backward(ctx, task, inputs, slots, part, targets["t_tail"])


def post_backward(ctx: Context, task, inputs, slots, part, tail):
    """POST of a backward-data tile: ``inputs`` bricks of ``slots``, at the positions of grid ``part``."""
    block, places = task.block, ctx.program.places
    _, source, _, *earlier = task.reads
    x, dx = places[source], places[task.writes[0]]
    t, wide = inputs.count, part.columns
    x_step, y_step, slot_step = part.strides(dx)
    first = part.first(dx, slots.first) + inputs.first
    common.post(ctx, block, add=bool(earlier), mask=block.input_relu, tail=tail,
                last_rows=ctx.last_rows(slots), dst_addr=first, aux_addr=first - dx.base + x.base,
                add_addr=first - dx.base + places[earlier[0]].base if earlier else 0,
                **post_levels(t=(t, 1, 1), x=(wide, t, x_step), y=(part.rows, wide * t, y_step),
                              slot=(slots.count, part.rows * wide * t, slot_step)))


def _load_spread(ctx, block, outputs, inputs, row_taps, column_taps, tile):
    """LOADs that put weights, bricks along inputs, at (window row, window column, output) x input brick."""
    lanes, cob = ctx.config.lanes, ctx.config.bricks(block.cout)
    base = ctx.program.weights[block.name]
    _, count = common.channels_of(outputs, block.cout, lanes)
    if not (row_taps and column_taps):
        return
    # without a stride the taps of all rows, taken backwards, lie one behind the other
    groups = [row_taps[0]] if block.stride == 1 else row_taps
    taps = len(row_taps) * len(column_taps) // len(groups)
    for number, row in enumerate(groups):
        k = (row * block.kw + column_taps[0]) * block.cin + inputs.first * lanes
        step = -block.stride * block.cin
        ctx.program.add(Opcode.LOAD, Note(block=block.name, tile=tile), spread=1, out_bricks=cob, **weight_loop(
            wm_addr=base + k * cob + outputs.first, bank_addr=number * taps * count * inputs.count,
            counts=(inputs.count, count, taps), steps=(lanes * cob, 1, step * cob), rot=k, rot_steps=(1, step), lanes=lanes))
