"""Affine: consecutive levels around a zero point, for data that is not symmetric about 0."""

from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np

from qsim.formats.base import (
    Adjustment,
    CalibratedBy,
    Facts,
    Found,
    Quantized,
    ScaleRule,
    UniformFormat,
    check_bits,
    finite,
    largest_magnitude,
    positive,
    rows_of,
)
from qsim.formats.fixed import Fixed
from qsim.formats.rounding import stochastic


@dataclass(frozen=True)
class AffineGrid(UniformFormat):
    """The levels of one zero point: ``code - zero_point`` for codes 0 .. 2**bits - 1.

    Ties go to the even level.

    signed_codes   whether a runtime holds the codes, and with them the zero point, less
                   2**(bits - 1), as signed integers; the levels are the same
    """

    bits: int
    zero_point: int
    signed_codes: bool = False

    datapath = "multiply"

    def __post_init__(self):
        check_bits(self.bits, 1, 16, "an affine grid")
        if not 0 <= self.zero_point < 2**self.bits:
            raise ValueError(f"a zero point of {self.bits} bits is not {self.zero_point}")

    @property
    def max_level(self) -> int:
        """The largest level."""
        return 2**self.bits - 1 - self.zero_point

    @property
    def min_level(self) -> int:
        """The smallest level."""
        return -self.zero_point

    @property
    def alpha_level(self) -> int:
        """The level that stands for the largest magnitude: the one farthest from 0, on its side."""
        return self.max_magnitude

    def code_table(self) -> np.ndarray:
        return np.arange(2**self.bits, dtype=np.int64) - self.zero_point


@dataclass(frozen=True)
class QuantizedAffine(Quantized):
    """A quantized tensor whose levels are codes less a zero point, int32, broadcastable to them."""

    zero_point: np.ndarray

    @cached_property
    def codes(self) -> np.ndarray:
        return (self.levels + self.zero_point).astype(
            np.uint8 if self.format.bits <= 8 else np.uint16
        )

    def row_format(self, row: int) -> AffineGrid:
        zero_points = np.broadcast_to(self.zero_point.reshape(-1), self.levels.shape[:1])
        return AffineGrid(self.format.bits, int(zero_points[row]))


@dataclass(frozen=True)
class Affine(Facts):
    """``bits``-bit codes (1 to 16) of levels code - zero point; the zero point follows the data.

    asymmetric   the range is widened to contain 0, so that 0 has a code; the scale is found for the
                 values less the lowest of them, on 2**bits - 1 steps; the zero point is
                 -lowest / scale rounded to the nearest integer, a half to the even one
    symmetric    no zero point: levels -2**(bits-1) .. 2**(bits-1) - 1, from 2 bits on
    restricted   no zero point and no lowest code: -127 .. 127 at 8 bits

    Levels round to the nearest, ties to the even one; ``rounding: stochastic``, by chance and
    without bias, drawn from ``seed``, is for weights.
    """

    bits: int
    mode: Literal["asymmetric", "symmetric", "restricted"] = "asymmetric"
    rounding: Literal["nearest", "stochastic"] = "nearest"
    seed: int = 0

    roles = ("weights", "activations")
    scale_text = "range rule, over the range with 0; zero point"
    rounding_text = "nearest, a tie to the even level; or stochastic"
    source = "Krishnamoorthi (arXiv 1806.08342), sections 2.1-2.3, Eq. 1-11"

    def __post_init__(self):
        check_bits(self.bits, 1 if self.mode == "asymmetric" else 2, 16, f"{self.mode} affine")
        if self.seed < 0:
            raise ValueError(f"a seed is not negative, as {self.seed} is")

    @property
    def max_magnitude(self) -> int:
        """The largest absolute level of any zero point."""
        return 2**self.bits - 1 if self.mode == "asymmetric" else self._symmetric.max_magnitude

    @property
    def _symmetric(self) -> Fixed:
        return Fixed(self.bits, full_range=self.mode == "symmetric")

    def scale_words(self) -> str:
        return self.scale_text if self.mode == "asymmetric" else "range rule; no zero point"

    def rounding_words(self) -> str:
        if self.rounding == "stochastic":
            return f"up or down by chance, without bias (seed {self.seed})"
        return "nearest, a tie to the even level"

    def quantize(
        self,
        real: np.ndarray,
        *,
        scale: "np.ndarray | ScaleRule | None" = None,
        axis: int | None = None,
    ) -> Quantized:
        """``real`` rounded to levels; arguments and errors as ``Format.quantize``.

        The result has a zero point (``QuantizedAffine``) where the mode has one.
        """
        real = finite(real)
        if self.mode != "asymmetric":
            number = self._symmetric
            quantized = number.quantize(real, scale=scale, axis=axis)
            levels = self._round(real.astype(np.float64) / quantized.scale.astype(np.float64))
            levels = np.clip(levels, number.min_level, number.max_level).astype(np.int32)
            return Quantized(number, levels, quantized.scale)
        rows, shape = rows_of(real, axis)
        with_zero = np.concatenate([rows, np.zeros((len(rows), 1), rows.dtype)], axis=1)
        lowest = with_zero.min(axis=1, keepdims=True).astype(np.float64)
        if scale is None or callable(scale):
            rule, above = scale or largest_magnitude, Fixed(self.bits, signed=False)
            scale = rule(with_zero - lowest, above, None if axis is None else 0).reshape(shape)
        scale, lowest = positive(scale), lowest.reshape(shape)
        last = 2**self.bits - 1
        exact = scale.astype(np.float64)
        zero_point = np.clip(np.rint(-lowest / exact), 0, last).astype(np.int32)
        levels = np.clip(
            self._round(real.astype(np.float64) / exact), -zero_point, last - zero_point
        )
        return QuantizedAffine(self, levels.astype(np.int32), scale, zero_point)

    @property
    def calibrated_by(self) -> CalibratedBy:
        """What activations of it ask calibration for."""
        return "interval" if self.mode == "asymmetric" else "threshold"

    def bind(
        self, found: Found, adjust: Adjustment = lambda scale: scale
    ) -> tuple[UniformFormat, np.ndarray]:
        """The grid of the zero point that ``found`` asks for, and the scale, as ``Format.bind``."""
        if self.mode != "asymmetric":
            return self._symmetric.bind(found, adjust)
        codes = Fixed(self.bits, signed=False)
        _, scale = codes.bind(Found(high=found.high - found.low), adjust)
        zero_point = np.rint(-found.low / scale.astype(np.float64)).clip(0, codes.max_level)
        return AffineGrid(self.bits, int(zero_point)), scale

    def before_rounding(self, real: np.ndarray) -> np.ndarray:
        """``real``: its range follows the data."""
        return real

    def _round(self, x: np.ndarray) -> np.ndarray:
        if self.rounding == "stochastic":
            return stochastic(x, np.random.default_rng(self.seed))
        return np.rint(x)
