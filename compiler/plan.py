"""The memory plan: where tensors live, and for how long."""

from dataclasses import dataclass, replace

from gradgate.arch.weights import block_bricks
from gradgate.compiler.fit import Shortages
from gradgate.compiler.program import Place


@dataclass(frozen=True)
class Life:
    """A tensor of ``size`` bricks that must be kept from moment ``born`` to moment ``dies``, both included."""

    name: str
    size: int
    born: int
    dies: int


def allocate(lives: list) -> dict:
    """First brick of every tensor, so that tensors that live at the same moment do not overlap.

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


def _extent(lives, bases) -> int:
    """Bricks from 0 to the end of the last tensor."""
    return max((bases[life.name] + life.size for life in lives), default=0)


def aliases(network) -> dict:
    """Gradients that lie where another does, ``{name: other}``: of an output that is only added, without a ReLU, that of the sum."""
    return {f"{block.name}.grad": f"{network.adders(f'{block.name}.out')[0].name}.grad" for block in network.blocks
            if network.adders(f"{block.name}.out") and not network.consumers(f"{block.name}.out")}


class Moments:
    """When a step does what: block i's forward pass at i + 1, the loss, then for each block expand, backward-data, weight-gradient."""

    def __init__(self, network):
        self.network, self.last = network, len(network.blocks)
        self.index = {block.name: i for i, block in enumerate(network.blocks)}
        self.loss = self.last + 1
        self.end = self.last + 2 + 3 * self.last

    def forward(self, block) -> int:
        """Of the forward pass."""
        return self.index[block.name] + 1

    def expand(self, block) -> int:
        """Of the expansion; backward-data is one behind it, the weight-gradient two."""
        return self.last + 2 + 3 * (self.last - 1 - self.index[block.name])

    def output(self, tensor: str, training: bool) -> int:
        """Last use of an output, or of the input."""
        readers, adders = self.network.consumers(tensor), self.network.adders(tensor)
        uses = [self.forward(block) for block in readers + adders]
        uses += [self.expand(block) + 2 for block in readers if training]
        return max(uses, default=self.loss)

    def gradient_born(self, block) -> int:
        """First word of the gradient of ``block``'s output."""
        readers = self.network.consumers(f"{block.name}.out")
        return min((self.expand(reader) + 1 for reader in readers), default=self.loss)

    def gradient_dies(self, block) -> int:
        """Last use of the gradient of ``block``'s output: by the block, and by what it adds."""
        own = self.expand(block) if block.pool else self.expand(block) + 2
        if not block.add:
            return own
        other = self.network.blocks[self.index[block.add.removesuffix(".out")]]
        readers = self.network.consumers(block.add)
        used = self.expand(readers[-1]) + 1 if readers else self.gradient_dies(other)
        return max(own, used)


def plan_rows(network, config, slots: int, training: bool, short: Shortages) -> tuple:
    """Places of all tensors of a step with ``slots`` images a row: (row memory places, argmax memory places)."""
    moments = Moments(network)
    lives, shapes, choices = [], {}, {}

    def tensor(name, shape, born, dies):
        height, width, channels = shape
        shapes[name] = Place(base=0, height=height, width=width, channels=channels, bricks=config.bricks(channels))
        lives.append(Life(name, slots * shapes[name].slot, born, dies))

    tensor("input", (network.height, network.width, network.channels), 0, moments.output("input", training))
    tensor("labels", (1, 1, 1), 0, moments.loss)
    alias = aliases(network)
    for block in network.blocks:
        out = f"{block.name}.out"
        tensor(out, block.final_shape, moments.forward(block), moments.output(out, training))
        if block.pool:
            place = shapes[out]
            choices[f"{block.name}.argmax"] = (Life(f"{block.name}.argmax", slots * place.slot, moments.forward(block), moments.end), place)
        if training and f"{block.name}.grad" not in alias:
            tensor(f"{block.name}.grad", block.final_shape, moments.gradient_born(block), moments.gradient_dies(block))
        if training and block.pool:
            at = moments.expand(block)
            tensor(f"{block.name}.expanded", (block.out_height, block.out_width, block.cout), at, at + 2)
    choice_lives = [life for life, _ in choices.values()]
    bases, choice_bases = allocate(lives), allocate(choice_lives)
    short.require(_extent(lives, bases), config.act_bricks, memory="row memory", field="act_bricks", unit="bricks")
    short.require(_extent(choice_lives, choice_bases), config.argmax_bricks, memory="argmax memory", field="argmax_bricks", unit="bricks")
    places = {name: replace(place, base=bases[name]) for name, place in shapes.items()}
    for name, other in alias.items() if training else ():
        while other in alias:
            other = alias[other]
        places[name] = places[other]
    return places, {name: replace(place, base=choice_bases[name]) for name, (_, place) in choices.items()}


def plan_weights(network, config, short: Shortages) -> dict:
    """First brick of every block in the weight memory."""
    need, result = 0, {}
    for block in network.weighted:
        result[block.name] = need
        need += block_bricks(block, config.lanes)
    short.require(need, config.weight_bricks, memory="weight memory", field="weight_bricks", unit="bricks")
    return result
