"""A histogram that is the same however its values are split into batches, and in whatever order.

Its bins cover 0 to a power of two on either side of 0. When a value lies beyond, that power doubles
and the bins are merged in pairs. Edges and counts are exact, so that the end depends on the values
alone.
"""

import math

import numpy as np

FINE_BINS = 2**17  # of each side; half of them or more lie below the largest magnitude
CHUNK = 2**20  # values that are counted at a time
SMALLEST_EXPONENT = -148  # the least power of two that is more than the least positive float32


class Histogram:
    """Counts of finite float32 values by side and magnitude.

    A bin k of a side counts the magnitudes of k * width to less than (k + 1) * width. Zeros are
    counted apart.

    values            how many there were
    zeros             how many of them were 0
    lowest, highest   the extremes, exact; infinite where there were no values
    """

    def __init__(self):
        self.values = self.zeros = 0
        self.lowest, self.highest = math.inf, -math.inf
        self._exponent = SMALLEST_EXPONENT
        self._sides = np.zeros((2, FINE_BINS), np.int64)  # negative, positive

    @property
    def width(self) -> float:
        """The width of a fine bin."""
        return math.ldexp(1.0, self._exponent) / FINE_BINS

    @property
    def largest(self) -> float:
        """The largest magnitude, exact; 0 where there were no values."""
        return max(-self.lowest, self.highest) if self.values else 0.0

    def add(self, real: np.ndarray) -> None:
        """Count the values of ``real``, float32 of any shape and finite."""
        flat = real.reshape(-1)
        for start in range(0, flat.size, CHUNK):
            self._add(flat[start : start + CHUNK].astype(np.float64))

    def _add(self, values: np.ndarray) -> None:
        self.values += values.size
        self.lowest = min(self.lowest, float(values.min()))
        self.highest = max(self.highest, float(values.max()))
        _, exponent = math.frexp(self.largest)  # the largest magnitude is less than 2**exponent
        if self.largest > 0 and exponent > self._exponent:
            self._double(exponent - self._exponent)
        for side, part in enumerate((-values[values < 0], values[values > 0])):
            self.zeros -= part.size
            bins = (part / self.width).astype(np.int64)  # exact: the width is a power of two
            self._sides[side] += np.bincount(bins, minlength=FINE_BINS)
        self.zeros += values.size

    def _double(self, times: int) -> None:
        """Widen every bin by ``2**times``."""
        self._exponent += times
        merged = 2 ** min(times, FINE_BINS.bit_length() - 1)
        sums = self._sides.reshape(2, -1, merged).sum(axis=2)
        self._sides = np.zeros_like(self._sides)
        self._sides[:, : sums.shape[1]] = sums

    def magnitudes(self, bins: int) -> np.ndarray:
        """Counts of magnitudes in ``bins`` bins of equal width from 0 to the largest one, int64.

        Zeros are in the first, the largest is in the last. A fine bin goes where its middle lies.
        """
        counts = np.zeros(bins, np.int64)
        for side in self._sides:
            counts += self._rebinned(side, bins)
        counts[0] += self.zeros
        return counts

    def points(self, bins: int) -> tuple[np.ndarray, np.ndarray]:
        """Values that stand for all, float64 in rising order, and how many each stands for, int64:
        0 for the zeros, and the middles of ``bins`` bins from 0 to the largest magnitude on either
        side, no farther than the extremes."""
        middles = (np.arange(bins) + 0.5) * (self.largest / bins)
        negative, positive = (self._rebinned(side, bins) for side in self._sides)
        values = np.concatenate([-middles[::-1], [0.0], middles]).clip(self.lowest, self.highest)
        counts = np.concatenate([negative[::-1], [self.zeros], positive])
        return values[counts > 0], counts[counts > 0]

    def _rebinned(self, side: np.ndarray, bins: int) -> np.ndarray:
        [filled] = np.nonzero(side)
        counts = np.zeros(bins, np.int64)
        if filled.size:
            target = ((filled + 0.5) * self.width * (bins / self.largest)).astype(np.int64)
            np.add.at(counts, target.clip(max=bins - 1), side[filled])
        return counts

    def least_magnitude_over(self, rank: int) -> float:
        """The least bound, of the upper edges of fine bins, that ``rank`` magnitudes or more do not
        exceed; no more than the largest magnitude."""
        both = self._sides.sum(axis=0)
        return self._bound(both, self.zeros, rank, self.largest)

    def least_value_over(self, rank: int) -> float:
        """The least bound, of the upper edges of fine bins, that ``rank`` values or more do not
        exceed; no less than 0, no more than the highest value."""
        negative, positive = self._sides
        return self._bound(positive, self.zeros + int(negative.sum()), rank, max(self.highest, 0.0))

    def greatest_value_under(self, rank: int) -> float:
        """As ``least_value_over``, of the negated values and negated."""
        negative, positive = self._sides
        below = self.zeros + int(positive.sum())
        return 0.0 - self._bound(negative, below, rank, max(-self.lowest, 0.0))

    def _bound(self, side: np.ndarray, below: int, rank: int, most: float) -> float:
        """The upper edge of the bin of ``side`` in which the rank lies, ``below`` values being less
        than all of them; 0 where it lies among those."""
        if rank <= below:
            return 0.0
        index = int(np.searchsorted(np.cumsum(side) + below, rank))
        return min((index + 1) * self.width, most)
