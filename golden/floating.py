"""The same network in floating point, with the true softmax: reference for accuracy, and check of the integer model."""

import numpy as np

from gradgate.arch.network import Network
from gradgate.golden import layers
from gradgate.golden.initial import he_normal


def sums(block, weights, x) -> tuple:
    """Windows (B, OH, OW, k) of ``x`` and the sums (B, OH, OW, cout) of a block with weights (cout, k + 1)."""
    columns = layers.windows(x, block.kh, block.kw, block.stride, block.padding)
    if block.kind == "depthwise":
        columns = columns.reshape(*columns.shape[:3], -1, block.cout)
        return columns, (columns * weights[:, :-1].T).sum(axis=3) + weights[:, -1]
    return columns, columns @ weights[:, :-1].T + weights[:, -1]


def compute(block, weights, outputs: dict) -> tuple:
    """Windows, output and choices of a block, see :meth:`FloatModel.forward`; ``outputs`` has those of the blocks before it."""
    x, columns, choice = outputs[block.source], None, None
    if block.weighted:
        columns, y = sums(block, weights, x)
    else:
        b, h, wide, c = x.shape
        y = x.reshape(b, h // block.kh, block.kh, wide // block.kw, block.kw, c).mean(axis=(2, 4))
    if block.add:
        y = y + outputs[block.add]
    if block.relu:
        y = layers.relu(y)
    if block.pool:
        y, choice = layers.pool(y)
    return columns, y, choice


class FloatModel:
    """A network in training, in ``dtype`` (float32 or float64), by stochastic gradient descent, plain or with momentum.

    :attr:`weights` is a list with one array (cout, k + 1) for each block, in the order of ``GoldenModel.masters``. The
    initial ones are :func:`~gradgate.golden.initial.he_normal`'s of ``seed``: the integer model's but for rounding.
    :attr:`velocities` are arrays of the same shapes, zero at first.
    """

    def __init__(self, network: Network, seed: int = 0, dtype=np.float32):
        self.network = network
        self.dtype = np.dtype(dtype)
        self.set_weights(he_normal(network, seed))
        self.velocities = [np.zeros_like(w) for w in self.weights]

    def set_weights(self, weights: list) -> None:
        """Replace the weights by copies of ``weights``. Raises :class:`ValueError` for a wrong count or shape."""
        shapes = [(block.cout, block.k + 1) for block in self.network.weighted]
        if [np.shape(w) for w in weights] != shapes:
            raise ValueError(f"weights must have the shapes {shapes}, not {[np.shape(w) for w in weights]}")
        self.weights = [np.array(w, self.dtype) for w in weights]

    def forward(self, x: np.ndarray) -> dict:
        """For ``x`` (B, H, W, C), what each block computes: ``{name: (windows, output, choices)}``.

        Windows have the shape (B, OH, OW, k), None for an average; the output is that behind ReLU and pooling; choices are
        None where nothing is pooled.
        """
        outputs, trace = {"input": np.asarray(x, self.dtype)}, {}
        weights = iter(self.weights)
        for block in self.network.blocks:
            trace[block.name] = compute(block, next(weights) if block.weighted else None, outputs)
            outputs[f"{block.name}.out"] = trace[block.name][1]
        return trace

    def logits(self, x: np.ndarray) -> np.ndarray:
        """Logits (B, classes)."""
        return self.forward(x)[self.network.blocks[-1].name][1][:, 0, 0]

    def gradients(self, x: np.ndarray, labels: np.ndarray) -> tuple:
        """Mean cross-entropy in nats, and each block's gradient (cout, k + 1) of it."""
        trace, images = self.forward(x), np.arange(len(labels))
        z = trace[self.network.blocks[-1].name][1][:, 0, 0]
        z = z - z.max(axis=1, keepdims=True)
        log_sum = np.log(np.exp(z).sum(axis=1, keepdims=True))
        dz = np.exp(z - log_sum)
        dz[images, labels] -= 1
        value = float(np.mean(log_sum[:, 0] - z[images, labels]))
        return value, self._backward(trace, (dz / len(labels))[:, None, None])

    def step(self, x: np.ndarray, labels: np.ndarray, rate: float, momentum: int = 0) -> float:
        """One step at learning rate ``rate``; returns the mean cross-entropy before it, in nats.

        With ``momentum`` = m > 0, velocities ``v = (1 - 2**-m) * v + rate * gradient`` are subtracted instead of the steps.
        """
        value, gradients = self.gradients(x, labels)
        steps = [self.dtype.type(rate) * g for g in gradients]
        if momentum:
            keep = self.dtype.type(1 - 2.0 ** -momentum)
            steps = self.velocities = [keep * v + s for v, s in zip(self.velocities, steps)]
        self.weights = [w - s for w, s in zip(self.weights, steps)]
        return value

    def train(self, x: np.ndarray, labels: np.ndarray, order, rate: float, momentum: int = 0) -> float:
        """One step for each index array in ``order``; returns the mean loss in nats."""
        return float(np.mean([self.step(x[i], labels[i], rate, momentum) for i in order]))

    def accuracy(self, x: np.ndarray, labels: np.ndarray, batch: int = 128) -> float:
        """Fraction of images whose largest logit is their label's; ``batch`` images are computed at a time."""
        parts = [self.logits(x[i:i + batch]).argmax(axis=1) for i in range(0, len(x), batch)]
        return float(np.mean(np.concatenate(parts) == labels))

    def _backward(self, trace, grad) -> list:
        """Gradients of all weights from the gradient ``grad`` (B, 1, 1, classes) of the logits."""
        blocks, gradients = self.network.blocks, []
        weights = {block.name: w for block, w in zip(self.network.weighted, self.weights)}
        grads = {f"{blocks[-1].name}.out": grad}

        def contribute(tensor, gradient):
            grads[tensor] = grads[tensor] + gradient if tensor in grads else gradient

        for block in reversed(blocks):
            columns, out, choice = trace[block.name]
            grad = grads[f"{block.name}.out"]
            if block.relu:
                grad = grad * (out > 0)
            if block.pool:
                grad = layers.expand(grad, choice, block.out_height, block.out_width)
            if block.add:
                contribute(block.add, grad)
            if not block.weighted:
                contribute(block.source, (grad / (block.kh * block.kw)).repeat(block.kh, axis=1).repeat(block.kw, axis=2))
                continue
            flat = grad.reshape(-1, block.cout)
            if block.kind == "depthwise":
                dw = (columns.reshape(len(flat), -1, block.cout) * flat[:, None]).sum(axis=0).T
            else:
                dw = flat.T @ columns.reshape(len(flat), -1)
            gradients.append(np.column_stack([dw, flat.sum(axis=0)]))
            if block.source != "input":
                w = weights[block.name][:, :-1]
                back = (grad[..., None, :] * w.T).reshape(*grad.shape[:3], -1) if block.kind == "depthwise" else grad @ w
                contribute(block.source, layers.scatter(back, block.height, block.width, block.kh,
                                                        block.kw, block.stride, block.padding))
        return gradients[::-1]
