"""The command that records the zeros of real training."""

import os
import sys
from pathlib import Path

import click

from gradgate.arch.files import write_files
from gradgate.bench.recording.networks import NETWORKS
from gradgate.cli.layout import command
from gradgate.cli.options import DIRECTORY, SEED, integer
from gradgate.cli.output import require_outputs, require_sources
from gradgate.cli.progress import Progress


def _write_page() -> None:
    """Write the page, in the directory of the sources."""
    from gradgate.report.recordings import markdown

    page = Path("docs/sparsity.md")
    require_sources(page)
    for path in write_files(page.parent, {page.name: markdown()}):
        click.echo(path)


@command()
@click.option("--network", type=click.Choice(list(NETWORKS)), default=None, metavar="NAME", help=f"One of {', '.join(NETWORKS)}.")
@click.option("--steps", type=integer(1), default=300, help="Training steps; steps 10, 100 and the last are recorded.")
@click.option("--side", type=integer(32, 224), default=64, help="Rows and columns of the images, a multiple of 32.")
@click.option("--images", type=integer(1), default=4, help="Images of a recorded batch whose masks are kept.")
@click.option("--seed", type=SEED, default=0, help="Of initial weights, images and their order.")
@click.option("--out", type=DIRECTORY, default=None, help="Directory for NETWORK.npz.")
@click.option("--docs", is_flag=True, help="Train nothing; write docs/sparsity.md from the recordings of the package.")
def record(network, steps, side, images, seed, out, docs):
    """Train a large network with PyTorch and record what is zero in it."""
    if docs:
        _write_page()
        return
    if network is None or out is None:
        raise click.UsageError("give --network and --out, or --docs")
    # PyTorch's threads wait for each other by spinning, which on a shared machine can take thirty times the time of sleeping.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    try:
        from gradgate.bench.recording.record import Plan
        from gradgate.bench.recording.record import record as run
    except ModuleNotFoundError as error:
        if error.name != "torch":
            raise
        click.echo("gradgate: recording needs PyTorch: pip install -e '.[record]'", err=True)
        sys.exit(2)
    path = out / f"{network}.npz"
    require_outputs(None, path)
    points = tuple(sorted({step for step in (10, 100) if step < steps} | {steps}))
    plan = Plan(network=network, side=side, seed=seed, points=points, images=images)
    with Progress("steps", steps) as progress:
        recording = run(plan, lambda done, total, loss: progress(done, total, f"loss {loss:.3f}"))
    recording.save(path)
    for point in recording.meta["points"]:
        click.echo(f"step {point['step']}: loss {point['loss']:.3f}, accuracy {100 * point['accuracy']:.1f} % of held-out images")
    click.echo(path)
