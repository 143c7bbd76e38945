"""What the passes of blocks share: window axes, loops over weights, POST and UPDATE commands."""

from gradgate.arch.commands import Opcode
from gradgate.compiler.context import Context
from gradgate.compiler.geometry import Axis
from gradgate.compiler.loops import weight_loop
from gradgate.compiler.program import Note


def windows(block):
    """Window axes of forward and weight-gradient passes."""
    return (Axis(first=-block.padding, kernel=block.kh, size=block.height),
            Axis(first=-block.padding, kernel=block.kw, size=block.width))


def channels_of(span, channels, lanes):
    """First channel and number of channels of a span of bricks."""
    return span.first * lanes, min(span.end * lanes, channels) - span.first * lanes


def tile_name(inputs, outputs, extra=""):
    """Name of a tile in notes: spans of inputs and outputs, in bricks, and what else there is."""
    return f"k{inputs.first}+{inputs.count} n{outputs.first}+{outputs.count}{extra}"


def output_loops(ctx, block, inputs, outputs, bias):
    """WEIGHT_LOOP fields, one a command, that visit all (k, t) of a tile in bank order; bricks run along outputs."""
    lanes, cob = ctx.config.lanes, ctx.config.bricks(block.cout)
    base = ctx.program.weights[block.name] + outputs.first
    first, count = channels_of(inputs, block.cin, lanes)
    taps = block.kh * block.kw
    if count == block.cin:  # the whole kernel, and the bias behind it, lie in a row
        return [weight_loop(wm_addr=base, bank_addr=0, counts=(outputs.count, block.k + bias, 1), steps=(1, cob, 0),
                            rot=0, rot_steps=(1, 0), lanes=lanes)]
    loops = [weight_loop(wm_addr=base + first * cob, bank_addr=0, counts=(outputs.count, count, taps), steps=(1, cob, block.cin * cob),
                         rot=first, rot_steps=(1, block.cin), lanes=lanes)]
    if bias:
        loops.append(weight_loop(wm_addr=base + block.k * cob, bank_addr=taps * count * outputs.count, counts=(outputs.count, 1, 1),
                                 steps=(1, 0, 0), rot=block.k, rot_steps=(0, 0), lanes=lanes))
    return loops


def post(ctx, block, **fields):
    """A POST command; fields left out are 0."""
    zero = dict.fromkeys(("rows", "choose", "add", "relu", "mask", "pool", "mean", "shift", "src_addr", "aux_addr", "add_addr"), 0)
    ctx.program.add(Opcode.POST, Note(block=block.name), **{**zero, **fields})


def update(ctx: Context, block, tile: str, loop: dict, tail: int, **fields):
    """An UPDATE command. Of its last fields, those left out are 0."""
    ctx.program.add(Opcode.UPDATE, Note(block=block.name, tile=tile), shift=ctx.shift, tail=tail, decay=ctx.decay,
                    **{**dict.fromkeys(("diagonal", "spread", "out_bricks", "turn", "turn_outer"), 0), **loop, **fields})
