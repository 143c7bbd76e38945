"""The command line."""

import logging
import os
import sys
from contextlib import contextmanager
from pathlib import Path

import click
from rich_click import command_panel

from gradgate.arch.checks import ConfigError
from gradgate.arch.config import PRESETS, Config, outline
from gradgate.arch.files import write_files
from gradgate.cli.bench import bench
from gradgate.cli.board import board
from gradgate.cli.boards import boards
from gradgate.cli.ending import Ended, endable
from gradgate.cli.layout import SETTINGS, Group, group
from gradgate.cli.options import DIRECTORY, FILE, config_option
from gradgate.cli.output import NO_ROOM, STANDARD_OUTPUT, forget_output, one_line, require_outputs, require_sources, write_json
from gradgate.cli.profile import profile
from gradgate.cli.progress import Messages
from gradgate.cli.record import record
from gradgate.cli.results import results
from gradgate.cli.synth import synth
from gradgate.cli.train import soak, train
from gradgate.hw.generate import BUSES

BUS_NAMES = ", ".join(BUSES)


class Main(Group):
    """Turns the errors a user can cause into one line and exit status 1."""

    def make_context(self, *args, **given):
        with ends_in_one_line():  # --help and --version write here
            return super().make_context(*args, **given)

    def invoke(self, ctx):
        with ends_in_one_line(), endable():
            return super().invoke(ctx)


@contextmanager
def ends_in_one_line():
    """An error that a user can cause, an interrupt and a signal end the process with a line and an exit status."""
    try:
        yield
    except Ended as end:
        click.echo(f"gradgate: ended by {end}", err=True)
        sys.exit(end.status)
    except KeyboardInterrupt:
        click.echo("gradgate: interrupted", err=True)
        sys.exit(130)
    except Exception as error:
        message = explain(error)
        if message is None:
            raise
        if message.startswith(STANDARD_OUTPUT):
            forget_output()
        click.echo(f"gradgate: {message}", err=True)
        sys.exit(1)


def explain(error: Exception) -> str | None:
    """One line for an error that a user can cause, or a table; None for any other."""
    from amaranth.back.verilog import YosysError

    from gradgate.compiler.fit import DoesNotFit
    from gradgate.host.driver import DeviceError
    from gradgate.sim.simulator import SimulationError
    from gradgate.sim.toolchain import ToolError

    if isinstance(error, DoesNotFit):
        return str(error)  # a table when several memories are too small
    if isinstance(error, ConfigError):
        return one_line(str(error))
    if isinstance(error, OSError) and error.filename is not None:
        return one_line(f"{error.filename}: {error.strerror}")
    if isinstance(error, OSError) and error.errno in NO_ROOM:  # all other files are written by arch.files, which says their names
        return f"{STANDARD_OUTPUT}: {error.strerror}"
    if isinstance(error, (ToolError, DeviceError, SimulationError, YosysError, OSError)):
        return one_line(str(error).split("\n")[0])
    return None


@group(cls=Main, context_settings=SETTINGS)
@command_panel("Train", commands=["train", "board", "profile"])
@command_panel("Hardware", commands=["generate", "lint", "synth", "boards"])
@command_panel("Maintain", commands=["soak", "bench", "record", "results", "docs"])
@click.version_option(package_name="gradgate")
def main():
    """Generator for FPGA accelerators that train neural networks."""
    logging.basicConfig(format="%(message)s", handlers=[Messages()])
    logging.getLogger("gradgate").setLevel(logging.INFO)


@main.command(epilog=f"Keys of a TOML file, and the sections that they are in: {outline()}.")
@config_option()
@click.option("--out", type=DIRECTORY, required=True, help="Directory for the files.")
@click.option("--bus", type=click.Choice(list(BUSES)), default="native", metavar="BUS", help=f"How the host reaches the core: {BUS_NAMES}.")
def generate(config_name, out, bus):
    """Write gradgate.v, its waivers for Verilator gradgate.vlt, and manifest.json."""
    from gradgate.hw.generate import generate as write
    from gradgate.sim import toolchain

    config = Config.load(config_name)
    require_outputs(out)
    toolchain.use_yosys()
    for path in write(config, out, bus):
        click.echo(path)


@main.command()
@click.option("--check", is_flag=True, help="Write nothing; exit status 1 when a page is stale.")
def docs(check):
    """Write the generated pages of docs/."""
    from gradgate.report.commands import markdown

    path = Path("docs/commands.md")
    require_sources(path)
    if check:
        if not path.is_file() or path.read_text(encoding="utf-8") != markdown():
            raise ConfigError(f"{path} is stale: run `gradgate docs`")
        return
    write_files(path.parent, {path.name: markdown()})
    click.echo(path)


@main.command()
@click.argument("configs", nargs=-1)
@click.option("--bus", type=click.Choice(list(BUSES)), default="native", metavar="BUS", help=f"How the host reaches the core: {BUS_NAMES}.")
@click.option("--json", "json_path", type=FILE, default=None, help="Write what was found here.")
def lint(configs, bus, json_path):
    """Check generated Verilog with verilator --lint-only -Wall.

    CONFIGS: presets or TOML files; default: all presets.
    """
    import tempfile

    from gradgate.hw.generate import verilog
    from gradgate.sim import toolchain

    toolchain.use_yosys()
    require_outputs(None, json_path)
    found, first = [], None
    for name, config in [(name, Config.load(name)) for name in configs or PRESETS]:
        with tempfile.TemporaryDirectory() as directory:
            path = Path(directory) / "gradgate.v"
            path.write_text(verilog(config, bus), encoding="utf-8")
            try:
                toolchain.lint(path)
            except toolchain.ToolError as error:
                warnings = [line.replace(f"{directory}{os.sep}", "") for line in toolchain.warnings_in(error.output)]
                if not warnings:
                    raise
                first = first or error
            else:
                warnings = []
            click.echo(f"{name}: {f'{len(warnings)} warning(s)' if warnings else 'clean'}")
            found.append({"config": name, "bus": bus, "clean": not warnings, "warnings": warnings})
    write_json(json_path, found)
    if first:
        raise first


for command in (train, board, soak, results, synth, boards, record, bench, profile):
    main.add_command(command)

if __name__ == "__main__":
    main(prog_name="gradgate")
