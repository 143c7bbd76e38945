"""How help texts and tables look: at most 100 columns, groups of commands and options, colours in a terminal only."""

import re
import sys
import textwrap
from functools import partial

import click
import rich_click
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

NUMBER = re.compile(r"([\d,.]+( ?%)?)?")  #: a cell that is aligned on the right
WIDTH = 100  #: columns of help texts and tables, at most
#: Settings of every command.
SETTINGS = {
    "help_option_names": ["-h", "--help"],
    "show_default": True,
    "max_content_width": WIDTH,
    "rich_help_config": {
        "theme": "default-slim",
        "enable_theme_env_var": False,  # the same help for everybody
        "text_markup": None,  # brackets are text
        "default_string": r"\[default: {}]",
        "append_range_help_string": r"\[{}]",
        "padding_helptext_first_line": (0, 0, 1, 0),
        "force_terminal": None,  # only FORCE_COLOR has colours where there is no terminal, and not a variable of some server
        "width": None,
    },
}


class Context(rich_click.RichContext):
    """A context whose help has no spaces at the ends of lines, and no two empty lines."""

    class formatter_class(rich_click.RichHelpFormatter):
        def getvalue(self):
            lines = [line.rstrip() for line in super().getvalue().rstrip().split("\n")]
            return "\n".join(line for before, line in zip([""] + lines, lines) if line or before) + "\n"


class Command(rich_click.RichCommand):
    """A command with groups of options."""

    context_class = Context


class Group(rich_click.RichGroup):
    """A command with commands, in groups; errors of usage are written as click writes them."""

    context_class = Context
    command_class = Command
    main = click.Group.main


command = partial(rich_click.command, cls=Command)
group = partial(rich_click.group, cls=Group)


def options_of(**groups):
    """A decorator that puts the options of a command into groups, ``title=["--option", ...]`` with ``_`` for a space, in this order."""
    def decorate(function):
        for title, options in reversed(groups.items()):
            function = rich_click.option_panel(title.replace("_", " "), options=options)(function)
        return function
    return decorate


def width() -> int:
    """Columns that output may have: those of the terminal, at most :data:`WIDTH`."""
    return min(WIDTH, Console().width) if sys.stdout.isatty() else WIDTH


def wrapped(text: str) -> list:
    """Lines of ``text``, no longer than :func:`width`."""
    return textwrap.wrap(text, width(), subsequent_indent="  ")


def table(heads: list, rows: list) -> str:
    """A table as text, with colours where standard output is a terminal. Columns of numbers are aligned on the right.

    heads : titles of the columns
    rows : lists of cells; integers are written with commas, all else as ``str`` does

    Cells go on in further lines when the table would be wider than the terminal, or than :data:`WIDTH`.
    """
    texts = [[f"{cell:,}" if isinstance(cell, int) else str(cell) for cell in row] for row in rows]
    columns = list(zip(heads, *texts))
    words = [max(len(word) for cell in column for word in cell.split()) for column in columns]
    console = Console(width=width())
    roomy = sum(words) + 2 * (len(words) - 1) <= console.width  # no word need be broken
    found = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0))
    for head, *cells in columns:
        found.add_column(Text(head), justify="right" if all(map(NUMBER.fullmatch, cells)) else "left", overflow="fold",
                         no_wrap=roomy and not any(" " in cell for cell in (head, *cells)))
    for row in texts:
        found.add_row(*map(Text, row))
    with console.capture() as capture:
        console.print(found)
    return "\n".join(line.rstrip() for line in capture.get().rstrip().split("\n"))
