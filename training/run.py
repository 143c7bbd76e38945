"""Training on a simulated core or on the golden model alone, and what came of it."""

import functools
import time
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from gradgate.arch.checks import ConfigError, integer, one_of
from gradgate.arch.config import Config
from gradgate.arch.network import Network
from gradgate.compiler.compile import compile_step
from gradgate.compiler.context import DENSE, SPARSE
from gradgate.golden.floating import FloatModel
from gradgate.golden.model import GoldenModel
from gradgate.host.driver import Driver
from gradgate.sim.build import TRACES
from gradgate.sim.compare import Bench, Tally
from gradgate.sim.simulator import Simulator
from gradgate.training.datasets import Dataset, batches, quantise

BACKENDS = ("rtl", "golden")


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """What to train. ``lr_shifts``: for each epoch, the negative power of two of the learning rate."""

    network: Network
    config: Config
    batch: int
    lr_shifts: tuple
    momentum: int = 0  #: m > 0: velocities decay by 1 - 2**-m a step: effective learning rate 2**m times that of ``lr_shifts``
    seed: int = 0  #: of initial weights and batch order
    max_steps: int | None = None  #: stop training after so many steps
    wave: Path | None = None  #: RTL: wave file to write, ending in .vcd or .fst
    wave_steps: tuple = (0, 0)  #: RTL: first and last step that a wave file records
    dense_steps: int = 0  #: RTL: steps that are run once with and once without skipping at the end
    backend: str = "rtl"

    def __post_init__(self):
        one_of("backend", self.backend, BACKENDS)
        integer("dense_steps", self.dense_steps, 0, 10_000)
        integer("momentum", self.momentum, 0, 7)
        integer("seed", self.seed, 0, 2**32 - 1)
        if self.wave is not None and self.backend != "rtl":
            raise ConfigError("a wave file needs backend rtl; the golden model has no waves")
        if self.wave is not None and Path(self.wave).suffix.removeprefix(".") not in TRACES:
            raise ConfigError(f"wave file must end in {' or '.join(f'.{kind}' for kind in TRACES)}, not {str(self.wave)!r}")
        if self.dense_steps and self.backend != "rtl":
            raise ConfigError("steps with skipping off need backend rtl; the golden model has no cycles")


@dataclass(kw_only=True)
class Result:
    """What came of it; ``json()`` is what ``--json`` writes. Losses in nats, accuracies in percent of the test images."""

    schedule: Schedule
    steps: int = 0  #: of training
    losses: list = field(default_factory=list)
    accuracy: list = field(default_factory=list)  #: golden model, after each epoch
    test_accuracy: float | None = None  #: of the backend, at the end; None: not reached, for a difference
    golden_accuracy: float = 0.0
    float32_accuracy: float = 0.0
    train: Tally = field(default_factory=Tally)  #: of the training steps
    test: Tally = field(default_factory=Tally)  #: of the test images
    sparse: Tally | None = None  #: of the steps that were run with and without skipping: with
    dense: Tally | None = None  #: and without
    wall_s: float = 0.0
    simulation_s: float = 0.0

    @property
    def tally(self) -> Tally:
        """Of everything that ran."""
        whole = Tally()
        for part in (self.train, self.test, self.sparse, self.dense):
            if part:
                whole.merge(part)
        return whole

    @property
    def exact(self) -> bool:
        """No difference between hardware and models."""
        return self.tally.exact

    def json(self) -> dict:
        """All figures, for machines."""
        tally, schedule = self.tally, self.schedule
        result = {
            "model": schedule.network.name, "config": schedule.config.to_dict(), "backend": schedule.backend,
            "batch": schedule.batch, "epochs": len(schedule.lr_shifts), "lr_shifts": list(schedule.lr_shifts),
            "momentum": schedule.momentum, "seed": schedule.seed, "steps": self.steps,
            "test_accuracy": self.test_accuracy, "golden_accuracy": self.golden_accuracy,
            "float32_accuracy": self.float32_accuracy, "accuracy_per_epoch": self.accuracy, "losses": self.losses,
            "compared_words": tally.compared_words, "mismatched_words": tally.mismatched_words, "compared": tally.compared,
            "rtl_cycles": sum(tally.rtl_cycles.values()), "model_cycles": sum(tally.model_cycles.values()),
            "commands_with_wrong_cycles": tally.wrong_cycles,
            **{f"{name}_per_phase": {"rtl_cycles": part.rtl_cycles, "model_cycles": part.model_cycles, "macs": part.macs}
               for name, part in (("train", self.train), ("test", self.test))},
            "wall_s": self.wall_s, "simulation_s": self.simulation_s,
        }
        if self.dense:
            on, off = self.sparse.rtl_cycles, self.dense.rtl_cycles
            result["skip_on_off"] = {
                "steps": schedule.dense_steps, "cycles_skip_on": on, "cycles_skip_off": off,
                "speedup": sum(off.values()) / sum(on.values()),
                "macs_skip_on": self.sparse.macs, "macs_skip_off": self.dense.macs, "layers_skip_off": self.dense.layers,
                "utilisation_skip_off": {phase: macs / (off[phase] * schedule.config.pes) for phase, macs in self.dense.macs.items()},
            }
        return result


class Trainer:
    """One run of a :class:`Schedule` on ``data``; ``progress(steps done, steps in all, loss)`` is called after every step."""

    def __init__(self, schedule: Schedule, data: Dataset, progress=lambda done, total, loss: None):
        self.schedule, self.data, self.progress = schedule, data, progress
        formats = schedule.config.formats
        self.train_x, self.test_x = quantise(data.train_x, formats), quantise(data.test_x, formats)
        network, images = schedule.network, data.train_x.shape[1:]
        if images != (network.height, network.width, network.channels):
            raise ConfigError(f"input must be {list(images)}, the images of the data set, not "
                              f"{[network.height, network.width, network.channels]}")
        if network.classes <= data.train_y.max():
            raise ConfigError(f"the last layer must have an output for each of the {data.train_y.max() + 1} classes of the data set, "
                              f"not {network.classes}")
        if len(self.train_x) < schedule.batch:
            raise ConfigError(f"batch must be at most the {len(self.train_x)} training images, not {schedule.batch}")
        self.golden = GoldenModel(schedule.network, formats, schedule.seed)
        self.float32 = FloatModel(schedule.network, schedule.seed, np.float32)
        self.result = Result(schedule=schedule)
        for lr_shift in set(schedule.lr_shifts):
            self._program(schedule.batch, lr_shift)  # what does not fit is told before anything is built
        self.bench = None

    @functools.cache  # noqa: B019 - a trainer lives as long as its run
    def _program(self, batch, lr_shift, training=True, switches=SPARSE):
        return compile_step(self.schedule.network, self.schedule.config, batch=batch, lr_shift=lr_shift, training=training,
                            switches=switches, momentum=self.schedule.momentum)

    def run(self) -> Result:
        """Train and test. Stops at the first difference between hardware and models; ``result.exact`` is then false."""
        began = time.perf_counter()
        if self.schedule.backend == "rtl":
            with Simulator(self.schedule.config, trace=self.schedule.wave) as sim:
                driver = Driver(sim, self.schedule.config)
                driver.identify()
                self.bench = Bench(self.schedule.config, sim, driver)
                self.bench.tally = self.result.train
                program = self._program(self.schedule.batch, self.schedule.lr_shifts[0])
                self.bench.write_weights(program, self.schedule.network, self.golden.masters)
                self.bench.write_velocities(program, self.schedule.network, self.golden.velocities)
                self._run()
        else:
            self._run()
        self.result.wall_s = time.perf_counter() - began
        return self.result

    def _run(self):
        schedule, result = self.schedule, self.result
        rng = np.random.default_rng(schedule.seed)
        total = len(schedule.lr_shifts) * (len(self.train_x) // schedule.batch)
        total = min(total, schedule.max_steps or total)
        for lr_shift in schedule.lr_shifts:
            for index in batches(len(self.train_x), schedule.batch, rng):
                if result.steps == total or not result.train.exact:
                    break
                result.losses.append(self._step(index, lr_shift).loss())
                result.steps += 1
                self.float32.step(self.data.train_x[index], self.data.train_y[index], 2.0 ** -lr_shift, schedule.momentum)
                self.progress(result.steps, total, result.losses[-1])
            result.accuracy.append(100 * self.golden.accuracy(self.test_x, self.data.test_y))
        result.golden_accuracy = result.accuracy[-1]
        result.float32_accuracy = 100 * self.float32.accuracy(self.data.test_x, self.data.test_y)
        if not self.bench:
            result.test_accuracy = result.golden_accuracy
        elif result.exact:
            result.test_accuracy = self._test()
            if schedule.dense_steps:
                self._skip_on_off(rng)

    def _step(self, index, lr_shift, switches=SPARSE):
        x, labels = self.train_x[index], self.data.train_y[index]
        step = self.golden.step(x, labels, lr_shift, momentum=self.schedule.momentum)
        if self.bench:
            self._timed(self._program(len(index), lr_shift, True, switches), x, labels, step)
        return step

    def _timed(self, program, x, labels, step):
        first, last = self.schedule.wave_steps
        self.bench.sim.record(first <= self.bench.tally.begun + self.bench.tally.steps <= last)
        began = time.perf_counter()
        self.bench.step(program, self.schedule.network, x, labels, step)
        self.result.simulation_s += time.perf_counter() - began

    def _test(self) -> float:
        """Accuracy on the test images as the core counts it."""
        correct = 0
        self._count("test")
        for start in range(0, len(self.test_x), self.schedule.batch):
            x, labels = self.test_x[start:start + self.schedule.batch], self.data.test_y[start:start + self.schedule.batch]
            self._timed(self._program(len(x), 0, False), x, labels, self.golden.step(x, labels, train=False))
            correct += self.bench.driver.correct()
        return 100 * correct / len(self.test_x)

    def _skip_on_off(self, rng):
        """The same steps from the same weights and velocities, once with and once without skipping; cycles by phase."""
        masters, velocities = self.golden.masters, self.golden.velocities
        lr_shift = self.schedule.lr_shifts[-1]
        order = [rng.choice(len(self.train_x), self.schedule.batch, replace=False) for _ in range(self.schedule.dense_steps)]
        for switches, name in ((SPARSE, "sparse"), (DENSE, "dense")):
            self.golden.set_masters(masters)
            program = self._program(self.schedule.batch, lr_shift)
            self.bench.write_weights(program, self.schedule.network, masters)
            self.golden.velocities = [v.copy() for v in velocities]
            self.bench.write_velocities(program, self.schedule.network, velocities)
            self._count(name)
            for index in order:
                self._step(index, lr_shift, switches)

    def _count(self, name):
        """From now on ``result.name`` counts."""
        self.bench.tally = Tally(begun=self.bench.tally.begun + self.bench.tally.steps)
        setattr(self.result, name, self.bench.tally)


def fitting_batch(network, config, most: int = 16) -> tuple:
    """The largest power of two up to ``most`` whose training step fits ``config``, and why twice as many do not, or None.

    Raises :class:`ConfigError` when not even one image fits.
    """
    batch, limit = most, None
    while True:
        try:
            compile_step(network, config, batch=batch)
            return batch, limit
        except ConfigError as error:
            if batch == 1:
                raise
            batch, limit = batch // 2, str(error)
