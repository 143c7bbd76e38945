"""What to train, and what came of it."""

from dataclasses import dataclass, field
from pathlib import Path

from gradgate.arch.checks import ConfigError, integer, one_of
from gradgate.arch.config import Config
from gradgate.arch.network import Network
from gradgate.sim.build import TRACES
from gradgate.sim.compare import Tally
from gradgate.training.health import Health

BACKENDS = ("rtl", "golden", "board")
INITS = ("he", "scaled")


def default_lr_shift(batch: int) -> int:
    """The negative power of two of the learning rate for ``batch`` images a step: 2 for 16, 1 more for each halving, 1 from 32 on.

    A step is the mean over the batch, so a batch of half as many images has to take half the step to come as far with as many images.
    Source: the linear scaling rule of Goyal et al., "Accurate, large minibatch SGD", 2017. It ends at a rate of 1/2: with 64 images and
    a rate of 1 `digits` does not train, in floating point neither.
    """
    return max(1, 6 - (batch.bit_length() - 1))


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """What to train. ``lr_shifts``: for each epoch, the negative power of two of the learning rate."""

    network: Network
    config: Config
    batch: int
    lr_shifts: tuple
    momentum: int = 0  #: m > 0: velocities decay by 1 - 2**-m a step: effective learning rate 2**m times that of ``lr_shifts``
    seed: int = 0  #: of initial weights and batch order
    init: str = "he"  #: initial weights: He's normal ones, or those scaled so that every channel begins with mean 0 and deviation 1
    max_steps: int | None = None  #: stop training after so many steps
    wave: Path | None = None  #: RTL: wave file to write, ending in .vcd or .fst
    wave_steps: tuple = (0, 0)  #: RTL: first and last step that a wave file records
    dense_steps: int = 0  #: RTL: steps that are run once with and once without skipping at the end
    balance: bool = False  #: between epochs, deal channels to lanes by their density; changes cycles, never results
    backend: str = "rtl"
    check: int | None = None  #: board: first steps of which every tensor is compared; None: all

    def __post_init__(self):
        one_of("backend", self.backend, BACKENDS)
        one_of("init", self.init, INITS)
        integer("batch", self.batch, 1, 4096)
        if not isinstance(self.lr_shifts, tuple) or not self.lr_shifts:
            raise ConfigError(f"lr_shifts must be a tuple with an integer for each epoch, not {self.lr_shifts!r}")
        for lr_shift in self.lr_shifts:
            integer("lr_shift", lr_shift, -64, 64)
        if self.max_steps is not None:
            integer("max_steps", self.max_steps, 1, 10**9)
        integer("dense_steps", self.dense_steps, 0, 10_000)
        integer("momentum", self.momentum, 0, 7)
        integer("seed", self.seed, 0, 2**32 - 1)
        if self.wave is not None and self.backend != "rtl":
            raise ConfigError("a wave file needs backend rtl; the golden model has no waves")
        if self.wave is not None and Path(self.wave).suffix.removeprefix(".") not in TRACES:
            raise ConfigError(f"wave file must end in {' or '.join(f'.{kind}' for kind in TRACES)}, not {str(self.wave)!r}")
        if self.dense_steps and self.backend == "golden":
            raise ConfigError("steps with skipping off need backend rtl; the golden model has no cycles")
        if self.check is not None:
            integer("check", self.check, 0, 10**9)


@dataclass(kw_only=True)
class Result:
    """What came of it; ``json()`` is what ``--json`` writes. Losses in nats, accuracies in percent of the test images."""

    schedule: Schedule
    steps: int = 0  #: of training
    epoch_steps: int = 0  #: of a whole epoch
    losses: list = field(default_factory=list)
    accuracy: list = field(default_factory=list)  #: golden model, after each epoch
    test_accuracy: float | None = None  #: of the backend, at the end; None: not reached, for a difference
    golden_accuracy: float = 0.0
    float32_accuracy: float = 0.0
    train: Tally = field(default_factory=Tally)  #: of the training steps
    test: Tally = field(default_factory=Tally)  #: of the test images
    sparse: Tally | None = None  #: of the steps that were run with and without skipping: with
    dense: Tally | None = None  #: and without
    health: Health | None = None  #: what the golden model's training steps showed
    interrupted: bool = False  #: by the user; everything is of the steps until then
    swapped: list = field(default_factory=list)  #: RTL: for each epoch, the blocks whose weight-gradient roles were swapped
    wall_s: float = 0.0
    simulation_s: float = 0.0  #: with the core, on a board too: data there, run, results back and compared

    @property
    def tally(self) -> Tally:
        """Of everything that ran."""
        whole = Tally()
        for part in (self.train, self.test, self.sparse, self.dense):
            if part:
                whole.merge(part)
        return whole

    @property
    def total_steps(self) -> int:
        """Training steps that were to be done."""
        total = self.epoch_steps * len(self.schedule.lr_shifts)
        return min(total, self.schedule.max_steps or total)

    @property
    def warnings(self) -> list:
        """What the user must know, a line each."""
        return self.health.warnings(self.losses, self.epoch_steps) if self.health else []

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
            "check": schedule.check, "momentum": schedule.momentum, "balance": schedule.balance, "seed": schedule.seed,
            "init": schedule.init, "steps": self.steps,
            "channels": {block.name: min(block.cin, block.cout) for block in schedule.network.blocks},
            "test_accuracy": self.test_accuracy, "golden_accuracy": self.golden_accuracy,
            "float32_accuracy": self.float32_accuracy, "accuracy_per_epoch": self.accuracy, "losses": self.losses,
            "compared_words": tally.compared_words, "mismatched_words": tally.mismatched_words, "compared": tally.compared,
            "rtl_cycles": tally.rtl_total, "model_cycles": tally.model_total,
            "commands_with_wrong_cycles": tally.wrong_cycles, "swapped_weight_gradients": self.swapped,
            **{f"{name}_per_phase": {"rtl_total": part.rtl_total, "rtl_cycles": part.rtl_cycles, "model_cycles": part.model_cycles,
                                   "added_cycles": part.added, "macs": part.macs,
                                   "work_edges_waiting": {p: part.split(p, schedule.config.pes) for p in part.runs}}
               for name, part in (("train", self.train), ("test", self.test))},
            "warnings": self.warnings, "interrupted": self.interrupted, **(self.health.json() if self.health else {}),
            "wall_s": self.wall_s, "simulation_s": self.simulation_s,
        }
        if self.dense:
            on, off = self.sparse.rtl_cycles, self.dense.rtl_cycles
            result["skip_on_off"] = {
                "steps": schedule.dense_steps, "cycles_skip_on": on, "cycles_skip_off": off,
                "total_skip_on": self.sparse.rtl_total, "total_skip_off": self.dense.rtl_total,
                "speedup": self.dense.rtl_total / self.sparse.rtl_total,
                "macs_skip_on": self.sparse.macs, "macs_skip_off": self.dense.macs, "layers_skip_off": self.dense.layers,
                "utilisation_skip_off": {phase: macs / (off[phase] * schedule.config.pes) for phase, macs in self.dense.macs.items()},
            }
        return result
