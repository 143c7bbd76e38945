"""Where windows lie: the fields of RUN that follow from kernel, stride and padding."""

from dataclasses import dataclass

from gradgate.compiler.loops import MASK
from gradgate.compiler.program import Place
from gradgate.compiler.tiles import Span


@dataclass(frozen=True, kw_only=True)
class Axis:
    """Windows along one axis: position i covers pixels ``first + i * stride .. + kernel - 1`` of ``size``."""

    first: int
    kernel: int
    size: int

    def at(self, position: int, stride: int) -> "Axis":
        """The same windows counted from ``position``."""
        return Axis(first=self.first + position * stride, kernel=self.kernel, size=self.size)

    @property
    def skip(self) -> int:
        """Window rows before the image at the first position."""
        return max(0, -self.first)

    @property
    def start(self) -> int:
        """First window row inside the image at the first position."""
        return max(0, self.first)


def list_fields(place: Place, slot: int, rows: Axis, columns: Axis, stride: int, bricks: Span, lanes: int, targets: int,
                words: int | None = None) -> dict:
    """Fields that walk the windows of the list tensor at ``place``, ``bricks`` of each pixel, from ``slot`` on.

    ``words``: k from one window column to the next, by default the channels of ``bricks``.

    The list's k counts (window row, window column, channel of the tile); a bank word holds k * ``targets`` + t.
    """
    channels = min(bricks.end * lanes, place.channels) - bricks.first * lanes
    words = channels if words is None else words
    tap, row = words * targets, columns.kernel * words * targets
    return {
        "stride": stride, "l_addr": place.base + slot * place.slot + rows.start * place.pitch + columns.start * place.bricks + bricks.first,
        "l_slot": place.slot & MASK, "l_pitch": place.pitch, "l_col": place.bricks, "l_bricks": bricks.count,
        "l_tail": channels - (bricks.count - 1) * lanes,
        "kh": rows.kernel, "kw": columns.kernel, "skip_y": rows.skip, "skip_x": columns.skip,
        "room_y": max(0, rows.size - rows.first), "room_x": max(0, columns.size - columns.first),
        "k_tap": tap, "k_row": row, "k_first_y": rows.skip * row, "k_first_x": columns.skip * tap,
        "k_brick": lanes * targets, "k_bias": rows.kernel * row,
        **dict.fromkeys(("swap", "turn_tap", "turn_row", "turn_first_y", "turn_first_x"), 0),
    }


@dataclass(frozen=True, kw_only=True)
class Grid:
    """Positions at pixels (``y0 + i * step``, ``x0 + j * step``) of a tensor, i < rows, j < columns."""

    rows: int
    columns: int
    y0: int = 0
    x0: int = 0
    step: int = 1

    def part(self, span: Span) -> "Grid":
        """Some rows of the grid."""
        return Grid(rows=span.count, columns=self.columns, y0=self.y0 + span.first * self.step, x0=self.x0, step=self.step)

    def first(self, place: Place, slot: int) -> int:
        """First brick of the first position."""
        return place.base + slot * place.slot + self.y0 * place.pitch + self.x0 * place.bricks

    def strides(self, place: Place) -> tuple:
        """Bricks from one column, row and slot of positions to the next."""
        return self.step * place.bricks, self.step * place.pitch, place.slot


def target_fields(place: Place, slot: int, grid: Grid, bricks: Span, lanes: int) -> dict:
    """Fields that fetch ``bricks`` of the target tensor at ``place``, position by position."""
    x, y, image = grid.strides(place)
    row_way, column_way = (grid.rows - 1) * y, (grid.columns - 1) * x
    return {
        "t_addr": grid.first(place, slot) + bricks.first, "t_x": x & MASK, "t_y": (y - column_way) & MASK,
        "t_slot": (image - row_way - column_way) & MASK, **tail_fields(place.channels, bricks, lanes),
    }


def tail_fields(channels: int, bricks: Span, lanes: int) -> dict:
    """Number of target bricks, and words of the last one."""
    return {"t_count": bricks.count, "t_tail": min(lanes, channels - (bricks.end - 1) * lanes)}
