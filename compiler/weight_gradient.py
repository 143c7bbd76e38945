"""The weight-gradient pass as commands, with the update of the weights.

Two roles (gradient output sparsity, arXiv 2109.07710: either operand's zeros can be skipped). As long as the list is walked once for
each target, their multiplications are the same; their lists are not:

- plain (WG-X): the windows of X make the lists, the words of dY at a position are the targets;
- swapped (WG-Y): the words of dY make the list, the words of X in the window are the targets.
"""

import numpy as np

from gradgate.arch.checks import ConfigError
from gradgate.arch.commands import Opcode
from gradgate.compiler import common, tiles
from gradgate.compiler.context import Context
from gradgate.compiler.geometry import Grid, list_fields, target_fields
from gradgate.compiler.loops import weight_loop
from gradgate.compiler.program import Note
from gradgate.compiler.tiles import Span

#: Swapped: a window's words go to a lane that many further with every tap; 5 spreads the taps of few channels over 2 to 16 lanes.
TURN = 5


def weight_gradient(ctx: Context, task):
    """Weight gradient of a block and, at once, the update of its weights."""
    (_swapped if task.block.name in ctx.switches.swapped else _plain)(ctx, task.block, task.reads[0])


def _plain(ctx, block, gradient):
    config, lanes = ctx.config, ctx.config.lanes
    ks, ns = tiles.cut(config, f"{block.name} weight-gradient", taps=block.kh * block.kw, channels=block.cin, bias=True,
                       targets=config.bricks(block.cout), bank=config.bank_words, positions=0)
    for outputs in ns:
        for inputs in ks:
            bias = inputs is ks[-1]
            first, count = common.channels_of(inputs, block.cin, lanes)
            k = (np.arange(block.kh * block.kw)[:, None] * block.cin + first + np.arange(count)).ravel()
            k = np.append(k, block.k) if bias else k
            co = np.arange(outputs.first * lanes, min(outputs.end * lanes, block.cout))
            sums = np.broadcast_arrays(co % lanes, np.arange(len(k))[:, None] * outputs.count + co // lanes - outputs.first, co, k[:, None])
            windows = list_fields(ctx.program.places[block.source], 0, *common.windows(block), block.stride, inputs, lanes, outputs.count)
            tail = _run(ctx, block, gradient, inputs, outputs, len(k) * outputs.count, bias, sums, windows)
            for loop in common.output_loops(ctx, block, inputs, outputs, bias):
                common.update(ctx, block, common.tile_name(inputs, outputs), loop, tail)


def _run(ctx, block, gradient, inputs, outputs, words, bias, sums, windows):
    """CLEAR and RUN of a tile; returns the outputs in its last brick."""
    slots, grid = Span(first=0, count=ctx.slots), Grid(rows=block.out_height, columns=block.out_width)
    targets = target_fields(ctx.program.places[gradient], 0, grid, outputs, ctx.config.lanes)
    tile, skip = common.tile_name(inputs, outputs), ctx.switches.input_skip
    reads, fetches = (gradient, block.source) if windows["swap"] else (block.source, gradient)
    ctx.program.add(Opcode.CLEAR, Note(block=block.name, tile=tile), words=words)
    ctx.program.add(
        Opcode.RUN, Note(phase="WG", block=block.name, reads=reads, targets=fetches, tile=tile, sums=tuple(s.ravel() for s in sums)),
        outer=1, fetch=1, bias=bias, accumulate=0, skip_list=skip, skip_target=skip, slots=slots.count, last_rows=ctx.last_rows(slots),
        y_count=grid.rows, x_count=grid.columns, **windows, **targets, bank_addr=0, psum_addr=0)
    return targets["t_tail"]


def swapped_tiles(config, block) -> tuple:
    """Input and output spans of the swapped role, in bricks: those that walk over the fewest bricks.

    A tile of i input bricks needs ``i * taps`` targets a lane, and one for the bias; and for each of them and each of its outputs an
    accumulator. Raises :class:`ConfigError` where not even one brick fits.
    """
    taps, lanes = block.kh * block.kw, config.lanes
    best = None
    for most in range(1, min(config.bricks(block.cin), (config.targets - 1) // taps) + 1):
        inputs = tiles.split(config.bricks(block.cin), most)
        fit = config.bank_words // (inputs[0].count * taps + 1)
        fit = config.bricks(block.cout) if fit >= block.cout else min(fit // lanes, config.targets)
        if not fit:
            break
        outputs = tiles.split(config.bricks(block.cout), min(fit, config.targets))
        walked = sum(i.count * taps + o.count + 1 for i in inputs for o in outputs)
        if best is None or walked < best[0]:
            best = walked, inputs, outputs
    if best is None:
        raise ConfigError(f"{block.name} weight-gradient, swapped: a lane would need {taps + 1} targets (targets) and {taps + 1} "
                          f"accumulators (bank_words) for each output of a brick, the configuration has {config.targets} and "
                          f"{config.bank_words}")
    return best[1:]


def can_swap(config, block) -> bool:
    """Whether the roles of ``block``'s weight-gradient pass can be swapped, without momentum."""
    if block.kind != "conv":
        return False
    try:
        return bool(swapped_tiles(config, block))
    except ConfigError:
        return False


def _swapped(ctx, block, gradient):
    config, lanes, taps = ctx.config, ctx.config.lanes, block.kh * block.kw
    if ctx.decay:
        raise ConfigError(f"{block.name} weight-gradient: momentum must be 0 where the roles are swapped, not {ctx.decay}")
    base, cob = ctx.program.weights[block.name], config.bricks(block.cout)
    ks, ns = swapped_tiles(config, block)
    turn = TURN if ctx.switches.tap_spread else 0
    for outputs in ns:
        co, outs = common.channels_of(outputs, block.cout, lanes)
        for inputs in ks:
            bias = inputs is ks[-1]
            first, count = common.channels_of(inputs, block.cin, lanes)
            parts = [min(lanes, count - b * lanes) for b in range(inputs.count)]
            words = (inputs.count * taps + bias) * outs
            _run(ctx, block, gradient, inputs, outputs, words, bias, _swapped_sums(block, lanes, turn, inputs, bias, co, outs),
                 _swapped_windows(ctx, block, turn, inputs, outs))
            loops = [({**weight_loop(wm_addr=base + outputs.first + (first + b * lanes) * cob, bank_addr=b * taps * outs,
                                     counts=(1, outs, taps), steps=(0, 1, block.cin * cob), rot=0, rot_steps=(1, block.cin), lanes=lanes),
                       "turn": 0, "turn_outer": turn % lanes}, part) for b, part in enumerate(parts)]
            if bias:
                loops.append(({**weight_loop(wm_addr=base + outputs.first + block.k * cob, bank_addr=inputs.count * taps * outs,
                                             counts=(1, outs, 1), steps=(0, 1, 0), rot=block.k, rot_steps=(1, 0), lanes=lanes),
                               "turn": lanes - 1, "turn_outer": 0}, 1))
            for loop, tail in loops:
                common.update(ctx, block, common.tile_name(inputs, outputs), loop, tail, spread=1, out_bricks=cob)


def _swapped_windows(ctx, block, turn, inputs, outs):
    """Fields of RUN that walk over the windows: target (brick b, tap) has the accumulators from ``(b * taps + tap) * outs`` on."""
    lanes, taps = ctx.config.lanes, block.kh * block.kw
    rows, columns = common.windows(block)
    return {
        **list_fields(ctx.program.places[block.source], 0, rows, columns, block.stride, inputs, lanes, 1, outs),
        "swap": 1, "k_brick": taps * outs, "k_bias": inputs.count * taps * outs,
        "turn_tap": turn % lanes, "turn_row": turn * block.kw % lanes,
        "turn_first_x": columns.skip * turn % lanes, "turn_first_y": rows.skip * turn * block.kw % lanes,
    }


def _swapped_sums(block, lanes, turn, inputs, bias, co, outs):
    """Where the weight gradients of a tile lie; see :class:`Note`."""
    taps = block.kh * block.kw
    ci, tap, o = (a.ravel() for a in np.meshgrid(np.arange(inputs.first * lanes, min(inputs.end * lanes, block.cin)), np.arange(taps),
                                                 np.arange(outs), indexing="ij"))
    b = ci // lanes - inputs.first
    parts = [((ci + turn * tap) % lanes, (b * taps + tap) * outs + o, co + o, tap * block.cin + ci)]
    if bias:
        o = np.arange(outs)
        parts.append((np.full(outs, lanes - 1), inputs.count * taps * outs + o, co + o, np.full(outs, block.k)))
    return [np.concatenate(arrays) for arrays in zip(*parts)]
