"""Tensors of the golden model as they lie in the memories of the core."""

import numpy as np


def to_bricks(tensor: np.ndarray, rows: int, lanes: int) -> list:
    """Bricks of ``tensor`` (images, height, width, channels) for each row: arrays (images of the row, bricks, lanes), zero padded."""
    images, height, width, channels = tensor.shape
    bricks = -(-channels // lanes)
    padded = np.zeros((images, height * width, bricks * lanes), dtype=tensor.dtype)
    padded[..., :channels] = tensor.reshape(images, height * width, channels)
    padded = padded.reshape(images, height * width * bricks, lanes)
    return [padded[row::rows] for row in range(rows)]


class RowImage:
    """What the golden model says the row memories hold: array ``words`` (rows, bricks, lanes), int64."""

    def __init__(self, config):
        self.config = config
        self.words = np.zeros((config.rows, config.act_bricks, config.lanes), dtype=np.int64)

    def write(self, place, tensor: np.ndarray) -> None:
        """Put ``tensor`` (images, height, width, channels) at ``place``."""
        for row, bricks in enumerate(to_bricks(tensor, self.config.rows, self.config.lanes)):
            self.words[row, place.base:place.base + len(bricks) * place.slot] = bricks.reshape(-1, self.config.lanes)

    @property
    def flags(self) -> np.ndarray:
        """True where a word is not zero."""
        return self.words != 0
