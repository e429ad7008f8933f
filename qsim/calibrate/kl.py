"""Thresholds of least information lost: TensorRT's entropy calibration."""

from typing import Annotated, Literal

import msgspec
import numpy as np

from qsim.calibrate.observer import HistogramObserver, Observer, symmetric
from qsim.formats import Facts
from qsim.formats.base import Found
from qsim.kernels.kl_divergence import divergences

Count = Annotated[int, msgspec.Meta(ge=1, le=2**16)]


class Kl(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The threshold whose histogram, cut off there and merged to levels, diverges least from the
    whole one (S. Migacz, "8-bit inference with TensorRT", GTC 2017; ``divergences``).

    bins              into which magnitudes up to the largest are counted
    levels            of magnitude; absent: 2**(bits-1) of the format, which is 128 of 8 bits
    one_sided_levels  the same of tensors that are never negative, where the format spares no levels
                      for negative values; absent: 2**bits (as in NVIDIA's modelopt), or ``levels``
    start, stride     the first candidate in bins, or as many as there are levels if these are more,
                      and the step to the next; all bins are the last
    zero_bin          the first bin is counted as it is (keep), as empty (drop), or as the second
                      (copy_next). Kept, the many zeros that a relu makes pull the threshold down
    empty_bins        a candidate whose last bin is empty but for what was cut off would diverge
                      infinitely: it is left out (skip_candidate), or all are mixed with
                      ``smooth_share`` of a uniform distribution (smooth)
    tie               which of equal candidates is taken

    The threshold is the middle of the bin after the candidate's last, and no more than the largest
    magnitude. Of an asymmetric format either end is drawn in to the extreme on its side.
    """

    bins: Count = 2048
    levels: Count | None = None
    one_sided_levels: Count | None = None
    start: Count = 128
    stride: Count = 1
    zero_bin: Literal["keep", "drop", "copy_next"] = "drop"
    empty_bins: Literal["skip_candidate", "smooth"] = "skip_candidate"
    smooth_share: Annotated[float, msgspec.Meta(gt=0, lt=1)] = 1e-4
    tie: Literal["first", "last"] = "first"

    def observer(self) -> Observer:
        """A new one, for one tensor."""
        return KlObserver(self)


class KlObserver(HistogramObserver):
    """Searches thresholds over the histogram."""

    def __init__(self, method: Kl):
        super().__init__()
        self._method = method

    def found(self, number: Facts) -> Found:
        histogram = self.histogram
        one_sided = histogram.lowest >= 0 and not (
            number.calibrated_by == "threshold" and number.signed
        )
        levels = _levels(self._method, number, one_sided)
        counts = histogram.magnitudes(self._method.bins)
        share = threshold_in_bins(counts, levels, self._method) / self._method.bins
        threshold = min(share, 1.0) * histogram.largest
        if number.calibrated_by == "threshold":
            return symmetric(threshold)
        return Found(max(-threshold, min(histogram.lowest, 0.0)),
                     min(threshold, max(histogram.highest, 0.0)))  # fmt: skip


def threshold_in_bins(counts: np.ndarray, levels: int, method: Kl) -> float:
    """The threshold in bins of the histogram ``counts``, int64 (bins,), whose last bin is not
    empty: a bin's middle. All bins where nothing is counted.

    Raises ValueError when there are more levels than bins.
    """
    if levels > counts.size:
        raise ValueError(
            f"kl merges {counts.size:,} bins to {levels:,} levels, which are more; give it more"
            " bins or fewer levels"
        )
    counts = counts.copy()
    if method.zero_bin != "keep":
        counts[0] = counts[1] if method.zero_bin == "copy_next" and counts.size > 1 else 0
    if not counts.any():
        return float(counts.size)
    first = min(max(method.start, levels), counts.size)
    candidates = np.unique([*range(first, counts.size, method.stride), counts.size])
    smooth = method.smooth_share if method.empty_bins == "smooth" else 0.0
    lost = divergences(counts, candidates, levels, smooth)
    [least] = np.nonzero(lost == lost.min())
    return float(candidates[least[0 if method.tie == "first" else -1]]) + 0.5


def _levels(method: Kl, number: Facts, one_sided: bool) -> int:
    if one_sided:
        return method.one_sided_levels or method.levels or 2**number.bits
    return method.levels or 2 ** (number.bits - 1)
