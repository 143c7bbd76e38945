"""The page of worked examples, ``docs/examples.md``, as its tests read it: what a reader sees there is what they compare.

Sections have the names of units. A table is known by its section and its columns; all that it shows is read, or there is an error. A block
of code shows grids of numbers side by side, each below its name; a blank line ends them.
"""

import re
from functools import cache

from gradgate.arch.config import Config
from support import SOURCES

PAGE = "examples.md"
SECTION = re.compile(r"^### ([^\n]*)\n(.*?)(?=^##|\Z)", re.MULTILINE | re.DOTALL)
BLOCK = re.compile(r"^```\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@cache
def sections() -> dict:
    """``{name: text}`` of the page's sections, one a unit."""
    return dict(SECTION.findall((SOURCES / "docs" / PAGE).read_text(encoding="utf-8")))


def section(name: str) -> str:
    """The text of a section."""
    if name not in sections():
        raise KeyError(f"{PAGE} has no section {name!r}, but {', '.join(sections())}")
    return sections()[name]


def tables(name: str) -> dict:
    """``{columns: rows}`` of a section; a row is a list of texts."""
    found, lines = {}, []
    for line in [*section(name).split("\n"), ""]:
        if line.startswith("|"):
            lines.append([cell.strip() for cell in line.strip("|").split("|")])
        elif lines:
            columns = tuple(lines[0])
            if columns in found:
                raise ValueError(f"{PAGE}, {name}: two tables have the columns {columns}")
            found[columns], lines = lines[2:], []
    return found


def table(name: str, *columns) -> list:
    """Rows of the section's table with these columns: dicts of :func:`value`."""
    found = tables(name)
    if columns not in found:
        raise KeyError(f"{PAGE}, {name}: no table has the columns {columns}, but there are {list(found)}")
    return [dict(zip(columns, map(value, cells), strict=True)) for cells in found[columns]]


def grids(name: str, *names) -> dict:
    """``{name: rows of numbers}`` of the grids in a section's blocks of code, which have these names; two blanks or more divide grids."""
    found = all_grids(name)
    if set(names) != set(found):
        raise KeyError(f"{PAGE}, {name}: the grids are not {', '.join(names)}, but {', '.join(found)}")
    return found


def all_grids(name: str) -> dict:
    """:func:`grids`, whatever their names."""
    found = {}
    for group in "\n\n".join(BLOCK.findall(section(name))).strip("\n").split("\n\n"):
        heads, *lines = group.strip("\n").split("\n")
        starts = [match.start() for match in re.finditer(r"\S+(?: \S+)*", heads)]
        for start, end in zip(starts, [*starts[1:], None]):
            rows = [line[start:end].split() for line in lines]
            found[heads[start:end].strip()] = [[number(cell) for cell in row] for row in rows if row]
    return found


def number(text: str) -> int:
    """A decimal or hexadecimal number as the page writes it."""
    return int(text.replace(",", ""), 0)


def value(text: str):
    """What a cell shows: a number, several of them (a tuple), a text, or None where there is nothing."""
    try:
        found = tuple(number(part) for part in text.split())
    except ValueError:
        return text.strip("`")
    return found[0] if len(found) == 1 else found or None


def several(cell) -> list:
    """The numbers of a cell that may have any number of them."""
    return [] if cell is None else [cell] if isinstance(cell, int) else list(cell)


def core(**changes) -> Config:
    """The core of the examples, with changes."""
    fields = {row["field"]: row["value"] for row in table("The core", "field", "value", "meaning")}
    return Config.from_dict({"name": "example", "formats": {name: fields.pop(name) for name in list(fields) if name in FORMATS}}
                            | fields | changes)


FORMATS = ("act_bits", "act_frac", "weight_frac", "grad_frac", "master_bits", "master_frac", "acc_bits")


async def trace(ctx, rows, inputs: dict, outputs: dict, start=None) -> None:
    """Let a cycle pass for each of ``rows``: set the inputs that a row shows, and compare the outputs that it shows.

    ``inputs``, ``outputs`` : ``{column: signal}``, all columns of a row but ``cycle``. An input of which a row shows nothing is 0.
    ``start`` : a signal that is 1 in cycle 0 only
    """
    for number, row in enumerate(rows):
        assert row["cycle"] == number, f"the cycle after {number - 1} is {number}, the page says {row['cycle']}"
        if set(row) != {"cycle", *inputs, *outputs}:
            raise KeyError(f"{PAGE}: the columns {set(row)} are not cycle, {', '.join([*inputs, *outputs])}")
        for name, signal in inputs.items():
            ctx.set(signal, row[name] or 0)
        if start is not None:
            ctx.set(start, number == 0)
        for name, signal in outputs.items():
            seen = ctx.get(signal)
            assert row[name] is None or seen == row[name], f"cycle {row['cycle']}: {name} is {seen}, the page says {row[name]}"
        await ctx.tick()
