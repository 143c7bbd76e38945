"""The order of a step, written once, as a list of tasks: commands are emitted in it, and tensors are kept as long as it names them."""

from dataclasses import dataclass

from gradgate.arch.block import INPUT, Block


@dataclass(frozen=True)
class Task:
    """A pass over whole tensors, which have the names of :class:`~gradgate.golden.model.Step`; ``labels`` are those of the images.

    what   : its emitter, in :data:`gradgate.compiler.compile.EMITTERS`
    block  : whose pass it is; None for what belongs to the whole network
    reads  : tensors it needs, the one its list or source comes from first
    writes : tensors it makes, or adds to
    """

    what: str
    block: Block | None
    reads: tuple
    writes: tuple


#: Images and labels come in.
INPUTS = Task("inputs", None, (), (INPUT, "labels"))


def inference_step(network) -> list:
    """Tasks that count correct predictions."""
    return [INPUTS, *map(_forward, network.blocks), _loss(network, ()), _end(network)]


def training_step(network, velocities: bool = False) -> list:
    """Tasks of a step of training; with ``velocities`` the updates write these too."""
    gradient = f"{network.blocks[-1].name}.grad"
    return [INPUTS, *map(_forward, network.blocks), _loss(network, (gradient,)), *_backward(network, velocities), _end(network)]


def _forward(block):
    residual = (block.add,) if block.add else ()
    choices = (f"{block.name}.argmax",) if block.pool else ()
    return Task("forward", block, (block.source, *_weights(block), *residual), (f"{block.name}.out", *choices))


def _loss(network, gradients):
    last = network.blocks[-1]
    return Task("loss", last, (f"{last.name}.out", "labels"), gradients)


def _backward(network, velocities):
    """From the last block to the first: expand where pooled, backward-data, weight gradient with update.

    The gradient of an output that several blocks use grows from the last to the first: a block that adds the output only lends its
    own gradient; the backward-data passes of the blocks that read it add their parts. Where none reads it, that gradient is all.
    """
    grown = {}  # output: the tensor that holds its gradient so far
    for block in reversed(network.blocks):
        gradient = f"{block.name}.grad"
        if block.pool:
            yield Task("expand", block, (gradient, f"{block.name}.argmax"), (f"{block.name}.expanded",))
            gradient = f"{block.name}.expanded"
        if block.add:
            grown[block.add] = gradient
            if not network.consumers(block.add):
                yield Task("lend", block, (gradient,), (_gradient_of(block.add),))
        if block.source != INPUT:
            earlier = (grown[block.source],) if block.source in grown else ()
            grown[block.source] = _gradient_of(block.source)
            yield Task("backward_data", block, (gradient, block.source, *_weights(block), *earlier), (grown[block.source],))
        if block.weighted:
            written = _weights(block) + ((f"{block.name}.velocity",) if velocities else ())
            yield Task("weight_gradient", block, (gradient, block.source), written)


def _end(network):
    """Choices of pooling are kept to the end, where a host can read them."""
    return Task("end", None, tuple(f"{block.name}.argmax" for block in network.blocks if block.pool), ())


def _weights(block) -> tuple:
    return (f"{block.name}.master",) if block.weighted else ()


def _gradient_of(tensor: str) -> str:
    """Name of the gradient of a block's output."""
    return tensor.removesuffix(".out") + ".grad"


def lent(tasks) -> dict:
    """Tensors that are another one under a second name, ``{name: the other}``."""
    result = {}
    for task in tasks:
        if task.what == "lend":
            result[task.writes[0]] = result.get(task.reads[0], task.reads[0])
    return result


def lifetimes(tasks) -> dict:
    """``{tensor: (born, dies)}``: numbers of the first and the last task that names it, by whichever of its names."""
    owners, result = lent(tasks), {}
    for number, task in enumerate(tasks):
        for name in task.reads + task.writes:
            name = owners.get(name, name)
            result[name] = result.get(name, (number,))[0], number
    return result


def completed(tasks) -> list:
    """Of each task the tensors that are complete after it, for the comparison; what is only moved or lent is not computed."""
    last = {name: task for task in tasks if task.what not in ("inputs", "lend") for name in task.writes}
    return [tuple(name for name in task.writes if last.get(name) is task) for task in tasks]
