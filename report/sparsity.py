"""The study as text: a page of documentation, a short report, CSV files."""

import csv
import io

from gradgate.arch.config import PRESETS
from gradgate.bench.cost.walks import PASSES
from gradgate.bench.recording.networks import NETWORKS
from gradgate.bench.sparsity.machines import BATCH, PORTS, Totals
from gradgate.bench.sparsity.study import BP, layer_rows
from gradgate.report.goals import verdict_table
from gradgate.report.published import Published, speedup_section
from gradgate.report.tables import table

HOW = """\
Written by `gradgate bench sparsity --docs`; do not edit.

**What is compared.** The same array with skipping on (*sparse*) and off (*dense*; padding is skipped in both). Layers have their
published shapes (224x224 images, 1000 classes), the batch is {batch}. *Ideal* is the number of multiplications where both factors
count, by PEs. They count in FW where X is not zero, in BD where dY is not zero and dX is needed (X is not zero, where it comes out
of a ReLU), in WG where neither is zero. Multiplications of biases are done, but not counted as ideal. *Efficiency* is ideal by
actual cycles.

**Where cycles come from.** Of RUN commands from `golden/cycles/run.py`, the formula that equals the RTL's counters, applied to masks;
of LOAD, CLEAR, POST, UPDATE and the fetching of commands from the other formulas there. Tiles are cut as the compiler cuts them, but
into the shape for which a search with the cycle model found the fewest cycles, LOADs included, for dense and sparse apart. WG
runs in the cheaper of its two roles (WG-X: lists of X, targets dY; WG-Y: lists of dY, targets X). Where branches of a network add to
one gradient, POST takes two cycles a brick instead of one; this is left out.

**Where zeros come from.** Masks recorded while each network was trained at a small resolution (see the table). They are continued
periodically to the published shapes: cropped to the largest period that keeps X and dY of a layer aligned, and repeated. A batch
takes the recorded images in turn, and from the second turn on each begins at another pixel of the period. So the densities are those of
the small images; borders of small images lie inside the large ones.

**Samples.** Not all positions of all tiles are computed: of a tile's RUNs {runs}, of a RUN {positions} positions a row in FW and BD, in WG
{strips} strips of {strip}; of spans of inputs {inputs}, of targets {outputs}. Cycles of a sample by its multiplications, times the
multiplications of the whole batch, which are counted exactly, give the cycles of a pass. Dense passes, whose positions are all
alike, come from a smaller sample. The error is at the end of the page.

**External port.** Every pass reads its operands and writes its result: weights, activations and gradients as 16-bit words, updates as
24-bit masters read and written; zeros are moved too. Port: {ports}. *Behind*: port and array never work at once. *Overlapping*:
a pass of a layer takes the longer of the two, and LOADs run during the RUN before, for which half of each bank stays free. In the
core LOADs go on beside the RUN before likewise; it has no external port, which is a calculation, and so is all that overlaps with it.
"""


ABLATION_NOTES = """\
*Channels dealt by density*: channels are assigned to lanes in a snake by the density that the masks show at the recorded point before
(*earlier*), or at the same point (*own*: more than a host can know). X and dY of a layer have an order each, although in a network
one order may have to serve several layers. *Turned copies*: where a tile's weights leave room in the banks, two or four copies of
them lie in lanes lanes/2 or lanes/4 apart, and positions use them in turn, so that a channel's targets fall to several lanes; fetching
targets and POST would have to turn bricks. *WG-Y only*: except layers whose kernel has more taps than a lane may have targets. *LOAD
overlaps RUN*: for which half of each bank stays free. S = 8 and turned copies exist in the model only."""


def _percent(value: float) -> str:
    return f"{100 * value:.1f} %"


def _array(name: str) -> str:
    config = PRESETS[name]
    return (f"`{name}`: {config.rows}x{config.lanes} PEs, S = {config.lists}, {config.targets} targets a lane, banks of "
            f"{config.bank_words} accumulators or {config.bank_weights} weights, {config.psum_words} sums a lane, row memories of "
            f"{config.act_bricks} bricks, weight memory of {config.weight_bricks} bricks, port of {PORTS[name]} bits")


def _speedups(found, config: str) -> list:
    rows, efficiency, losses = [], [], []
    for machine in found.machines:
        if machine.config != config:
            continue
        kinds = {True: machine.network}
        if any(layer.kind == "depthwise" for layer in NETWORKS[machine.network]):
            kinds[False] = f"{machine.network} without depthwise layers"
        for depthwise, name in kinds.items():
            one = machine.figures(depthwise)
            rows.append([name, *(f"{one[key]:.2f}" for key in (
                "speedup_bp", "ideal_bp", "speedup_total", "ideal_total", "speedup_bp_compute", "speedup_total_compute",
                "speedup_total_port", "speedup_total_port_overlap"))])
            losses.append([name, *(_percent(loss) for p in PASSES for loss in one["losses"][p])])
            efficiency.append([name, *(_percent(one["efficiency_pass"][p]) for p in PASSES), *(_percent(one[key]) for key in (
                "efficiency", "efficiency_loads", "efficiency_port", "efficiency_port_overlap", "efficiency_dense"))])
    lines = [f"## Configuration `{config}`", "", _array(config) + ".", "",
             "Speedup over dense. Backpropagation is BD + WG, total is FW + BD + WG. The first four columns of figures count LOAD, CLEAR, "
             "POST, UPDATE and the fetching of commands; *RUN* counts RUN commands only; the last two add the external port.", ""]
    lines += [*table(["network", "backprop.", "ideal", "total", "ideal", "backprop., RUN", "total, RUN", "total, port behind",
                     "total, overlapping"], rows), ""]
    lines += ["Efficiency, sparse:", ""]
    lines += [*table(["network", *PASSES, "all RUNs", "+ LOAD, POST, ...", "+ port behind", "overlapping", "dense RUNs"], efficiency), ""]
    lines += ["What RUNs lose, in parts of their cycles: *lanes*, because the busiest lane of a row has more to do in a RUN than the "
              "mean of all (biases, words of bricks that belong to no channel, and useless multiplications of depthwise layers are in "
              "here too); *rows*, because one row of the array has more to do than the others; *rest*, lists that are not ready, bubbles, "
              "beginning and end of a RUN.", ""]
    return lines + [*table(["network", *(f"{p} {loss}" for p in PASSES for loss in ("lanes", "rows", "rest"))], losses), ""]


def _points(found) -> list:
    rows = [[name, point, *(_percent(one[key]) for key in ("density_x", "density_dy")),
             *(f"{one[key]:.2f}" for key in ("speedup_bp", "ideal_bp", "speedup_total", "ideal_total")), _percent(one["efficiency"])]
            for name, points in found.points.items() for point, one in points.items()]
    return ["## In the course of training", "", f"On `{found.machines[-1].config}`. Densities are means over the layers, weighted by their "
            "multiplications.", "",
            *table(["network", "step", "X not zero", "dY not zero", "backprop.", "ideal", "total", "ideal", "efficiency"], rows), ""]


def _ablation(found) -> list:
    lines = ["## One thing switched off, or on", "", f"Millions of cycles, LOAD, POST and the others included, on "
             f"`{found.machines[-1].config}`; speedups over dense.", ""]
    for name, variants in found.ablation.items():
        dense = variants["no skipping"]
        rows = [[variant, *(f"{totals.sum('total', (p,)) / 1e6:.1f}" for p in PASSES), f"{totals.sum('total') / 1e6:.1f}",
                 f"{dense.sum('total', BP) / totals.sum('total', BP):.2f}", f"{dense.sum('total') / totals.sum('total'):.2f}"]
                for variant, totals in variants.items()]
        lines += [*table([name, "FW", "BD", "WG", "all", "backprop.", "total"], rows), ""]
    return lines + [ABLATION_NOTES, ""]


def _recordings(found) -> list:
    rows = []
    for name, meta in found.meta.items():
        last = meta["points"][-1]
        rows.append([name, meta["dataset"], f"{meta['side']}x{meta['side']}", meta["batch"], meta["images"], last["step"],
                     f"{100 * last['accuracy']:.1f} %", meta["seed"]])
    head = ["network", "data", "pixels", "batch", "images with masks", "last step", "accuracy then", "seed"]
    return ["## Recordings", "", *table(head, rows), ""]


def _sampling(found) -> list:
    rows = [[f"{one['network']} {one['layer']}", one["pass"], f"{one['sampled']:,.0f}", f"{one['all']:,.0f}",
             f"{100 * one['error']:+.2f} %"]
            for one in found.sampling]
    return ["## Error of the samples", "", "RUN cycles of single layers from the sample, and from every position of every tile.", "",
            *table(["layer", "pass", "sampled", "all positions", "error"], rows), ""]


def markdown(found, sample, verdicts: list, published: Published) -> str:
    """The page ``docs/sparsity_results.md``; ``sample`` is the one the cycles come from, ``verdicts`` are on goals."""
    ports = ", ".join(f"{bits} bits a cycle for `{name}`" for name, bits in PORTS.items())
    lines = ["# Skipping zeros: results", "", HOW.format(batch=BATCH, ports=ports, **vars(sample))]
    for config in dict.fromkeys(machine.config for machine in found.machines):
        lines += _speedups(found, config)
    lines += speedup_section(published)
    lines += ["## Goals", "", *_goal_lines(found, verdicts), ""] if verdicts else []
    lines += _points(found) if found.points else []
    lines += _ablation(found) if found.ablation else []
    lines += _recordings(found)
    lines += _sampling(found) if found.sampling else []
    return "\n".join(lines).rstrip() + "\n"


def _goal_lines(found, verdicts) -> list:
    config = found.machines[-1].config
    totals = {m.network: Totals.of(m.sparse) for m in found.machines if m.config == config}
    lost = ", ".join(f"{_percent((one.sum('lanes') - one.sum('ideal')) / one.sum('run'))} in {name}" for name, one in totals.items())
    return [*verdict_table(verdicts), "",
            "Where efficiency is missed, most of it is lost to unequal lanes: a channel that is seldom zero keeps its lane busy while "
            f"others wait for the end of the RUN. Of the cycles of all RUNs on `{config}`, unequal lanes take {lost}."]


def text(found, verdicts: list) -> str:
    """The report on the terminal: a line for each network and configuration, and goals if there are any."""
    lines = [f"batch {BATCH}, last recorded step; speedups over dense with LOAD, POST and the others; efficiency of RUN cycles", "",
             f"{'network':14}{'config':8}{'backprop.':>10}{'ideal':>8}{'total':>8}{'ideal':>8}{'effic.':>9}{'FW':>8}{'BD':>8}{'WG':>8}"]
    for machine in found.machines:
        one = machine.figures()
        lines.append(f"{machine.network:14}{machine.config:8}{one['speedup_bp']:10.2f}{one['ideal_bp']:8.2f}{one['speedup_total']:8.2f}"
                     f"{one['ideal_total']:8.2f}{one['efficiency']:9.1%}" + "".join(f"{one['efficiency_pass'][p]:8.1%}" for p in PASSES))
    if verdicts:
        lines += ["", f"goals met: {sum(verdict.met for verdict in verdicts)} of {len(verdicts)}"]
        lines += [f"  missed: {one.goal.what}: {one.got:.3f}, wanted {one.goal.wanted:.2f}" for one in verdicts if not one.met]
    return "\n".join(lines)


def csv_text(found) -> str:
    """A line for each pass of each layer. Cycles where nothing else is said."""
    buffer, rows = io.StringIO(), layer_rows(found)
    writer = csv.DictWriter(buffer, rows[0].keys(), lineterminator="\n")
    writer.writeheader()
    for row in rows:
        writer.writerow({key: f"{value:.6g}" if isinstance(value, float) else value for key, value in row.items()})
    return buffer.getvalue()
