"""How the passes of a layer walk over its tensors: positions, windows and what is at each position.

The geometry is the compiler's; only masks take the place of addresses.
"""

from dataclasses import dataclass

import numpy as np

from gradgate.compiler.backward_data import phase_axis, phase_grid
from gradgate.compiler.geometry import Axis, Grid

PASSES = ("FW", "BD", "WG")


@dataclass(frozen=True, kw_only=True)
class Walk:
    """The positions of one pass over a layer; a backward-data pass with a stride has one walk for each phase.

    Tensors are called ``x`` and ``dy``. Each position sees a window of one and, in some passes, a pixel of the other.
    """

    role: str  #: FW, BD, WG-X or WG-Y
    window: str  #: tensor of the windows
    rows: Axis  #: windows along the image rows
    columns: Axis
    stride: int
    point: str | None  #: tensor with one pixel for each position
    grid: Grid  #: the positions, as pixels of that tensor

    @property
    def taps(self) -> int:
        """Pixels of a window."""
        return self.rows.kernel * self.columns.kernel

    @property
    def outer(self) -> bool:
        """The pass makes OUT turns."""
        return self.role.startswith("WG")

    @property
    def positions(self) -> int:
        """Positions of an image."""
        return self.grid.rows * self.grid.columns


def walks_of(layer, role: str) -> list:
    """The walks of a pass: ``role`` is FW, BD, WG-X or WG-Y. Phases without a tap have one too: they only write zeros."""
    kh, kw, pad = layer.kernel_h, layer.kernel_w, layer.padding
    if role == "BD":
        phases = [(y, x) for y in range(min(layer.stride, layer.height)) for x in range(min(layer.stride, layer.width))]
        return [Walk(role=role, window="dy", rows=phase_axis(y, layer.stride, kh, pad, layer.out_height)[0],
                     columns=phase_axis(x, layer.stride, kw, pad, layer.out_width)[0], stride=1, point="x",
                     grid=phase_grid(layer, (y, x))) for y, x in phases]
    return [Walk(role=role, window="x", rows=Axis(first=-pad, kernel=kh, size=layer.height),
                 columns=Axis(first=-pad, kernel=kw, size=layer.width), stride=layer.stride, point=None if role == "FW" else "dy",
                 grid=Grid(rows=layer.out_height, columns=layer.out_width))]


def _line(axis: Axis, stride: int, first: int, count: int) -> np.ndarray:
    """Pixels that the windows of ``count`` positions from ``first`` on touch along an axis, in order; some may be outside."""
    start = axis.first + first * stride
    return np.arange(start, start + (count - 1) * stride + axis.kernel)


def over_windows(walk: Walk, values, rows: int, roll: int = 0) -> np.ndarray:
    """Sums over windows of ``values`` (..., rows, columns, depth) or (..., rows, columns, depth, lanes) on the pixels of
    :func:`window_pixels`. ``roll``: with lanes, the values at tap t go to the lane roll * t further on."""
    s, axis = walk.stride, 2  # values are (sequences, slots, rows, columns, ...)
    total = 0
    for tap_y in range(walk.rows.kernel):
        for tap_x in range(walk.columns.kernel):
            part = values[:, :, tap_y:tap_y + (rows - 1) * s + 1:s, tap_x:tap_x + (walk.grid.columns - 1) * s + 1:s]
            tap = tap_y * walk.columns.kernel + tap_x
            total = total + (np.roll(part, roll * tap, axis=-1) if roll else part)
    if not walk.taps:
        shape = list(values.shape)
        shape[axis:axis + 2] = rows, walk.grid.columns
        return np.zeros(shape, values.dtype)
    return total


def window_pixels(walk: Walk, operand, values, images, first: int, rows: int) -> np.ndarray:
    """``values`` of the window tensor at all pixels that the windows of ``rows`` rows of positions from ``first`` on touch."""
    columns = _line(walk.columns, walk.stride, 0, walk.grid.columns)
    return operand.pixels(values, images, _line(walk.rows, walk.stride, first, rows), columns)


def point_pixels(walk: Walk, operand, values, images, first: int, rows: int) -> np.ndarray:
    """``values`` of the other tensor at the positions."""
    grid = walk.grid
    return operand.pixels(values, images, grid.y0 + (first + np.arange(rows)) * grid.step, grid.x0 + np.arange(grid.columns) * grid.step)
