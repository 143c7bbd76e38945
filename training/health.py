"""What a run must tell its user: training that does not train, updates that change nothing, numbers that do not fit their formats."""

from collections import defaultdict
from math import log

import numpy as np

from gradgate.golden.model import Step
from gradgate.golden.ranges import Range

# When something is worth a warning. Healthy runs of the built-in networks stay well below each: docs/numbers.md has what was measured.
UNTRAINED = 0.9  #: loss of the last epoch, of that of guessing
SILENT_STEPS = 64  #: steps in a row in which a layer has no gradient at all, or a quarter of a shorter run
IDLE_UPDATES = 0.5  #: share of the updates with a gradient that round to zero
AT_LIMIT = 0.001  #: share of a tensor's words that are the largest or smallest number
LOST_IMAGES = 0.1  #: share of the images' non-zero values that become zero

#: What a kind of tensor is called in a warning, the formats' field that says where its point is, and what helps.
KINDS = {
    "input": ("images", "act_frac", "scale the images"),
    "out": ("activations", "act_frac", "lower the rate, or scale images or initial weights down"),
    "grad": ("gradients", "grad_frac", "lower the rate, or scale initial weights down"),
    "master": ("weights", "master_frac", "lower the rate"),
    "velocity": ("velocities", "master_frac", "lower the rate"),
}


class Health:
    """Watches the golden model's steps of a run.

    ranges : ``{tensor: Range}``, over all steps seen
    silent_since : ``{layer: step}`` of layers whose gradients have been all zero from that step on, counted from 1
    """

    def __init__(self, network, formats, batch: int):
        self.network, self.formats, self.batch = network, formats, batch
        self.ranges = defaultdict(Range)
        self.silent_since = {}
        self.steps = 0
        self._sizes = defaultdict(lambda: np.zeros(64, np.int64))  # lr_shift: non-zero gradients by their bits

    def images(self, exact: np.ndarray, words: np.ndarray) -> None:
        """Images before and after they were quantised."""
        self.ranges["input"] += Range.rounding(exact, words) + Range.of(words, self.formats.act_bits)

    def see(self, step: Step, lr_shift: int) -> None:
        """One training step, at a learning rate of ``2**-lr_shift``."""
        self.steps += 1
        for name, one in step.ranges.items():
            self.ranges[name] += one
        for block in self.network.weighted:
            gradient = step.tensors[f"{block.name}.wgrad"]
            gradient = gradient[gradient != 0]
            if gradient.size:
                self.silent_since.pop(block.name, None)
            else:
                self.silent_since.setdefault(block.name, self.steps)
            # Half of the last kept place is added before an update drops ``shift`` bits: it is zero for gradients of fewer bits.
            _, bits = np.frexp(np.where(gradient < 0, ~gradient, gradient).astype(np.float64))
            self._sizes[lr_shift] += np.bincount(bits, minlength=64)

    def updates(self) -> dict:
        """``nonzero_gradients``: how many; ``rounded_to_zero``: share of their updates; ``largest_lr_shift``: at which at least half of
        them would not be zero, None where there is none."""
        sizes = sum(self._sizes.values(), np.zeros(64, np.int64))
        total = int(sizes.sum())
        idle = sum(int(one[:self.formats.update_shift(self.batch, lr_shift)].sum()) for lr_shift, one in self._sizes.items())
        enough = [shift for shift in range(1, 32) if 2 * int(sizes[shift:].sum()) >= total]
        return {"nonzero_gradients": total, "rounded_to_zero": idle / total if total else 0.0,
                "largest_lr_shift": enough[-1] - self.formats.update_shift(self.batch, 0) if enough and total else None}

    def json(self) -> dict:
        """All figures; shares are 0 to 1."""
        return {
            "ranges": {name: {"words": one.words, "at_limit": one.limit, "values": one.values, "became_zero": one.vanished,
                              "share_at_limit": one.at_limit, "share_became_zero": one.lost} for name, one in self.ranges.items()},
            "updates": self.updates(), "silent_since": dict(self.silent_since),
        }

    def warnings(self, losses: list, epoch: int) -> list:
        """One line for everything that a user must know. ``losses``: of each step, in nats; ``epoch``: steps of an epoch."""
        return [*self._limits(), *self._untrained(losses, epoch), *self._silent(), *self._idle()]

    def _untrained(self, losses, epoch):
        guess = log(self.network.classes)
        if len(losses) >= epoch:
            loss = float(np.mean(losses[-epoch:]))
            if loss >= UNTRAINED * guess:
                yield (f"the network has not trained: the loss of the last epoch is {loss:.3f}, not below {UNTRAINED * guess:.3f} "
                       f"({UNTRAINED} ln({self.network.classes})); try another --lr-shift")

    def _silent(self):
        enough = min(SILENT_STEPS, max(1, self.steps // 4))
        layers = [f"{name} since step {since}" for name, since in self.silent_since.items() if self.steps - since + 1 >= enough]
        if layers:
            yield (f"all gradients are zero in {', '.join(layers)} of {self.steps}: nothing reaches these layers any more; a larger "
                   "--lr-shift (a lower rate) from the start may keep them alive")

    def _idle(self):
        found = self.updates()
        if found["rounded_to_zero"] > IDLE_UPDATES:
            best = found["largest_lr_shift"]
            remedy = "half of them would with any --lr-shift" if best is None else f"at least half would not with --lr-shift {best} or less"
            yield f"{_percent(found['rounded_to_zero'])} of the updates with a gradient round to zero; {remedy}"

    def _limits(self):
        for name, one in self.ranges.items():
            what, field, remedy = KINDS[name.rpartition(".")[2]]
            frac = getattr(self.formats, field)
            bits = self.formats.master_bits if field == "master_frac" else self.formats.act_bits
            low, high = -2.0 ** (bits - 1 - frac), 2.0 ** (bits - 1 - frac) - 2.0 ** -frac
            if one.at_limit >= AT_LIMIT:
                yield (f"{name}: {_percent(one.at_limit)} of the words are at the limits of their format; {what} must be within {low:g} to "
                       f"{high:.6g} ({field} = {frac}): {remedy}, or configure a smaller {field}")
            if name == "input" and one.lost >= LOST_IMAGES:
                yield (f"{name}: {_percent(one.lost)} of the non-zero values became zero; {what} must differ from zero by "
                       f"{2.0 ** -frac / 2:g} or more ({field} = {frac}): {remedy}, or configure a larger {field}")


def _percent(share: float) -> str:
    """A share in percent, rounded down, so that 100 % are all."""
    return f"{int(10_000 * share) / 100:g} %"
