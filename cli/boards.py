"""The command that lists the boards."""

import click

from gradgate.cli.kept import PAGE, write_page
from gradgate.cli.layout import command, table, wrapped
from gradgate.cli.options import FILE
from gradgate.cli.output import require_outputs, require_sources, write_json

#: Columns of the table, and their figures.
HEADS = ["board", "device", "LUT4", "FF", "DSP", "BRAM", "MHz", "config"]
KEYS = ["device", "lut4", "ff", "dsp", "bram", "clock_mhz", "config"]


def loads(figures: dict) -> list:
    """Lines that say how bitstreams are loaded."""
    boards = {}
    for name, of in figures.items():
        boards.setdefault(of["loads_with"], []).append(name)
    lines = [f"{', '.join(names)}: load with `{program} FILE`" for program, names in boards.items() if program]
    return [part for line in lines for part in wrapped(line)]


@command()
@click.option("--json", "json_path", type=FILE, default=None, help="Write all figures here.")
@click.option("--docs", is_flag=True, help="Write docs/boards.md anew from the figures in results/board.")
def boards(json_path, docs):
    """List the boards that `gradgate synth --board` knows."""
    from gradgate.report import boards as board_page

    require_outputs(None, json_path)
    figures = board_page.board_figures()
    if docs:
        require_sources(PAGE)
        click.echo(write_page())
    else:
        click.echo("\n".join([table(HEADS, [[name, *(of[key] for key in KEYS)] for name, of in figures.items()]), "", *loads(figures)]))
    write_json(json_path, figures)
