"""The layers' three passes on whole tensors, as exact sums of products.

Tensors are int64 of shape (images, rows, columns, channels), weights (cout, kh, kw, cin), biases (cout,). Position
(y, x) of an output sees input rows ``y * stride - padding + (0 .. kh-1)`` and columns likewise; pixels outside are
zero.
The sums are those of the mathematics modulo ``2**acc_bits``, so they do not depend on any order of summation.

:func:`windows`, :func:`scatter`, :func:`pool` and :func:`expand` keep the dtype and serve the floating-point model too.
"""

import numpy as np

from gradgate.arch.formats import Formats
from gradgate.golden.fixed import wrap

EXACT = 1 << 53  #: every integer below this is a float64


def windows(x: np.ndarray, kh: int, kw: int, stride: int, padding: int) -> np.ndarray:
    """The window of every position: ``x`` (B, H, W, C) becomes (B, OH, OW, kh * kw * C), channels fastest."""
    padded = np.pad(x, ((0, 0), (padding, padding), (padding, padding), (0, 0)))
    view = np.lib.stride_tricks.sliding_window_view(padded, (kh, kw), axis=(1, 2))[:, ::stride, ::stride]
    return view.transpose(0, 1, 2, 4, 5, 3).reshape(*view.shape[:3], -1)


def scatter(columns: np.ndarray, height: int, width: int, kh: int, kw: int, stride: int, padding: int) -> np.ndarray:
    """The transpose of :func:`windows`: adds (B, OH, OW, kh * kw * C) up into the (B, height, width, C) below it."""
    b, oh, ow, _ = columns.shape
    columns = columns.reshape(b, oh, ow, kh, kw, -1)
    padded = np.zeros((b, height + 2 * padding, width + 2 * padding, columns.shape[-1]), columns.dtype)
    for ky in range(kh):
        for kx in range(kw):
            padded[:, ky:ky + oh * stride:stride, kx:kx + ow * stride:stride] += columns[:, :, :, ky, kx]
    return padded[:, padding:padding + height, padding:padding + width]


def exact_product(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """The integer matrix product ``a @ b`` modulo ``2**64``.

    Where no sum of magnitudes can reach ``2**53``, every partial sum is a float64 and the fast float product is exact;
    otherwise the product is taken in integers.
    """
    bound = a.shape[-1] * _magnitude(a) * _magnitude(b)
    if bound < EXACT:
        return (a.astype(np.float64) @ b.astype(np.float64)).astype(np.int64)
    return a @ b


def forward(x: np.ndarray, weights: np.ndarray, bias: np.ndarray, stride: int, padding: int,
            formats: Formats) -> np.ndarray:
    """Sums (B, OH, OW, cout) of the forward pass, ``act_frac + weight_frac`` bits after the point, wrapped.

    ``x`` has ``act_frac`` bits after the point, ``weights`` and ``bias`` ``weight_frac``. The bias is the weight of one
    more input that is always 1.0.
    """
    cout, kh, kw, _ = weights.shape
    columns = windows(x, kh, kw, stride, padding)
    sums = exact_product(columns.reshape(-1, columns.shape[-1]), weights.reshape(cout, -1).T)
    return wrap(sums + (bias << formats.act_frac), formats.acc_bits).reshape(*columns.shape[:3], cout)


def backward_data(dy: np.ndarray, weights: np.ndarray, height: int, width: int, stride: int, padding: int,
                  formats: Formats) -> np.ndarray:
    """Sums (B, height, width, cin) of the backward-data pass, wrapped.

    They have ``grad_frac + weight_frac`` bits after the point. ``dy`` (B, OH, OW, cout) is the gradient of the
    convolution's output, ``grad_frac`` bits after the point; ``height`` and ``width`` are those of the input.
    """
    cout, kh, kw, _ = weights.shape
    columns = exact_product(dy.reshape(-1, cout), weights.reshape(cout, -1)).reshape(*dy.shape[:3], -1)
    return wrap(scatter(columns, height, width, kh, kw, stride, padding), formats.acc_bits)


def weight_gradient(x: np.ndarray, dy: np.ndarray, kh: int, kw: int, stride: int, padding: int,
                    formats: Formats) -> tuple:
    """Sums (cout, kh, kw, cin) and (cout,) over images and positions: the gradients of weights and bias.

    Both have ``act_frac + grad_frac`` bits after the point and are wrapped; the bias meets the input 1.0 everywhere.
    """
    cout = dy.shape[-1]
    columns = windows(x, kh, kw, stride, padding).reshape(-1, kh * kw * x.shape[-1])
    dw = exact_product(dy.reshape(-1, cout).T, columns)
    db = dy.reshape(-1, cout).sum(axis=0) << formats.act_frac
    return wrap(dw, formats.acc_bits).reshape(cout, kh, kw, -1), wrap(db, formats.acc_bits)


def depthwise_forward(x: np.ndarray, weights: np.ndarray, bias: np.ndarray, stride: int, padding: int, formats: Formats) -> np.ndarray:
    """Sums (B, OH, OW, C) of a depthwise forward pass, wrapped; ``weights`` (C, kh, kw, 1), ``bias`` (C,), points as :func:`forward`."""
    channels, kh, kw, _ = weights.shape
    columns = windows(x, kh, kw, stride, padding)
    columns = columns.reshape(*columns.shape[:3], kh * kw, channels)
    return wrap((columns * weights.reshape(channels, -1).T).sum(axis=3) + (bias << formats.act_frac), formats.acc_bits)


def depthwise_backward_data(dy: np.ndarray, weights: np.ndarray, height: int, width: int, stride: int, padding: int,
                            formats: Formats) -> np.ndarray:
    """Sums (B, height, width, C) of a depthwise backward-data pass, wrapped; points as :func:`backward_data`."""
    channels, kh, kw, _ = weights.shape
    columns = dy[..., None, :] * weights.reshape(channels, -1).T
    return wrap(scatter(columns.reshape(*dy.shape[:3], -1), height, width, kh, kw, stride, padding), formats.acc_bits)


def depthwise_weight_gradient(x: np.ndarray, dy: np.ndarray, kh: int, kw: int, stride: int, padding: int, formats: Formats) -> tuple:
    """Sums (C, kh, kw, 1) and (C,) over images and positions, as :func:`weight_gradient`."""
    channels = dy.shape[-1]
    columns = windows(x, kh, kw, stride, padding).reshape(-1, kh * kw, channels)
    dw = (columns * dy.reshape(-1, 1, channels)).sum(axis=0).T
    db = dy.reshape(-1, channels).sum(axis=0) << formats.act_frac
    return wrap(dw, formats.acc_bits).reshape(channels, kh, kw, 1), wrap(db, formats.acc_bits)


def relu(x: np.ndarray) -> np.ndarray:
    """Negative values become zero."""
    return np.maximum(x, 0)


def pool(x: np.ndarray) -> tuple:
    """2x2 maxima (B, H // 2, W // 2, C) of ``x`` and the choices ``2 * dy + dx`` (int64) that say where they were.

    Of equal values the first in the order (0,0), (0,1), (1,0), (1,1) is chosen. An odd last row or column is dropped.
    """
    h, w = x.shape[1] // 2 * 2, x.shape[2] // 2 * 2
    corners = np.stack([x[:, dy:h:2, dx:w:2] for dy in range(2) for dx in range(2)])
    return corners.max(axis=0), corners.argmax(axis=0)


def expand(grad: np.ndarray, choice: np.ndarray, height: int, width: int) -> np.ndarray:
    """The gradient (B, height, width, C) of :func:`pool`'s input: ``grad`` where ``choice`` points, zero elsewhere."""
    b, h, w, c = grad.shape
    result = np.zeros((b, height, width, c), grad.dtype)
    for corner in range(4):
        dy, dx = divmod(corner, 2)
        result[:, dy:2 * h:2, dx:2 * w:2] = np.where(choice == corner, grad, 0)
    return result


def average(x: np.ndarray, kh: int, kw: int) -> np.ndarray:
    """Means (B, H // kh, W // kw, C) of windows that tile ``x``; kh * kw is a power of two; halves round up."""
    b, h, w, c = x.shape
    total = x.reshape(b, h // kh, kh, w // kw, kw, c).sum(axis=(2, 4))
    return (total + kh * kw // 2) // (kh * kw)


def spread(grad: np.ndarray, kh: int, kw: int) -> np.ndarray:
    """The gradient of :func:`average`'s input: every pixel of a window has its part of ``grad``; halves round up."""
    part = (grad + kh * kw // 2) // (kh * kw)
    return part.repeat(kh, axis=1).repeat(kw, axis=2)


def _magnitude(x: np.ndarray) -> int:
    """Largest absolute value, 0 for an empty array."""
    return max(int(x.max()), -int(x.min())) if x.size else 0
