"""Softmax cross-entropy in integers: a base-2 exponential with a linear mantissa, and one division for each class.

With ``d = zmax - z >= 0`` the softmax needs ``exp(-d) = 2**-(n + f)``, where ``n`` is a whole number and
0 <= ``f`` < 1. The mantissa ``2**-f`` is replaced by the straight line ``1 - f/2``, which is exact at both ends and at
most 6.2 % too large between them; so a probability is at most 6.2 % of itself off, but for the truncations, and no
table is needed.
"""

from dataclasses import dataclass

import numpy as np

from gradgate.arch.formats import Formats

LOG2E = 23637  #: log2(e), 14 bits after the point
LOG2E_FRAC = 14
ONE = 1 << 15  #: the exponential of 0
MAX_SHIFT = 20  #: a larger exponent is taken for this one; the exponential is zero from 16 on


@dataclass(frozen=True)
class Loss:
    """Result of :func:`softmax_cross_entropy` for B images and N classes."""

    p: np.ndarray  #: probabilities (B, N), ``grad_frac`` bits after the point, rounded down
    dz: np.ndarray  #: gradient of the logits (B, N), ``grad_frac`` bits after the point, not divided by B
    predicted: np.ndarray  #: the class (B,) of the largest logit, the first of equals
    correct: int  #: how many images' predicted class is their label


def softmax_cross_entropy(logits: np.ndarray, labels: np.ndarray, formats: Formats) -> Loss:
    """Loss of ``logits`` (B, N), ``act_frac`` bits after the point, for ``labels`` (B,) in 0 .. N-1.

    ``t = (d * LOG2E) >> 14`` is the exponent with ``act_frac`` bits after the point; ``n`` and ``f`` are its two parts.
    The exponential is ``e = (2**15 - f') >> min(n, 20)``, where ``f'`` is ``f`` moved to 14 bits after the point (so
    that it counts half; low bits are dropped where ``act_frac`` > 14), and ``p = floor((e << grad_frac) / sum(e))``.
    """
    d = logits.max(axis=1, keepdims=True) - logits
    t = (d * LOG2E) >> LOG2E_FRAC
    n, f = t >> formats.act_frac, t & ((1 << formats.act_frac) - 1)
    half_f = f << (14 - formats.act_frac) if formats.act_frac <= 14 else f >> (formats.act_frac - 14)
    e = (ONE - half_f) >> np.minimum(n, MAX_SHIFT)
    p = (e << formats.grad_frac) // e.sum(axis=1, keepdims=True)
    dz = p.copy()
    dz[np.arange(len(labels)), labels] -= 1 << formats.grad_frac
    predicted = logits.argmax(axis=1)
    return Loss(p, dz, predicted, int(np.count_nonzero(predicted == labels)))


def cross_entropy_nats(p: np.ndarray, labels: np.ndarray, formats: Formats) -> float:
    """Mean of ``-ln p[label]`` in nats, for reports only.

    ``p`` (B, N) is that of :class:`Loss`; a probability of zero counts as ``2**-grad_frac``.
    """
    chosen = np.maximum(p[np.arange(len(labels)), labels], 1)
    return float(np.mean(formats.grad_frac * np.log(2.0) - np.log(chosen)))
