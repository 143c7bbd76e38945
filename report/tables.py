"""Tables of pages, in Markdown."""

import re

WIDTH = 170  #: columns of a line up to which a table is aligned in its source
#: A cell that is a number, perhaps with a unit, perhaps bold.
NUMBER = re.compile(r"(\*\*)?[-+]?[\d,]+(\.\d+)?( ?%|x)?(\*\*)?")


def table(heads: list, rows: list) -> list:
    """Lines of a Markdown table; columns of numbers, in which cells may be empty, are aligned on the right.

    heads : titles of the columns
    rows : lists of cells; integers are written with commas, all else as ``str`` does

    ::

        table(["unit", "cells"], [["lane", 1200], ["move", 45]])

        | unit | cells |
        |------|------:|
        | lane | 1,200 |
        | move |    45 |
    """
    texts = [[f"{cell:,}" if isinstance(cell, int) else str(cell) for cell in row] for row in rows]
    columns = [list(column) for column in zip(*texts)] or [[] for _ in heads]
    right = [any(cells) and all(NUMBER.fullmatch(cell) for cell in cells if cell) for cells in columns]
    widths = [max(1, *map(len, [head, *cells])) for head, cells in zip(heads, columns)]
    if sum(widths) + 3 * len(widths) + 1 > WIDTH:
        widths = [1] * len(heads)
    rule = [f"{'-' * (width + 1)}{':' if one else '-'}" for width, one in zip(widths, right)]
    return [_line(heads, widths, right), f"|{'|'.join(rule)}|", *(_line(row, widths, right) for row in texts)]


def _line(cells, widths, right) -> str:
    return f"| {' | '.join(f'{cell:>{width}}' if one else f'{cell:<{width}}' for cell, width, one in zip(cells, widths, right))} |"
