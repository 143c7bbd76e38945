"""Commands that compute published comparisons with the cycle model."""

from pathlib import Path

import click

from gradgate.arch.checks import ConfigError
from gradgate.arch.files import write_files
from gradgate.cli.layout import group
from gradgate.cli.options import DIRECTORY, EXISTING_DIRECTORY, EXISTING_FILE, FILE, goals_option
from gradgate.cli.output import json_text, require_outputs, require_sources, write_json
from gradgate.cli.progress import Progress


@group()
def bench():
    """Compare with published work, by the cycle model."""


@bench.command()
@click.option("--network", "networks", multiple=True, metavar="NAME", help="A network; several times for several. Default: all.")
@click.option("--config", "config_name", default="both", help="base, paper or both.")
@click.option("--json", "json_path", type=FILE, default=None, help="Write all figures here.")
@click.option("--out", type=DIRECTORY, default=None, help="Directory for CSV, plots and JSON.")
@click.option("--recordings", type=EXISTING_DIRECTORY, default=None,
              help="Directory of NETWORK.npz files, instead of the recordings that come with the package.")
@goals_option
@click.option("--published", type=EXISTING_FILE, default=None, help="TOML file with figures of others, shown in the page and in plots.")
@click.option("--quick", is_flag=True, help="Only the last recorded point, and no ablation.")
@click.option("--docs", is_flag=True, help="Write the tables to docs/sparsity_results.md.")
def sparsity(networks, config_name, json_path, out, recordings, goals, published, quick, docs):
    """What skipping zeros saves in six large networks. Minutes.

    Cycles are those of the model, zeros those recorded in training.
    """
    from gradgate.bench.cost.estimate import FINE
    from gradgate.bench.recording.networks import NETWORKS
    from gradgate.bench.sparsity import study
    from gradgate.bench.sparsity.machines import PORTS
    from gradgate.report import figures as keys
    from gradgate.report import goals as aims
    from gradgate.report import published as published_figures
    from gradgate.report import sparsity as pages
    from gradgate.report import sparsity_plots as plots

    page = Path("docs/sparsity_results.md")
    for name in networks:
        if name not in NETWORKS:
            raise ConfigError(f"network must be one of {', '.join(NETWORKS)}, not {name!r}")
    if config_name not in (*PORTS, "both"):
        raise ConfigError(f"config must be one of {', '.join(PORTS)}, both, not {config_name!r}")
    wanted, others = aims.load(goals, {"sparsity": keys.sparsity_names()}), published_figures.load(published)
    if docs:
        require_sources(page)
        require_outputs(None, page)
    require_outputs(out, json_path, names=("sparsity.json", "layers.csv", "speedups.png"))
    configs = list(PORTS) if config_name == "both" else [config_name]
    with Progress("layers") as progress:
        found = study.study(list(dict.fromkeys(networks)) or list(NETWORKS), configs, recordings=recordings and str(recordings),
                            ablation=not quick, points=not quick, progress=progress)
    figures = found.json()
    verdicts = aims.judge(wanted, {"sparsity": keys.sparsity(figures)})
    click.echo(pages.text(found, verdicts))
    if out is not None:
        write_files(out, {"sparsity.json": json_text(figures), "layers.csv": pages.csv_text(found),
                          "speedups.png": plots.speedups(found, others),
                          **{f"{m.network}_{m.config}.png": plots.layers(m) for m in found.machines}})
        click.echo(f"\nfigures, a line for each layer, and plots are in {out}")
    write_json(json_path, figures)
    if docs:
        write_files(page.parent, {page.name: pages.markdown(found, FINE, verdicts, others)})
        click.echo(page)
