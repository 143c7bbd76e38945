"""Options that several commands have."""

import click

from gradgate.arch.config import PRESETS


def config_option(what: str = "", **given):
    """``--config``, as ``config_name``: a preset or a file. ``what``: said before that; ``given``: what ``click.option`` takes instead."""
    return click.option("--config", "config_name", **{"default": "small", **given},
                        help=f"{what}Preset ({', '.join(PRESETS)}) or TOML file.")
