"""The value model of record: every word that training leaves in memory, from the network alone.

It knows nothing of tiles, programs or arrays, so an error in the compiler cannot hide in it.
"""

from collections import defaultdict
from dataclasses import dataclass, field

import numpy as np

from gradgate.arch.checks import integer
from gradgate.arch.formats import Formats
from gradgate.arch.network import Network
from gradgate.golden import fixed, layers, loss
from gradgate.golden.initial import he_normal
from gradgate.golden.ranges import Range

#: Forward, backward-data and weight-gradient of a kind of block.
PASSES = {
    "conv": (layers.forward, layers.backward_data, layers.weight_gradient),
    "depthwise": (layers.depthwise_forward, layers.depthwise_backward_data, layers.depthwise_weight_gradient),
}


@dataclass(frozen=True)
class Step:
    """What one step leaves behind. Tensors are int64 and named ``<block name>.<what>``, in the order they are computed:

    ====================  =======================  ===============  ===================================================
    name                  shape                    fraction bits    meaning
    ====================  =======================  ===============  ===================================================
    ``input``             (B, H, W, C)             act_frac         the images
    ``<block>.out``       (B, h, w, cout)          act_frac         the block's stored output, behind ReLU and pooling
    ``<block>.argmax``    (B, h, w, cout)          0                pooled blocks: choices ``2 * dy + dx``
    ``<block>.grad``      (B, h, w, cout)          grad_frac        gradient of ``out``, zero where a ReLU made it zero
    ``<block>.expanded``  (B, oh, ow, cout)        grad_frac        pooled blocks: gradient of the convolution's output
    ``<block>.wgrad``     (cout, k + 1)            act + grad_frac  weight gradient, summed over the batch, wrapped
    ``<block>.master``    (cout, k + 1)            master_frac      master weights after the update
    ``<block>.velocity``  (cout, k + 1)            master_frac      with momentum: velocities after the update
    ====================  =======================  ===============  ===================================================

    A step without training has ``input``, ``out`` and ``argmax`` only.
    """

    tensors: dict
    correct: int  #: images whose first largest logit is their label's
    #: final sums whose two top bits differ: forward where not dropped by pooling, backward-data where not masked,
    #: weight-gradient over the whole batch
    overflow: int
    predicted: np.ndarray  #: classes (B,)
    p: np.ndarray  #: probabilities (B, classes), ``grad_frac`` bits after the point
    labels: np.ndarray  #: (B,)
    formats: Formats
    #: ``{tensor: Range}`` of every ``out``, ``grad``, ``master`` and ``velocity``; a masked or pooled-away sum is no value
    ranges: dict = field(default_factory=dict)

    def loss(self) -> float:
        """Mean cross-entropy in nats, computed in floating point from the integer probabilities; for reports."""
        return loss.cross_entropy_nats(self.p, self.labels, self.formats)


class GoldenModel:
    """A network in training, in fixed point.

    :attr:`masters` is a list with one int64 array (cout, k + 1) for each block: ``master_bits`` wide, ``master_frac``
    bits after the point. Columns are in the order (kernel row, kernel column, input channel), channels fastest; the
    bias is the last. The initial masters are ``weights``, floats, rounded; without, those of :func:`he_normal` with ``seed``.
    :attr:`velocities`, used with momentum only, are arrays of the same shapes and format; they begin at zero.
    """

    def __init__(self, network: Network, formats: Formats, seed: int = 0, weights: list | None = None):
        self.network = network
        self.formats = formats
        weights = he_normal(network, seed) if weights is None else weights
        self.set_masters([fixed.quantise(w, formats.master_frac, formats.master_bits) for w in weights])
        self.velocities = [np.zeros_like(m) for m in self.masters]

    def set_masters(self, masters: list) -> None:
        """Replace the masters by copies of ``masters``; :class:`ValueError` for a wrong count, shape or range."""
        self.masters = self._copies("masters", masters)

    def set_velocities(self, velocities: list) -> None:
        """Replace the velocities by copies of ``velocities``; :class:`ValueError` as for :meth:`set_masters`."""
        self.velocities = self._copies("velocities", velocities)

    def _copies(self, what, arrays) -> list:
        """Checked int64 copies of ``arrays``, one for each block with weights."""
        copies = [np.array(m, np.int64) for m in arrays]
        shapes = [(block.cout, block.k + 1) for block in self.network.weighted]
        if [m.shape for m in copies] != shapes:
            raise ValueError(f"{what} must have the shapes {shapes}, not {[m.shape for m in copies]}")
        for block, m in zip(self.network.weighted, copies):
            _check_range(f"{what} of {block.name}", m, self.formats.master_bits)
        return copies

    def step(self, x: np.ndarray, labels: np.ndarray, lr_shift: int | None = None, train: bool = True,
             momentum: int = 0) -> Step:
        """Forward pass, loss and, with ``train``, both backward passes with the old weights and the update.

        ``x`` (B, H, W, C) has ``act_frac`` bits after the point; ``labels`` (B,) are 0 .. classes-1. The step is
        ``2**-lr_shift`` times the mean gradient of the batch. With ``momentum`` = m of 1..7, velocities decay by 1 - 2**-m and the
        step is added to them (:func:`fixed.update_momentum`); with 0 they stay as they are. Raises :class:`ValueError` for
        inputs of a wrong shape or range, and in training where B is not a power of two or the update's right shift is not in
        1..31; the masters are unchanged then.
        """
        x, labels = self._checked(x, labels)
        integer("momentum", momentum, 0, 7)
        shift = self._update_shift(len(x), lr_shift) if train else None
        weights = [fixed.working(m, self.formats) for m in self.masters]
        tensors, ranges = {"input": x}, defaultdict(Range)
        overflow = self._forward(weights, tensors, ranges)
        logits = tensors[f"{self.network.blocks[-1].name}.out"][:, 0, 0]
        result = loss.softmax_cross_entropy(logits, labels, self.formats)
        if train:
            overflow += self._backward(weights, result.dz[:, None, None], tensors, ranges)
            self._update(tensors, shift, momentum)
        for name, tensor in tensors.items():
            if name.endswith((".out", ".grad", ".master", ".velocity")):
                wide = name.endswith((".master", ".velocity"))
                ranges[name] += Range.of(tensor, self.formats.master_bits if wide else self.formats.act_bits)
        return Step(tensors, result.correct, overflow, result.predicted, result.p, labels, self.formats, dict(ranges))

    def _update(self, tensors, shift, momentum):
        """New masters and, with ``momentum``, velocities from every block's ``wgrad``; both are added to ``tensors``."""
        blocks, bits = self.network.weighted, self.formats.master_bits
        gradients = [tensors[f"{block.name}.wgrad"] for block in blocks]
        if momentum:
            pairs = [fixed.update_momentum(m, v, g, shift, momentum, bits)
                     for m, v, g in zip(self.masters, self.velocities, gradients)]
            self.masters, self.velocities = (list(side) for side in zip(*pairs))
            tensors |= {f"{block.name}.velocity": v for block, v in zip(blocks, self.velocities)}
        else:
            self.masters = [fixed.update(m, g, shift, bits) for m, g in zip(self.masters, gradients)]
        tensors |= {f"{block.name}.master": m for block, m in zip(blocks, self.masters)}

    def train(self, x: np.ndarray, labels: np.ndarray, order, lr_shift: int, momentum: int = 0) -> float:
        """One step for each index array in ``order``; returns the mean loss in nats."""
        return float(np.mean([self.step(x[i], labels[i], lr_shift, momentum=momentum).loss() for i in order]))

    def accuracy(self, x: np.ndarray, labels: np.ndarray, batch: int = 128) -> float:
        """Fraction of images whose predicted class is their label; ``batch`` images are computed at a time."""
        starts = range(0, len(x), batch)
        return sum(self.step(x[i:i + batch], labels[i:i + batch], train=False).correct for i in starts) / len(x)

    def _forward(self, weights, tensors, ranges) -> int:
        """Add every block's ``out`` and ``argmax`` to ``tensors``, and what rounding did to ``ranges``; returns the number of overflows."""
        formats, overflow = self.formats, 0
        weights = iter(weights)
        for block in self.network.blocks:
            x = tensors[block.source]
            if block.weighted:
                kernel, bias = _split(block, next(weights))
                acc = PASSES[block.kind][0](x, kernel, bias, block.stride, block.padding, formats)
                if block.pool:  # an odd last row or column belongs to no pooling window: its sums are not final, they are unused
                    acc = acc[:, :block.out_height // 2 * 2, :block.out_width // 2 * 2]
                overflow += fixed.count_overflow(acc, formats.acc_bits)
                y = fixed.requantise(acc, formats.weight_frac, formats.act_bits)
                ranges[f"{block.name}.out"] += Range.rounding(acc, y)
            else:
                y = layers.average(x, block.kh, block.kw)
            if block.add:
                y = fixed.saturate(y + tensors[block.add], formats.act_bits)
            if block.relu:
                y = layers.relu(y)
            if block.pool:
                y, choice = layers.pool(y)
            tensors[f"{block.name}.out"] = y
            if block.pool:
                tensors[f"{block.name}.argmax"] = choice
        return overflow

    def _backward(self, weights, dz, tensors, ranges) -> int:
        """Add every block's ``grad``, ``expanded`` and ``wgrad`` to ``tensors``, and what rounding did to ``ranges``; returns the number
        of overflows.

        The mask of a ReLU is ``out != 0`` and is applied where the gradient of ``out`` is made, so the gradient that leaves a
        block's pooling is that of its convolution's output, and of the residual added to it. A tensor that several blocks use has
        the saturated sum of their gradients, added from the last block to the first. Saturation passes the gradient.
        """
        formats, overflow = self.formats, 0
        blocks = self.network.blocks
        relu = {f"{block.name}.out": block.relu for block in blocks}
        weights = {block.name: w for block, w in zip(self.network.weighted, weights)}
        grads = {f"{blocks[-1].name}.out": dz}

        def contribute(tensor, gradient):
            if relu[tensor]:
                gradient = np.where(tensors[tensor] != 0, gradient, 0)
            grads[tensor] = fixed.saturate(grads[tensor] + gradient, formats.act_bits) if tensor in grads else gradient

        for block in reversed(blocks):
            x = tensors[block.source]
            tensors[f"{block.name}.grad"] = grad = grads[f"{block.name}.out"]
            if block.pool:
                grad = layers.expand(grad, tensors[f"{block.name}.argmax"], block.out_height, block.out_width)
                tensors[f"{block.name}.expanded"] = grad
            if block.add:
                contribute(block.add, grad)
            if not block.weighted:
                parts = layers.spread(grad, block.kh, block.kw)
                ranges[f"{block.source.removesuffix('.out')}.grad"] += Range.rounding(grad, parts, block.kh * block.kw)
                contribute(block.source, parts)
                continue
            dw, db = PASSES[block.kind][2](x, grad, block.kh, block.kw, block.stride, block.padding, formats)
            tensors[f"{block.name}.wgrad"] = wgrad = np.column_stack([dw.reshape(block.cout, -1), db])
            overflow += fixed.count_overflow(wgrad, formats.acc_bits)
            if block.source != "input":
                kernel, _ = _split(block, weights[block.name])
                acc = PASSES[block.kind][1](grad, kernel, block.height, block.width, block.stride, block.padding, formats)
                if block.input_relu:
                    acc = np.where(x != 0, acc, 0)
                overflow += fixed.count_overflow(acc, formats.acc_bits)
                part = fixed.requantise(acc, formats.weight_frac, formats.act_bits)
                ranges[f"{block.source.removesuffix('.out')}.grad"] += Range.rounding(acc, part)
                contribute(block.source, part)
        return overflow

    def _checked(self, x, labels) -> tuple:
        """``x`` and ``labels`` as int64 arrays of the right shape and range."""
        x, labels = np.asarray(x), np.asarray(labels)
        shape = (self.network.height, self.network.width, self.network.channels)
        if x.ndim != 4 or x.shape[1:] != shape or not len(x) or not np.issubdtype(x.dtype, np.integer):
            raise ValueError(f"x must be integers of shape (images,) + {shape}, not {x.dtype} {x.shape}")
        _check_range("x", x, self.formats.act_bits)
        if labels.shape != (len(x),) or not np.issubdtype(labels.dtype, np.integer):
            raise ValueError(f"labels must be integers of shape ({len(x)},), not {labels.dtype} {labels.shape}")
        if labels.min() < 0 or labels.max() >= self.network.classes:
            raise ValueError(f"labels must be 0 to {self.network.classes - 1}, not {labels.min()} to {labels.max()}")
        return x.astype(np.int64), labels.astype(np.int64)

    def _update_shift(self, batch, lr_shift) -> int:
        """The update's right shift for ``batch`` images."""
        if batch & (batch - 1):
            raise ValueError(f"the batch must be a power of two images for training, not {batch}")
        integer("lr_shift", lr_shift, -64, 64)
        shift = self.formats.update_shift(batch, lr_shift)
        if not 1 <= shift <= 31:
            raise ValueError(f"the update shift must be 1 to 31, not {shift} (batch {batch}, lr_shift {lr_shift})")
        return shift


def _split(block, w) -> tuple:
    """Kernel (cout, kh, kw, cin) and bias (cout,) of a block's weights (cout, k + 1)."""
    return w[:, :-1].reshape(block.cout, block.kh, block.kw, block.inputs), w[:, -1]


def _check_range(what, x, bits) -> None:
    """Raise :class:`ValueError` where ``x`` does not fit ``bits`` bits of two's complement."""
    if x.size and (x.min() < -(1 << (bits - 1)) or x.max() >= 1 << (bits - 1)):
        raise ValueError(f"{what} must fit {bits} bits, not range from {x.min()} to {x.max()}")
