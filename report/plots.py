"""What all plots have in common."""

import io


def new(width: float, height: float):
    """An empty figure of so many inches, which needs no display."""
    from matplotlib.figure import Figure  # slow to import

    return Figure(figsize=(width, height), dpi=110, layout="constrained")


def png(figure) -> bytes:
    """A figure as a PNG."""
    file = io.BytesIO()
    figure.savefig(file, format="png")
    return file.getvalue()
