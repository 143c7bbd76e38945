"""The command that writes the page of results."""

from pathlib import Path

import click

from gradgate.arch.files import write_files
from gradgate.cli.kept import kept_figures
from gradgate.cli.layout import command
from gradgate.cli.options import EXISTING_DIRECTORY, EXISTING_FILE, goals_option, integer
from gradgate.cli.output import read_json, require_outputs, require_sources


@command()
@click.option("--demo", type=EXISTING_FILE, required=True, help="result.json of the demo.")
@click.option("--soak", "soak_path", type=EXISTING_FILE, required=True,
              help="JSON of a soak run.")
@click.option("--other", "others", type=EXISTING_FILE, multiple=True,
              help="result.json of a further run with dense steps.")
@click.option("--seeds", type=integer(2, 100), default=10, help="Seeds of the comparison with float32.")
@goals_option
@click.option("--sparsity", type=EXISTING_FILE, default=None,
              help="JSON of bench sparsity, for goals.")
@click.option("--synth", type=EXISTING_FILE, default=None,
              help="JSON of synth --docs, for goals.")
@click.option("--fresh", type=EXISTING_FILE, default=None,
              help="JSON of `make fresh`, for goals.")
@click.option("--boards", type=EXISTING_DIRECTORY, default=None,
              help="Directory of figures that synth --board --docs keeps, for goals.")
def results(demo, soak_path, others, seeds, goals, sparsity, synth, fresh, boards):
    """Write docs/results.md from recorded runs.

    The golden model is compared with float32 over several seeds meanwhile.
    """
    from gradgate.report import figures as keys
    from gradgate.report import goals as aims
    from gradgate.report.results import compare_seeds, markdown

    page = Path("docs/results.md")
    require_sources(page)
    require_outputs(None, page)
    runs = [read_json(path, "skip_on_off", "channels") for path in (demo, *others)]
    soaked = read_json(soak_path, "networks")
    figures = keys.gather(runs, soaked, read_json(sparsity, "networks"), read_json(synth, runs[0]["config"]["name"]),
                          read_json(fresh, "runs"), boards and kept_figures(boards))
    wanted = aims.load(goals, keys.names(figures))
    pairs = compare_seeds(seeds)
    lines = aims.section(wanted, {**figures, "seeds": keys.seeds(pairs)})
    for path in write_files(page.parent, {page.name: markdown(runs[0], soaked, pairs, runs[1:], lines)}):
        click.echo(path)
