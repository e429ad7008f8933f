"""MSQ: each row of a weight matrix is either fixed point or SP2."""

import re
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property

import numpy as np

from qsim.formats.base import (
    Facts,
    Format,
    Quantized,
    finite,
    largest_magnitude,
    positive,
    row_blocks,
)
from qsim.formats.fixed import Fixed
from qsim.formats.sp2 import Sp2

RATIO = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,9})?):([0-9]{1,9}(?:\.[0-9]{1,9})?)")


@dataclass(frozen=True)
class QuantizedRows(Quantized):
    """A quantized tensor whose rows (axis 0) are fixed point or, where ``is_sp2``, SP2."""

    is_sp2: np.ndarray

    @cached_property
    def codes(self) -> np.ndarray:
        codes = np.empty(self.levels.shape, np.uint8)
        codes[~self.is_sp2] = self.format.fixed.encode(self.levels[~self.is_sp2])
        codes[self.is_sp2] = self.format.sp2.encode(self.levels[self.is_sp2])
        return codes

    def row_format(self, row: int) -> Format:
        return self.format.sp2 if self.is_sp2[row] else self.format.fixed


@dataclass(frozen=True)
class Msq(Facts):
    """Rows of ``bits``-bit symmetric fixed point and SP2 in the ratio ``fixed_to_sp2``.

    The rows of lowest variance (population variance in float64) become SP2; of rows with equal
    variance, those of lower index. Their number is the exact share of the rows, rounded to the
    nearest integer, a half to the even one. Each row keeps its own format's levels and tie rule.
    Source: MSQ (arXiv 2012.04240); the rule of low-variance rows and the ratios 1:1.5 (XC7Z020) and
    1:2 (XC7Z045) are from the authors' article, the granularity of the scales is not published.
    """

    bits: int
    fixed_to_sp2: str

    example = "bits=4, fixed_to_sp2=1:1.5"
    datapath = "multiply, shift_add"
    granularities = ("per_channel", "per_tensor")
    rounding_text = "of its row's format"
    source = "MSQ (arXiv 2012.04240), Eq. 8 and row rule"

    def __post_init__(self):
        Sp2(self.bits)
        self.sp2_share  # noqa: B018 (refuses an impossible ratio)

    @cached_property
    def fixed(self) -> Fixed:
        """The format of the fixed-point rows."""
        return Fixed(self.bits)

    @cached_property
    def sp2(self) -> Sp2:
        """The format of the SP2 rows."""
        return Sp2(self.bits)

    @property
    def max_magnitude(self) -> int:
        """The largest absolute level of either kind of row."""
        return max(self.fixed.max_magnitude, self.sp2.max_magnitude)

    @property
    def sp2_share(self) -> Fraction:
        """The exact share of rows that are SP2. Raises ValueError on an impossible ratio."""
        try:
            fixed, sp2 = (Fraction(part) for part in RATIO.fullmatch(self.fixed_to_sp2).groups())
            return sp2 / (fixed + sp2)
        except (AttributeError, ZeroDivisionError):
            raise ValueError(
                "fixed_to_sp2 is a ratio of two decimal numbers, not both 0, such as '1:1.5';"
                f" {self.fixed_to_sp2!r} is none"
            ) from None

    def sp2_rows(self, rows: int) -> int:
        """How many of ``rows`` rows are SP2."""
        return round(self.sp2_share * rows)

    def rows_by_datapath(self, rows: int) -> dict[str, int]:
        """How many of ``rows`` rows are multiplied (fixed) and how many shift-added (SP2)."""
        return {"multiply": rows - self.sp2_rows(rows), "shift_add": self.sp2_rows(rows)}

    def assign(self, real: np.ndarray) -> np.ndarray:
        """Which rows of ``real`` become SP2, a mask over axis 0."""
        rows = real.shape[0]
        within = tuple(range(1, real.ndim))
        parts = [real[part].astype(np.float64).var(axis=within) for part in row_blocks(real)]
        variance = np.concatenate([np.zeros(0), *parts])
        lowest_first = np.argsort(variance, kind="stable")  # stable: equal ones keep their order
        is_sp2 = np.zeros(rows, bool)
        is_sp2[lowest_first[: self.sp2_rows(rows)]] = True
        return is_sp2

    def quantize(self, real: np.ndarray, *, scale=None, axis: int | None = None) -> QuantizedRows:
        """``real`` (rows, ...) with each row in its own format.

        scale   a rule as in ``Format.quantize``, applied to the rows of each format apart; or
                float32 that broadcasts to (rows, 1, ...), a scale for each row
        axis    0: a scale for each row; None: one for all fixed rows and one for all SP2 rows

        Raises ValueError on NaN, infinity or a scale that is not positive.
        """
        real = finite(real)
        is_sp2 = self.assign(real)
        levels = np.empty(real.shape, np.int32)
        per_row = np.empty((real.shape[0],) + (1,) * (real.ndim - 1), np.float32)
        given = None if scale is None or callable(scale) else np.broadcast_to(scale, per_row.shape)
        for number, rows in ((self.fixed, ~is_sp2), (self.sp2, is_sp2)):
            if given is not None:
                per_row[rows] = positive(given[rows])
            else:
                rule = scale or largest_magnitude
                per_row[rows] = positive(rule(real[rows], number, axis))
        for part in row_blocks(real):
            for number, rows in ((self.fixed, ~is_sp2[part]), (self.sp2, is_sp2[part])):
                levels[part][rows] = number.at_scale(real[part][rows], per_row[part][rows])
        return QuantizedRows(self, levels, per_row, is_sp2)
