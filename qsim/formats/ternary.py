"""Ternary: -1, 0 and +1, at one scale (TWN) or at two (TTQ)."""

from abc import ABC
from dataclasses import dataclass

import numpy as np

from qsim.formats.base import (
    INVALID,
    Quantized,
    Term,
    TrainedFormat,
    as_float32,
    finite,
    mean_magnitude,
    mean_of,
    positive,
    rows_of,
)


class TernaryFormat(TrainedFormat, ABC):
    """Levels -1, 0 and +1 in two bits, two's complement."""

    example = ""
    bits = 2
    datapath = "select_negate"

    def code_table(self) -> np.ndarray:
        return np.array([0, 1, INVALID, -1], np.int64)


@dataclass(frozen=True)
class TernaryWeights(TernaryFormat):
    """0 where |w| is no more than 0.7 times the mean of |w|, else the sign.

    The scale is the mean of |w| over what is not 0. Mean and threshold are of the layer, or, with a
    scale per channel, of each filter; they are computed in float64 from exact sums.
    """

    granularities = ("per_tensor", "per_channel")
    scale_text = "mean of |w| above the threshold"
    rounding_text = "0 up to 0.7 * mean of |w|, else the sign"
    source = "TWN (arXiv 1605.04711), as restated in TTQ (arXiv 1612.01064), Eq. 4-5"

    def scale_for(self, real: np.ndarray, axis: int | None) -> np.ndarray:
        """The mean magnitude above the threshold, float32. Raises ValueError on zeros alone."""
        mean_magnitude(real, axis)  # refuses what has none
        rows, shape = rows_of(np.abs(real.astype(np.float64)), axis)
        means = [mean_of(row[_above_threshold(row, None)], None) for row in rows]
        return as_float32(np.array(means).reshape(shape))

    def quantize(self, real: np.ndarray, *, scale=None, axis: int | None = None) -> Quantized:
        """``real`` at the paper's levels and scale; errors as ``TrainedFormat.quantize``."""
        quantized = super().quantize(real, scale=scale, axis=axis)
        exact = finite(real).astype(np.float64)
        kept = _above_threshold(np.abs(exact), axis)
        levels = (np.sign(exact) * kept).astype(np.int32)
        return Quantized(self, levels, quantized.scale)


@dataclass(frozen=True)
class QuantizedTtq(Quantized):
    """Ternary levels whose +1 and -1 have scales of their own; ``scale`` is that of +1.

    negative_scale   float32 of shape ()
    """

    negative_scale: np.ndarray

    @property
    def real(self) -> np.ndarray:
        scales = np.where(self.levels < 0, self.negative_scale, self.scale)
        return self.levels * scales.astype(np.float64)

    @property
    def terms(self) -> tuple[Term, ...]:
        """Two products: of the levels that are +1, and of those that are -1."""
        rows = (len(self.levels),)
        return (
            Term(np.maximum(self.levels, 0), np.broadcast_to(self.scale, rows)),
            Term(np.minimum(self.levels, 0), np.broadcast_to(self.negative_scale, rows)),
        )


@dataclass(frozen=True)
class Ttq(TernaryFormat):
    """0 where |w| is no more than ``threshold`` times the largest |w| of the layer, else the sign,
    +1 standing for ``positive`` and -1 for -``negative``.

    The two scales are learned; where they are not given they are the mean magnitudes of the weights
    that they stand for. A layer's sums of either sign are kept apart until they are scaled.
    """

    threshold: float = 0.05
    positive: float | None = None
    negative: float | None = None

    granularities = ("per_tensor",)
    scale_text = "two: learned, or the mean of |w| of either sign"
    rounding_text = "0 up to threshold * max of |w|, else the sign"
    source = "TTQ (arXiv 1612.01064), Eq. 6-9"

    def __post_init__(self):
        if not 0 <= self.threshold < 1:
            raise ValueError(f"a threshold is 0 or more and less than 1, not {self.threshold}")
        for name in ("positive", "negative"):
            value = getattr(self, name)
            if value is not None and not 1e-30 < value < 1e30:
                raise ValueError(f"{name} lies between 1e-30 and 1e30, which {value:g} does not")

    def scale_for(self, real: np.ndarray, axis: int | None) -> np.ndarray:
        """The scale of +1, float32 of shape ()."""
        return self._scales(real)[0]

    def quantize(self, real: np.ndarray, *, scale=None, axis: int | None = None) -> QuantizedTtq:
        """``real`` at the paper's levels and scales; errors as ``TrainedFormat.quantize``."""
        quantized = super().quantize(real, scale=scale)
        negative = positive(self._scales(finite(real))[1])
        return QuantizedTtq(self, self._levels_of(finite(real)), quantized.scale, negative)

    def _levels_of(self, real: np.ndarray) -> np.ndarray:
        exact = real.astype(np.float64)
        kept = np.abs(exact) > self.threshold * np.abs(exact).max(initial=0)
        return (np.sign(exact) * kept).astype(np.int32)

    def _scales(self, real: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The scales of +1 and of -1; of a sign that no weight has, the other's."""
        mean_magnitude(real, None)  # refuses what has none
        levels = self._levels_of(real)
        means = [
            float(mean_of(np.abs(real[levels == sign]), None)) if (levels == sign).any() else None
            for sign in (1, -1)
        ]
        up = self.positive or means[0] or means[1]
        down = self.negative or means[1] or means[0]
        return as_float32(up), as_float32(down)


def _above_threshold(magnitude: np.ndarray, axis: int | None) -> np.ndarray:
    """Whether each magnitude is more than 7/10 of their mean (which, unlike the float 0.7 times the
    mean, keeps a threshold that is a float64 as it is)."""
    return magnitude > mean_of(magnitude, axis) * 7 / 10
