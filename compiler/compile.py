"""Network and configuration to program."""

from dataclasses import replace

from gradgate.arch.checks import ConfigError, integer
from gradgate.arch.commands import Opcode
from gradgate.compiler import backward_data, depthwise, forward, weight_gradient
from gradgate.compiler.context import SPARSE, Context, Switches
from gradgate.compiler.fit import Shortages
from gradgate.compiler.overlap import advance, clear_together, place_weights
from gradgate.compiler.plan import plan_rows, plan_staging, plan_weights
from gradgate.compiler.program import Note, Program
from gradgate.compiler.step import completed, inference_step, training_step
from gradgate.compiler.waits import add_waits, check_waits


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
    tasks = training_step(network, velocities=momentum > 0) if training else inference_step(network)
    program, short = Program(batch=batch), Shortages()
    ctx = Context(config=config, program=program, batch=batch, switches=switches, shift=shift, decay=momentum)
    program.places, program.choices = plan_rows(network, config, tasks, ctx.slots, short)
    program.weights = plan_weights(network, config, short)
    program.staging = plan_staging(network, config, batch, short)
    _emit(ctx, tasks, short)
    short.check()
    return program


def _emit(ctx, tasks, short):
    """All commands. What does not fit is added to ``short``; commands of that task are missing then."""
    config, program = ctx.config, ctx.program
    for task, complete in zip(tasks, completed(tasks)):
        short.attempt(_emit_task, ctx, task, complete)
    if short.failed:
        return  # how long the program would be is not known
    if ctx.switches.overlap:
        clear_together(config, program)
        place_weights(config, program)
        advance(program)
    add_waits(program, ctx.switches.overlap)
    check_waits(program.commands)
    short.require(len(program.words()), config.program_words, memory="program memory", field="program_words")
    short.require(len(program.commands), config.counters, memory="counter memory", field="counters", reason="the program needs")


def _emit_task(ctx, task, complete):
    """Commands of ``task``; the last one completes the tensors ``complete``."""
    EMITTERS[task.what](ctx, task)
    if complete:
        ctx.program.notes[-1] = replace(ctx.program.notes[-1], completes=complete)


def _inputs(ctx, task):
    """MOVEs of images and labels."""
    for name in task.writes:
        place = ctx.program.places[name]
        ctx.program.add(Opcode.MOVE, Note(), out=0, channels=place.channels, pixels=place.height * place.width,
                        images=ctx.batch, stage_addr=ctx.program.staging[name], row_addr=place.base, slot_step=place.slot)


def _loss(ctx, task):
    """The LOSS command, which makes gradients only where the task does."""
    logits, labels = (ctx.program.places[name] for name in task.reads)
    grads = ctx.program.places[task.writes[0]] if task.writes else logits
    ctx.program.add(Opcode.LOSS, Note(block=task.block.name), grad=bool(task.writes), classes=task.block.cout,
                    images=ctx.batch, logits=logits.base, logits_slot=logits.slot, labels=labels.base, labels_slot=labels.slot,
                    grads=grads.base, grads_slot=grads.slot)


def _by_kind(**emitters):
    """The emitter of a task that differs by its block's kind."""
    return lambda ctx, task: emitters[task.block.kind](ctx, task)


#: What emits the commands of a task, from a context and the task.
EMITTERS = {
    "inputs": _inputs,
    "forward": _by_kind(conv=forward.forward, depthwise=depthwise.forward, average=forward.average),
    "loss": _loss,
    "lend": lambda ctx, task: None,  # a second name needs no command
    "expand": backward_data.expand,
    "backward_data": _by_kind(conv=backward_data.backward_data, depthwise=depthwise.backward_data, average=backward_data.average_backward),
    "weight_gradient": _by_kind(conv=weight_gradient.weight_gradient, depthwise=depthwise.weight_gradient),
    "end": lambda ctx, task: ctx.program.add(Opcode.END, Note()),
}
