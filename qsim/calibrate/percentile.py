"""Ranges that leave out a share of the values."""

import math
from fractions import Fraction
from typing import Annotated

import msgspec

from qsim.calibrate.observer import HistogramObserver, Observer, symmetric
from qsim.formats import Facts
from qsim.formats.base import Found


class Percentile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The range that ``percent`` % of the values lie in.

    Of a format with levels on both sides alike, the least threshold that as many magnitudes do not
    exceed; of an asymmetric one, (100 - percent) / 2 % are left out on each side. A bound is the
    upper edge of one of 2**17 bins that cover the largest magnitude at most twice, and no farther
    out than the extremes.
    """

    percent: Annotated[float, msgspec.Meta(gt=50, le=100)] = 99.99

    def observer(self) -> Observer:
        """A new one, for one tensor."""
        return PercentileObserver(self)


class PercentileObserver(HistogramObserver):
    """Finds percentiles in the histogram."""

    def __init__(self, method: Percentile):
        super().__init__()
        self._share = Fraction(repr(method.percent)) / 100  # the decimal fraction as it is written

    def found(self, number: Facts) -> Found:
        if number.calibrated_by == "threshold":
            rank = math.ceil(self._share * self.values)
            return symmetric(self.histogram.least_magnitude_over(rank))
        rank = math.ceil((1 + self._share) / 2 * self.values)
        return Found(
            self.histogram.greatest_value_under(rank), self.histogram.least_value_over(rank)
        )
