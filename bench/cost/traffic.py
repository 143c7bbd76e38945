"""Words that a layer's passes move over the external port."""

from dataclasses import dataclass

WORD = 16  #: bits of an activation, a gradient or a weight that is only read
MASTER = 24  #: bits of a master weight


@dataclass(frozen=True, kw_only=True)
class Traffic:
    """Words moved in one pass: weights, activations and gradients of 16 bits, updates (master weights read and written) of 24."""

    weights: int = 0
    activations: int = 0
    gradients: int = 0
    updates: int = 0

    @property
    def bits(self) -> int:
        """All of them."""
        return WORD * (self.weights + self.activations + self.gradients) + MASTER * self.updates

    def cycles(self, port: int) -> float:
        """Cycles on a port of ``port`` bits a cycle."""
        return self.bits / port


def traffic(config, layer, cost, batch: int) -> Traffic:
    """Traffic of the pass of ``cost``, for a batch that does not stay on chip between passes.

    FW and BD read their list tensor and their mask, and write their result, once. Either the weights stay, a part that fits the
    weight memory at a time, and the list tensor is read again for each part; or images stay, as many as fit the row memories, and
    the weights are read again for each of these blocks: whichever moves less. WG: a tile's sums stay in the banks for the whole
    batch, so X and dY are read again and again unless they fit the row memories: the outer loop's part once if it fits, else once
    for each tile. Tensors are not compressed: zeros are moved too.
    """
    x, dy = (batch * h * w * c for h, w, c in ((layer.height, layer.width, layer.cin), (layer.out_height, layer.out_width, layer.cout)))
    room = config.act_bricks * config.rows * config.lanes  # words of all row memories
    if cost.role.startswith("WG"):
        cut = cost.cuts[0]
        inputs, outputs = len(cut.inputs), 1 if cut.paired else len(cut.outputs)
        if cut.paired:
            inputs = 1
        listed, target = (dy, x) if cost.role == "WG-Y" else (x, dy)

        def moved(inner, outer, inner_parts, outer_parts):  # the outer loop is over parts of ``outer``
            if inner + outer <= room:
                return inner, outer
            return inner * outer_parts, outer if outer // outer_parts <= room // 2 else outer * inner_parts
        ways = [moved(listed, target, inputs, outputs), moved(target, listed, outputs, inputs)[::-1]]
        listed, target = min(ways, key=sum)
        x, dy = (target, listed) if cost.role == "WG-Y" else (listed, target)
        return Traffic(activations=x, gradients=dy, updates=2 * layer.weights)
    listed, result = (x, dy) if cost.role == "FW" else (dy, x)
    held = config.lanes * config.weight_bricks
    # the weight memory holds masters; depthwise weights take a whole matrix for each brick of channels
    stored = layer.weights * (config.lanes if layer.kind == "depthwise" else 1)
    parts, blocks = -(-stored // held), -(-(listed + result) // room)
    weights, listed = min((layer.weights, listed * parts), (layer.weights * blocks, listed), key=sum)
    if cost.role == "FW":
        return Traffic(weights=weights, activations=listed + result)
    mask = x if layer.relu_input else 0
    return Traffic(weights=weights, activations=mask, gradients=listed + result)


