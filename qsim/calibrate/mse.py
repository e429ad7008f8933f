"""Ranges of least squared rounding error."""

from typing import Annotated

import msgspec
import numpy as np

from qsim.calibrate.observer import HistogramObserver, Observer
from qsim.formats import Facts
from qsim.formats.base import Found

SHARES = (np.arange(20, 101) / 100).tolist()  # of an end of the range
BINS_OF_A_LEVEL = 8  # at least, so that rounding to levels shows in the middles of bins
MOST_BINS = 2**16  # of a side


class Mse(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The range at which rounding to the format's very levels has the least squared error.

    bins   into which magnitudes up to the largest are counted; as many as 8 for each of the
           format's levels if that is more (up to 65,536). A bin stands for its middle

    Candidates are 20 % to 100 %, in steps of 1 %, of the largest magnitude; of an asymmetric format
    of each end, first of the upper, then of the lower one, in turn until none is better. Of equal
    ones the narrowest is taken.
    """

    bins: Annotated[int, msgspec.Meta(ge=16, le=2**16)] = 2048

    def observer(self) -> Observer:
        """A new one, for one tensor."""
        return MseObserver(self)


class MseObserver(HistogramObserver):
    """Searches ranges over the histogram."""

    def __init__(self, method: Mse):
        super().__init__()
        self._bins = method.bins

    def found(self, number: Facts) -> Found:
        bins = max(self._bins, min(BINS_OF_A_LEVEL * 2**number.bits, MOST_BINS))
        error = _error_function(number, *self.histogram.points(bins))
        if number.calibrated_by == "threshold":
            largest = self.histogram.largest
            return min((Found(-largest * s, largest * s) for s in SHARES), key=error)
        low, high = min(self.histogram.lowest, 0.0), max(self.histogram.highest, 0.0)
        best, least = Found(low, high), np.inf
        while (now := error(best)) < least:
            least = now
            best = min((Found(best.low, end) for end in _ends(high)), key=error)
            best = min((Found(end, best.high) for end in _ends(low)), key=error)
        return best


def _ends(end: float) -> list[float]:
    """The candidates for one end of the range; one of 0 has no others."""
    return [end * share for share in SHARES] if end else [0.0]


def _error_function(number: Facts, values: np.ndarray, counts: np.ndarray):
    """How large the squared error of a range is, summed over ``values`` as often as they count."""

    def error(candidate: Found) -> float:
        bound, scale = number.bind(candidate)
        real = bound.at_scale(values, scale) * scale.astype(np.float64)
        return float((counts * (values - real) ** 2).sum())

    return error
