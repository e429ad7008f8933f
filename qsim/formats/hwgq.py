"""HWGQ: activations quantized as half a normal distribution."""

from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from math import erf, exp, pi, sqrt

import numpy as np

from qsim.formats.base import TrainedFormat, UniformFormat, check_bits

GOLDEN = (sqrt(5) - 1) / 2


@dataclass(frozen=True)
class Hwgq(UniformFormat, TrainedFormat):
    """Levels 0 .. 2**bits - 1 (1 to 8 bits) for batch-normalised values.

    Only what is not positive is 0: the least positive value has level 1. Above that a value has
    the nearest level, a tie to the lower one. The step is that of least mean squared error on the
    positive half of a normal distribution, times ``sigma``, its standard deviation.
    """

    bits: int
    sigma: float = 1.0

    example = "bits=2"
    roles = ("activations",)
    granularities = ("per_tensor",)
    datapath = "and_popcount"
    rounds_half_even = False
    scale_text = "step of least squared error for a half normal distribution"
    rounding_text = "0 up to 0, else nearest from 1 on, a tie to the lower level"
    source = "HWGQ (arXiv 1702.00953), Eq. 7-14, uniform variant"

    def __post_init__(self):
        check_bits(self.bits, 1, 8, "HWGQ")
        if not 0 < self.sigma < 1e30:
            raise ValueError(f"sigma is a positive number, not {self.sigma}")

    def code_table(self) -> np.ndarray:
        return np.arange(2**self.bits, dtype=np.int64)

    def nearest(self, x: np.ndarray) -> np.ndarray:
        """0 where ``x`` is not positive, else the nearest of 1 .. 2**bits - 1, int32."""
        x = np.asarray(x)
        level = np.clip(np.ceil(x - 0.5), 1, self.max_level)
        return np.where(x > 0, level, 0).astype(np.int32)

    def boundaries(self) -> list[tuple[Fraction, bool]]:
        """As of every format; level 1 begins above 0."""
        halves = [(Fraction(2 * level - 1, 2), False) for level in range(2, self.max_level + 1)]
        return [(Fraction(0), False), *halves]

    def scale_for(self, real: np.ndarray, axis: int | None) -> np.ndarray:
        """The step, float32 of shape ()."""
        return np.asarray(half_normal_step(self.bits) * self.sigma, np.float32)

    def before_rounding(self, real: np.ndarray) -> np.ndarray:
        """``real`` without what is negative, float32."""
        return np.maximum(real, 0).astype(np.float32)


@cache
def half_normal_step(bits: int) -> float:
    """The step d that levels d, 2d .. (2**bits - 1) d for positive normal values want: that of
    least mean squared error, to 1e-9. Golden section over (0, 2)."""
    low, high = 0.0, 2.0
    while high - low > 1e-9:
        left, right = high - GOLDEN * (high - low), low + GOLDEN * (high - low)
        if _squared_error(left, bits) < _squared_error(right, bits):
            high = right
        else:
            low = left
    return (low + high) / 2


def _squared_error(step: float, bits: int) -> float:
    """E[(x - q(x))**2] over the positive half of N(0, 1), by its antiderivative."""
    levels = 2**bits - 1
    edges = [0.0, *((i + 0.5) * step for i in range(1, levels)), float("inf")]
    cells = zip(edges[:-1], edges[1:], range(1, levels + 1), strict=True)
    return sum(_integral(end, i * step) - _integral(start, i * step) for start, end, i in cells)


def _integral(x: float, q: float) -> float:
    """The antiderivative of (x - q)**2 times the normal density."""
    distribution = (1 + erf(x / sqrt(2))) / 2
    if x == float("inf"):
        return 1 + q * q
    density = exp(-x * x / 2) / sqrt(2 * pi)
    return distribution * (1 + q * q) + density * (2 * q - x)
