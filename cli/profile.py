"""The command that shows where the cycles of a step go."""

from dataclasses import replace
from pathlib import Path

import click

from gradgate.arch.config import Config
from gradgate.arch.files import write_files
from gradgate.arch.network import Network
from gradgate.cli.layout import command, options_of, table, wrapped
from gradgate.cli.options import FILE, SEED, config_option, integer, parse_lr_shifts
from gradgate.cli.output import require_outputs, require_sources, write_json

LATER = (0, 0, 0, 1, 2)  #: what the negative power of two of the rate grows by, epoch by epoch, as in the demo


@command()
@options_of(Network_and_core=["--model", "--config"], Training=["--batch", "--lr-shift", "--seed"], Outputs=["--json", "--docs"])
@click.option("--model", default="digits", help="Built-in network or TOML file.")
@config_option()
@click.option("--batch", type=integer(), default=None, help="Images of a step, a power of two; default: the largest up to 16 that fits.")
@click.option("--lr-shift", default=None, show_default="that of train for three epochs, then 1 and 2 more",
              help="Learning rate 2^-N of the training before the step: one N for each epoch.")
@click.option("--seed", type=SEED, default=0, help="Of initial weights, batch order and data split.")
@click.option("--json", "json_path", type=FILE, default=None, help="Write all figures here.")
@click.option("--docs", is_flag=True, help="Write the table to docs/profile.md.")
def profile(model, config_name, batch, lr_shift, seed, json_path, docs):
    """Show where the cycles of a training step go, command by command.

    The golden model is trained first; the step is one on the first batch. Cycles are those of the model: nothing is simulated.
    """
    from gradgate.cli.perform import prepare
    from gradgate.report import profile as step

    out = Path("docs/profile.md")
    network, config = Network.load(model), Config.load(config_name)
    shifts = parse_lr_shifts(lr_shift, (lr_shift or "").count(",") + 1)
    schedule, data, _ = prepare(network, config, batch, shifts, 1, seed)
    if shifts is None:
        schedule = replace(schedule, lr_shifts=tuple(schedule.lr_shifts[0] + more for more in LATER))
    if docs:
        require_sources(out)
        require_outputs(None, out)
    require_outputs(None, json_path)
    found = step.profile(schedule, data)
    what = (f"One step of `{network.name}` on `{config.name}` ({config.rows}x{config.lanes} PEs, {config.lists} lists a row), "
            f"batch {schedule.batch}, after {len(schedule.lr_shifts)} epoch(s).")
    click.echo("\n".join([*wrapped(what), "", table(step.HEADS, step.rows(found, config)), "",
                          *(line for note in step.notes(found) for line in wrapped(note)), "",
                          table(step.TOGETHER, step.together(found))]))
    write_json(json_path, {"model": network.name, "config": config.to_dict(), "batch": schedule.batch, "lr_shifts": schedule.lr_shifts,
                           "seed": seed, **step.figures(found, config)})
    if docs:
        write_files(out.parent, {out.name: step.page(found, config, what)})
        click.echo(out)
