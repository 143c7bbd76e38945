"""Digits as colour images of any size, varied at random. Needs the extra ``record``."""

import math

import torch
from torch.nn import functional as F

ROTATION = math.radians(15)  #: either way
SCALE = (0.7, 1.0)  #: side of the digit, in sides of the image
NOISE = 0.05  #: standard deviation of what is added to each pixel, of a range of 1

MEAN, DEVIATION = 0.35, 0.25  #: about those of the varied images


def vary(digits: torch.Tensor, side: int, generator: torch.Generator) -> torch.Tensor:
    """Images of shape (N, 3, side, side), mean near 0 and deviation near 1, of grey ``digits`` in 0..1 of shape (N, 8, 8).

    Each digit is rotated, scaled and shifted, drawn in a random bright colour on a cloudy dark ground, and noise is added, so
    that no two images are alike and none has a pixel of exactly 0. Everything follows from ``generator``.
    """
    n = len(digits)

    def uniform(low, high, *shape):
        return low + (high - low) * torch.rand(n, *shape, generator=generator)

    angle, scale = uniform(-ROTATION, ROTATION), uniform(*SCALE)
    room = 1 - scale  # so far the digit can be moved from the centre, in half sides
    shift_x, shift_y = (uniform(-1, 1) * room for _ in range(2))
    cos, sin = torch.cos(angle) / scale, torch.sin(angle) / scale
    # Rows of the matrix from pixels of the image to pixels of the digit.
    matrix = torch.stack([torch.stack([cos, sin, -cos * shift_x - sin * shift_y], 1),
                          torch.stack([-sin, cos, sin * shift_x - cos * shift_y], 1)], 1)
    grid = F.affine_grid(matrix, (n, 1, side, side), align_corners=False)
    ink = F.grid_sample(digits[:, None].float(), grid, align_corners=False)
    colour = uniform(0.5, 1, 3, 1, 1)
    ground = uniform(0, 0.4, 3, 1, 1)
    ground = ground + F.interpolate(uniform(-0.2, 0.2, 3, 4, 4), size=(side, side), mode="bilinear", align_corners=False)
    image = ground + ink * (colour - ground) + NOISE * torch.randn(n, 3, side, side, generator=generator)
    return (image - MEAN) / DEVIATION
