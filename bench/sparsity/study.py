"""The whole study: networks, machines, recorded points, ablation, sampling error."""

from dataclasses import dataclass, field, replace

import numpy as np

from gradgate.arch.config import Config
from gradgate.bench.cost.estimate import COARSE, FINE, WHOLE, Sample, best, cost_of
from gradgate.bench.cost.tiles import Options
from gradgate.bench.cost.walks import PASSES
from gradgate.bench.recording.masks import masks_of
from gradgate.bench.recording.networks import NETWORKS
from gradgate.bench.sparsity import machines as sparsity
from gradgate.bench.sparsity.machines import BATCH, DENSE, PORTS, Totals, Variant, tasks_of

BP = ("BD", "WG")
OVERLAP, DENSE_OVERLAP = Variant(name="overlap", overlap=True), replace(DENSE, name="dense overlap", overlap=True)
ABLATION = ("vgg16", "resnet18")  #: networks of the ablation table
#: Networks and layers whose sampled cycles are compared with all of them.
CHECKED = (("vgg16", "conv3_2"), ("vgg16", "conv5_1"), ("resnet18", "conv4_1a"))

VARIANTS = (
    Variant(name="all on"),
    *(Variant(name=f"S = {s}", options=Options(lists=s)) for s in (1, 2, 3)),
    Variant(name="S = 8 (model only)", options=Options(lists=8)),
    Variant(name="channels dealt by earlier density", dealt="before"),
    Variant(name="channels dealt by own density", dealt="same"),
    Variant(name="BD with turned copies (not built)", turns=(1, 2, 4)),
    Variant(name="turned copies and own density", dealt="same", turns=(1, 2, 4)),
    Variant(name="input skip only", options=Options(output_skip=False)),
    Variant(name="output skip only", options=Options(input_skip=False)),
    Variant(name="WG-X only", roles=("WG-X",)),
    Variant(name="WG-Y only", roles=("WG-Y",)),
    Variant(name="WG-Y only, without tap spread", roles=("WG-Y",), options=Options(spread=0)),
    Variant(name="no OUT bubble", options=Options(bubble=0)),
    Variant(name="LOAD overlaps RUN", overlap=True),
)


@dataclass(kw_only=True)
class Machine:
    """A network on a configuration at the last recorded point: PassResults by pass, a list over the layers, for each variant."""

    network: str
    config: str
    point: int
    dense: list
    sparse: list
    dense_overlap: list = field(default_factory=list)
    overlap: list = field(default_factory=list)

    def keep(self, depthwise: bool):
        """Which layers count: all, or those that are not depthwise."""
        return lambda i: depthwise or NETWORKS[self.network][i].kind != "depthwise"

    def figures(self, depthwise: bool = True) -> dict:
        """Speedups, efficiencies and times over all layers, or over those that are not depthwise."""
        keep = self.keep(depthwise)
        dense, sparse = Totals.of(self.dense, keep), Totals.of(self.sparse, keep)
        result = {"config": self.config, "point": self.point}
        for name, passes in (("bp", BP), ("total", PASSES)):
            result[f"speedup_{name}"] = dense.sum("total", passes) / sparse.sum("total", passes)
            result[f"speedup_{name}_compute"] = dense.sum("run", passes) / sparse.sum("run", passes)
            result[f"ideal_{name}"] = dense.sum("ideal", passes) / sparse.sum("ideal", passes)
            times = [time(self.dense, keep, passes, False), time(self.sparse, keep, passes, False)]
            result[f"speedup_{name}_port"] = times[0] / times[1]
            if self.overlap:
                times = [time(self.dense_overlap, keep, passes, True), time(self.overlap, keep, passes, True)]
                result[f"speedup_{name}_port_overlap"] = times[0] / times[1]
        result["efficiency"] = sparse.sum("ideal") / sparse.sum("run")
        result["efficiency_loads"] = sparse.sum("ideal") / sparse.sum("total")
        result["efficiency_dense"] = dense.sum("ideal") / dense.sum("run")
        result["efficiency_port"] = sparse.sum("ideal") / time(self.sparse, keep, PASSES, False)
        if self.overlap:
            result["efficiency_port_overlap"] = sparse.sum("ideal") / time(self.overlap, keep, PASSES, True)
        result["efficiency_pass"] = {name: sparse.sum("ideal", (name,)) / sparse.sum("run", (name,)) for name in PASSES}
        result["losses"] = {name: [1 - one["ideal"] / one["lanes"], one["ideal"] / one["lanes"] - one["ideal"] / one["rows"],
                                   one["ideal"] / one["rows"] - one["ideal"] / one["run"]] for name, one in sparse.passes.items()}
        result["cycles"] = {"dense": dense.passes, "sparse": sparse.passes}
        return result


def time(layers: list, keep, passes, overlap: bool) -> float:
    """Cycles with the external port: at the same time as the array, the longer of the two in each pass of a layer, or behind it."""
    join = max if overlap else lambda a, b: a + b
    return sum(join(one.total, one.traffic) for i, layer in enumerate(layers) if keep(i)
               for name, one in layer.items() if name in passes)


@dataclass(kw_only=True)
class Study:
    """All results. points: {network: {step: (figures, mean density of X and of dY)}}; ablation: {network: {variant: Totals}}"""

    machines: list
    points: dict = field(default_factory=dict)
    ablation: dict = field(default_factory=dict)
    sampling: list = field(default_factory=list)
    meta: dict = field(default_factory=dict)

    def machine(self, network: str, config: str) -> Machine | None:
        """One of them, or None."""
        return next((m for m in self.machines if (m.network, m.config) == (network, config)), None)

    def json(self) -> dict:
        """For machines: figures of each network, of ``paper`` if it was asked for, with those of each configuration below."""
        networks = {}
        for machine in self.machines:
            figures = machine.figures()
            if any(layer.kind == "depthwise" for layer in NETWORKS[machine.network]):
                figures["without_depthwise"] = machine.figures(depthwise=False)
            one = networks.setdefault(machine.network, {"configs": {}})
            one.update(figures)
            one["configs"][machine.config] = figures
            one["recording"] = self.meta[machine.network]
            one["points"] = self.points.get(machine.network, {})
        ablation = {name: {variant: totals.passes for variant, totals in table.items()} for name, table in self.ablation.items()}
        return {"batch": BATCH, "ports": PORTS, "networks": networks, "ablation": ablation, "sampling": self.sampling}


def _mean_density(recording, point: int) -> tuple:
    """Density of X and dY over the layers, weighted by the multiplications of a layer at the original shape."""
    total = sums = 0
    for layer in NETWORKS[recording.meta["network"]]:
        masks = recording.layer(layer.name, point)
        total, sums = total + layer.macs, sums + layer.macs * np.array([masks.x.mean(), masks.dy.mean()])
    return tuple(float(value) for value in sums / total)


def sampling_error(network: str, name: str, config: str, point: int, recordings=None, fine: Sample = FINE, whole: Sample = WHOLE) -> list:
    """Cycles of the passes of a layer from the sample and from all positions of all tiles: a list of tables."""
    layer = next(layer for layer in NETWORKS[network] if layer.name == name)
    machine, recorded = Config.load(config), sparsity.recording_of(network, recordings).layer(name, point)
    masks = masks_of(layer, machine.lanes, recorded.x, recorded.dy)
    options = sparsity.options_of(layer, Options())
    result = []
    for role in ("FW", "BD", "WG-X", "WG-Y"):
        cost = best(machine, layer, role, masks, options, BATCH, fine=fine)
        every = cost_of(machine, layer, role, masks, cost.cuts, options, BATCH, whole)
        scale = every.macs / cost.macs
        result.append({"network": network, "layer": name, "pass": role, "sampled": cost.run * scale, "all": every.run,
                       "error": cost.run * scale / every.run - 1})
    return result


def study(networks, configs, *, recordings=None, ablation=True, points=True, progress=lambda done, total: None, workers=None,
          coarse: Sample = COARSE, fine: Sample = FINE) -> Study:
    """Run everything. Raises :class:`ConfigError` for unknown names and missing recordings before anything is computed."""
    metas = {name: sparsity.recording_of(name, recordings) for name in networks}
    last = {name: recording.points[-1] for name, recording in metas.items()}
    given = {"recordings": recordings, "coarse": coarse, "fine": fine}
    plain = {**given, "fine": coarse}  # without zeros all positions are alike
    main = {(name, config, variant.name): tasks_of(name, config, variant, last[name], **(given if variant.options.input_skip else plain))
            for name in networks for config in configs for variant in (DENSE, Variant(), DENSE_OVERLAP, OVERLAP)}
    config = configs[-1]
    earlier = {(name, point): tasks_of(name, config, Variant(), point, **given)
               for name in networks for point in metas[name].points[:-1] if points}
    parts = {(name, variant.name): tasks_of(name, config, variant, last[name], **given)
             for name in ABLATION if name in networks and ablation for variant in VARIANTS}
    tasks = list(dict.fromkeys(task for group in (main, earlier, parts) for some in group.values() for task in some))
    count = iter(range(1, len(tasks) + 1))
    results = sparsity.run(tasks, lambda: progress(next(count), len(tasks)), workers)

    def layers(some):
        return [results[task] for task in some]
    machines = [Machine(network=name, config=config, point=last[name], dense=layers(main[name, config, DENSE.name]),
                        sparse=layers(main[name, config, Variant().name]), dense_overlap=layers(main[name, config, DENSE_OVERLAP.name]),
                        overlap=layers(main[name, config, OVERLAP.name])) for config in configs for name in networks]
    found = Study(machines=machines, meta={name: {**recording.meta} for name, recording in metas.items()})
    for name in networks if points else ():
        base = found.machine(name, config)
        for point in metas[name].points:
            one = replace(base, point=point, sparse=layers(earlier[name, point]), overlap=[]) if point != last[name] else base
            x, dy = _mean_density(metas[name], point)
            keys = ("speedup_bp", "speedup_total", "ideal_bp", "ideal_total", "efficiency")
            found.points.setdefault(name, {})[point] = {**{key: one.figures()[key] for key in keys}, "density_x": x, "density_dy": dy}
    for name, variant in parts:
        found.ablation.setdefault(name, {})[variant] = Totals.of(layers(parts[name, variant]))
    for name in found.ablation:
        found.ablation[name]["no skipping"] = Totals.of(found.machine(name, config).dense)
    for name, layer in CHECKED if ablation else ():
        if name in networks:
            found.sampling += sampling_error(name, layer, config, last[name], recordings, fine)
    return found


def layer_rows(found: Study) -> list:
    """A table for each pass of each layer, for the CSV files."""
    rows = []
    for machine in found.machines:
        for i, layer in enumerate(NETWORKS[machine.network]):
            for name, sparse in machine.sparse[i].items():
                dense = machine.dense[i][name]
                rows.append({
                    "network": machine.network, "config": machine.config, "layer": layer.name, "kind": layer.kind, "pass": name,
                    "role": sparse.role, "tile_inputs": sparse.size[0], "tile_outputs": sparse.size[1], "dense_role": dense.role,
                    "dense_macs": dense.macs, "effectual_macs": sparse.macs, "dense_ideal": dense.ideal, "dense_run": dense.run,
                    "dense_total": dense.total, "ideal": sparse.ideal,
                    **{key: getattr(sparse, key) for key in ("run", "load", "clear", "post", "update", "issue", "total")},
                    "efficiency": sparse.ideal / sparse.run, "efficiency_loads": sparse.ideal / sparse.total,
                    "speedup": dense.total / sparse.total, "port_cycles": sparse.traffic,
                    **{f"words_{kind}": count for kind, count in sparse.words.items()}})
    return rows

