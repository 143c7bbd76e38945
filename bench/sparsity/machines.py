"""What skipping zeros saves in the passes of networks: cycles of every layer from recorded zeros."""

import functools
import os
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, field, replace
from multiprocessing import get_context
from pathlib import Path

import numpy as np

from gradgate.arch.checks import ConfigError
from gradgate.arch.config import PRESETS, Config
from gradgate.bench.cost.estimate import COARSE, FINE, Sample, best
from gradgate.bench.cost.ideal import effectual
from gradgate.bench.cost.tiles import Options
from gradgate.bench.cost.traffic import traffic
from gradgate.bench.cost.walks import PASSES
from gradgate.bench.recording.files import Recording
from gradgate.bench.recording.masks import dense_masks, masks_of
from gradgate.bench.recording.networks import NETWORKS
from gradgate.tune.balance import dealt

BATCH = 32
PORTS = {"base": 64, "paper": 512}  #: bits of the external port


@dataclass(frozen=True, kw_only=True)
class Variant:
    """A machine, or a part of it switched off. ``options``: bias and mask follow from the layer."""

    name: str = "all"
    options: Options = Options()
    roles: tuple = ("WG-X", "WG-Y")  #: weight-gradient roles to choose from; where none fits, WG-X
    dealt: str = ""  #: channels are dealt to lanes by the density measured at the recorded point "before", or at the "same"
    turns: tuple = (1,)  #: BD: copies of a tile's weights to choose from, see :class:`Options`
    overlap: bool = False  #: LOADs run during the RUN before, in half of each bank


DENSE = Variant(name="dense", options=Options(input_skip=False, output_skip=False))


@dataclass(frozen=True, kw_only=True)
class Task:
    """One layer of a network at a recorded point on one machine."""

    network: str
    layer: int
    point: int
    config: str
    variant: Variant = Variant()
    batch: int = BATCH
    coarse: Sample = COARSE
    fine: Sample = FINE
    recordings: str | None = None  #: directory of NETWORK.npz files, instead of those of the package


@dataclass(kw_only=True)
class PassResult:
    """A pass of a layer over a batch. Cycles, unless said otherwise.

    ideal : multiplications where both factors count, by PEs; run : of the RUNs; load, clear, post, update, issue : around them
    traffic : on the external port; macs : multiplications where both factors count; role : FW, BD, WG-X or WG-Y
    """

    role: str
    macs: int
    ideal: float
    run: float
    load: float
    clear: float
    post: float
    update: float
    issue: float
    traffic: float
    lanes: float = 0  #: cycles of the busiest lane of each RUN, mean over the rows of the array
    rows: float = 0  #: of the busiest lane of the busiest row
    words: dict = field(default_factory=dict)
    size: tuple = ()

    @property
    def total(self) -> float:
        """Of the array: RUNs and what is around them."""
        return self.run + self.load + self.clear + self.post + self.update + self.issue


@functools.lru_cache(maxsize=2)
def recording_of(network: str, directory: str | None = None) -> Recording:
    """The recording of a network, kept for the next task. Raises :class:`ConfigError` where there is none."""
    return Recording.load(network) if directory is None else Recording.read(Path(directory) / f"{network}.npz")


def _channel_density(layer, recording, point: int, when: str) -> tuple:
    """Density of every channel of X and dY at ``point`` or, ``when`` "before", at the recorded point before it (if there is one)."""
    points = recording.points
    masks = recording.layer(layer.name, points[max(0, points.index(point) - (when == "before"))])
    return tuple(mask.mean(axis=(0, 1, 2))[np.arange(count) % mask.shape[-1]]
                 for mask, count in ((masks.x, layer.cin), (masks.dy, layer.cout)))


def options_of(layer, options: Options) -> Options:
    """``options`` for a layer: batch normalisation takes the place of the bias, and only a ReLU gives BD a mask."""
    return replace(options, bias=not layer.dense_gradient or layer.kind == "fc", output_skip=options.output_skip and layer.relu_input)


def _processed(layer, masks, options: Options, lanes: int, batch: int) -> dict:
    """Multiplications {FW, BD, WG} that a machine with some skipping switched off does."""
    full = dense_masks(layer, lanes)
    dy, masked = masks.dy if options.input_skip else full.dy, masks.x if options.output_skip else full.x
    result = effectual(layer, masks if options.input_skip else full, batch)
    return {**result, "BD": effectual(layer, replace(masks, x=masked, dy=dy), batch)["BD"]}


def evaluate(task: Task) -> dict:
    """``{pass: PassResult}`` of a layer. The first layer has no BD: nothing needs the gradient of the images."""
    config = Config.load(task.config)
    variant = task.variant
    layer = NETWORKS[task.network][task.layer]
    if not (variant.options.input_skip or variant.options.output_skip):
        masks = dense_masks(layer, config.lanes)
    else:
        recording = recording_of(task.network, task.recordings)
        recorded, orders = recording.layer(layer.name, task.point), ()
        if variant.dealt:
            orders = tuple(dealt(one, config.lanes) for one in _channel_density(layer, recording, task.point, variant.dealt))
        masks = masks_of(layer, config.lanes, recorded.x, recorded.dy, *orders)
    options = options_of(layer, variant.options)
    macs = effectual(layer, masks, task.batch)
    done = macs if options.input_skip and variant.options.output_skip else _processed(layer, masks, options, config.lanes, task.batch)
    result = {}
    for name, roles in (("FW", ("FW",)), ("BD", ("BD",)), ("WG", variant.roles)):
        if name == "BD" and task.layer == 0:
            continue
        costs = [best(config, layer, role, masks, replace(options, turns=turns), task.batch, variant.overlap, task.coarse, task.fine)
                 for role in roles for turns in (variant.turns if name == "BD" else (1,))]
        if name == "WG" and not any(costs):
            costs = [best(config, layer, "WG-X", masks, options, task.batch, variant.overlap, task.coarse, task.fine)]
        costs = [cost for cost in costs if cost is not None]
        if not costs:
            raise ConfigError(f"{task.network}, layer {layer.name}: no tile of its {name} pass fits the configuration {config.name}")
        cost = min(costs, key=lambda one: one.total)
        moved, around = traffic(config, layer, cost, task.batch), cost.around
        # the sample gives cycles a multiplication; the multiplications of the whole batch are counted
        scale = done[name] / cost.macs if cost.macs and layer.kind != "depthwise" else 1
        result[name] = PassResult(
            role=cost.role, macs=macs[name], ideal=macs[name] / config.pes, run=cost.run * scale,
            lanes=cost.lanes[0] * scale, rows=cost.lanes[1] * scale, load=around.load, clear=around.clear,
            post=around.post, update=around.update, issue=around.issue, traffic=moved.cycles(PORTS.get(task.config, 64)),
            words={kind: getattr(moved, kind) for kind in ("weights", "activations", "gradients", "updates")}, size=cost.size)
    return result


def run(tasks: list, progress=lambda: None, workers: int | None = None) -> dict:
    """``{task: {pass: PassResult}}``; ``progress`` is called after each. Processes, one for each processor."""
    workers = min(workers or len(os.sched_getaffinity(0)), len(tasks))
    result = {}
    if workers <= 1:
        for task in tasks:
            result[task] = evaluate(task)
            progress()
        return result
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        waiting = {pool.submit(evaluate, task): task for task in tasks}
        for future in as_completed(waiting):
            result[waiting[future]] = future.result()
            progress()
    return result


def tasks_of(network: str, config: str, variant: Variant, point: int, **given) -> list:
    """A task for each layer of a network. Raises :class:`ConfigError` for names that are not known."""
    if network not in NETWORKS:
        raise ConfigError(f"network must be one of {', '.join(NETWORKS)}, not {network!r}")
    if config not in PRESETS:
        raise ConfigError(f"config must be one of {', '.join(PORTS)} or both, not {config!r}")
    return [Task(network=network, layer=i, point=point, config=config, variant=variant, **given) for i in range(len(NETWORKS[network]))]


@dataclass(kw_only=True)
class Totals:
    """Cycles of a network, by pass, over its layers."""

    passes: dict  #: pass: {ideal, lanes, rows, run, total, traffic}

    @classmethod
    def of(cls, results: list, keep=lambda i: True) -> "Totals":
        """Sums over ``results``, a list of {pass: PassResult} in the order of the layers."""
        sums = {name: dict.fromkeys(("ideal", "lanes", "rows", "run", "total", "traffic"), 0.0) for name in PASSES}
        for i, layer in enumerate(results):
            for name, one in layer.items() if keep(i) else ():
                for key in sums[name]:
                    sums[name][key] += getattr(one, key)
        return cls(passes=sums)

    def sum(self, key: str, passes=PASSES) -> float:
        """One of these figures over some passes."""
        return sum(self.passes[name][key] for name in passes)
