"""What commands that train have in common: data, batch and rate, progress, and what is written at the end."""

import sys

import click

from gradgate.arch.files import write_files
from gradgate.cli.output import json_text, write_json
from gradgate.cli.progress import Progress, say
from gradgate.report import training as report
from gradgate.training.datasets import digits, require_data
from gradgate.training.run import Trainer, fitting_batch
from gradgate.training.schedule import Schedule, default_lr_shift

FILES = ("report.txt", "training.png", "result.json")  #: what ``--out`` gets
INTERRUPTED = 130  #: exit status after Control-C, as shells have it; other signals bring their own


def prepare(network, config, batch, lr_shifts, epochs, seed, **given) -> tuple:
    """The schedule of a command's options, its data, and a line for the user why the batch is not larger, or None.

    A batch of None is the largest up to 16 that fits; ``lr_shifts`` of None are the default of the batch. ``given``: other fields of the
    schedule. Raises :class:`~gradgate.arch.checks.ConfigError`: first where the network is none for the data, then where it does not fit.
    """
    data, limit = digits(seed), None
    require_data(data, network, batch or 1)
    if batch is None:
        batch, limit = fitting_batch(network, config)
        limit = limit and f"batch {batch}: for {2 * batch}, {limit}"
    shifts = lr_shifts or (default_lr_shift(batch),) * epochs
    return Schedule(network=network, config=config, batch=batch, lr_shifts=shifts, seed=seed, **given), data, limit


def perform(schedule, data, limit, out, json_path, figures, link=None) -> None:
    """Train, with a progress display; write report, plot and figures. Exit status 1 at a difference, 130 after Control-C.

    ``limit``: said before; ``figures``: further figures for the JSON; ``link``: to a board.
    """
    with Progress("steps") as progress:
        trainer = Trainer(schedule, data, lambda done, total, loss: progress(done, total, f"loss {loss:.3f}"), link)
        if limit:
            say(limit)
        result = trainer.run()
    click.echo(report.text(result))
    figures = {**figures, **result.json()}
    if out is not None:
        contents = report.text(result) + "\n", report.plot(result), json_text(figures)
        write_files(out, dict(zip(FILES, contents, strict=True)))
        click.echo(f"\nreport, plot and figures are in {out}")
    write_json(json_path, figures)
    for warning in result.warnings:
        click.echo(f"gradgate: warning: {warning}", err=True)
    if result.interrupted:
        click.echo(f"gradgate: interrupted after step {result.steps} of {result.total_steps}", err=True)
        sys.exit(getattr(trainer.interrupt, "status", INTERRUPTED))
    if not result.exact:
        sys.exit(1)
