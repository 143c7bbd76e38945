"""Tiles of a pass, cut as the compiler cuts them but into sizes of choice, and the cycles of a RUN over one."""

from dataclasses import dataclass

import numpy as np

from gradgate.bench.cost.walks import Walk, over_windows, point_pixels, window_pixels
from gradgate.compiler.tiles import Span
from gradgate.compiler.weight_gradient import TURN
from gradgate.golden.cycles.run import BUBBLE, done, row_times


@dataclass(frozen=True, kw_only=True)
class Cut:
    """Tiles of a pass: ``inputs`` x ``outputs`` spans of bricks, of the list and of the targets."""

    inputs: tuple
    outputs: tuple
    paired: bool = False  #: depthwise: inputs[i] belongs to outputs[i], and to no other

    @property
    def size(self) -> tuple:
        """Bricks of the largest tile."""
        return self.inputs[0].count, self.outputs[0].count


@dataclass(frozen=True, kw_only=True)
class Work:
    """What the positions of a RUN ask of the array. Axes: positions, sequences (rows of the array), inputs, outputs (, lanes).

    entries, build, fetches, targets : as :func:`gradgate.golden.cycles.run.row_times` takes them
    bias_entries, bias_targets : how many of them are the bias
    alike : lane 0 has as many targets as any, everywhere
    """

    outer: bool
    entries: np.ndarray
    build: np.ndarray
    fetches: np.ndarray
    targets: np.ndarray
    bias_entries: np.ndarray
    bias_targets: np.ndarray
    alike: bool

    def macs(self, bias: bool = True) -> np.ndarray:
        """Multiplications where both factors are not zero, with those of the bias or without: (sequences, inputs, outputs)."""
        entries, targets = self.entries.astype(np.int64), self.targets.sum(axis=-1, dtype=np.int64)
        if not bias:
            entries, targets = entries - self.bias_entries, targets - self.bias_targets
        return np.einsum("psko,psko->sko", *np.broadcast_arrays(entries, targets))

    def bound(self) -> np.ndarray:
        """Cycles below which no number of lists brings a RUN, at once: the builder's, or those of the busiest lane."""
        return np.maximum((self.build + self.fetches + 1).sum(axis=0), self.busiest())

    def busiest(self) -> np.ndarray:
        """Cycles that the busiest lane works: (sequences, inputs, outputs)."""
        length = self.entries if self.outer else np.maximum(self.entries, 1)
        targets = self.targets[..., :1] if self.alike else self.targets
        shape = np.broadcast_shapes(length.shape, targets.shape[:-1])
        length, targets = np.broadcast_to(length, shape), np.broadcast_to(targets, shape + targets.shape[-1:])
        return np.einsum("psko,pskol->skol", length, targets).max(axis=-1)

    def times(self, lists: int, bubble: int = BUBBLE) -> tuple:
        """Release of every position, and the builder's first cycle behind it."""
        targets = self.targets[..., :1] if self.alike else self.targets  # a lane with fewer targets is never later
        return row_times(lists, self.outer, self.fetches, self.build, self.entries, targets, bubble)


def sums(values, spans, axis: int) -> np.ndarray:
    """``values`` summed over spans of bricks along ``axis``."""
    edges = np.concatenate((np.zeros_like(np.take(values, [0], axis)), np.cumsum(values, axis=axis, dtype=np.int32)), axis=axis)
    return np.take(edges, [s.end for s in spans], axis) - np.take(edges, [s.first for s in spans], axis)


@dataclass(frozen=True, kw_only=True)
class Options:
    """What of the machine is switched on."""

    input_skip: bool = True  #: zeros of the list, and in WG of the targets, cost nothing
    output_skip: bool = True  #: masked outputs of BD cost nothing; where X comes out of no ReLU there is no mask: False
    bias: bool = True  #: the layer has a bias
    spread: int = TURN  #: WG-Y: lanes from a channel's target at one tap to that at the next
    bubble: int = BUBBLE  #: idle cycles of a lane behind the OUT turns of a list
    turns: int = 1  #: BD: copies of a tile's weights in other lanes, which positions use in turn; needs hardware that is not built
    lists: int | None = None  #: S, instead of the configuration's


def _words(operand, lanes: int) -> np.ndarray:
    """Words of every brick of a pixel that belong to the tensor (bricks, lanes)."""
    return (np.arange(-(-operand.channels // lanes) * lanes) < operand.channels).reshape(-1, lanes)


def work(walk: Walk, masks, cut: Cut, options: Options, lanes: int, images, first: int, rows: int) -> Work:
    """The work of sequences of positions: ``rows`` rows of positions from row ``first`` of every image of ``images``, an array
    (sequences, slots) of image numbers; a sequence visits its slots in turn.
    """
    images = np.asarray(images)
    seen, point = masks[walk.window], masks[walk.point] if walk.point else None
    swap = walk.role == "WG-Y"

    def flat(values):  # (sequences, slots, rows, columns, ...) to (positions, sequences, ...)
        return np.moveaxis(values.reshape(values.shape[0], -1, *values.shape[4:]), 0, 1)

    def flags(operand, skip):
        full = np.ones(operand.flags.shape[:3] + (1, 1), bool) & _words(operand, lanes)
        return operand.flags if skip else full

    inside = window_pixels(walk, seen, np.ones(seen.flags.shape[:3] + (1,), np.int32), images, first, rows)
    touched = flat(over_windows(walk, inside, rows))  # pixels of the window inside the image: (positions, sequences, 1)

    listed = point if swap else seen
    counts = flags(listed, options.input_skip).sum(axis=-1, dtype=np.int32)
    pair = np.concatenate((sums(counts, cut.inputs, 3), sums(np.maximum(counts, 1), cut.inputs, 3)), axis=3)
    bricks = np.array([span.count for span in cut.inputs], np.int32)
    if swap:
        pair = flat(point_pixels(walk, point, pair, images, first, rows))
        void_build = np.broadcast_to(bricks, pair.shape[:2] + bricks.shape)
    else:
        pair = flat(over_windows(walk, window_pixels(walk, seen, pair, images, first, rows), rows))
        void_build = touched * bricks
    entries, build = pair[..., :len(bricks)], pair[..., len(bricks):]

    # the bias: an entry of every list of the last inputs (of any, if paired), or a target of the last outputs
    bias_entries = np.full((len(bricks), 1), options.bias and walk.role in ("FW", "WG-X"), np.int32)
    bias_entries[:-1] &= cut.paired
    bias_targets = np.zeros((1, 1 if cut.paired else len(cut.outputs)), np.int32)
    bias_targets[:, -1] = options.bias and swap
    ends = np.array([span.count for span in cut.outputs], np.int32)
    if swap:
        lanewise = sums(flags(seen, options.input_skip).astype(np.int32), cut.outputs, 3)
        targets = flat(over_windows(walk, window_pixels(walk, seen, lanewise, images, first, rows), rows, roll=options.spread))
        targets[..., lanes - 1] += bias_targets[0]
        fetches = touched * ends
        alike = False
    elif walk.outer or (walk.role == "BD" and options.output_skip):
        kept = flags(point, walk.role == "BD" or options.input_skip)
        targets = flat(point_pixels(walk, point, sums(kept.astype(np.int32), cut.outputs, 3), images, first, rows))
        for turn in range(1, options.turns if walk.role == "BD" else 1):
            targets[turn::options.turns] = np.roll(targets[turn::options.turns], turn * lanes // options.turns, axis=-1)
        fetches, alike = np.broadcast_to(ends, touched.shape[:2] + ends.shape), False
    else:  # every lane has all; lane 0 has the most, and no other is later
        operand = point or masks["dy"]
        every = sums(_words(operand, lanes).astype(np.int32), cut.outputs, 0)
        targets = np.broadcast_to(every, touched.shape[:2] + every.shape)
        fetches, alike = np.zeros(touched.shape[:2] + (1,), np.int32), True
    place = (slice(None), slice(None)) + ((slice(None), None) if cut.paired else (None, slice(None)))
    entries, build, void_build = entries[..., None] + bias_entries, build[..., None], void_build[..., None]
    targets, fetches = targets[place], fetches[place] if fetches.shape[-1] == len(ends) else fetches[..., None]
    build = np.where(targets.any(axis=-1), build, void_build)
    return Work(outer=walk.outer, entries=entries, build=build, fetches=fetches, targets=targets, bias_entries=bias_entries,
                bias_targets=bias_targets, alike=alike)


def run_cycles(config, walk, masks, cut, options, slots: Span, span: Span, batch: int) -> np.ndarray:
    """Cycles of the RUNs over rows ``span`` of the positions of ``slots``, one for each tile of ``cut``: (inputs, outputs).

    Equal to :func:`gradgate.golden.cycles.run.run_cost` of the commands.
    """
    images = np.arange(config.rows)[:, None] + config.rows * (slots.first + np.arange(slots.count))
    job = work(walk, masks, cut, options, config.lanes, images, span.first, span.count)
    released, free = job.times(options.lists or config.lists, options.bubble)
    counts = (images < batch).sum(axis=1) * span.count * walk.grid.columns
    rows = [done(released[:count, row], free[:count, row]) for row, count in enumerate(counts)]
    return np.maximum.reduce([np.broadcast_to(row, released.shape[2:]) for row in rows]) + 1

