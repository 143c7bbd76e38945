"""Plots of the study."""

import numpy as np

from gradgate.bench.cost.walks import PASSES
from gradgate.bench.recording.networks import NETWORKS
from gradgate.report.plots import new, png
from gradgate.report.published import Published


def speedups(found, published: Published) -> bytes:
    """Speedups of all networks on the last configuration, ideal ones in the background, and efficiency by pass, as a PNG.

    Where others report a range, a band shows it.
    """
    config = found.machines[-1].config
    figures = {m.network: m.figures() for m in found.machines if m.config == config}
    where = np.arange(len(figures))
    figure = new(14, 4)
    axes = figure.subplots(1, 3)
    for axis, key, title, name in zip(axes, ("bp", "total"), ("backpropagation", "forward + backpropagation"),
                                      ("backpropagation", "total")):
        bands = {one.of: band for one in published.speedups if len(set(band := getattr(one, name))) == 2}
        for of, band in bands.items():
            axis.axhspan(*band, color="0.93", label=f"range of {of}")
        high = max([*(band[1] for band in bands.values()), *(one[f"ideal_{key}"] for one in figures.values())])
        axis.bar(where, [one[f"ideal_{key}"] for one in figures.values()], 0.8, color="0.75", label="ideal")
        axis.bar(where, [one[f"speedup_{key}"] for one in figures.values()], 0.5, label=f"{config}, LOAD, POST, ... included")
        axis.set(title=title, ylabel="speedup over dense", ylim=(0, 1.3 * high))
        axis.legend(fontsize="small", loc="upper right")
    for i, name in enumerate(PASSES):
        axes[2].bar(where + 0.27 * (i - 1), [one["efficiency_pass"][name] for one in figures.values()], 0.25, label=name)
    axes[2].set(title="ideal by actual RUN cycles, sparse", ylabel="efficiency", ylim=(0, 1))
    axes[2].legend(fontsize="small")
    for axis in axes:
        axis.set_xticks(where, figures, rotation=30, ha="right")
    return png(figure)


def layers(machine) -> bytes:
    """Cycles of every layer of a network, dense, sparse and ideal, by pass, as a PNG."""
    table = NETWORKS[machine.network]
    figure = new(max(8, 0.16 * len(table)), 8)
    axes = figure.subplots(3, 1, sharex=True)
    for axis, name in zip(axes, PASSES):
        where = [i for i in range(len(table)) if name in machine.sparse[i]]
        for label, results, key, width, color in (("dense", machine.dense, "total", 0.9, "0.85"),
                                                  ("sparse", machine.sparse, "total", 0.7, "C0"),
                                                  ("ideal", machine.sparse, "ideal", 0.3, "C1")):
            axis.bar(where, [getattr(results[i][name], key) / 1e6 for i in where], width, label=label, color=color)
        axis.set(title=f"{machine.network}, {machine.config}: {name}", ylabel="million cycles")
    axes[0].legend(fontsize="small")
    axes[-1].set_xticks(range(len(table)), [layer.name for layer in table], rotation=90, fontsize=5 if len(table) > 40 else 8)
    return png(figure)
