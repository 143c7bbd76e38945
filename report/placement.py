"""A picture of where the units are on the device."""

from collections import Counter
from pathlib import Path

from gradgate.arch.files import write_files
from gradgate.fpga.placed import Placed
from gradgate.report.plots import new, png

#: The units of a row in warm colours, all others in cool ones, so that the array stands out.
COLOURS = {
    "lane": "#d62728",
    "row without its lanes": "#ff9e4a",
    "array control": "#f2d34f",
    "weights": "#1f77b4",
    "host port": "#2ca02c",
    "row port": "#8fbc8f",
    "loss": "#9467bd",
    "move": "#17becf",
    "sequencer": "#111111",
    "serial line": "#7f7f7f",
    "between the units": "#bcbd22",
    "clock and pins": "#c7c7c7",
}
OTHER = "#e377c2"


def draw(placed: Placed, title: str, path: Path) -> None:
    """Write a PNG to ``path``: one square for each place of the device, in the colour of the unit that has most cells there."""
    from matplotlib.colors import to_rgb
    from matplotlib.patches import Patch

    cells = {}
    for x, y, _, name in placed.sites:
        cells.setdefault((x, y), Counter())[name] += 1
    width, height = (max(place[i] for place in cells) + 2 for i in (0, 1))
    image = [[(1.0, 1.0, 1.0)] * width for _ in range(height)]
    largest = {place: count.most_common(1)[0][0] for place, count in cells.items()}
    for (x, y), name in largest.items():
        image[y][x] = to_rgb(COLOURS.get(name, OTHER))
    figure = new(9, 2 + 6 * height / width)
    axes = figure.subplots()
    axes.imshow(image, interpolation="nearest")  # row 0 at the top, as in the vendor's views
    names = sorted(set(largest.values()), key=[*COLOURS, *largest.values()].index)
    axes.set_xlabel("column")
    axes.set_ylabel("row")
    axes.set_title(title)
    axes.legend(handles=[Patch(color=COLOURS.get(name, OTHER), label=name) for name in names], loc="center left",
                bbox_to_anchor=(1, 0.5), frameon=False)
    write_files(path.parent, {path.name: png(figure)})
