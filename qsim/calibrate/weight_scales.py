"""Scales of weights: which real value the largest level stands for."""

from typing import Literal

import numpy as np

from qsim.formats import Format
from qsim.formats.base import ScaleRule, alpha_of, largest_magnitude, scale_of

MSE_CANDIDATES = np.linspace(0.2, 1.0, 81)  # shares of the largest magnitude
MSE_SAMPLE = 2**14  # values of a whole tensor that the search looks at


def least_square_error(real: np.ndarray, number: Format, axis: int | None) -> np.ndarray:
    """The scale, float32, of least mean squared rounding error, of 81 that map 20 % to 100 % of the
    largest magnitude to the largest level; of equal ones the smallest.

    With an ``axis``, one for each of its indices, shaped to broadcast. Without one, of a tensor of
    more than 16,384 values every n-th is looked at, so that about that many are.
    """
    alpha = alpha_of(real, axis)
    sample, others = real, tuple(i for i in range(real.ndim) if i != axis)
    if axis is None:
        sample = real.reshape(-1)[:: -(-real.size // MSE_SAMPLE) or 1]
        others = (0,)
    best = np.full(alpha.shape, np.inf)
    scale = scale_of(alpha, number)
    for share in MSE_CANDIDATES:
        candidate = scale_of(share * alpha, number)
        exact = sample.astype(np.float64) / candidate.astype(np.float64)
        rounded = number.nearest(exact) * candidate
        error = ((sample - rounded) ** 2).sum(axis=others, keepdims=axis is not None)
        scale = np.where(error < best, candidate, scale)
        best = np.minimum(error, best)
    return scale.astype(np.float32)


def power_of_two(rule: ScaleRule) -> ScaleRule:
    """A rule that raises the scales of ``rule`` to the next power of two."""
    return lambda real, number, axis: next_power_of_two(rule(real, number, axis))


def next_power_of_two(scale: np.ndarray) -> np.ndarray:
    """The smallest power of two, float32, that is not less than each ``scale``."""
    mantissa, exponent = np.frexp(scale)
    exponent = np.where(mantissa == 0.5, exponent - 1, exponent)  # it is a power already
    return np.ldexp(np.float32(1), exponent).astype(np.float32)


RangeRule = Literal["max", "mse"]  # as in RANGE_RULES
RANGE_RULES: dict[str, ScaleRule] = {"max": largest_magnitude, "mse": least_square_error}
