"""Zero masks of a layer at its original shape, continued from smaller recorded ones."""

from dataclasses import dataclass

import numpy as np

GOLDEN = 0.382  #: from one turn to the next, images begin this part of a period further on


def _bricks(mask, lanes: int) -> np.ndarray:
    """(images, rows, columns, channels) to (images, rows, columns, bricks, lanes); words behind the last channel are zero."""
    spare = -mask.shape[-1] % lanes
    return np.pad(mask, ((0, 0), (0, 0), (0, 0), (0, spare))).reshape(*mask.shape[:3], -1, lanes)


@dataclass(frozen=True)
class Operand:
    """One tensor of a layer, a recorded one continued periodically in space; see :meth:`pixels`."""

    flags: np.ndarray  #: bool (images, rows, columns, bricks, lanes): not zero
    height: int  #: of the tensor, in pixels
    width: int
    channels: int
    step: int = 1  #: pixels of this tensor for one of dY

    def pixels(self, values, images, rows, columns):
        """``values`` (images, rows, columns, ...), one for each recorded pixel, at the tensor's pixels ``images`` x ``rows`` x
        ``columns``, zero outside the image; the result has shape images.shape + rows.shape + columns.shape + (...).

        With n recorded images, the images of a batch take them in turn, a row of the array one after the other; from the second
        turn on each begins at another pixel of the period.
        """
        images = np.asarray(images)
        turn, number = np.divmod(images.ravel(), len(values))
        number = (number + turn // 2) % len(values)
        high, wide = max(1, values.shape[1] // self.step), max(1, values.shape[2] // self.step)
        first_y, first_x = np.divmod(turn * max(1, round(GOLDEN * high * wide)) % (high * wide), wide)
        y, x = np.asarray(rows), np.asarray(columns)
        picked = values[number[:, None, None], ((y + first_y[:, None] * self.step) % values.shape[1])[:, :, None],
                        ((x + first_x[:, None] * self.step) % values.shape[2])[:, None, :]]
        outside = ~((y >= 0) & (y < self.height))[:, None] | ~((x >= 0) & (x < self.width))
        picked[:, outside] = 0
        return picked.reshape(images.shape + picked.shape[1:])

    @property
    def counts(self) -> np.ndarray:
        """Non-zeros of each recorded brick (images, rows, columns, bricks), int32."""
        return self.flags.sum(axis=-1, dtype=np.int32)

    @property
    def density(self) -> float:
        """Share of non-zeros in the recorded masks."""
        return float(self.flags.sum() / (np.prod(self.flags.shape[:3]) * self.channels))


@dataclass(frozen=True)
class Masks:
    """X at the input and dY at the output of a layer."""

    x: Operand
    dy: Operand

    def __getitem__(self, name: str) -> Operand:
        return getattr(self, name)


def masks_of(layer, lanes: int, x, dy, order_x=None, order_dy=None) -> Masks:
    """Masks of ``layer`` from recorded ``x``, bool (images, rows, columns, cin), and ``dy``, bool (images, rows, columns, cout).

    Both are cropped to the largest period that fits both, so that X and dY stay aligned: p pixels of dY belong to p * stride
    pixels of X. Recordings with fewer (or more) channels than the layer are continued (cut) in the same way.
    ``order_x``, ``order_dy``: channels in the order in which they are dealt to the lanes; by default as they are.
    """
    def channels(mask, count, order):
        mask = mask if mask.shape[-1] == count else mask[..., np.arange(count) % mask.shape[-1]]
        return mask if order is None else mask[..., order]

    def axis(number, size, out):
        """Periods of X and dY along an axis; a recording at the original size stays whole."""
        have_x, have_dy = x.shape[number], dy.shape[number]
        period = max(1, min(have_dy, have_x // layer.stride, out))
        return (size, out) if (have_x, have_dy) == (size, out) else (min(period * layer.stride, size), period)

    def crop(mask, rows, columns):
        return mask[:, np.minimum(np.arange(rows), mask.shape[1] - 1)][:, :, np.minimum(np.arange(columns), mask.shape[2] - 1)]

    x, dy = channels(np.asarray(x, bool), layer.cin, order_x), channels(np.asarray(dy, bool), layer.cout, order_dy)
    rows, columns = axis(1, layer.height, layer.out_height), axis(2, layer.width, layer.out_width)
    x, dy = crop(x, rows[0], columns[0]), crop(dy, rows[1], columns[1])
    return Masks(Operand(_bricks(x, lanes), layer.height, layer.width, layer.cin, layer.stride),
                 Operand(_bricks(dy, lanes), layer.out_height, layer.out_width, layer.cout))


def dense_masks(layer, lanes: int) -> Masks:
    """Masks without zeros."""
    return masks_of(layer, lanes, np.ones((1, 1, 1, layer.cin), bool), np.ones((1, 1, 1, layer.cout), bool))
