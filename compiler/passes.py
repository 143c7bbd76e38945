"""The passes of a block as commands: forward, backward-data, weight-gradient with update."""

from dataclasses import dataclass

import numpy as np

from gradgate.arch.commands import Opcode
from gradgate.arch.config import Config
from gradgate.compiler import tiles
from gradgate.compiler.geometry import Axis, Grid, list_fields, tail_fields, target_fields
from gradgate.compiler.loops import post_levels, weight_loop
from gradgate.compiler.program import Note, Program
from gradgate.compiler.tiles import Span


@dataclass(frozen=True, kw_only=True)
class Switches:
    """Run-time switches. They change cycles, never results."""

    input_skip: bool = True  #: zeros of the list operand, and in WG of the target operand, cost nothing
    output_skip: bool = True  #: masked outputs of BD cost nothing


SPARSE = Switches()
DENSE = Switches(input_skip=False, output_skip=False)


@dataclass(frozen=True, kw_only=True)
class Context:
    """What every pass needs."""

    config: Config
    program: Program
    batch: int
    switches: Switches
    shift: int  #: of the weight update
    decay: int = 0  #: of velocities; 0: no momentum

    @property
    def slots(self) -> int:
        """Images of row 0."""
        return -(-self.batch // self.config.rows)

    def last_rows(self, slots: Span) -> int:
        """Rows that own an image in the last of ``slots``."""
        return min(self.config.rows, self.batch - (slots.end - 1) * self.config.rows)


def windows(block):
    """Window axes of forward and weight-gradient passes."""
    return (Axis(first=-block.padding, kernel=block.kh, size=block.height),
            Axis(first=-block.padding, kernel=block.kw, size=block.width))


def _channels(span, channels, lanes):
    """First channel and number of channels of a span of bricks."""
    return span.first * lanes, min(span.end * lanes, channels) - span.first * lanes


def _output_loops(ctx, block, inputs, outputs, bias):
    """WEIGHT_LOOP fields, one a command, that visit all (k, t) of a tile in bank order; bricks run along outputs."""
    lanes, cob = ctx.config.lanes, ctx.config.bricks(block.cout)
    base = ctx.program.weights[block.name] + outputs.first
    first, count = _channels(inputs, block.cin, lanes)
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


def _tile_name(inputs, outputs, extra=""):
    return f"k{inputs.first}+{inputs.count} n{outputs.first}+{outputs.count}{extra}"


def forward(ctx: Context, block):
    """Forward pass of ``block``, from its source to ``{block.name}.out``."""
    config, program, source = ctx.config, ctx.program, block.source
    x, out = program.places[source], program.places[f"{block.name}.out"]
    rows, columns = windows(block)
    step = 2 if block.pool else 1
    ks, ns = tiles.cut(config, f"{block.name} forward", taps=block.kh * block.kw, channels=block.cin, bias=True,
                       targets=config.bricks(block.cout), bank=config.bank_weights, positions=step * block.out_width)
    pool_rows = block.out_height // step * step  # the last odd row is not pooled
    name = f"{block.name}.out"
    for outputs in ns:
        parts = tiles.position_tiles(config, slots=ctx.slots, rows=pool_rows, columns=block.out_width, targets=outputs.count, step=step)
        for slots, span in parts:
            tail = tail_fields(block.cout, outputs, config.lanes)
            for inputs in ks:
                bias = inputs is ks[-1]
                tile = _tile_name(inputs, outputs, f" s{slots.first}+{slots.count} y{span.first}+{span.count}")
                if len(ks) > 1 or (slots, span) == parts[0]:
                    for loop in _output_loops(ctx, block, inputs, outputs, bias):
                        program.add(Opcode.LOAD, Note(phase="load", block=block.name, tile=tile), **loop, spread=0, out_bricks=0)
                program.add(
                    Opcode.RUN, Note(phase="FW", block=block.name, reads=source, tile=tile),
                    outer=0, fetch=0, bias=bias, accumulate=inputs is not ks[0], skip_list=ctx.switches.input_skip, skip_target=0,
                    slots=slots.count, last_rows=ctx.last_rows(slots), y_count=span.count, x_count=block.out_width,
                    **list_fields(x, slots.first, rows.at(span.first, block.stride), columns, block.stride, inputs, config.lanes,
                                  outputs.count),
                    **tail, t_addr=0, t_x=0, t_y=0, t_slot=0, bank_addr=0, psum_addr=0)
            finished = outputs is ns[-1] and (slots, span) == parts[-1]
            completes = (name,) + ((f"{block.name}.argmax",) if block.pool else ())
            post_forward(ctx, block, outputs, slots, span, tail["t_tail"], out, completes if finished else ())


def post_forward(ctx, block, outputs, slots, span, tail, out, completes):
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
    post(ctx, block, completes, add=bool(block.add), relu=block.relu, pool=block.pool, tail=tail, last_rows=ctx.last_rows(slots),
          dst_addr=out.base + first, aux_addr=aux, add_addr=residual, **loops)


def post(ctx, block, completes, **fields):
    """A POST command; fields left out are 0."""
    zero = dict.fromkeys(("rows", "choose", "add", "relu", "mask", "pool", "mean", "shift", "src_addr", "aux_addr", "add_addr"), 0)
    ctx.program.add(Opcode.POST, Note(phase="post", block=block.name, completes=completes), **{**zero, **fields})


def average(ctx: Context, block):
    """Average of ``block``'s source over windows."""
    x, out = ctx.program.places[block.source], ctx.program.places[f"{block.name}.out"]
    post(ctx, block, (f"{block.name}.out",), rows=1, mean=1, shift=block.mean_shift, tail=ctx.config.lanes, last_rows=ctx.config.rows,
          src_addr=x.base, dst_addr=out.base, **post_levels(
              wx=(block.kw, x.bricks, 0), wy=(block.kh, x.pitch, 0), t=(x.bricks, 1, 1), x=(out.width, block.kw * x.bricks, out.bricks),
              y=(out.height, block.kh * x.pitch, out.pitch), slot=(ctx.slots, x.slot, out.slot)))


def average_backward(ctx: Context, block):
    """Gradient of an average's source: every pixel of a window has its part."""
    x, dy = ctx.program.places[block.source], ctx.program.places[f"{block.name}.grad"]
    target = gradient_of(block.source)
    dx = ctx.program.places[target]
    post(ctx, block, (target,), rows=1, mask=block.input_relu, shift=block.mean_shift, tail=ctx.config.lanes, last_rows=ctx.config.rows,
          src_addr=dy.base, dst_addr=dx.base, aux_addr=x.base, **post_levels(
              wx=(block.kw, 0, dx.bricks), wy=(block.kh, 0, dx.pitch), t=(dx.bricks, 1, 1), x=(dy.width, dy.bricks, block.kw * dx.bricks),
              y=(dy.height, dy.pitch, block.kh * dx.pitch), slot=(ctx.slots, dy.slot, dx.slot)))


def gradient_of(tensor: str) -> str:
    """Name of the gradient of a block's output."""
    return tensor.removesuffix(".out") + ".grad"


def expand(ctx: Context, block):
    """Sends the gradient of the pooled output back to the convolution's output."""
    program = ctx.program
    grad, full = program.places[f"{block.name}.grad"], program.places[f"{block.name}.expanded"]
    choices = program.choices[f"{block.name}.argmax"]
    name = f"{block.name}.expanded"
    odd = (full.height % 2, full.width % 2)
    common = {"rows": 1, "choose": 1, "last_rows": ctx.config.rows}

    def completes(last):
        return (name,) if last else ()
    post(ctx, block, completes(odd == (0, 0)), **common, tail=ctx.config.lanes, src_addr=grad.base, dst_addr=full.base,
          aux_addr=choices.base, **post_levels(
              wx=(2, 0, full.bricks), wy=(2, 0, full.pitch), t=(grad.bricks, 1, 1), x=(grad.width, grad.bricks, 2 * full.bricks),
              y=(grad.height, grad.pitch, 2 * full.pitch), slot=(ctx.slots, grad.slot, full.slot)))
    # rows and columns that no pooling window covers have no gradient: a tail of no words makes zeros
    if odd[0]:
        post(ctx, block, completes(not odd[1]), **common, tail=0, dst_addr=full.base + (full.height - 1) * full.pitch,
              **post_levels(x=(full.pitch, 0, 1), slot=(ctx.slots, 0, full.slot)))
    if odd[1]:
        post(ctx, block, completes(True), **common, tail=0, dst_addr=full.base + full.pitch - full.bricks,
              **post_levels(x=(full.bricks, 0, 1), y=(full.height, 0, full.pitch), slot=(ctx.slots, 0, full.slot)))


def backward_data(ctx: Context, block, gradient: str, earlier: str | None = None, final: bool = True):
    """Gradient of ``block``'s source from ``gradient``, that of its convolution output; ``earlier`` is added to it.

    ``final``: nothing more will be added.

    With stride s the positions of the input fall into s x s phases; each is a convolution of stride 1 with the taps that reach it.
    """
    phases = [(y, x) for y in range(min(block.stride, block.height)) for x in range(min(block.stride, block.width))]
    for phase in phases:
        _backward_phase(ctx, block, gradient, earlier, phase, final and phase == phases[-1])


def phase_axis(phase, stride, kernel, padding, size):
    """(window axis over the gradient, taps in window order) of the input pixels ``phase + i * stride`` of one axis."""
    taps = list(range((phase + padding) % stride, kernel, stride))
    centre = (phase + padding) // stride
    return Axis(first=centre - len(taps) + 1, kernel=len(taps), size=size), taps[::-1]


def _backward_phase(ctx, block, gradient, earlier, phase, last_phase):
    config, program, lanes = ctx.config, ctx.program, ctx.config.lanes
    source = block.source
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
                tile = _tile_name(outputs, inputs, f" s{slots.first}+{slots.count} y{span.first}+{span.count}")
                if len(ks) > 1 or (slots, span) == parts[0]:
                    _load_spread(ctx, block, outputs, inputs, row_taps, column_taps, tile)
                program.add(
                    Opcode.RUN, Note(phase="BD", block=block.name, reads=gradient, targets=source, tile=tile),
                    outer=0, fetch=fetch, bias=0, accumulate=outputs is not ks[0], skip_list=ctx.switches.input_skip, skip_target=1,
                    slots=slots.count, last_rows=ctx.last_rows(slots), y_count=span.count, x_count=part.columns,
                    **list_fields(dy, slots.first, rows.at(span.first, 1), columns, 1, outputs, lanes, inputs.count),
                    **targets, bank_addr=0, psum_addr=0)
            done = last_phase and inputs is ns[-1] and (slots, span) == parts[-1]
            post_backward(ctx, block, earlier, inputs, slots, part, targets["t_tail"], done)


def post_backward(ctx: Context, block, earlier, inputs, slots, part, tail, done):
    """POST of a backward-data tile: ``inputs`` bricks of ``slots``, at the positions of grid ``part``."""
    target = gradient_of(block.source)
    x, dx = ctx.program.places[block.source], ctx.program.places[target]
    t, wide = inputs.count, part.columns
    x_step, y_step, slot_step = part.strides(dx)
    first = part.first(dx, slots.first) + inputs.first
    post(ctx, block, (target,) if done else (), add=earlier is not None, mask=block.input_relu, tail=tail,
         last_rows=ctx.last_rows(slots), dst_addr=first, aux_addr=first - dx.base + x.base,
         add_addr=first - dx.base + ctx.program.places[earlier].base if earlier else 0,
         **post_levels(t=(t, 1, 1), x=(wide, t, x_step), y=(part.rows, wide * t, y_step),
                       slot=(slots.count, part.rows * wide * t, slot_step)))


def phase_grid(block, phase) -> Grid:
    """Input pixels of a phase."""
    return Grid(rows=-(-(block.height - phase[0]) // block.stride), columns=-(-(block.width - phase[1]) // block.stride),
                y0=phase[0], x0=phase[1], step=block.stride)


def _load_spread(ctx, block, outputs, inputs, row_taps, column_taps, tile):
    """LOADs that put weights, bricks along inputs, at (window row, window column, output) x input brick."""
    lanes, cob = ctx.config.lanes, ctx.config.bricks(block.cout)
    base = ctx.program.weights[block.name]
    _, count = _channels(outputs, block.cout, lanes)
    if not (row_taps and column_taps):
        return
    # without a stride the taps of all rows, taken backwards, lie one behind the other
    groups = [row_taps[0]] if block.stride == 1 else row_taps
    taps = len(row_taps) * len(column_taps) // len(groups)
    for number, row in enumerate(groups):
        k = (row * block.kw + column_taps[0]) * block.cin + inputs.first * lanes
        step = -block.stride * block.cin
        ctx.program.add(Opcode.LOAD, Note(phase="load", block=block.name, tile=tile), spread=1, out_bricks=cob, **weight_loop(
            wm_addr=base + k * cob + outputs.first, bank_addr=number * taps * count * inputs.count,
            counts=(inputs.count, count, taps), steps=(lanes * cob, 1, step * cob), rot=k, rot_steps=(1, step), lanes=lanes))


def weight_gradient(ctx: Context, block, gradient: str):
    """Weight gradient of ``block`` and, at once, the update of its weights."""
    config, program, lanes, source = ctx.config, ctx.program, ctx.config.lanes, block.source
    x, dy = program.places[source], program.places[gradient]
    rows, columns = windows(block)
    grid = Grid(rows=block.out_height, columns=block.out_width)
    slots = Span(first=0, count=ctx.slots)
    ks, ns = tiles.cut(config, f"{block.name} weight-gradient", taps=block.kh * block.kw, channels=block.cin, bias=True,
                       targets=config.bricks(block.cout), bank=config.bank_words, positions=0)
    for outputs in ns:
        for inputs in ks:
            bias = inputs is ks[-1]
            first, count = _channels(inputs, block.cin, lanes)
            k = (np.arange(block.kh * block.kw)[:, None] * block.cin + first + np.arange(count)).ravel()
            k = np.append(k, block.k) if bias else k
            tile = _tile_name(inputs, outputs)
            targets = target_fields(dy, 0, grid, outputs, lanes)
            program.add(Opcode.CLEAR, Note(phase="load", block=block.name, tile=tile), words=len(k) * outputs.count)
            program.add(
                Opcode.RUN, Note(phase="WG", block=block.name, reads=source, targets=gradient, tile=tile,
                                 sums=(outputs.first, outputs.count, k)),
                outer=1, fetch=1, bias=bias, accumulate=0, skip_list=ctx.switches.input_skip, skip_target=ctx.switches.input_skip,
                slots=slots.count, last_rows=ctx.last_rows(slots), y_count=grid.rows, x_count=grid.columns,
                **list_fields(x, 0, rows, columns, block.stride, inputs, lanes, outputs.count), **targets, bank_addr=0, psum_addr=0)
            loops = _output_loops(ctx, block, inputs, outputs, bias)
            finished = outputs is ns[-1] and inputs is ks[-1]
            for loop in loops:
                update(ctx, block, tile, loop, targets["t_tail"], finished and loop is loops[-1])


def update(ctx: Context, block, tile: str, loop: dict, tail: int, last: bool, diagonal: bool = False):
    """An UPDATE command; ``last`` of the block."""
    completes = (f"{block.name}.master",) + ((f"{block.name}.velocity",) if ctx.decay else ())
    ctx.program.add(Opcode.UPDATE, Note(phase="update", block=block.name, tile=tile, completes=completes if last else ()), **loop,
                    shift=ctx.shift, tail=tail, decay=ctx.decay, diagonal=diagonal)
