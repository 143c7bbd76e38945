"""Forward passes as commands."""

from gradgate.arch.commands import Opcode
from gradgate.compiler import common, tiles
from gradgate.compiler.context import Context
from gradgate.compiler.geometry import list_fields, tail_fields
from gradgate.compiler.loops import post_levels
from gradgate.compiler.program import Note


def forward(ctx: Context, task):
    """Forward pass of a block, from its source to its ``out``."""
    block, config, program, source = task.block, ctx.config, ctx.program, task.block.source
    x, out = program.places[source], program.places[f"{block.name}.out"]
    rows, columns = common.windows(block)
    step = 2 if block.pool else 1
    ks, ns = tiles.cut(config, f"{block.name} forward", taps=block.kh * block.kw, channels=block.cin, bias=True,
                       targets=config.bricks(block.cout), bank=config.bank_weights, positions=step * block.out_width)
    pool_rows = block.out_height // step * step  # the last odd row is not pooled
    for outputs in ns:
        parts = tiles.position_tiles(config, slots=ctx.slots, rows=pool_rows, columns=block.out_width, targets=outputs.count, step=step)
        for slots, span in parts:
            tail = tail_fields(block.cout, outputs, config.lanes)
            for inputs in ks:
                bias = inputs is ks[-1]
                tile = common.tile_name(inputs, outputs, f" s{slots.first}+{slots.count} y{span.first}+{span.count}")
                if len(ks) > 1 or (slots, span) == parts[0]:
                    for loop in common.output_loops(ctx, block, inputs, outputs, bias):
                        program.add(Opcode.LOAD, Note(block=block.name, tile=tile), **loop, spread=0, out_bricks=0)
                program.add(
                    Opcode.RUN, Note(phase="FW", block=block.name, reads=source, tile=tile),
                    outer=0, fetch=0, bias=bias, accumulate=inputs is not ks[0], skip_list=ctx.switches.input_skip, skip_target=0,
                    slots=slots.count, last_rows=ctx.last_rows(slots), y_count=span.count, x_count=block.out_width,
                    **list_fields(x, slots.first, rows.at(span.first, block.stride), columns, block.stride, inputs, config.lanes,
                                  outputs.count),
                    **tail, t_addr=0, t_x=0, t_y=0, t_slot=0, bank_addr=0, psum_addr=0)
            post_forward(ctx, block, outputs, slots, span, tail["t_tail"], out)


def post_forward(ctx, block, outputs, slots, span, tail, out):
    t, wide = outputs.count, block.out_width
    first = slots.first * out.slot + outputs.first
    if block.pool:
        first += span.first // 2 * out.pitch
        loops = post_levels(wx=(2, t, 0), wy=(2, wide * t, 0), t=(t, 1, 1), x=(out.width, 2 * t, out.bricks),
                            y=(span.count // 2, 2 * wide * t, out.pitch), slot=(slots.count, span.count * wide * t, out.slot))
        aux = ctx.program.choices[f"{block.name}.argmax"].base + first
    else:
        first += span.first * out.pitch
        loops = post_levels(t=(t, 1, 1), x=(wide, t, out.bricks), y=(span.count, wide * t, out.pitch),
                            slot=(slots.count, span.count * wide * t, out.slot))
        aux = 0
    residual = ctx.program.places[block.add].base + first if block.add else 0
    common.post(ctx, block, add=bool(block.add), relu=block.relu, pool=block.pool, tail=tail, last_rows=ctx.last_rows(slots),
                dst_addr=out.base + first, aux_addr=aux, add_addr=residual, **loops)


def average(ctx: Context, task):
    """Average of a block's source over windows."""
    block = task.block
    x, out = ctx.program.places[block.source], ctx.program.places[f"{block.name}.out"]
    levels = post_levels(
        wx=(block.kw, x.bricks, 0), wy=(block.kh, x.pitch, 0), t=(x.bricks, 1, 1), x=(out.width, block.kw * x.bricks, out.bricks),
        y=(out.height, block.kh * x.pitch, out.pitch), slot=(ctx.slots, x.slot, out.slot))
    common.post(ctx, block, rows=1, mean=1, shift=block.mean_shift, tail=ctx.config.lanes,
                last_rows=ctx.config.rows, src_addr=x.base, dst_addr=out.base, **levels)
