"""Clipping levels to real bounds: (0, 6) is relu6, (-1, 1) is hard-tanh, (0, inf) is relu."""

from fractions import Fraction
from math import isinf

import numpy as np

from qsim.kernels.accumulator import as_integers

INT64_MIN, INT64_MAX = -(2**63), 2**63 - 1


def bound_level(bound: float, scale: float) -> int:
    """The level of a real bound: the nearest integer to bound / scale, a half to the even one.

    Both are taken as the exact numbers that they are. Rounding never changes an order, so clipping
    levels to it is the same as clipping the reals and rounding them to levels. A bound that is
    infinite or beyond 64 bits is the end of 64 bits.

    Raises ValueError on a bound that is no number or a scale that is not positive and finite.
    """
    if not 0 < scale < float("inf"):
        raise ValueError(f"a scale is positive and finite, not {scale}")
    if isinf(bound):
        return INT64_MAX if bound > 0 else INT64_MIN
    level = round(Fraction(float(bound)) / Fraction(float(scale)))
    return min(max(level, INT64_MIN), INT64_MAX)


def clip_levels(levels: np.ndarray, scale: np.ndarray, low: float, high: float) -> np.ndarray:
    """``levels`` clipped between the levels of the real bounds ``low`` and ``high``.

    levels    integers of any shape; (images, channels, ...) where the scale is per channel
    scale     floats, () or (channels,)
    returns   int64 of the shape of ``levels``

    Raises ValueError on bounds out of order, on scales that do not fit or as ``bound_level`` does,
    TypeError on anything but integers.
    """
    if not low <= high:
        raise ValueError(f"no value lies from {low} to {high}")
    if scale.ndim > 1 or (scale.ndim == 1 and scale.shape != levels.shape[1:2]):
        raise ValueError(f"scales {scale.shape} do not fit levels {levels.shape}")
    along = (-1, *(1,) * (levels.ndim - 2)) if scale.ndim == 1 else ()
    limits = [
        np.array([bound_level(bound, float(s)) for s in scale.flat], np.int64).reshape(along)
        for bound in (low, high)
    ]
    return np.clip(as_integers(levels, np.int64).reshape(levels.shape), *limits)
