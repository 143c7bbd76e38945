"""The command that shows where the cycles of a step go."""

from pathlib import Path

import click

from gradgate.arch.config import Config
from gradgate.arch.files import write_files
from gradgate.arch.network import Network
from gradgate.cli.options import config_option
from gradgate.cli.output import require_outputs, require_sources
from gradgate.cli.train import parse_lr_shifts


@click.command()
@click.option("--model", default="digits", help="Built-in network or TOML file.")
@config_option()
@click.option("--batch", type=int, default=None, help="Images of a step, a power of two; default: the largest up to 16 that fits.")
@click.option("--lr-shift", default="2,2,2,3,4", help="Learning rate 2^-N of the training before the step: one N for each epoch.")
@click.option("--seed", type=click.IntRange(0, 2**32 - 1), default=0, help="Of initial weights, batch order and data split.")
@click.option("--docs", is_flag=True, help="Write the table to docs/profile.md.")
def profile(model, config_name, batch, lr_shift, seed, docs):
    """Train the golden model, then show the cycles of a step on the first batch, command by command: by the cycle model, no simulation."""
    from gradgate.cli.perform import chosen_batch
    from gradgate.training import profile as step
    from gradgate.training.datasets import digits
    from gradgate.training.schedule import Schedule

    out = Path("docs/profile.md")
    network, config = Network.load(model), Config.load(config_name)
    batch, _ = chosen_batch(network, config, batch)
    shifts = parse_lr_shifts(lr_shift, lr_shift.count(",") + 1)
    schedule = Schedule(network=network, config=config, batch=batch, lr_shifts=shifts, seed=seed)
    if docs:
        require_sources(out)
        require_outputs(out.parent)
    found = step.profile(schedule, digits(seed))
    what = (f"One step of `{network.name}` on `{config.name}` ({config.rows}x{config.lanes} PEs, {config.lists} lists a row), "
            f"batch {batch}, behind {len(shifts)} epoch(s).")
    click.echo("\n".join([what, "", *step.lines(found, config)]))
    if docs:
        write_files(out.parent, {out.name: step.page(found, config, what)})
        click.echo(out)
