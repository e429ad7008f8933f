"""Ranges from the extremes of all values, or from the moving averages of those of batches."""

import math
from typing import Annotated

import msgspec
import numpy as np

from qsim.calibrate.observer import Observer, with_zero
from qsim.formats import Facts
from qsim.formats.base import Found


class MinMax(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """From the least to the greatest value that was seen."""

    def observer(self) -> Observer:
        """A new one, for one tensor."""
        return ExtremesObserver()


class ExtremesObserver(Observer):
    """Keeps the extremes of the tensor, exact."""

    def __init__(self):
        self.values, self._low, self._high = 0, math.inf, -math.inf

    def see(self, real: np.ndarray) -> None:
        self.values += real.size
        self._low = min(self._low, float(real.min()))
        self._high = max(self._high, float(real.max()))

    def found(self, number: Facts) -> Found:
        return with_zero(self._low, self._high)


class MovingAverage(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Moving averages of each batch's least and greatest value, begun with those of the first.

    constant   what of the difference to the next batch they take on, r + constant * (next - r)
    batch      images of a batch; of the last there may be fewer. It is part of the method: how many
               images happen to be run at once does not matter

    Source: whitepaper (arXiv 1806.08342), section 2.5; torch's MovingAverageMinMaxObserver.
    """

    constant: Annotated[float, msgspec.Meta(gt=0, le=1)] = 0.01
    batch: Annotated[int, msgspec.Meta(ge=1, le=2**31)] = 32

    def observer(self) -> Observer:
        """A new one, for one tensor."""
        return MovingAverageObserver(self)


class MovingAverageObserver(Observer):
    """Keeps two averages, float64, and the extremes of the batch that is not full yet."""

    def __init__(self, method: MovingAverage):
        self._method = method
        self.values = 0
        self._averages: list[tuple[float, float]] = []  # of the batches so far, none or one
        self._extremes: list[tuple[float, float]] = []  # of each image of the batch under way

    def see(self, real: np.ndarray) -> None:
        self.values += real.size
        by_image = real.reshape(len(real), -1)
        lows, highs = by_image.min(axis=1).tolist(), by_image.max(axis=1).tolist()
        for pair in zip(lows, highs, strict=True):
            self._extremes.append(pair)
            if len(self._extremes) == self._method.batch:
                self._averages, self._extremes = [self._moved()], []

    def found(self, number: Facts) -> Found:
        return with_zero(*(self._moved() if self._extremes else self._averages[0]))

    def _moved(self) -> tuple[float, float]:
        """The averages after the batch under way."""
        lows, highs = zip(*self._extremes, strict=True)
        batch = min(lows), max(highs)
        if not self._averages:
            return batch
        [before] = self._averages
        constant = self._method.constant
        low, high = (r + constant * (b - r) for r, b in zip(before, batch, strict=True))
        return low, high
