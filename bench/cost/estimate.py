"""Cycles of the passes of a layer from samples of its positions."""

from dataclasses import dataclass, replace

import numpy as np

from gradgate.bench.cost.around import Around, around
from gradgate.bench.cost.cuts import candidates, step_of
from gradgate.bench.cost.tiles import Cut, Options, Work, work
from gradgate.bench.cost.walks import walks_of
from gradgate.compiler.tiles import Span, position_tiles
from gradgate.golden.cycles.run import done

WARM = 16  #: positions at the beginning of a strip that do not count for its rate


@dataclass(frozen=True, kw_only=True)
class Sample:
    """How much of a pass is computed position by position. None: all.

    runs : RUNs of a tile, evenly spread; positions : of a row of the array in a RUN, those behind them are extrapolated;
    strips : places in a weight-gradient RUN from which ``strip`` positions are taken; inputs, outputs : spans of them
    """

    runs: int | None = None
    positions: int | None = None
    strips: int = 1
    strip: int | None = None
    inputs: int | None = None
    outputs: int | None = None


PRICED = 3  #: cuts with the best bounds, of which cycles are computed
WHOLE = Sample()
COARSE = Sample(runs=3, positions=320, strips=8, strip=96, inputs=1, outputs=4)
FINE = Sample(runs=8, positions=1100, strips=24, strip=112, inputs=4, outputs=6)  # strips: as many in each of the 8 images of a row


@dataclass(frozen=True, kw_only=True)
class Cost:
    """Cycles of a pass. run : of its RUNs; macs : multiplications in the sample where both factors count, scaled as ``run`` is."""

    role: str
    run: float
    macs: float
    lanes: tuple  #: cycles of the busiest lane of each RUN: mean over the rows of the array, and of the busiest row
    around: Around
    size: tuple  #: bricks of inputs and outputs of a tile
    cuts: tuple = ()

    @property
    def total(self) -> float:
        """Everything, one after the other."""
        return self.run + self.around.total


def _spread(count: int, most: int | None) -> list:
    """At most ``most`` numbers below ``count``, evenly spread, the ends included."""
    if most is None or most >= count:
        return list(range(count))
    return sorted({round(i) for i in np.linspace(0, count - 1, most)}) if most > 1 else [count // 2]


def _join(works: list) -> Work:
    """Works on the same tiles, one behind the other along the axis of sequences."""
    if len(works) == 1:
        return works[0]
    joined = {name: np.concatenate([getattr(one, name) for one in works], axis=1)
              for name in ("entries", "build", "fetches", "targets")}
    return replace(works[0], **joined)


def _strips(walk, slots: Span, rows: Span, sample: Sample) -> list:
    """(slots, rows) of the strips that stand for a RUN: itself where it is short enough."""
    columns = walk.grid.columns
    image = rows.count * columns
    if sample.positions is None or slots.count * image <= sample.positions:
        return [(slots, rows)]
    limit, count = (sample.strip, sample.strips) if walk.outer else (sample.positions, 1)
    if slots.count > 1 and 2 * image <= limit and not walk.outer:
        return [(Span(first=slots.first, count=limit // image), rows)]
    high = min(rows.count, max(1, limit // columns))
    places = slots.count * (rows.count - high + 1)
    chosen = [divmod(int((i + 0.5) * places / count), rows.count - high + 1) for i in range(min(count, places))]
    return [(Span(first=slots.first + slot, count=1), Span(first=rows.first + row, count=high)) for slot, row in chosen]


def parts_of(config, walk, cut, batch: int) -> list:
    """(slots, rows) of the RUNs of a tile. All outputs are taken to have as many bricks as the first."""
    slots = batch // config.rows
    if walk.outer:
        return [(Span(first=0, count=slots), Span(first=0, count=walk.grid.rows))]
    return position_tiles(config, slots=slots, rows=walk.grid.rows, columns=walk.grid.columns, targets=cut.outputs[0].count,
                       step=step_of(walk))


def sampled(config, walk, masks, cut: Cut, options: Options, batch: int, sample: Sample, rough: bool = False) -> tuple:
    """(cycles, multiplications without the bias, RUNs, cycles of the busiest lanes) of a pass (or phase), from a sample.

    A RUN takes as long as the longest of the rows of the array. Of a RUN longer than ``sample.positions`` strips are computed: the
    first positions as they are, the others at the rate of the strips behind their first positions. ``rough``: bounds, not cycles.
    Busiest lanes: of each row of the array in each RUN, mean over the rows; and of the row where it is busiest.
    """
    parts = parts_of(config, walk, cut, batch)
    runs = [parts[i] for i in _spread(len(parts), sample.runs)]
    inputs = _spread(len(cut.inputs), sample.outputs if cut.paired else sample.inputs)
    outputs = inputs if cut.paired else _spread(len(cut.outputs), sample.outputs)
    part = Cut(inputs=tuple(cut.inputs[i] for i in inputs), outputs=tuple(cut.outputs[i] for i in outputs), paired=cut.paired)
    options = replace(options, bias=False) if walk.role == "BD" else options
    tiles = len(cut.inputs) * (1 if cut.paired else len(cut.outputs))
    computed = len(inputs) * (1 if cut.paired else len(outputs))
    scale = len(parts) / len(runs) * tiles / computed
    groups = {}
    for slots, rows in runs:
        strips = _strips(walk, slots, rows, sample)
        length = strips[0][0].count * strips[0][1].count, len(strips), slots.count * rows.count
        groups.setdefault(length, []).append(strips)
    cycles = macs = 0.0
    lanes = np.zeros(2)
    for (rows_each, count, rows_all), members in groups.items():
        each, total = rows_each * walk.grid.columns, rows_all * walk.grid.columns
        works = []
        for slots, rows in (strip for strips in members for strip in strips):
            images = np.arange(config.rows)[:, None] + config.rows * (slots.first + np.arange(slots.count))
            works.append(work(walk, masks, part, options, config.lanes, images, rows.first, rows.count))
        job = _join(works)
        if rough:
            ends = job.bound() * (total / each)
            cycles += float(ends.reshape((len(members), count, config.rows) + ends.shape[1:]).mean(axis=1).max(axis=1).sum())
            continue
        released, free = job.times(options.lists or config.lists, options.bubble)
        shape = (len(members), count, config.rows) + released.shape[2:]
        ends = done(released, free).reshape(shape).mean(axis=1)
        if total > each:
            warm = min(WARM, each // 4)
            rate = (released[-1] - released[warm]).reshape(shape).mean(axis=1) / (each - 1 - warm)
            ends = ends + rate * (total - each)
        cycles += float((ends.max(axis=1) + 1).sum())
        busiest = job.busiest().reshape(shape).mean(axis=1) * (total / each)
        lanes += busiest.mean(axis=1).sum(), busiest.max(axis=1).sum()
        macs += float(job.macs(bias=False).reshape((len(members), count) + (-1,)).mean(axis=1).sum()) * total / each
    return cycles * scale, macs * scale, len(parts) * tiles, lanes * scale


def cost_of(config, layer, role, masks, cuts, options, batch, sample) -> Cost:
    """Cost of a pass whose walks are cut into ``cuts``, one each."""
    run = macs = 0.0
    total, lanes, loads = Around(), np.zeros(2), []
    for walk, cut in zip(walks_of(layer, role), cuts):
        cycles, count, _, busy = sampled(config, walk, masks, cut, options, batch, sample)
        run, macs, lanes = run + cycles, macs + count, lanes + busy
        extra = around(config, layer, walk, cut, parts_of(config, walk, cut, batch), options.bias)
        loads += extra.loads
        total = Around(**{name: getattr(total, name) + getattr(extra, name) for name in ("load", "clear", "post", "update", "issue")})
    total.loads = tuple(loads)
    return Cost(role=role, run=run, macs=macs, lanes=tuple(lanes), around=total, size=cuts[0].size, cuts=tuple(cuts))


def best(config, layer, role: str, masks, options: Options, batch: int, overlap: bool = False,
         coarse: Sample = COARSE, fine: Sample = FINE) -> Cost | None:
    """The cost of a pass cut in the way that took the fewest cycles, loads included, on a coarse sample. None: no cut fits.

    The figures come from the fine sample, so the choice does not favour its own errors.
    """
    walks, choice = walks_of(layer, role), []
    for walk in walks:

        def price(cut, rough, walk=walk):
            cycles, _, runs, _ = sampled(config, walk, masks, cut, options, batch, coarse, rough)
            extra = around(config, layer, walk, cut, parts_of(config, walk, cut, batch), options.bias)
            return cycles + (extra.overlapped(cycles / runs) if overlap else extra).total
        cuts = candidates(config, layer, walk, options.bias and role != "BD", overlap, options.turns if role == "BD" else 1)
        if not cuts:
            return None
        if len(cuts) > PRICED:
            cuts = sorted(cuts, key=lambda cut: price(cut, True))[:PRICED]
        choice.append(min(cuts, key=lambda cut: price(cut, False)) if len(cuts) > 1 else cuts[0])
    cost = cost_of(config, layer, role, masks, choice, options, batch, fine)
    if overlap:
        runs = sum(len(parts_of(config, w, c, batch)) * len(c.inputs) * (1 if c.paired else len(c.outputs)) for w, c in zip(walks, choice))
        cost = replace(cost, around=cost.around.overlapped(cost.run / runs))
    return cost
