"""Options that several commands have."""

import click

from gradgate.arch.config import PRESETS


def config_option(what: str = "", **given):
    """``--config``, as ``config_name``: a preset or a file. ``what``: said before that; ``given``: what ``click.option`` takes instead."""
    return click.option("--config", "config_name", **{"default": "small", **given},
                        help=f"{what}Preset ({', '.join(PRESETS)}) or TOML file.")


#: ``--lr-shift``, as a text or None.
lr_shift_option = click.option(
    "--lr-shift", default=None, show_default="2 + log2(16 / batch)", help="Learning rate 2^-N; or one N for each epoch: 2,2,2,3,4.")
