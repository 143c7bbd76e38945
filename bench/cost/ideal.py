"""Exact counts of multiplications, position by position over the whole batch."""

import numpy as np

from gradgate.bench.cost.walks import over_windows, point_pixels, walks_of, window_pixels

CHUNK = 4  #: images counted at once


def effectual(layer, masks, batch: int) -> dict:
    """Multiplications {FW, BD, WG} of a step where both factors count, those of biases left out.

    FW: X is not zero. BD: dY is not zero, and dX is needed, that is X is not zero where it comes out of a ReLU. WG: neither is
    zero. With :func:`gradgate.bench.recording.masks.dense_masks` these are all multiplications inside the image. In a depthwise layer a
    channel meets only itself.
    """
    walk, = walks_of(layer, "WG-X")
    rows = layer.out_height
    total = {"FW": 0, "BD": 0, "WG": 0}
    for first in range(0, batch, CHUNK):
        images = np.arange(first, min(batch, first + CHUNK))[None]

        def windows(values, images=images):
            return over_windows(walk, window_pixels(walk, masks.x, values, images, 0, rows), rows)
        if layer.kind == "depthwise":
            flags_x, flags_dy = masks.x.flags.astype(np.uint8), masks.dy.flags.astype(np.uint8)
            x, dy = windows(flags_x), point_pixels(walk, masks.dy, flags_dy, images, 0, rows)
            every = windows(np.ones((1, 1, 1, 1, 1), np.uint8))
            forward, both, needed = x.sum(dtype=np.int64), (x * dy).sum(dtype=np.int64), (every * dy).sum(dtype=np.int64)
        else:
            x = windows(masks.x.counts.sum(axis=-1)).astype(np.int64)
            dy = point_pixels(walk, masks.dy, masks.dy.counts.sum(axis=-1), images, 0, rows)
            every = windows(np.full((1, 1, 1), layer.cin)).astype(np.int64)
            forward, both, needed = x.sum() * layer.cout, (x * dy).sum(), (every * dy).sum()
        total["FW"] += int(forward)
        total["WG"] += int(both)
        total["BD"] += int(both if layer.relu_input else needed)
    return total
