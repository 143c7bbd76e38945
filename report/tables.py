"""Tables of pages, in Markdown."""


def table(heads: list, rows: list) -> list:
    """Lines of a Markdown table, aligned; cells that are not text go to the right."""
    cells = [[f"{cell:,}" if isinstance(cell, int) else str(cell) for cell in row] for row in rows]
    right = [all(not isinstance(row[i], str) for row in rows) for i in range(len(heads))]
    width = [max(len(row[i]) for row in [heads, *cells]) for i in range(len(heads))]
    lines = ["| " + " | ".join(f"{cell:>{w}}" if r else f"{cell:<{w}}" for cell, w, r in zip(row, width, right)) + " |"
             for row in [heads, *cells]]
    return [lines[0], "|" + "|".join("-" * (w + 1) + (":" if r else "-") for w, r in zip(width, right)) + "|", *lines[1:]]
