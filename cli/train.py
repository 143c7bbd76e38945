"""Commands that run a core in simulation and compare it with the models."""

import json
import re
import sys

import click

from gradgate.arch.checks import ConfigError
from gradgate.arch.config import Config
from gradgate.arch.network import Network
from gradgate.cli.layout import command, options_of
from gradgate.cli.options import DIRECTORY, FILE, SEED, config_option, init_option, integer, lr_shift_option, parse_lr_shifts
from gradgate.cli.output import require_outputs, write_json


def parse_steps(text: str) -> tuple:
    """``--wave-steps``: first and last step."""
    match = re.fullmatch(r"([0-9]{1,18})(?:-([0-9]{1,18}))?", text)
    if not match or int(match[2] or match[1]) < int(match[1]):
        raise ConfigError(f"wave-steps must be a step or FIRST-LAST, not {text!r}")
    return int(match[1]), int(match[2] or match[1])


@command()
@options_of(Network_and_core=["--model", "--config"],
            Training=["--epochs", "--batch", "--lr-shift", "--momentum", "--init", "--seed", "--steps"],
            Run=["--backend", "--dense-steps", "--balance"], Outputs=["--out", "--json", "--wave", "--wave-steps"])
@click.option("--model", default="digits", help="Built-in network or TOML file.")
@config_option()
@click.option("--epochs", type=integer(1, 1000), default=1, help="Epochs.")
@click.option("--mode", type=click.Choice(["bp"]), default="bp", hidden=True)  # the only one so far
@click.option("--backend", type=click.Choice(["rtl", "golden"]), default="rtl",
              help="rtl: simulate, and compare every tensor of every step; golden: the model alone.")
@click.option("--batch", type=integer(), default=None, help="Images of a step, a power of two; default: the largest up to 16 that fits.")
@lr_shift_option
@click.option("--momentum", type=integer(0, 7), default=0,
              help="M: velocities decay by 1 - 2^-M a step, so that the effective learning rate is 2^M times that of --lr-shift; "
                   "0: no momentum. Needs a configuration with momentum = true.")
@init_option
@click.option("--seed", type=SEED, default=0, help="Of initial weights, batch order and data split.")
@click.option("--steps", type=integer(1), default=None, help="Stop training after so many steps.")
@click.option("--dense-steps", type=integer(0, 1000), default=0, help="At the end, run so many steps with skipping on and off.")
@click.option("--balance/--no-balance", default=False, help="Between epochs, deal channels to lanes by density; changes cycles only.")
@click.option("--wave", type=FILE, default=None, help="Record a wave file (.fst or .vcd); slow.")
@click.option("--wave-steps", default="0", help="Steps that the wave file records: N, or FIRST-LAST, counted from 0.")
@click.option("--out", type=DIRECTORY, default=None, help="Directory for report, plot and JSON.")
@click.option("--json", "json_path", type=FILE, default=None, help="Write all figures here.")
def train(model, config_name, epochs, mode, backend, batch, lr_shift, momentum, init, seed, steps, dense_steps, balance, wave, wave_steps,
          out, json_path):
    """Train a network on the accelerator, or on its golden model."""
    from gradgate.cli.perform import FILES, perform, prepare

    schedule, data, limit = prepare(
        Network.load(model), Config.load(config_name), batch, parse_lr_shifts(lr_shift, epochs), epochs, seed,
        momentum=momentum, init=init, max_steps=steps, dense_steps=dense_steps, balance=balance, wave=wave,
        wave_steps=parse_steps(wave_steps), backend=backend)
    require_outputs(out, wave, json_path, names=FILES)
    perform(schedule, data, limit, out, json_path, {"mode": mode})


@command()
@click.option("--networks", type=integer(1), default=300, help="How many.")
@click.option("--seed", type=SEED, default=1, help="Of all random choices.")
@click.option("--json", "json_path", type=FILE, default=None, help="Write all figures here.")
def soak(networks, seed, json_path):
    """Train random networks on simulated cores of odd shapes, everything compared."""
    from dataclasses import asdict

    from gradgate.cli.progress import Progress
    from gradgate.sim.soak import soak as run

    require_outputs(None, json_path)
    with Progress("networks", networks) as progress:
        result = run(networks, seed, progress=progress)
    figures = {"seed": seed, **asdict(result)}
    click.echo(json.dumps(figures, indent=1))
    write_json(json_path, figures)
    if result.failures:
        sys.exit(1)
