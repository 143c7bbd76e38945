"""The figures of boards that are kept, and the page that shows them."""

from pathlib import Path

import click

from gradgate.arch.files import write_files
from gradgate.cli.layout import command, table, wrapped
from gradgate.cli.options import FILE
from gradgate.cli.output import read_json, require_outputs, require_sources, write_json

RESULTS = Path("results/board")
DEMO = Path("results/demo/result.json")
PAGE = Path("docs/boards.md")
IMAGES = Path("docs/images")


#: Columns of the table, and their figures.
HEADS = ["board", "device", "LUT4", "FF", "DSP", "BRAM", "MHz", "config"]
KEYS = ["device", "lut4", "ff", "dsp", "bram", "clock_mhz", "config"]


def picture(name: str) -> Path:
    """The picture of a placement."""
    return IMAGES / f"placement_{name}.png"


def targets() -> tuple:
    """Files like those that a run with ``--docs`` writes, for the check that it can."""
    return RESULTS / "x.json", IMAGES / "x.png"


def kept_figures(directory: Path) -> list:
    """The figures of all designs in ``directory``. Raises :class:`~gradgate.arch.checks.ConfigError` for a broken file."""
    return [read_json(path, "config", "synthesised", "tools", "date") for path in sorted(directory.glob("*.json"))]


def write_page() -> Path:
    """Write docs/boards.md from all figures that are kept. Raises :class:`~gradgate.arch.checks.ConfigError` for a broken file."""
    from gradgate.report import boards as board_page

    found = kept_figures(RESULTS)
    demo = read_json(DEMO, "config") if DEMO.is_file() else None
    pictures = [picture(path.stem).name for path in sorted(RESULTS.glob("*.json")) if picture(path.stem).is_file()]
    return write_files(PAGE.parent, {PAGE.name: board_page.page(found, demo, pictures)})[0]


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
