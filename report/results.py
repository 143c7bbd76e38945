"""The page ``docs/results.md``, from recorded runs."""

from datetime import date

import numpy as np

from gradgate.arch.config import Config
from gradgate.arch.network import Network
from gradgate.report.tables import table
from gradgate.report.training import PHASES
from gradgate.training.datasets import digits
from gradgate.training.run import Trainer
from gradgate.training.schedule import Schedule

WAITING = ("Multiplying: as if all PEs did so at once, and not at all otherwise. Waiting: for lists to be built, for the slowest lane "
           "or row, for accumulators (the OUT bubble).")
LR_SHIFTS = (2, 2, 2, 3, 4)  #: of the demo


def compare_seeds(seeds: int) -> list:
    """Test accuracies in percent, (golden model, float32), of the demo's schedule at so many seeds."""
    network, config = Network.load("digits"), Config.load("small")
    pairs = []
    for seed in range(seeds):
        schedule = Schedule(network=network, config=config, batch=16, lr_shifts=LR_SHIFTS, seed=seed, backend="golden")
        result = Trainer(schedule, digits(seed)).run()
        pairs.append((result.golden_accuracy, result.float32_accuracy))
    return pairs


def measured(runs: list) -> list:
    """What skipping is worth in RTL, for the ``result.json`` of each of ``runs``, which ended with dense steps.

    Ideal: multiplications without and with skipping, one a PE and cycle. Efficiency: ideal cycles of the RUNs, all included that a PE
    may wait for, of those with skipping.
    """
    lines = []
    for run in runs:
        part, pes = run["skip_on_off"], Config.from_dict(run["config"]).pes
        on, off, macs_on, macs_off = (part[f"{what}_skip_{way}"] for what in ("cycles", "macs") for way in ("on", "off"))
        lines += [f"`{run['model']}` on `{run['config']['name']}`, batch {run['batch']}, behind {run['steps']} steps of training; lists of "
                  f"gradients in {', '.join(run['swapped_weight_gradients'][-1]) or 'no layer'}:", ""]
        groups = [("FW", ("FW",)), ("BD + WG", ("BD", "WG")), ("FW + BD + WG", ("FW", "BD", "WG")), ("**step**", None)]
        rows = []
        for name, phases in groups:
            fast, slow = (sum(cycles[p] for p in phases) for cycles in (on, off)) if phases else (
                part["total_skip_on"], part["total_skip_off"])
            few, many = (sum(macs[p] for p in phases or macs) for macs in (macs_on, macs_off))
            rows.append([name, f"{slow // part['steps']:,}", f"{fast // part['steps']:,}", f"{slow / fast:.2f}x", f"{many / few:.2f}x",
                         f"{few / fast / pes:.2f}"])
        lines += [*table(["passes", "cycles a step, off", "on", "speedup", "ideal", "efficiency"], rows), ""]
    return lines


def markdown(demo: dict, soak: dict, pairs: list, others: list = (), goals: list = ()) -> str:
    """The page: the demo's ``result.json``, the figures of a soak run, pairs of accuracies over seeds; of ``others`` the part on
    skipping only. ``goals``: lines of the part on goals."""
    return "\n".join([
        "# Results", "",
        f"Written by `make results` on {date.today()}; do not edit. All cycles are those of the simulated core.", "",
        *goals,
        *_demo(demo),
        *(_skipping(demo) if "skip_on_off" in demo else []),
        "## Skipping, measured in RTL", "", *measured([demo, *others]),
        *_seeds(pairs),
        *_soak(soak)])


def _demo(demo: dict) -> list:
    """What the demo is, and what came of it."""
    config, split = Config.from_dict(demo["config"]), demo["train_per_phase"]["work_edges_waiting"]
    facts = [
        ["test accuracy, counted on chip", f"{demo['test_accuracy']:.2f} %"],
        ["golden model; float32, same schedule", f"{demo['golden_accuracy']:.2f} %; {demo['float32_accuracy']:.2f} %"],
        ["words read out of the RTL and compared", f"{demo['compared_words']:,}"],
        ["mismatched words", demo["mismatched_words"]],
        ["cycles, RTL; model", f"{demo['rtl_cycles']:,}; {demo['model_cycles']:,}"],
        ["commands that began or ended in another cycle", demo["commands_with_wrong_cycles"]],
        ["simulated cycles/s, comparison included", f"{demo['rtl_cycles'] / demo['simulation_s']:,.0f}"],
        ["wall time", f"{demo['wall_s']:.0f} s"],
    ]
    return [
        "## The demo", "",
        f"`make demo`: {demo['model']} on `{config.name}` ({config.rows}x{config.lanes} PEs, {config.lists} lists), batch "
        f"{demo['batch']}, {demo['epochs']} epochs, learning rate 2^-({', '.join(map(str, demo['lr_shifts']))}), seed {demo['seed']}.", "",
        *table(["what", "measured"], facts), "",
        f"Where the cycles of the RUNs of training go. {WAITING}", "",
        *table(["phase", "multiplying", "fill and drain", "waiting"],
               [[phase, *(f"{v:.1%}" for v in split[phase])] for phase in PHASES if phase in split]), ""]


def _skipping(demo: dict) -> list:
    """The demo's steps with skipping on and off, by phase and by layer."""
    part, pes = demo["skip_on_off"], Config.from_dict(demo["config"]).pes
    on, off, use, steps = part["cycles_skip_on"], part["cycles_skip_off"], part["utilisation_skip_off"], part["steps"]
    total_on, total_off = part["total_skip_on"], part["total_skip_off"]
    phases = [[p, f"{off[p] // steps:,}", f"{on[p] // steps:,}", f"{off[p] / on[p]:.2f}x", f"{use[p]:.1%}" if p in use else ""]
              for p in PHASES if p in off]
    phases.append(["**step**", f"{total_off // steps:,}", f"{total_on // steps:,}", f"**{total_off / total_on:.2f}x**",
                   f"{sum(part['macs_skip_off'].values()) / total_off / pes:.1%}"])
    layers = [[name, f"{row['all'] // steps:,}", f"{row['macs'] / row['run'] / pes:.1%}", f"{row['macs'] / row['all'] / pes:.1%}"]
              for name, row in part["layers_skip_off"].items() if row["run"]]
    return [
        "## Skipping on against off", "",
        f"The same {steps} steps from the same weights at the end of training, on the same array; padding is skipped in both. "
        "Utilisation: multiplications per cycle and PE.", "",
        *table(["phase", "cycles a step, off", "on", "speedup", "utilisation, off"], phases), "",
        "Dense cycles and utilisation of each layer: its RUNs alone, and with its loads, post-processing and updates, as far as these are "
        "not hidden beside others.", "",
        *table(["layer", "cycles", "utilisation of RUNs", "all included"], layers), ""]


def _seeds(pairs: list) -> list:
    """Accuracies of the golden model and in floating point."""
    golden, float32 = np.array(pairs).T
    rows = [[name, f"{a.mean():.2f} %", f"{a.std(ddof=1):.2f}", ", ".join(f"{v:.2f}" for v in a)]
            for name, a in (("golden", golden), ("float32", float32))]
    return [
        "## Against float32", "",
        f"Golden model (bit-exact to the RTL) and float32 at the demo's schedule, {len(pairs)} seeds of split, weights and order:", "",
        *table(["", "mean", "standard deviation", "each seed"], rows), "",
        f"Difference of the means: {golden.mean() - float32.mean():+.2f} points.", ""]


def _soak(soak: dict) -> list:
    """Random networks."""
    rows = [
        ["networks", soak["networks"]], ["steps", soak["steps"]], ["words compared", soak["compared_words"]],
        ["commands whose cycles were compared", soak["commands"]], ["RTL cycles", soak["cycles"]],
        ["networks with a difference or a hang", len(soak["failures"])],
        *[[f"networks with {kind}", n] for kind, n in soak["kinds"].items()]]
    return [
        "## Random networks", "",
        f"`gradgate soak --networks {soak['networks']} --seed {soak['seed']}` on cores of odd shapes, all switch settings:", "",
        *table(["what", "measured"], rows), ""]
