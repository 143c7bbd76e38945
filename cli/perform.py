"""What commands that train have in common: a progress bar, and what is written at the end."""

import sys

import click
from tqdm import tqdm

from gradgate.arch.files import write_files
from gradgate.cli.output import json_text, write_json
from gradgate.training import report
from gradgate.training.run import Trainer, fitting_batch


def chosen_batch(network, config, batch) -> tuple:
    """``batch``, or when it is None the largest that fits; and a line for the user why it is not larger, or None."""
    if batch is not None:
        return batch, None
    batch, limit = fitting_batch(network, config)
    return batch, limit and f"batch {batch}: for {2 * batch}, {limit}"


def perform(schedule, data, limit, out, json_path, figures, link=None) -> None:
    """Train, with a progress bar; write report, plot and figures, and exit with status 1 at a difference.

    ``limit``: said before; ``figures``: further figures for the JSON; ``link``: to a board.
    """
    with tqdm(unit="step", disable=None) as bar:
        def progress(done, total, loss):
            bar.total = total
            bar.update(done - bar.n)
            bar.set_postfix_str(f"loss {loss:.3f}", refresh=False)
        trainer = Trainer(schedule, data, progress, link)
        if limit:
            click.echo(limit, err=True)
        result = trainer.run()
    click.echo(report.text(result))
    figures = {**figures, **result.json()}
    if out is not None:
        write_files(out, {"report.txt": report.text(result) + "\n", "training.png": report.plot(result), "result.json": json_text(figures)})
        click.echo(f"\nreport, plot and figures are in {out}")
    write_json(json_path, figures)
    if not result.exact:
        sys.exit(1)
