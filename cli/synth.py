"""Commands for FPGAs."""

from functools import partial
from pathlib import Path

import click

from gradgate.arch.checks import ConfigError, parse_integer
from gradgate.arch.config import Config
from gradgate.arch.files import write_files
from gradgate.cli import kept
from gradgate.cli.layout import command, options_of
from gradgate.cli.options import DIRECTORY, FILE, config_option, integer, number
from gradgate.cli.output import require_outputs, require_sources, write_json
from gradgate.cli.progress import Progress


def seed_list(_context, _option, value: str) -> list:
    """The numbers in "1,2,3"."""
    try:
        seeds = [parse_integer(part.strip(" ")) for part in value.split(",")]
        if len(set(seeds)) == len(seeds) and min(seeds) >= 0:
            return seeds
    except ValueError:
        pass
    raise click.BadParameter(f"must be different numbers from 0, separated by commas, as in 1,2,3, not {value!r}")


@command()
@options_of(Core=["--config", "--macs"], Board=["--board", "--seeds", "--freq"], Only_counting=["--family", "--period"],
            Outputs=["--out", "--json", "--docs"])
@config_option(default=None, show_default="small, or what fits the board")
@click.option("--board", "board_name", default=None, help="Place and route for this board (see `gradgate boards`), to a bitstream.")
@click.option("--seeds", default="1", callback=seed_list, help="Of place and route, separated by commas; the worst one's clock counts.")
@click.option("--freq", type=number(), default=None, show_default="the board's", help="MHz of the board's clock.")
@click.option("--macs", type=integer(1, 256), default=None, help="Instead of a core: so many bare multipliers and memories.")
@click.option("--family", default=None, help="Only count what the whole core takes of this family (ecp5, gowin, ice40, xc7).")
@click.option("--out", type=DIRECTORY, default=Path("build/synth"),
              help="Directory for the tools' files.")
@click.option("--json", "json_path", type=FILE, default=None,
              help="Write all figures here; with --docs by configuration.")
@click.option("--period", type=number(0.1, 1000), default=None, show_default="as short as possible",
              help="ns that paths may take without routing; logic that is faster is made smaller. Not for boards.")
@click.option("--docs", is_flag=False, flag_value="", default=None,
              help="With --board or --family: keep the figures in results/board and write docs/boards.md. Else with configurations, "
                   "separated by commas: synthesise these and write docs/resources.md.")
def synth(config_name, board_name, seeds, freq, macs, family, out, json_path, period, docs):
    """Build a bitstream for a board, or count what a core takes. Minutes.

    Without --board and --family every unit of a core is synthesised for ECP5, and counted.
    """
    from gradgate.fpga import count, place
    from gradgate.fpga.boards import TooLarge
    from gradgate.report import boards as board_page
    from gradgate.report import placement as picture

    if board_name is None and (freq is not None or macs is not None):
        raise ConfigError(f"{'--freq' if freq is not None else '--macs'} needs a --board")
    if board_name is None and family is None:
        if docs == "":
            raise ConfigError("--docs needs a --board, a --family, or configurations, as in --docs tiny,small")
        return units(config_name or "small", out, json_path, period, docs)
    if docs:
        raise ConfigError(f"--docs takes no configurations with --board or --family: --config {docs} says which")
    if period is not None:
        raise ConfigError("--period cannot go with --board or --family: a board's clock says it")
    if board_name is not None and family is not None:
        raise ConfigError("--board and --family cannot go together: a board has one")
    if docs is not None:
        require_sources(kept.PAGE)
    require_outputs(out, json_path, *(kept.targets() if docs is not None else ()))
    if family is not None:
        config = Config.load(config_name or "small")
        name, placement = f"{family}-{config.name}", None
        figures = count.run(config, family, out / name)
        click.echo(board_page.counted(figures))
    else:
        target, top, what, config = design(board_name, config_name, freq, macs)
        name = f"{target.name}-{what}"
        with Progress("steps", 2 + len(seeds)) as progress:
            try:
                placement = place.run(top, config, seeds, out / name, lambda step: progress(progress.done + 1, note=f"{what}: {step}"))
            except TooLarge as error:  # worth a line on the page, too
                if docs is not None:
                    write_json(kept.RESULTS / f"{name}.json", place.refusal(target, config, error))
                    kept.write_page()
                raise
        figures = placement.json()
        click.echo(board_page.text(placement))
    write_json(json_path, figures)
    if docs is not None:
        write_json(kept.RESULTS / f"{name}.json", figures)
        if placement is not None and not macs:
            picture.draw(placement.seeds[placement.best], f"{what} on {target.title}", kept.picture(name))
        click.echo(kept.write_page())
    if placement is not None:
        placement.require_clock()


def design(board_name, config_name, freq, macs):
    """The board, its design, the design's name and what describes it."""
    from gradgate.fpga.boards import board
    from gradgate.fpga.top import BoardTop
    from gradgate.fpga.yardstick import MacArray
    from gradgate.hw.bus.system import System

    target = board(board_name)
    target.pll(freq)  # refuses a clock before anything is made
    if macs is not None:
        if config_name is not None:
            raise ConfigError("--config and --macs cannot go together: --macs has no core")
        name = f"macs{macs}"
        return target, BoardTop(target, lambda *_: MacArray(macs), freq), name, {"name": name, "array": {"rows": 1, "lanes": macs}}
    config = Config.load(config_name or target.config)
    return target, BoardTop(target, partial(System, config), freq), config.name, config.to_dict()


def units(config_name, out, json_path, period, docs):
    """Synthesise unit by unit for ECP5."""
    from datetime import date

    from gradgate.fpga import synthesis
    from gradgate.report import resources as report

    configs = [Config.load(name) for name in (docs.split(",") if docs is not None else [config_name])]
    page = Path("docs/resources.md")
    if docs is not None:
        require_sources(page)
        require_outputs(None, page)
    require_outputs(out, json_path)
    results = []
    with Progress("steps", 3 * len(configs)) as progress:
        for config in configs:
            def say(step, name=config.name):
                progress(progress.done + 1, note=f"{name}: {step}")
            results.append(synthesis.run(config, out / config.name if docs else out, period=period, progress=say))
    if docs is not None:
        write_files(page.parent, {page.name: report.page(results, date.today().isoformat())})
        click.echo(page)
        write_json(json_path, {result.config.name: result.json() for result in results})
    else:
        click.echo(report.report(results[0]))
        write_json(json_path, results[0].json())
