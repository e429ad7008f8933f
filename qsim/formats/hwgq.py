"""HWGQ: activations quantized as half a normal distribution."""

from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from math import erf, exp, inf, pi, sqrt

import numpy as np

from qsim.formats.base import TrainedFormat, UniformFormat, check_bits


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
    rounding_text = "0 where x <= 0, else nearest from 1 on, a tie to the lower level"
    source = "HWGQ (arXiv 1702.00953), Eq. 7-14, uniform variant"

    def __post_init__(self):
        check_bits(self.bits, 1, 8, "HWGQ")
        if not 1e-30 < self.sigma < 1e30:
            raise ValueError(f"sigma lies between 1e-30 and 1e30, which {self.sigma:g} does not")

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

    def scale_words(self) -> str:
        return f"{float(self.scale_for(np.zeros(0), None)):g}, {self.scale_text}"

    def before_rounding(self, real: np.ndarray) -> np.ndarray:
        """``real`` clipped to 0 .. the largest level's value, float32."""
        return np.clip(real, 0, self.max_level * self.scale_for(real, None)).astype(np.float32)


@cache
def half_normal_step(bits: int) -> float:
    """The step d that levels d, 2d .. (2**bits - 1) d for positive normal values want: that of
    least mean squared error, where the derivative of the error is 0. Bisection over (0, 2)."""
    low, high = 0.0, 2.0
    while low < (middle := (low + high) / 2) < high:
        if _longer_is_better(middle, bits):
            low = middle
        else:
            high = middle
    return low


def _longer_is_better(step: float, bits: int) -> bool:
    """Whether E[(x - q(x))**2] over the positive half of N(0, 1) falls at ``step``: whether
    sum(i * E[x - i * step]) over the cells of the levels i is positive."""
    levels = 2**bits - 1
    edges = [0.0, *((i + 0.5) * step for i in range(1, levels)), inf]
    cells = zip(edges[:-1], edges[1:], range(1, levels + 1), strict=True)
    return sum(i * _excess(start, end, i * step) for start, end, i in cells) > 0


def _excess(start: float, end: float, q: float) -> float:
    """The integral of x - q times the normal density."""
    share = (erf(end / sqrt(2)) - erf(start / sqrt(2))) / 2
    return (exp(-start * start / 2) - exp(-end * end / 2)) / sqrt(2 * pi) - q * share
