"""Fixed-point arithmetic of the value model. Every array is int64; widths are in bits.

A number with ``frac`` bits after the point has the value ``x / 2**frac``. All rounding is to the nearest, halves
towards plus infinity: half of the last kept place is added, then an arithmetic shift drops the low bits.
"""

import numpy as np

from gradgate.arch.formats import Formats


def wrap(x: np.ndarray, bits: int) -> np.ndarray:
    """``x`` modulo ``2**bits`` in two's complement, as an accumulator of ``bits`` bits holds it; ``bits`` < 64."""
    half = np.int64(1 << (bits - 1))
    return ((np.asarray(x, np.int64) + half) & np.int64((1 << bits) - 1)) - half


def saturate(x: np.ndarray, bits: int) -> np.ndarray:
    """``x`` limited to what ``bits`` bits of two's complement can hold."""
    return np.clip(np.asarray(x, np.int64), -(1 << (bits - 1)), (1 << (bits - 1)) - 1)


def requantise(acc: np.ndarray, shift: int, bits: int) -> np.ndarray:
    """``(acc + 2**(shift-1)) >> shift``, saturated to ``bits`` bits; ``shift`` >= 1.

    The addition has one bit more than ``acc`` needs, so it does not wrap: the largest sum rounds up and saturates.
    """
    return saturate((np.asarray(acc, np.int64) + (1 << (shift - 1))) >> shift, bits)


def working(masters: np.ndarray, formats: Formats) -> np.ndarray:
    """Working weights of master weights: rounded to ``weight_frac`` bits after the point, saturated to ``act_bits``."""
    return requantise(masters, formats.master_drop, formats.act_bits)


def update(masters: np.ndarray, gradient: np.ndarray, shift: int, bits: int) -> np.ndarray:
    """New masters ``M - ((dW + 2**(shift-1)) >> shift)``, saturated to ``bits`` bits; ``shift`` >= 1.

    ``gradient`` is the sum over the batch, wrapped to the accumulator's width. The argument is not changed.
    """
    step = (np.asarray(gradient, np.int64) + (1 << (shift - 1))) >> shift
    return saturate(np.asarray(masters, np.int64) - step, bits)


def decayed(velocities: np.ndarray, decay: int) -> np.ndarray:
    """Velocities times ``1 - 2**-decay``, rounded towards zero; ``decay`` >= 0.

    What is taken off, ``V / 2**decay``, is rounded away from zero, so that a velocity to which nothing is added reaches exactly
    zero and its weight comes to rest. Rounded to the nearest, it would stay at up to ``2**(decay - 1)`` for ever.
    """
    v = np.asarray(velocities, np.int64)
    return v - (v + np.where(v < 0, 0, (1 << decay) - 1) >> decay)


def update_momentum(masters: np.ndarray, velocities: np.ndarray, gradient: np.ndarray, shift: int, decay: int, bits: int) -> tuple:
    """New masters and velocities, both saturated to ``bits`` bits: ``V' = decayed(V) + step`` and ``M' = M - V'``.

    ``step`` is that of :func:`update`, not saturated; velocities have the format of masters. ``decay`` is 1 to 7. In the long run
    equal steps add up to ``2**decay`` of them, so the effective learning rate is so many times that of :func:`update`. Source: the
    heavy ball of Polyak, "Some methods of speeding up the convergence of iteration methods", 1964, in the form of Sutskever et al.,
    "On the importance of initialization and momentum in deep learning", 2013: ``V' = mu * V + rate * gradient``, mu = 1 - 2**-decay.
    """
    step = (np.asarray(gradient, np.int64) + (1 << (shift - 1))) >> shift
    velocities = saturate(decayed(velocities, decay) + step, bits)
    return saturate(np.asarray(masters, np.int64) - velocities, bits), velocities


def count_overflow(acc: np.ndarray, bits: int) -> int:
    """How many of the final sums ``acc``, already wrapped to ``bits`` bits, have two top bits that differ.

    Such a sum is in the outer half of the accumulator's range: it has wrapped, or was about to.
    """
    top = np.asarray(acc, np.int64) >> (bits - 2)
    return int(np.count_nonzero((top != 0) & (top != -1)))


def quantise(x: np.ndarray, frac: int, bits: int) -> np.ndarray:
    """The fixed-point numbers nearest to the floats ``x``: ``floor(x * 2**frac + 1/2)``, saturated to ``bits`` bits.

    Raises :class:`ValueError` where ``x`` is infinite or not a number.
    """
    x = np.asarray(x, np.float64)
    if not np.isfinite(x).all():
        raise ValueError("a number must be finite to become fixed-point")
    limit = 2.0 ** (bits - 1)
    return np.clip(np.floor(np.ldexp(x, frac) + 0.5), -limit, limit - 1).astype(np.int64)
