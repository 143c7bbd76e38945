"""Network and configuration to program."""

from gradgate.arch.block import INPUT
from gradgate.arch.checks import ConfigError, integer
from gradgate.arch.commands import Opcode
from gradgate.compiler import backward_data, common, depthwise, forward, weight_gradient
from gradgate.compiler.context import SPARSE, Context, Switches
from gradgate.compiler.fit import Shortages
from gradgate.compiler.overlap import load_ahead
from gradgate.compiler.plan import plan_rows, plan_weights
from gradgate.compiler.program import Note, Program

#: Passes of each kind of block: forward; backward-data and weight-gradient.
FORWARD = {"conv": forward.forward, "depthwise": depthwise.forward, "average": forward.average}
BACKWARD = {"conv": (backward_data.backward_data, weight_gradient.weight_gradient),
            "depthwise": (depthwise.backward_data, depthwise.weight_gradient)}


def compile_step(network, config, *, batch: int, lr_shift: int = 2, training: bool = True,
                 switches: Switches = SPARSE, momentum: int = 0) -> Program:
    """The program of one training step (or, without ``training``, of counting correct predictions) of ``batch`` images.

    ``momentum`` = m > 0: velocities decay by 1 - 2**-m a step, which makes the effective learning rate ``2**(m - lr_shift)``.
    Raises :class:`~gradgate.compiler.fit.DoesNotFit` when memories are too small, with all that are, and :class:`ConfigError` for
    anything else that cannot be.
    """
    integer("batch", batch, 1, 4096)
    integer("momentum", momentum, 0, 7)
    if momentum and not config.momentum:
        raise ConfigError(f"momentum must be 0 for the configuration {config.name}, which has no velocities (set momentum = true in "
                          f"it), not {momentum}")
    shift = config.formats.update_shift(batch, lr_shift)
    if training:
        if batch & (batch - 1):
            raise ConfigError(f"batch must be a power of two for training, not {batch}")
        integer(f"update shift ({shift - lr_shift} + lr_shift)", shift, 1, 31)
    unknown = switches.swapped - {block.name for block in network.weighted if block.kind == "conv"}
    if unknown:
        raise ConfigError(f"swapped must name convolutions or dense layers of the network, not {min(unknown)!r}")
    slots = -(-batch // config.rows)
    program, short = Program(batch=batch), Shortages()
    program.places, program.choices = plan_rows(network, config, slots, training, short)
    program.weights = plan_weights(network, config, short)
    ctx = Context(config=config, program=program, batch=batch, switches=switches, shift=shift, decay=momentum)
    _emit(ctx, network, training, short)
    short.check()
    return program


def _emit(ctx, network, training, short):
    """All commands. What does not fit is added to ``short``; commands of that pass are missing then."""
    config, program = ctx.config, ctx.program
    short.attempt(_inputs, ctx, network, short)
    for block in network.blocks:
        short.attempt(FORWARD[block.kind], ctx, block)
    short.attempt(_loss, ctx, network, training)
    if training:
        _backward(ctx, network, short)
    program.add(Opcode.END, Note(phase="end"))
    if short.failed:
        return  # how long the program would be is not known
    if ctx.switches.overlap:
        load_ahead(config, program)
    short.require(len(program.words()), config.program_words, memory="program memory", field="program_words")
    short.require(len(program.commands), config.counters, memory="counter memory", field="counters", reason="the program needs")


def _backward(ctx, network, short):
    """Backward passes and updates, from the last block to the first.

    The gradient of an output that several blocks use grows from the last to the first: a block that adds the output only lends its
    own gradient; the backward-data passes of the blocks that read it add their parts.
    """
    grown = {}  # output: the tensor that holds its gradient so far
    for block in reversed(network.blocks):
        gradient = f"{block.name}.grad"
        if block.pool:
            short.attempt(backward_data.expand, ctx, block)
            gradient = f"{block.name}.expanded"
        if block.add:
            grown[block.add] = gradient
        if not block.weighted:
            short.attempt(backward_data.average_backward, ctx, block)
            continue
        to_input, to_weights = BACKWARD[block.kind]
        if block.source != INPUT:
            final = block is network.consumers(block.source)[0]
            short.attempt(to_input, ctx, block, gradient, grown.get(block.source), final)
            grown[block.source] = common.gradient_of(block.source)
        short.attempt(to_weights, ctx, block, gradient)


def _inputs(ctx, network, short):
    """MOVEs of images and labels."""
    images = ctx.batch * network.height * network.width * network.channels
    ctx.program.staging = {"input": 0, "labels": images}
    short.require(images + ctx.batch, ctx.config.staging_words, memory="staging memory", field="staging_words",
                  reason=f"a batch of {ctx.batch} needs")
    for name, channels, pixels in (("input", network.channels, network.height * network.width), ("labels", 1, 1)):
        place = ctx.program.places[name]
        ctx.program.add(Opcode.MOVE, Note(phase="move"), out=0, channels=channels, pixels=pixels, images=ctx.batch,
                        stage_addr=ctx.program.staging[name], row_addr=place.base, slot_step=place.slot)


def _loss(ctx, network, training):
    """The LOSS command."""
    places, last = ctx.program.places, network.blocks[-1].name
    logits, labels = places[f"{last}.out"], places["labels"]
    grads = places[f"{last}.grad"] if training else logits
    ctx.program.add(Opcode.LOSS, Note(phase="loss", block=last, completes=(f"{last}.grad",) if training else ()),
                    grad=training, classes=network.classes, images=ctx.batch, logits=logits.base, logits_slot=logits.slot,
                    labels=labels.base, labels_slot=labels.slot, grads=grads.base, grads_slot=grads.slot)
