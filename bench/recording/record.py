"""Trains a network with PyTorch on the CPU and records which activations and gradients are zero. Needs the extra ``record``."""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import torch
from torch.nn import functional as F

from gradgate.arch.checks import ConfigError
from gradgate.bench.recording.files import LayerMasks, Recording
from gradgate.bench.recording.images import vary
from gradgate.bench.recording.models import Model
from gradgate.training.datasets import DIGITS_TEST, batches, digits

CLASSES = 10
MOMENTUM = 0.9
THREADS = 2  #: of PyTorch; another number sums in another order, and training goes another way
CLIP = 5.0  #: largest norm of all gradients together, for networks without batch normalisation; they need it in the first steps
CALIBRATION = 64  #: training images that scale the initial weights
DENSE = 0.999  #: a gradient that is taken to be dense must have at least this part of words that are not zero
DENSE_LOGITS = 0.8  #: the same for the logits: the gradient of a class that the softmax is sure of may round to zero

#: Images of a step, and the learning rate.
SETTINGS = {"vgg16": (16, 0.005), "vgg16_bn": (16, 0.01), "resnet18": (32, 0.02), "googlenet": (32, 0.005), "densenet121": (32, 0.02),
            "mobilenet_v1": (32, 0.02)}


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What to record. ``points``: training steps, counted from 1, the last of which ends the training."""

    network: str
    side: int = 64
    seed: int = 0
    points: tuple = (10, 100, 300)
    images: int = 4
    batch: int = field(default=0)  #: 0: that of :data:`SETTINGS`
    rate: float = field(default=0.0)  #: 0: that of :data:`SETTINGS`

    def __post_init__(self):
        if self.network not in SETTINGS:
            raise ConfigError(f"network must be one of {', '.join(SETTINGS)}, not {self.network!r}")
        batch, rate = SETTINGS[self.network]
        object.__setattr__(self, "batch", self.batch or batch)
        object.__setattr__(self, "rate", self.rate or rate)
        if not 1 <= self.images <= self.batch:
            raise ConfigError(f"images with masks must be 1 to {self.batch}, a batch, not {self.images}")
        if not self.points or list(self.points) != sorted(set(self.points)) or self.points[0] < 1:
            raise ConfigError(f"recorded steps must ascend from 1, not {self.points!r}")


class Tap:
    """Takes the masks of one forward and backward pass: ``with Tap(model) as tap: ...``, then :attr:`masks` by layer."""

    def __init__(self, model: Model):
        self.model, self.x, self.dy, self._handles = model, {}, {}, []

    def __enter__(self) -> "Tap":
        for name, module in self.model.weighted.items():
            self._handles.append(module.register_forward_hook(self._hook(name)))
        return self

    def __exit__(self, *_):
        for handle in self._handles:
            handle.remove()

    @property
    def masks(self) -> dict:
        """:class:`LayerMasks` of the whole batch by name of the layer."""
        return {name: LayerMasks(self.x[name], self.dy[name]) for name in self.x}

    def _hook(self, name: str) -> Callable:
        def forward(_module, inputs, output):
            self.x[name] = _mask(inputs[0])
            output.register_hook(lambda gradient: self.dy.__setitem__(name, _mask(gradient)))
        return forward


def _mask(tensor: torch.Tensor) -> np.ndarray:
    """Where ``tensor`` of shape (N, C, H, W) or (N, C) is not exactly zero, of shape (N, H, W, C)."""
    mask = (tensor.detach() != 0).cpu().numpy()
    return mask.reshape(*mask.shape[:2], *(mask.shape[2:] or (1, 1))).transpose(0, 2, 3, 1)


def require_dense(layer, density: float) -> None:
    """Raise :class:`ConfigError` where the gradient of a layer that counts as dense has zeros."""
    limit = DENSE_LOGITS if layer.kind == "fc" else DENSE
    if layer.dense_gradient and density < limit:
        raise ConfigError(f"the gradient of layer {layer.name!r} should be dense, but {100 * (1 - density):.2f} % of it are zero")


def record(plan: Plan, progress: Callable[[int, int, float], None] = lambda done, total, loss: None) -> Recording:
    """Train as ``plan`` says and return the recording. ``progress(done, total, loss)`` is called after each step.

    Raises :class:`ConfigError` where a gradient that should be dense is not, or the loss is no longer a number.
    """
    torch.set_num_threads(THREADS)
    torch.manual_seed(plan.seed)
    generator = torch.Generator().manual_seed(plan.seed)
    data, rng = digits(plan.seed), np.random.default_rng(plan.seed)
    held_out = vary(torch.from_numpy(data.test_x[..., 0]), plan.side, generator)
    labels = torch.from_numpy(data.test_y)
    model = Model(plan.network, plan.side, CLASSES).to(memory_format=torch.channels_last)
    model.calibrate(vary(torch.from_numpy(data.train_x[:CALIBRATION, :, :, 0]), plan.side, generator))
    optimizer = torch.optim.SGD(model.parameters(), lr=plan.rate, momentum=MOMENTUM)
    points, masks, order = [], {}, iter(())
    for step in range(1, plan.points[-1] + 1):
        chosen = next(order, None)
        if chosen is None:
            order = batches(len(data.train_x), plan.batch, rng)
            chosen = next(order)
        x = vary(torch.from_numpy(data.train_x[chosen, :, :, 0]), plan.side, generator).contiguous(memory_format=torch.channels_last)
        y = torch.from_numpy(data.train_y[chosen])
        model.train()
        optimizer.zero_grad()
        if step in plan.points:
            with Tap(model) as tap:
                loss = _backward(model, x, y)
        else:
            loss = _backward(model, x, y)
        if not np.isfinite(loss):
            raise ConfigError(f"training of {plan.network} diverges at step {step}: the loss is {loss}")
        if not model.norms:
            torch.nn.utils.clip_grad_norm_(model.parameters(), CLIP)
        optimizer.step()
        if step in plan.points:
            masks[step] = {name: LayerMasks(m.x[:plan.images], m.dy[:plan.images]) for name, m in tap.masks.items()}
            density = {name: [round(float(m.x.mean()), 6), round(float(m.dy.mean()), 6)] for name, m in tap.masks.items()}
            for layer in model.table:
                require_dense(layer, density[layer.name][1])
            points.append({"step": step, "loss": round(loss, 4), "accuracy": round(accuracy(model, held_out, labels), 4),
                           "density": {layer.name: density[layer.name] for layer in model.table}})
        progress(step, plan.points[-1], loss)
    recording = Recording({
        "network": plan.network, "side": plan.side, "classes": CLASSES, "dataset": "digits", "seed": plan.seed, "batch": plan.batch,
        "images": plan.images, "rate": plan.rate, "momentum": MOMENTUM, "held_out": DIGITS_TEST, "torch": torch.__version__.split("+")[0],
        "points": points})
    for step, layers in masks.items():
        for name, mask in layers.items():
            recording.add(name, step, mask)
    return recording


def _backward(model: Model, x: torch.Tensor, y: torch.Tensor) -> float:
    """Gradients of the mean loss of a batch; returns the loss."""
    loss = F.cross_entropy(model(x), y)
    loss.backward()
    return loss.item()


def accuracy(model: Model, x: torch.Tensor, y: torch.Tensor, batch: int = 60) -> float:
    """Part of the images ``x`` that ``model`` classifies as ``y``, with the averages of its batch normalisations."""
    model.eval()
    with torch.no_grad():
        correct = sum(int((model(x[i:i + batch]).argmax(1) == y[i:i + batch]).sum()) for i in range(0, len(x), batch))
    return correct / len(x)
