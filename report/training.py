"""What a training run shows a person: a short text and a plot."""

import numpy as np

from gradgate.arch.units import UNITS
from gradgate.report.plots import new, png
from gradgate.training.schedule import Result

PHASES = ("FW", "BD", "WG", *dict.fromkeys(unit.phase for unit in UNITS.values() if unit.phase))  #: those of RUNs, and of other units


def text(result: Result) -> str:
    """The report of a run, a few lines."""
    schedule, config = result.schedule, result.schedule.config
    tally, core = result.tally, schedule.backend != "golden"
    accuracy = "not measured" if result.test_accuracy is None else f"{result.test_accuracy:.2f} %"
    lines = [
        f"{schedule.network.name} on {config.name} ({config.rows}x{config.lanes} PEs, {config.lists} lists), batch {schedule.batch}, "
        f"{result.steps} steps, {len(schedule.lr_shifts)} epoch(s), learning rate 2^-({', '.join(map(str, schedule.lr_shifts))})"
        + (f", momentum 1 - 2^-{schedule.momentum}" if schedule.momentum else ""),
        f"test accuracy      {accuracy} ({schedule.backend}), {result.golden_accuracy:.2f} % golden model, "
        f"{result.float32_accuracy:.2f} % float32",
    ]
    if result.interrupted:
        lines.insert(1, f"INTERRUPTED        after step {result.steps} of {result.total_steps}; all figures are of the steps until then")
    if core:
        cycles, model = tally.rtl_total, tally.model_total
        lines += [
            f"words compared     {tally.compared_words:,}, mismatched {tally.mismatched_words}",
            f"cycles             {cycles:,} {'RTL' if schedule.backend == 'rtl' else 'core'}, {model:,} model, "
            f"{tally.wrong_cycles} commands differ",
            f"simulation         {cycles / max(result.simulation_s, 1e-9):,.0f} cycles/s, comparison included; "
            f"{result.wall_s:.0f} s in all" if schedule.backend == "rtl" else
            f"time               {result.simulation_s:.1f} s with the board, transfers and comparison included; "
            f"{result.wall_s:.1f} s in all",
            f"weight gradients   lists of gradients in {', '.join(result.swapped[-1]) or 'no layer'}" if any(result.swapped)
            else "weight gradients   lists of activations in all layers",
            *_phases("training", result.train, config), *_phases("test images", result.test, config),
        ]
    if result.dense:
        sparse, dense = result.sparse.rtl_cycles, result.dense.rtl_cycles
        on, off = result.sparse.rtl_total, result.dense.rtl_total
        lines += ["", f"the same {schedule.dense_steps} training steps    skip off {off:,} cycles, skip on {on:,}: {off / on:.2f}x"]
        lines += [f"  {phase:6} {dense[phase]:12,} {sparse[phase]:12,}   {dense[phase] / sparse[phase]:.2f}x"
                  for phase in PHASES if phase in dense]
    if schedule.check is not None:
        lines += ["", f"Compared: every tensor in the first {schedule.check} step(s), all weights after the last; in all steps cycles of "
                      "every command, correct predictions, overflows."]
    if tally.first:
        lines += ["", f"FIRST DIFFERENCE   {tally.first}"]
    if tally.first_cycles:
        lines += ["", f"FIRST CYCLE COUNT  {tally.first_cycles}"]
    if result.warnings:
        lines += ["", *(f"WARNING            {warning}" for warning in result.warnings)]
    return "\n".join(lines)


def _phases(name, tally, config) -> list:
    """Lines with the cycles of each phase, those of them that are not hidden beside others, and multiplications."""
    if not tally.steps:
        return []
    total = tally.rtl_total
    lines = ["", f"{name}: {tally.steps} steps, {total:,} cycles, {total / tally.steps:,.0f} a step",
             f"  {'phase':8}{'cycles':>14}{'added':>14}{'share':>8}{'MACs':>16}{'MACs/cycle/PE':>15}{'fill, drain':>13}{'waiting':>9}"]
    for phase in PHASES:
        if phase in tally.rtl_cycles:
            cycles, rate = tally.rtl_cycles[phase], ""
            if phase in tally.runs:
                work, edges, waiting = tally.split(phase, config.pes)
                rate = f"{tally.macs[phase]:16,}{work:15.2f}{edges:13.1%}{waiting:9.1%}"
            added = tally.added[phase]
            lines.append(f"  {phase:8}{cycles:14,}{added:14,}{added / total:8.1%}{rate}")
    return lines


def plot(result: Result) -> bytes:
    """Loss, accuracy and cycles of the run as a PNG."""
    from matplotlib import ticker  # slow to import

    cycles = result.train.rtl_cycles
    panels = 3 if cycles else 2  # the golden model has no cycles
    figure = new(13 * panels / 3, 3.6)
    axes = figure.subplots(1, panels)
    losses = np.array(result.losses)
    width = max(1, len(losses) // 40)
    axes[0].plot(losses, color="0.8", linewidth=0.8)
    axes[0].plot(np.arange(len(losses) - width + 1) + width - 1, np.convolve(losses, np.ones(width) / width, "valid"))
    axes[0].set(title="loss", xlabel="step", ylabel="cross-entropy (nats)", ylim=(0, None))
    axes[1].plot(range(1, len(result.accuracy) + 1), result.accuracy, "o-", label="accelerator (bit-exact model)")
    axes[1].axhline(result.float32_accuracy, color="0.5", linestyle="--", label="float32, at the end")
    axes[1].set(title="test accuracy", xlabel="epoch", ylabel="%")
    axes[1].xaxis.set_major_locator(ticker.MaxNLocator(integer=True))
    axes[1].legend()
    if cycles:
        _plot_cycles(axes[2], result)
    return png(figure)


def _plot_cycles(axis, result):
    """Bars of the cycles of a step, by phase; with skipping off and on where both were run."""
    cycles = result.train.rtl_cycles
    phases = [phase for phase in PHASES if phase in cycles]
    if result.dense:
        where = np.arange(len(phases))
        steps = result.schedule.dense_steps
        axis.bar(where - 0.2, [result.dense.rtl_cycles.get(p, 0) / steps for p in phases], 0.4, label="skip off")
        axis.bar(where + 0.2, [result.sparse.rtl_cycles.get(p, 0) / steps for p in phases], 0.4, label="skip on")
        axis.set_xticks(where, phases)
        axis.legend()
    else:
        axis.bar(phases, [cycles[p] / max(result.steps, 1) for p in phases])
    axis.set(title="RTL cycles of a step", ylabel="cycles")
    axis.tick_params(axis="x", rotation=45)
