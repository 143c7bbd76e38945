"""The memory plan: where tensors live, and for how long."""

from dataclasses import dataclass

from gradgate.arch.checks import ConfigError
from gradgate.compiler.program import Place


@dataclass(frozen=True)
class Life:
    """A tensor of ``size`` bricks that must be kept from moment ``born`` to moment ``dies``, both included."""

    name: str
    size: int
    born: int
    dies: int


def allocate(lives: list, capacity: int, memory: str) -> dict:
    """First brick of every tensor, so that tensors that live at the same moment do not overlap.

    Largest first, each at the lowest address that is free during its whole life. Raises :class:`ConfigError` that names the
    memory and how many bricks it is short.
    """
    placed, result = [], {}
    for life in sorted(lives, key=lambda one: (-one.size, one.born, one.name)):
        base = 0
        for other_base, other in sorted(((b, o) for o, b in placed if o.born <= life.dies and life.born <= o.dies), key=lambda p: p[0]):
            if base + life.size <= other_base:
                break
            base = max(base, other_base + other.size)
        placed.append((life, base))
        result[life.name] = base
    need = max((result[life.name] + life.size for life in lives), default=0)
    if need > capacity:
        raise ConfigError(f"{memory} is {need - capacity} bricks short: the network needs {need}, the configuration has {capacity}")
    return result


def plan_rows(network, config, slots: int, training: bool) -> tuple:
    """Places of all tensors of a step with ``slots`` images a row: (row memory places, argmax memory places)."""
    blocks = network.blocks
    lives, shapes = [], {}
    last = len(blocks)
    backward = {block.name: last + 2 + 3 * (last - 1 - i) for i, block in enumerate(blocks)}
    end = last + 2 + 3 * last

    def tensor(name, shape, born, dies):
        height, width, channels = shape
        shapes[name] = Place(base=0, height=height, width=width, channels=channels, bricks=config.bricks(channels))
        lives.append(Life(name, slots * shapes[name].slot, born, dies))

    first = blocks[0]
    tensor("input", (first.height, first.width, first.cin), 0, backward[first.name] + 2 if training else 1)
    tensor("labels", (1, 1, 1), 0, last + 1)
    choices = {}
    for i, block in enumerate(blocks):
        following = blocks[i + 1] if i + 1 < last else None
        used = last + 1 if following is None else (backward[following.name] + 2 if training else i + 2)
        tensor(f"{block.name}.out", block.final_shape, i + 1, used)
        if training:
            at = backward[block.name]  # expand at `at`, backward-data at `at + 1`, weight-gradient at `at + 2`
            born = last + 1 if following is None else backward[following.name] + 1
            tensor(f"{block.name}.grad", block.final_shape, born, at if block.pool else at + 2)
            if block.pool:
                tensor(f"{block.name}.expanded", (block.out_height, block.out_width, block.cout), at, at + 2)
        if block.pool:
            place = shapes[f"{block.name}.out"]
            choices[f"{block.name}.argmax"] = (Life(f"{block.name}.argmax", slots * place.slot, i + 1, end), place)
    bases = allocate(lives, config.act_bricks, "row memory (act_bricks)")
    choice_bases = allocate([life for life, _ in choices.values()], config.argmax_bricks, "argmax memory (argmax_bricks)")

    def at_base(place, base):
        return Place(**{**place.__dict__, "base": base})
    return ({name: at_base(place, bases[name]) for name, place in shapes.items()},
            {name: at_base(place, choice_bases[name]) for name, (_, place) in choices.items()})


def plan_weights(network, config) -> dict:
    """First brick of every block in the weight memory."""
    lives = [Life(b.name, (b.k + 1) * config.bricks(b.cout), 0, 0) for b in network.blocks]
    need, result = 0, {}
    for life in lives:
        result[life.name] = need
        need += life.size
    if need > config.weight_bricks:
        raise ConfigError(f"weight memory (weight_bricks) is {need - config.weight_bricks} bricks short: the network needs {need}, "
                          f"the configuration has {config.weight_bricks}")
    return result
