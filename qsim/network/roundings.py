"""Layers that are there to be rounded: a tensor in a second format, thresholds, dropped bits."""

from fractions import Fraction
from typing import Literal

import numpy as np

from qsim.network.layers import Layer, Shape

MOST_STEPS = 2**16 - 1
MOST_BITS = 40

Truncation = Literal[
    "half_even", "half_away", "half_toward", "floor", "ceil", "toward_zero", "away"
]


class Identity(Layer, tag="identity", frozen=True, kw_only=True):
    """The same values, as a tensor of its own, which can have another format."""


class MultiThreshold(Layer, tag="multi_threshold", frozen=True, kw_only=True):
    """out_scale * (how many of a channel's ``steps`` thresholds the value reaches) + out_bias.

    A value reaches a threshold that is no larger. The thresholds are an array (channels, steps),
    or (1, steps) where they are ``shared`` by all channels; of (tokens, features) the features
    count as channels. Source: QONNX's MultiThreshold.
    """

    steps: int
    out_scale: float = 1.0
    out_bias: float = 0.0
    shared: bool = False

    def __post_init__(self):
        if not 1 <= self.steps <= MOST_STEPS:
            raise ValueError(f"steps must be 1 to {MOST_STEPS:,}")
        if not (1e-30 < abs(self.out_scale) < 1e30 and abs(self.out_bias) < 1e30):
            raise ValueError("out_scale must be finite and not 0, out_bias finite")
        exact, near = self._exact_ratio, self._ratio
        if abs(exact - near) > Fraction(1, 2**22) * max(abs(exact), 1):
            raise ValueError("out_bias must be a whole multiple of out_scale or of a part of it")
        if max(map(abs, self.ends)) > MOST_STEPS:
            raise ValueError(f"the levels must lie within {MOST_STEPS:,} of 0")

    @property
    def unit(self) -> float:
        """The scale of the levels, which divides both out_scale and out_bias."""
        return abs(self.out_scale) / self._ratio.denominator

    @property
    def step(self) -> int:
        """The levels that a threshold adds, negative where out_scale is."""
        return self._ratio.denominator if self.out_scale > 0 else -self._ratio.denominator

    @property
    def ends(self) -> tuple[int, int]:
        """The level of what reaches no threshold, and of what reaches all."""
        first = self._ratio.numerator if self.out_scale > 0 else -self._ratio.numerator
        return first, first + self.steps * self.step

    @property
    def _ratio(self) -> Fraction:
        """out_bias over out_scale; they are decimals or float32, so the nearest of small ones."""
        return self._exact_ratio.limit_denominator(256)

    @property
    def _exact_ratio(self) -> Fraction:
        return Fraction(self.out_bias) / Fraction(self.out_scale)

    @staticmethod
    def axis(shape: Shape) -> int:
        """The axis of the channels of a tensor that is ``shape`` without its batch."""
        return 2 if len(shape) == 2 else 1

    def parameters(self, shape: Shape) -> dict[str, Shape]:
        channels = 1 if self.shared else shape[self.axis(shape) - 1]
        return {"thresholds": (channels, self.steps)}


class Truncate(Layer, tag="truncate", frozen=True, kw_only=True):
    """An integer without its last ``dropped_bits``: x * ``times`` / ``scale``, to the nearest
    integer (a half to the even one), over 2**dropped_bits, rounded, clipped to ``low .. high``,
    times ``out_scale``. Source: QONNX's Trunc, versions 1 and 2, without zero point.
    """

    scale: float
    dropped_bits: int
    out_scale: float
    times: int = 1
    rounding: Truncation = "floor"
    low: int | None = None
    high: int | None = None

    def __post_init__(self):
        if not (1e-30 < self.scale < 1e30 and 1e-30 < self.out_scale < 1e30):
            raise ValueError("scale and out_scale must be positive and finite")
        if not 0 <= self.dropped_bits <= MOST_BITS or not 1 <= self.times <= 2**24:
            raise ValueError(f"dropped_bits must be 0 to {MOST_BITS}, times 1 to 16,777,216")
        if None not in (self.low, self.high) and self.low > self.high:
            raise ValueError("low must not be more than high")

    @property
    def bounds(self) -> tuple[float, float]:
        """The least and the largest level."""
        low = -np.inf if self.low is None else self.low
        return low, np.inf if self.high is None else self.high


RoundingRow = Identity | MultiThreshold | Truncate


def reached(x: np.ndarray, thresholds: np.ndarray) -> np.ndarray:
    """How many thresholds (channels or 1, steps) each value of a batch reaches, int64."""
    axis = MultiThreshold.axis(x.shape[1:])
    count = np.zeros(x.shape, np.int64)
    for column in thresholds.T:
        count += x >= column.reshape(-1, *(1,) * (x.ndim - 1 - axis))
    return count


def truncated(integers: np.ndarray, layer: Truncate) -> np.ndarray:
    """The levels, float64, of whole numbers within 2**53 of 0 that lose their last bits."""
    steps = integers / 2.0**layer.dropped_bits
    below, half = np.floor(steps), np.abs(steps - np.trunc(steps)) == 0.5
    away = np.copysign(np.ceil(np.abs(steps)), steps)
    nearest = np.rint(steps)
    levels = {
        "half_even": nearest,
        "half_away": np.where(half, away, nearest),
        "half_toward": np.where(half, np.trunc(steps), nearest),
        "floor": below,
        "ceil": np.ceil(steps),
        "toward_zero": np.trunc(steps),
        "away": away,
    }[layer.rounding]
    return np.clip(levels, *layer.bounds)
