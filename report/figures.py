"""The figures that goals are judged by, from the JSON files of recorded runs.

A figure's key is its group and its name in there, ``demo.test_accuracy``. Each group is a function below; its figures come from one kind
of file.
"""

import numpy as np

from gradgate.arch.config import PRESETS, Config
from gradgate.bench.recording.networks import FIVE, NETWORKS
from gradgate.bench.sparsity.machines import PORTS
from gradgate.fpga.boards import BOARDS

#: Groups of figures, and where they come from.
GROUPS = {
    "demo": "the demo (`--demo`, from `make demo`)",
    "runs": "training runs (`--demo` and `--other`)",
    "seeds": "seeds (computed anew)",
    "soak": "random networks (`--soak`, from `gradgate soak`)",
    "sparsity": "the study of sparsity (`--sparsity`, from `make sparsity`)",
    "synth": "synthesis (`--synth`, from `make resources`)",
    "fresh": "a fresh clone (`--fresh`, from `make fresh`)",
    "boards": "boards (`--boards`, from `gradgate synth --board B --docs`)",
}
WIDE = 16  #: channels from which a layer is expected to keep the array busy
SEEDS = ("accuracy_difference",)  #: names of the group ``seeds``
STUDIED = ("speedup_bp", "ideal_bp", "speedup_total", "ideal_total", "efficiency", "efficiency_loads", "efficiency_dense",
           "efficiency_port", "efficiency_port_overlap")


def demo(run: dict) -> dict:
    """Of the ``result.json`` of one run with dense steps."""
    cycles = run["train_per_phase"]["rtl_cycles"]
    return {
        "compared_words": run["compared_words"],
        "test_accuracy": run["test_accuracy"],  # %
        "speedup": run["skip_on_off"]["speedup"],  # of the whole step, by skipping
        "loss_share": 100 * cycles["loss"] / run["train_per_phase"]["rtl_total"],  # % of the cycles of a step
        "cycles_per_second": run["rtl_cycles"] / run["simulation_s"],  # simulated, comparison included
    }


def runs(every: list) -> dict:
    """Of the ``result.json`` of all runs together."""
    busy = [100 * row["macs"] / row["all"] / Config.from_dict(run["config"]).pes
            for run in every for block, row in run["skip_on_off"]["layers_skip_off"].items()
            if row["run"] and run["channels"][block] >= WIDE]
    return {
        "mismatched_words": sum(run["mismatched_words"] for run in every),
        "wrong_cycles": sum(run["commands_with_wrong_cycles"] for run in every),  # commands whose count is not the model's
        "utilisation": min(busy, default=None),  # %, with skipping off, of the worst layer with WIDE and more inputs and outputs
    }


def seeds(pairs: list) -> dict:
    """Of pairs of accuracies (golden model, float32) in percent, one pair a seed: the difference of their means in points."""
    golden, float32 = np.array(pairs).mean(axis=0)
    return dict(zip(SEEDS, [float(abs(golden - float32))]))


def soak(found: dict) -> dict:
    """Of a soak run."""
    return {"networks": found["networks"], "failures": len(found["failures"])}


def synthesis(found: dict) -> dict:
    """Of ``{configuration: figures}``: what one of each unit takes, as in ``small.lane.lut4``."""
    return {f"{name}.{unit}.{kind}": count for name, figures in found.items() for unit, counts in figures["units"].items()
            for kind, count in counts.items() if isinstance(count, int)}


def fresh(found: dict) -> dict:
    """Of commands in a fresh clone: seconds, None where one failed, however fast it was; presets that are clean and repeatable."""
    def seconds(name):
        run = found["runs"][name]
        return run["seconds"] if run["exit_code"] == 0 else None

    return {"demo_s": seconds("demo"), "demo_again_s": seconds("demo again"), "test_s": seconds("test"),
            "presets": len(found["runs"]["generated"].get("presets", ()))}


def boards(found: list) -> dict:
    """Of designs on boards, of which those of cores have number formats; only bitstreams count, and clocks of three and more seeds.

    ``BOARD.cores``: how many there are; ``BOARD.pes``: of the largest, or None; ``BOARD.CONFIG.mhz``: of the worst seed, or None.
    """
    built = [figures for figures in found if figures.get("meets_clock") and "formats" in figures["config"]]
    result = {}
    for board in BOARDS:
        here = [figures for figures in built if figures["board"] == board]
        result[f"{board}.cores"] = len(here)
        result[f"{board}.pes"] = max((figures["pes"] for figures in here), default=None)
        for config in PRESETS:
            clocks = [figures["fmax_mhz"] for figures in here if figures["config"]["name"] == config and len(figures["seeds_mhz"]) >= 3]
            result[f"{board}.{config}.mhz"] = min(clocks, default=None)
    return result


def sparsity(study: dict) -> dict:
    """Of the JSON of the study of sparsity: ``CONFIG.NETWORK.KEY`` of those that were computed, and of ``mean_of_five`` networks."""
    result = {f"{config}.{name}.{key}": figures[key] for name, one in study["networks"].items()
              for config, figures in one["configs"].items() for key in STUDIED if key in figures}
    for config in PORTS:
        for key in STUDIED:
            values = [result.get(f"{config}.{name}.{key}") for name in FIVE]
            if None not in values:
                result[f"{config}.mean_of_five.{key}"] = sum(values) / len(values)
    return result


def sparsity_names() -> set:
    """All names that :func:`sparsity` may give, of networks that were studied or not."""
    return {f"{config}.{name}.{key}" for config in PORTS for name in (*NETWORKS, "mean_of_five") for key in STUDIED}


def gather(training: list, soaked: dict, study: dict | None, synthesised: dict | None, cloned: dict | None, placed: list | None) -> dict:
    """``{group: {name: figure}}`` of what the files hold, None for a group whose file is None; all but ``seeds``.

    training : ``result.json`` of the demo, and of other runs
    """
    given = {"sparsity": (sparsity, study), "synth": (synthesis, synthesised), "fresh": (fresh, cloned), "boards": (boards, placed)}
    return {"demo": demo(training[0]), "runs": runs(training), "soak": soak(soaked),
            **{group: function(file) if file else None for group, (function, file) in given.items()}}


def names(figures: dict) -> dict:
    """``{group: names}``: what a goal may be about, in the groups whose names are known."""
    return {"seeds": SEEDS, **{group: found for group, found in figures.items() if found is not None}, "sparsity": sparsity_names()}
