"""The command that trains on a board."""

from contextlib import ExitStack
from dataclasses import replace

import click

from gradgate.arch.config import Config
from gradgate.arch.network import Network
from gradgate.cli.layout import command, options_of
from gradgate.cli.options import DIRECTORY, FILE, SEED, config_option, init_option, integer, lr_shift_option, parse_lr_shifts
from gradgate.cli.output import require_outputs


@command()
@options_of(Board=["--port", "--baud", "--config"],
            Training=["--model", "--epochs", "--batch", "--lr-shift", "--momentum", "--init", "--seed", "--steps"],
            Comparison=["--check", "--test-images", "--dense-steps"], Outputs=["--out", "--json"])
@click.option("--port", required=True, help="Serial port (/dev/ttyUSB0), URL of pyserial (socket://host:port), or sim: a simulated board.")
@click.option("--baud", type=integer(1), default=1_000_000, help="Bits a second, as the board was built for.")
@click.option("--model", default="digits", help="Built-in network or TOML file.")
@config_option("What the board was built from. ")
@click.option("--epochs", type=integer(1, 1000), default=1, help="Epochs.")
@click.option("--batch", type=integer(), default=None, help="Images of a step, a power of two; default: the largest up to 16 that fits.")
@lr_shift_option
@click.option("--momentum", type=integer(0, 7), default=0, help="M: velocities decay by 1 - 2^-M a step; 0: no momentum.")
@init_option
@click.option("--seed", type=SEED, default=0, help="Of initial weights, batch order and data split.")
@click.option("--steps", type=integer(1), default=None, help="Stop training after so many steps.")
@click.option("--dense-steps", type=integer(0, 1000), default=0, help="At the end, run so many steps with skipping on and off.")
@click.option("--check", type=integer(0), default=1, help="Compare every tensor of so many steps with the model, and at the end all "
              "weights. Cycles of every command and correct predictions are compared in all steps.")
@click.option("--test-images", type=integer(1), default=None, help="Test with so many images; default: all.")
@click.option("--out", type=DIRECTORY, default=None, help="Directory for report, plot and JSON.")
@click.option("--json", "json_path", type=FILE, default=None, help="Write all figures here.")
def board(port, baud, model, config_name, epochs, batch, lr_shift, momentum, init, seed, steps, dense_steps, check, test_images, out,
          json_path):
    """Train a network on a board, and compare with the models."""
    from gradgate.cli.perform import FILES, perform, prepare
    from gradgate.host.driver import Driver
    from gradgate.host.serial import SerialLink

    config = Config.load(config_name)
    schedule, data, limit = prepare(
        Network.load(model), config, batch, parse_lr_shifts(lr_shift, epochs), epochs, seed, momentum=momentum,
        init=init, max_steps=steps, dense_steps=dense_steps, check=check, backend="board")
    require_outputs(out, json_path, names=FILES)
    data = replace(data, test_x=data.test_x[:test_images], test_y=data.test_y[:test_images])
    with ExitStack() as stack:
        if port == "sim":
            from gradgate.sim.board import SimulatedBoard

            port = stack.enter_context(SimulatedBoard(config)).port
        link = stack.enter_context(SerialLink(port, baud))
        Driver(link, config).identify()
        click.echo(f"{port}: a core of configuration {config.name}", err=True)
        perform(schedule, data, limit, out, json_path, {"mode": "bp", "port": port, "baud": baud}, link)
