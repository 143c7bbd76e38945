"""The memory plan: where tensors live, and for how long."""

from dataclasses import dataclass, replace

from gradgate.arch.block import INPUT
from gradgate.arch.weights import block_bricks
from gradgate.compiler.fit import Shortages
from gradgate.compiler.program import Place
from gradgate.compiler.step import lent, lifetimes


@dataclass(frozen=True)
class Life:
    """A tensor of ``size`` bricks that must be kept from task ``born`` to task ``dies``, both included."""

    name: str
    size: int
    born: int
    dies: int


def allocate(lives: list) -> dict:
    """First brick of every tensor, so that tensors that live during the same task do not overlap.

    Largest first, each at the lowest address that is free during its whole life.
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
    return result


def _shapes(network) -> dict:
    """(height, width, channels) of all that row memories and argmax memory may hold."""
    result = {INPUT: (network.height, network.width, network.channels), "labels": (1, 1, 1)}
    for block in network.blocks:
        result |= {f"{block.name}.{what}": block.final_shape for what in ("out", "argmax", "grad")}
        result[f"{block.name}.expanded"] = (block.out_height, block.out_width, block.cout)
    return result


def plan_rows(network, config, tasks, slots: int, short: Shortages) -> tuple:
    """Places of all tensors of ``tasks`` with ``slots`` images a row: (row memory places, argmax memory places)."""
    shapes = {name: Place(base=0, height=height, width=width, channels=channels, bricks=config.bricks(channels))
              for name, (height, width, channels) in _shapes(network).items()}
    lives = [Life(name, slots * shapes[name].slot, *life) for name, life in lifetimes(tasks).items() if name in shapes]

    def place(lives, memory, field):
        bases = allocate(lives)
        extent = max((bases[life.name] + life.size for life in lives), default=0)
        short.require(extent, getattr(config, field), memory=memory, field=field, unit="bricks")
        return {name: replace(shapes[name], base=base) for name, base in bases.items()}

    places = place([life for life in lives if not life.name.endswith(".argmax")], "row memory", "act_bricks")
    choices = place([life for life in lives if life.name.endswith(".argmax")], "argmax memory", "argmax_bricks")
    return places | {name: places[owner] for name, owner in lent(tasks).items()}, choices


def plan_weights(network, config, short: Shortages) -> dict:
    """First brick of every block in the weight memory."""
    need, result = 0, {}
    for block in network.weighted:
        result[block.name] = need
        need += block_bricks(block, config.lanes)
    short.require(need, config.weight_bricks, memory="weight memory", field="weight_bricks", unit="bricks")
    return result


def plan_staging(network, config, batch: int, short: Shortages) -> dict:
    """First staging word of the images and of the labels."""
    images = batch * network.height * network.width * network.channels
    short.require(images + batch, config.staging_words, memory="staging memory", field="staging_words", reason=f"a batch of {batch} needs")
    return {INPUT: 0, "labels": images}
