"""Runs programs on a core and compares every word, and when every command begins and ends, with the golden models."""

from dataclasses import dataclass, field

import numpy as np

from gradgate.arch import weights
from gradgate.arch.commands import Opcode
from gradgate.golden.cycles.image import to_bricks
from gradgate.golden.cycles.program import program_costs, program_times
from gradgate.golden.cycles.run import EDGES
from gradgate.golden.cycles.sequencer import AROUND
from gradgate.golden.cycles.timeline import Times, advances
from gradgate.sim.views import Backdoor


@dataclass(frozen=True)
class Mismatch:
    """Where hardware and model first differ: ``index`` is (image, y, x, channel), or (output, k) of a weight."""

    step: int
    command: int
    tensor: str
    index: tuple
    got: int
    expected: int

    def __str__(self):
        return (f"step {self.step}, command {self.command}: {self.tensor}{list(self.index)} is {self.got}, "
                f"the golden model says {self.expected}")


@dataclass
class Tally:
    """Words compared and found different, by tensor kind; cycles, in all and by phase; the first difference of each sort."""

    compared: dict = field(default_factory=dict)
    mismatched: dict = field(default_factory=dict)
    first: Mismatch | None = None
    rtl_total: int = 0  #: from the start to the end of every step
    model_total: int = 0
    rtl_cycles: dict = field(default_factory=dict)  #: in which a command of the phase was under way
    model_cycles: dict = field(default_factory=dict)
    added: dict = field(default_factory=dict)  #: RTL cycles by which commands of the phase moved the end on; together all but END's
    macs: dict = field(default_factory=dict)
    runs: dict = field(default_factory=dict)  #: RUN commands
    layers: dict = field(default_factory=dict)  #: block: RTL cycles of its RUNs, those that all its commands added, multiplications
    wrong_cycles: int = 0  #: commands that began or ended in another cycle
    first_cycles: str = ""
    steps: int = 0
    begun: int = 0  #: steps that the core had done before

    @property
    def compared_words(self) -> int:
        """Words read out of the core and compared."""
        return sum(self.compared.values())

    @property
    def mismatched_words(self) -> int:
        """Words that differed."""
        return sum(self.mismatched.values())

    @property
    def exact(self) -> bool:
        """No word and no cycle count differed."""
        return self.mismatched_words == 0 and self.wrong_cycles == 0

    def split(self, phase: str, pes: int) -> tuple:
        """Shares of the cycles of the RUNs of ``phase``: spent multiplying, as if every PE were busy in each of them; commands are
        started, fill and drain the array; PEs wait for lists, or for each other."""
        cycles = self.rtl_cycles[phase]
        work = self.macs[phase] / pes / cycles
        edges = self.runs[phase] * (AROUND + EDGES) / cycles
        return work, edges, 1 - work - edges

    def words(self, command, name, got, expected, where) -> None:
        """Compare arrays of one shape; ``where`` turns an index of them into the tensor's index, or None for padding."""
        kind = name.split(".")[-1]
        self.compared[kind] = self.compared.get(kind, 0) + got.size
        wrong = np.argwhere(got != expected)
        if len(wrong):
            self.mismatched[kind] = self.mismatched.get(kind, 0) + len(wrong)
            if self.first is None:
                at = tuple(int(i) for i in wrong[0])
                self.first = Mismatch(self.begun + self.steps, command, name, where(at), int(got[at]), int(expected[at]))

    def times(self, program, costs, got, expected) -> None:
        """Compare the times of all commands of a step, lists of :class:`Times`; ``costs`` of their units."""
        self.rtl_total += got[-1].end
        self.model_total += expected[-1].end
        for index, (cost, added) in enumerate(zip(costs, advances(got))):
            self._command(program, index, cost.macs, got[index], expected[index], added)

    def _command(self, program, index, macs, got, expected, added):
        opcode, note, phase = program.commands[index].opcode, program.notes[index], program.phase(index)
        if phase:
            for counts, count in ((self.rtl_cycles, got.cycles), (self.model_cycles, expected.cycles), (self.added, added)):
                counts[phase] = counts.get(phase, 0) + count
        if opcode == Opcode.RUN:
            self.runs[phase] = self.runs.get(phase, 0) + 1
            self.macs[phase] = self.macs.get(phase, 0) + macs
        if note.block:
            layer = self.layers.setdefault(note.block, {"run": 0, "all": 0, "macs": 0})
            layer["run"] += got.cycles if macs else 0
            layer["all"] += added
            layer["macs"] += macs
        if got != expected:
            self.wrong_cycles += 1
            self.first_cycles = self.first_cycles or (
                f"step {self.begun + self.steps}, command {index} ({opcode.name} {phase} {note.block} {note.tile}): cycles {got.start} to "
                f"{got.end}, the model says {expected.start} to {expected.end}")

    def merge(self, other: "Tally") -> None:
        """Add what ``other`` counted."""
        for name in ("compared", "mismatched", "rtl_cycles", "model_cycles", "added", "macs", "runs"):
            mine = getattr(self, name)
            for key, value in getattr(other, name).items():
                mine[key] = mine.get(key, 0) + value
        for block, layer in other.layers.items():
            mine = self.layers.setdefault(block, dict.fromkeys(layer, 0))
            for key, value in layer.items():
                mine[key] += value
        self.first, self.first_cycles = self.first or other.first, self.first_cycles or other.first_cycles
        self.rtl_total += other.rtl_total
        self.model_total += other.model_total
        self.wrong_cycles += other.wrong_cycles
        self.steps += other.steps


class Bench:
    """A core under a driver, compared with the golden model step by step. ``tally`` collects.

    Parameters
    ----------
    sim : :class:`gradgate.sim.simulator.Simulator`, or None for a core elsewhere
    driver : :class:`gradgate.host.driver.Driver` on it
    view : what reads memories, see :mod:`gradgate.sim.views`; the backdoor of ``sim`` when not given
    """

    MAX_CYCLES = 20_000_000

    def __init__(self, config, sim, driver, view=None):
        self.config, self.sim, self.driver = config, sim, driver
        self.view = view or Backdoor(config, sim)
        self.tally = Tally()
        self._program = None

    def load(self, program) -> None:
        """Load a program unless it is the one loaded last."""
        if program is not self._program:
            self.driver.load_program(program.words())
            self._program = program

    def write_weights(self, program, network, masters) -> None:
        """Write master weights, a list of arrays (cout, k + 1)."""
        for block, m in zip(network.weighted, masters):
            self.driver.write_weights(program.weights[block.name], weights.place_block(block, m, self.config.lanes))

    def write_velocities(self, program, network, velocities) -> None:
        """Write velocities, a list of arrays (cout, k + 1), if the core has a place for them."""
        for block, v in zip(network.weighted, velocities if self.config.momentum else ()):
            self.driver.write_velocity(program.weights[block.name], weights.place_block(block, v, self.config.lanes, skew=False))

    def step(self, program, network, x, labels, golden_step, costs=None, tensors=True) -> None:
        """Run one step of ``program`` on images ``x`` (B, H, W, C) and ``labels``; compare with ``golden_step`` and ``costs``, the
        :func:`program_costs` of it, which are computed when they are not given.

        Every tensor is read right after the command that completes it, before another takes its place. Without ``tensors`` none is,
        and only counts are compared: correct predictions, overflows, times of commands.
        """
        self.load(program)
        wanted = golden_step.tensors
        self.driver.clear_counts()
        self.driver.write_staging(program.staging["input"], x.reshape(-1))
        self.driver.write_staging(program.staging["labels"], labels)
        moments = [i for i, note in enumerate(program.notes) if note.completes or note.sums] if tensors else []
        for index in self.view.run(self.driver, moments, self.MAX_CYCLES):
            note = program.notes[index]
            for name in note.completes:
                self._compare(index, name, program, network, wanted)
            if note.sums:
                self._compare_sums(index, f"{note.block}.wgrad", note, wanted)
        costs = costs or program_costs(self.config, program, wanted)
        got = [Times(int(start), int(end)) for start, end in self.driver.times(len(program.commands))]
        self.tally.times(program, costs, got, program_times(program, costs, self.view.stops(moments)))
        end = len(program.commands) - 1
        for name, got, expected in (("correct", self.driver.correct(), golden_step.correct), ("overflow", self.driver.overflow(),
                                                                                              golden_step.overflow)):
            self.tally.words(end, name, np.array([got]), np.array([expected]), lambda at: at)
        self.tally.steps += 1

    def compare_weights(self, program, network, masters, velocities) -> None:
        """Compare all weights and velocities with the golden model's, lists as in :meth:`write_weights`."""
        wanted = {f"{block.name}.master": m for block, m in zip(network.weighted, masters)}
        if self.config.momentum:
            wanted |= {f"{block.name}.velocity": v for block, v in zip(network.weighted, velocities)}
        for name in wanted:
            self._compare(len(program.commands) - 1, name, program, network, wanted)

    def _compare(self, stop, name, program, network, tensors):
        """Compare one tensor that command ``stop`` completed."""
        expected = tensors[name]
        kind = name.rpartition(".")[2]
        if kind in ("master", "velocity"):
            block = next(b for b in network.blocks if f"{b.name}.{kind}" == name)
            base, count = program.weights[block.name], weights.block_bricks(block, self.config.lanes)
            banks = (self.view.weights if kind == "master" else self.view.velocities)(base, count)
            got = weights.gather_block(block, banks, skew=kind == "master")
            self.tally.words(stop, name, got, expected, lambda at: at)
            return
        argmax = name in program.choices
        place = (program.choices if argmax else program.places)[name]
        for row, bricks in enumerate(to_bricks(expected, self.config.rows, self.config.lanes)):
            if not len(bricks):
                continue  # fewer images than rows
            count = len(bricks) * place.slot
            read = self.view.choices if argmax else self.view.rows
            got = read(row, place.base, count).reshape(bricks.shape[0], place.height, place.width, -1)
            want = bricks.reshape(got.shape)
            channels = place.channels
            self.tally.words(stop, name, got[..., :channels], want[..., :channels],
                             lambda at, row=row: (at[0] * self.config.rows + row,) + at[1:])
            if not argmax and got[..., channels:].any():
                step = self.tally.begun + self.tally.steps
                raise AssertionError(f"step {step}, command {stop}: words behind the channels of {name} are not zero")

    def _compare_sums(self, stop, name, note, tensors):
        """Compare the weight gradients that lie in the banks, added over the rows; where they can be read."""
        lane, word, output, k = note.sums
        total = self.view.sums(int(word.max()) + 1)
        if total is not None:
            self.tally.words(stop, name, total[lane, word], tensors[name][output, k], lambda at: (int(output[at[0]]), int(k[at[0]])))
