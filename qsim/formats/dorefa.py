"""DoReFa-Net's weights and gradients: odd integers, none of which is 0."""

from abc import ABC
from dataclasses import dataclass

import numpy as np

from qsim.formats.base import (
    Quantized,
    TrainedFormat,
    as_float32,
    check_bits,
    finite,
    mean_magnitude,
)


class OddLevels(TrainedFormat, ABC):
    """Levels 2q - n for codes q = 0 .. n, n = 2**bits - 1: odd integers -n .. n."""

    example = "bits=2"
    granularities = ("per_tensor",)
    datapath = "and_popcount"
    rounding_text = "nearest, a tie to the even code"

    def code_table(self) -> np.ndarray:
        last = 2**self.bits - 1
        return 2 * np.arange(2**self.bits, dtype=np.int64) - last

    def nearest(self, x: np.ndarray) -> np.ndarray:
        """The level nearest to each ``x``, int32; a tie goes to the even code."""
        last = 2**self.bits - 1
        below = np.floor(np.floor(x) / 2)
        level = np.clip(2 * below + 1, -last, last)
        is_tie = (2 * below == x) & (np.abs(x) < last)
        odd_code = (level + last) % 4 == 2
        return np.where(is_tie & odd_code, level - 2, level).astype(np.int32)


@dataclass(frozen=True)
class DorefaWeights(OddLevels):
    """Weights of ``bits`` bits, 1 to 8.

    1 bit     the sign (of 0: +1) times the mean magnitude of the layer
    k bits    2 * round(n * (tanh(w) / (2 * max |tanh(w)|) + 1/2)) / n - 1, n = 2**k - 1, the
              maximum over the layer; the tangent in float64 rounded to float32, the rest in
              float32, a tie to the even code

    Raises ValueError on a layer of zeros.
    """

    bits: int

    scale_text = "1 bit: mean of |w| of the layer; else 1 / (2**bits - 1)"
    source = "DoReFa-Net (arXiv 1606.06160v3), Eq. 7, 9, 10"

    def __post_init__(self):
        check_bits(self.bits, 1, 8, "a DoReFa weight")

    def nearest(self, x: np.ndarray) -> np.ndarray:
        """The level nearest to each ``x``, int32, a tie to the even code; of 1 bit the sign, of
        0: +1."""
        if self.bits == 1:
            return np.where(np.asarray(x) >= 0, 1, -1).astype(np.int32)
        return super().nearest(x)

    def scale_for(self, real: np.ndarray, axis: int | None) -> np.ndarray:
        """One scale, float32 of shape ()."""
        if self.bits == 1:
            return mean_magnitude(real, None)
        return np.asarray(1 / self.max_level, np.float32)

    def at_scale(self, real: np.ndarray, scale: np.ndarray) -> np.ndarray:
        """The levels, int32."""
        if self.bits == 1:
            return self.nearest(real)
        bounded = np.tanh(real.astype(np.float64)).astype(np.float32)
        largest = np.abs(bounded).max(initial=0)
        if largest == 0:
            raise ValueError("all weights of the layer are 0, so no largest one scales the others")
        within = bounded / (2 * largest) + np.float32(0.5)
        codes = np.rint(np.float32(self.max_level) * within).astype(np.int32)
        return 2 * codes - np.int32(self.max_level)


@dataclass(frozen=True)
class DorefaGradients(OddLevels):
    """Gradients of ``bits`` bits, 1 to 8, with noise before rounding, drawn from ``seed``.

    2 * m * (round(n * (g / (2 * m) + 1/2) + u) / n - 1/2), with m the largest |g| of each sample
    (index of axis 0), n = 2**bits - 1 and u uniform in [-1/2, 1/2); codes are clipped to 0 .. n, as
    n + u may round to n + 1. All in float64. A sample of zeros has the scale 0.
    """

    bits: int
    seed: int = 0

    roles = ("gradients",)
    granularities = ("per_sample",)
    scale_text = "max of |g| of the sample / (2**bits - 1)"
    rounding_text = "nearest after uniform noise of one step"
    source = "DoReFa-Net (arXiv 1606.06160v3), Eq. 12-14"

    def __post_init__(self):
        check_bits(self.bits, 1, 8, "a DoReFa gradient")
        if self.seed < 0:
            raise ValueError(f"a seed is not negative, as {self.seed} is")

    def scale_for(self, real: np.ndarray, axis: int | None = 0) -> np.ndarray:
        """The largest magnitude of each sample over n, float32, shaped to broadcast."""
        others = tuple(range(1, real.ndim))
        largest = np.abs(real).max(axis=others, keepdims=True, initial=0)
        scale = as_float32(largest.astype(np.float64) / self.max_level)
        if np.isinf(scale).any():
            raise ValueError(f"a gradient of {largest.max():g} is too large for a float32 scale")
        return scale

    def quantize(self, real: np.ndarray, *, scale=None, axis: int | None = 0) -> Quantized:
        """``real`` (samples, ...) with a scale per sample, float32, which may be 0.

        Raises ValueError on NaN or infinity, on what is too large for a float32 scale, on a single
        number and on a scale or another axis.
        """
        real = finite(real)
        if scale is not None or axis != 0 or real.ndim == 0:
            raise ValueError("gradients (samples, ...) have one scale per sample, found from them")
        scale = self.scale_for(real)
        exact, others = real.astype(np.float64), tuple(range(1, real.ndim))
        largest = np.abs(exact).max(axis=others, keepdims=True, initial=0)
        within = exact / np.where(largest > 0, 2 * largest, 1) + 0.5
        noise = np.random.default_rng(self.seed).random(real.shape) - 0.5
        codes = np.clip(np.rint(self.max_level * within + noise), 0, self.max_level)
        levels = (2 * codes - self.max_level).astype(np.int32)
        return Quantized(self, levels, scale)
