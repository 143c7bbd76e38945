"""Training on a core, simulated or on a board, or on the golden model alone."""

import functools
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass

import numpy as np

from gradgate.arch.checks import ConfigError
from gradgate.compiler.compile import compile_step
from gradgate.compiler.context import DENSE, SPARSE, Switches
from gradgate.compiler.fit import DoesNotFit
from gradgate.golden.cycles.program import program_costs
from gradgate.golden.floating import FloatModel
from gradgate.golden.initial import he_normal
from gradgate.golden.model import GoldenModel, Step
from gradgate.golden.scaling import scaled
from gradgate.host.driver import Driver
from gradgate.host.link import Link
from gradgate.sim.compare import Bench, Tally
from gradgate.sim.simulator import Simulator
from gradgate.sim.views import Wire
from gradgate.training.datasets import Dataset, batches, quantise, require_data
from gradgate.training.health import Health
from gradgate.training.schedule import Result, Schedule
from gradgate.tune.balance import channel_orders, reorder
from gradgate.tune.roles import cheaper_roles


@dataclass(frozen=True, kw_only=True)
class Job:
    """One step to do: images, labels, negative power of two of the learning rate (None: no training), switches."""

    x: np.ndarray
    labels: np.ndarray
    lr_shift: int | None
    switches: Switches = SPARSE


class Trainer:
    """One run of a :class:`Schedule` on ``data``.

    progress : called after every step with steps done, steps in all, loss
    link : to the core, for backend ``board``; the core of backend ``rtl`` is simulated here
    """

    def __init__(self, schedule: Schedule, data: Dataset, progress=lambda done, total, loss: None, link: Link | None = None):
        self.schedule, self.data, self.progress, self.link = schedule, data, progress, link
        network, formats = schedule.network, schedule.config.formats
        require_data(data, network, schedule.batch)
        self.train_x, self.test_x = quantise(data.train_x, formats), quantise(data.test_x, formats)
        weights = scaled(network, schedule.seed, data.train_x) if schedule.init == "scaled" else he_normal(network, schedule.seed)
        self.golden = GoldenModel(network, formats, weights=weights)
        self.float32 = FloatModel(network, dtype=np.float32)
        self.float32.set_weights(weights)
        health = Health(network, formats, schedule.batch)
        for exact, words in ((data.train_x, self.train_x), (data.test_x, self.test_x)):
            health.images(exact, words)
        self.result = Result(schedule=schedule, health=health, epoch_steps=len(self.train_x) // schedule.batch)
        self._program = functools.cache(self._compile)
        for lr_shift in set(schedule.lr_shifts):
            self._program(schedule.batch, lr_shift)  # what does not fit is told before anything is built
        self.bench = None
        self.interrupt = None  # what ended the run early
        self.switches = SPARSE

    def _compile(self, batch, lr_shift, training=True, switches=SPARSE):
        return compile_step(self.schedule.network, self.schedule.config, batch=batch, lr_shift=lr_shift, training=training,
                            switches=switches, momentum=self.schedule.momentum)

    def run(self) -> Result:
        """Train and test. Stops at the first difference between hardware and models; ``result.exact`` is then false.

        Control-C after the first step ends the run: ``result.interrupted`` is true then, and what was measured so far is there.
        """
        began = time.perf_counter()
        try:
            self._run_backend()
        except KeyboardInterrupt as interrupt:
            if not self.result.steps:
                raise
            self.interrupt = interrupt
            self._use_what_was_done()
        self.result.wall_s = time.perf_counter() - began
        return self.result

    def _run_backend(self):
        config = self.schedule.config
        if self.schedule.backend == "rtl":
            with Simulator(config, trace=self.schedule.wave) as sim:
                self._run_on(Bench(config, sim, Driver(sim, config)))
        elif self.schedule.backend == "board":
            driver = Driver(self.link, config)
            self._run_on(Bench(config, None, driver, Wire(driver)))
        else:
            self._run()

    def _use_what_was_done(self):
        """Make the result one of the steps that were done."""
        result = self.result
        result.interrupted = True
        result.sparse = result.dense = None  # not the same steps any more
        if len(result.losses) > len(result.accuracy) * result.epoch_steps:
            self.golden.set_masters(self._last)  # a thread may have done a step more
            result.accuracy.append(100 * self.golden.accuracy(self.test_x, self.data.test_y))
        self._finish()

    def _run_on(self, bench):
        bench.driver.identify()
        self.bench = bench
        self.bench.tally = self.result.train
        self._write_weights()
        self._run()

    def _run(self):
        schedule, result = self.schedule, self.result
        rng = np.random.default_rng(schedule.seed)
        total = result.total_steps
        for lr_shift in schedule.lr_shifts:
            self._prepare_epoch()
            epoch = list(batches(len(self.train_x), schedule.batch, rng))[:total - result.steps if result.train.exact else 0]
            with closing(self._steps([self._job(index, lr_shift) for index in epoch])) as steps:
                for index, step in zip(epoch, steps):
                    self.float32.step(self.data.train_x[index], self.data.train_y[index], 2.0 ** -lr_shift, schedule.momentum)
                    result.health.see(step, lr_shift)
                    result.losses.append(step.loss())
                    result.steps += 1
                    self._last = [step.tensors[f"{block.name}.master"] for block in schedule.network.weighted]
                    self.progress(result.steps, total, result.losses[-1])
            result.accuracy.append(100 * self.golden.accuracy(self.test_x, self.data.test_y))
        self._finish()
        if not self.bench:
            return
        if result.exact and schedule.check is not None:
            program = self._program(schedule.batch, schedule.lr_shifts[0])
            self.bench.compare_weights(program, schedule.network, self.golden.masters, self.golden.velocities)
        if result.exact:
            result.test_accuracy = self._test()
            if schedule.dense_steps:
                self._skip_on_off(rng)

    def _finish(self):
        """Accuracies of the models after the last step."""
        result = self.result
        result.golden_accuracy = result.accuracy[-1]
        result.float32_accuracy = 100 * self.float32.accuracy(self.data.test_x, self.data.test_y)
        if not self.bench:
            result.test_accuracy = result.golden_accuracy

    def _prepare_epoch(self):
        """Make the coming steps cheap, from the zeros of one batch: order of channels (not before the first epoch), roles."""
        schedule, network = self.schedule, self.schedule.network
        if schedule.balance and self.result.steps:
            orders = channel_orders(network, schedule.config.lanes, self._look())
            self.golden.set_masters(reorder(network, self.golden.masters, orders))
            self.golden.set_velocities(reorder(network, self.golden.velocities, orders))
            self._write_weights()
        if self.bench and not schedule.momentum:
            self.switches = cheaper_roles(network, schedule.config, schedule.batch, self._look())
            self.result.swapped.append(sorted(self.switches.swapped))

    def _look(self) -> dict:
        """Tensors of a step with the weights as they are now, which stay so."""
        schedule = self.schedule
        golden = GoldenModel(schedule.network, schedule.config.formats, schedule.seed)
        golden.set_masters(self.golden.masters)
        return golden.step(self.train_x[:schedule.batch], self.data.train_y[:schedule.batch], schedule.lr_shifts[0]).tensors

    def _write_weights(self):
        """Write the golden model's weights and velocities to the core."""
        if self.bench:
            program = self._program(self.schedule.batch, self.schedule.lr_shifts[0])
            self.bench.write_weights(program, self.schedule.network, self.golden.masters)
            self.bench.write_velocities(program, self.schedule.network, self.golden.velocities)

    def _job(self, index, lr_shift, switches=None) -> Job:
        return Job(x=self.train_x[index], labels=self.data.train_y[index], lr_shift=lr_shift, switches=switches or self.switches)

    def _steps(self, jobs):
        """Do the ``jobs`` one after the other, up to the first difference; yields the golden model's steps.

        While the core does one, a thread has the models do the next: the simulator lets other Python code run meanwhile.
        """
        with ThreadPoolExecutor(1) as thread:
            coming = thread.submit(self._model, jobs[0]) if jobs else None
            for job, following in zip(jobs, [*jobs[1:], None]):
                program, step, costs = coming.result()
                coming = thread.submit(self._model, following) if following else None
                if self.bench:
                    self._compare(program, job, step, costs)
                yield step
                if self.bench and not self.bench.tally.exact:
                    return

    def _model(self, job: Job) -> tuple[object, Step, list | None]:
        """What the models say of a job: its program, values, and what commands cost."""
        train = job.lr_shift is not None
        step = self.golden.step(job.x, job.labels, job.lr_shift, train, self.schedule.momentum)
        if not self.bench:
            return None, step, None
        program = self._program(len(job.x), job.lr_shift or 0, train, job.switches)
        return program, step, program_costs(self.schedule.config, program, step.tensors)

    def _compare(self, program, job, step, costs):
        done, check = self.bench.tally.begun + self.bench.tally.steps, self.schedule.check
        if self.schedule.wave:
            first, last = self.schedule.wave_steps
            self.bench.sim.record(first <= done <= last)
        began = time.perf_counter()
        self.bench.step(program, self.schedule.network, job.x, job.labels, step, costs, tensors=check is None or done < check)
        self.result.simulation_s += time.perf_counter() - began

    def _test(self) -> float:
        """Accuracy on the test images as the core counts it."""
        correct, size = 0, self.schedule.batch
        self._count("test")
        for _ in self._steps([Job(x=self.test_x[i:i + size], labels=self.data.test_y[i:i + size], lr_shift=None)
                              for i in range(0, len(self.test_x), size)]):
            correct += self.bench.driver.correct()
        return 100 * correct / len(self.test_x)

    def _skip_on_off(self, rng):
        """The same steps from the same weights and velocities, once with and once without skipping; cycles by phase."""
        masters, velocities = self.golden.masters, self.golden.velocities
        lr_shift = self.schedule.lr_shifts[-1]
        order = [rng.choice(len(self.train_x), self.schedule.batch, replace=False) for _ in range(self.schedule.dense_steps)]
        for switches, name in ((self.switches, "sparse"), (DENSE, "dense")):
            self.golden.set_masters(masters)
            self.golden.set_velocities(velocities)
            self._write_weights()
            self._count(name)
            for _ in self._steps([self._job(index, lr_shift, switches) for index in order]):
                pass

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
            batch, limit = batch // 2, error.line() if isinstance(error, DoesNotFit) else str(error)
