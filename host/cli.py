"""The command line. Files of this kind hold no logic: library functions do the work."""

import json
import re
import sys
from pathlib import Path

import click

from gradgate.arch import commands
from gradgate.arch.checks import ConfigError
from gradgate.arch.config import Config
from gradgate.arch.files import require_writable, write_files
from gradgate.arch.network import Network
from gradgate.fpga.cli import synth


class Group(click.Group):
    """Turns the errors a user can cause into one line and exit status 1."""

    def invoke(self, ctx):
        try:
            return super().invoke(ctx)
        except Exception as error:
            message = explain(error)
            if message is None:
                raise
            click.echo(f"gradgate: {message}", err=True)
            sys.exit(1)


def explain(error: Exception) -> str | None:
    """One line for an error that a user can cause, None for any other."""
    from amaranth.back.verilog import YosysError

    from gradgate.host.driver import DeviceError
    from gradgate.sim.simulator import SimulationError
    from gradgate.sim.toolchain import ToolError

    if isinstance(error, OSError) and error.filename is not None:
        return f"{error.filename}: {error.strerror}"
    if isinstance(error, (ConfigError, ToolError, DeviceError, SimulationError, YosysError, OSError)):
        return str(error).split("\n")[0]
    return None


def json_text(table) -> str:
    """``table`` as the JSON that ``--json`` writes."""
    return json.dumps(table, indent=1) + "\n"


def write_json(path, table) -> None:
    """Write ``table`` to ``path``, if there is one, whole or not at all."""
    if path is not None:
        write_files(Path(path).parent, {Path(path).name: json_text(table)})


def require_outputs(directory, *paths) -> None:
    """Raise :class:`ConfigError` when results could not be written: better at once than after an hour. None: not asked for."""
    for target in (directory, *(path and Path(path).parent for path in paths)):
        if target is not None:
            require_writable(target)


@click.group(cls=Group, context_settings={"help_option_names": ["-h", "--help"], "show_default": True})
@click.version_option(package_name="gradgate")
def main():
    """Generator for FPGA accelerators that train neural networks."""


@main.command()
@click.option("--config", "config_name", default="small", help="Preset (tiny, small, base) or TOML file.")
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), required=True, help="Directory for the files.")
def generate(config_name, out):
    """Write gradgate.v and manifest.json."""
    from gradgate.hw.generate import generate as write
    from gradgate.sim import toolchain

    config = Config.load(config_name)
    require_outputs(out)
    toolchain.use_yosys()
    for path in write(config, out):
        click.echo(path)


def parse_steps(text: str) -> tuple:
    """``--wave-steps``: first and last step."""
    match = re.fullmatch(r"(\d+)(?:-(\d+))?", text)
    if not match or int(match[2] or match[1]) < int(match[1]):
        raise ConfigError(f"wave-steps must be a step or FIRST-LAST, not {text!r}")
    return int(match[1]), int(match[2] or match[1])


def parse_lr_shifts(text: str, epochs: int) -> tuple:
    """``--lr-shift``: one number, or one for each epoch."""
    try:
        shifts = tuple(int(part) for part in text.split(","))
    except ValueError:
        raise ConfigError(f"lr-shift must be an integer, or one for each epoch separated by commas, not {text!r}") from None
    if len(shifts) == 1:
        return shifts * epochs
    if len(shifts) != epochs:
        raise ConfigError(f"lr-shift must be one value or {epochs}, one for each epoch, not {len(shifts)}")
    return shifts


@main.command()
@click.option("--model", default="digits", help="Built-in network or TOML file.")
@click.option("--config", "config_name", default="small", help="Preset (tiny, small, base) or TOML file.")
@click.option("--epochs", type=click.IntRange(1, 1000), default=1, help="Epochs.")
@click.option("--mode", type=click.Choice(["bp"]), default="bp", help="bp: plain backpropagation.")
@click.option("--backend", type=click.Choice(["rtl", "golden"]), default="rtl",
              help="rtl: simulate, and compare every tensor of every step; golden: the model alone.")
@click.option("--batch", type=int, default=None, help="Images of a step, a power of two; default: the largest up to 16 that fits.")
@click.option("--lr-shift", default="2", help="Learning rate 2^-N; or one N for each epoch: 2,2,2,3,4.")
@click.option("--momentum", type=click.IntRange(0, 7), default=0,
              help="M: velocities decay by 1 - 2^-M a step, so that the effective learning rate is 2^M times that of --lr-shift; "
                   "0: no momentum. Needs a configuration with momentum = true.")
@click.option("--seed", type=click.IntRange(0, 2**32 - 1), default=0, help="Of initial weights, batch order and data split.")
@click.option("--steps", type=click.IntRange(1), default=None, help="Stop training after so many steps.")
@click.option("--dense-steps", type=click.IntRange(0, 1000), default=0, help="At the end, run so many steps with skipping on and off.")
@click.option("--wave", type=click.Path(dir_okay=False, path_type=Path), default=None, help="Record a wave file (.fst or .vcd); slow.")
@click.option("--wave-steps", default="0", help="Steps that the wave file records: N, or FIRST-LAST, counted from 0.")
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), default=None, help="Directory for report, plot and JSON.")
@click.option("--json", "json_path", type=click.Path(dir_okay=False, path_type=Path), default=None, help="Write all figures here.")
def train(model, config_name, epochs, mode, backend, batch, lr_shift, momentum, seed, steps, dense_steps, wave, wave_steps, out, json_path):
    """Train a network on the accelerator, or on its golden model."""
    from tqdm import tqdm

    from gradgate.host import report
    from gradgate.host.datasets import digits
    from gradgate.host.training import Schedule, Trainer, fitting_batch

    network, config = Network.load(model), Config.load(config_name)
    batch = fitting_batch(network, config) if batch is None else batch
    schedule = Schedule(network=network, config=config, batch=batch, lr_shifts=parse_lr_shifts(lr_shift, epochs),
                        momentum=momentum, seed=seed, max_steps=steps, dense_steps=dense_steps,
                        wave_steps=parse_steps(wave_steps), backend=backend)
    with tqdm(unit="step", disable=None) as bar:
        def progress(done, total, loss):
            bar.total = total
            bar.update(done - bar.n)
            bar.set_postfix_str(f"loss {loss:.3f}", refresh=False)
        trainer = Trainer(schedule, digits(seed), progress)
        require_outputs(out, wave, json_path)
        result = trainer.run(trace=wave)
    click.echo(report.text(result))
    figures = {"mode": mode, **result.json()}
    if out is not None:
        write_files(out, {"report.txt": report.text(result) + "\n", "training.png": report.plot(result), "result.json": json_text(figures)})
        click.echo(f"\nreport, plot and figures are in {out}")
    write_json(json_path, figures)
    if not result.exact:
        sys.exit(1)


@main.command()
@click.option("--networks", type=click.IntRange(1), default=300, help="How many.")
@click.option("--seed", type=int, default=1, help="Of all random choices.")
@click.option("--json", "json_path", type=click.Path(dir_okay=False, path_type=Path), default=None, help="Write all figures here.")
def soak(networks, seed, json_path):
    """Train random networks on simulated cores of odd shapes, every word and cycle compared."""
    from dataclasses import asdict

    from tqdm import tqdm

    from gradgate.sim.soak import soak as run

    require_outputs(None, json_path)
    with tqdm(total=networks, unit="network", disable=None) as bar:
        result = run(networks, seed, progress=lambda done: bar.update(done - bar.n))
    figures = {"seed": seed, **asdict(result)}
    click.echo(json.dumps(figures, indent=1))
    write_json(json_path, figures)
    if result.failures:
        sys.exit(1)


@main.command()
@click.option("--demo", type=click.Path(exists=True, dir_okay=False, path_type=Path), required=True, help="result.json of the demo.")
@click.option("--soak", "soak_path", type=click.Path(exists=True, dir_okay=False, path_type=Path), required=True,
              help="JSON of a soak run.")
@click.option("--seeds", type=click.IntRange(2, 100), default=10, help="Seeds of the comparison with float32.")
def results(demo, soak_path, seeds):
    """Write docs/results.md from recorded runs, and compare the golden model with float32 over several seeds."""
    from gradgate.host.results import compare_seeds, markdown

    text = markdown(json.loads(demo.read_text()), json.loads(soak_path.read_text()), compare_seeds(seeds))
    Path("docs/results.md").write_text(text, encoding="utf-8")
    click.echo("docs/results.md")


@main.command()
@click.option("--check", is_flag=True, help="Write nothing; exit status 1 when a page is stale.")
def docs(check):
    """Write the generated pages of docs/."""
    path = Path("docs/commands.md")
    if check:
        if not path.is_file() or path.read_text(encoding="utf-8") != commands.markdown():
            raise ConfigError(f"{path} is stale: run `gradgate docs`")
        return
    path.write_text(commands.markdown(), encoding="utf-8")
    click.echo(path)


@main.command()
@click.argument("configs", nargs=-1)
def lint(configs):
    """Check the generated Verilog of CONFIGS (default: all presets) with verilator --lint-only -Wall."""
    import tempfile

    from gradgate.arch.config import PRESETS
    from gradgate.hw.generate import verilog
    from gradgate.sim import toolchain

    toolchain.use_yosys()
    for name in configs or PRESETS:
        with tempfile.TemporaryDirectory() as directory:
            path = Path(directory) / "gradgate.v"
            path.write_text(verilog(Config.load(name)), encoding="utf-8")
            toolchain.lint(path)
        click.echo(f"{name}: clean")


main.add_command(synth)
