"""What watches a tensor of the float network, batch by batch, to find what its format asks for."""

from abc import ABC, abstractmethod

import numpy as np

from qsim.calibrate.exact_sum import MagnitudeSum
from qsim.calibrate.histogram import Histogram
from qsim.formats import Facts
from qsim.formats.base import Found


class Observer(ABC):
    """Watches one tensor. What it finds does not depend on how the images are split into batches.

    values   how many it saw
    """

    values: int

    @abstractmethod
    def see(self, real: np.ndarray) -> None:
        """Take in a batch, float32 (images, ...), finite."""

    @abstractmethod
    def found(self, number: Facts) -> Found:
        """What there is for an activation format, of all batches so far.

        Raises ValueError where this way to find ranges cannot serve the format.
        """


class HistogramObserver(Observer):
    """Keeps a histogram of the tensor."""

    def __init__(self):
        self.histogram = Histogram()

    @property
    def values(self) -> int:
        """How many values it saw."""
        return self.histogram.values

    def see(self, real: np.ndarray) -> None:
        self.histogram.add(real)


class MeanObserver(Observer):
    """Adds up the tensor's magnitudes, for formats whose scale follows their mean."""

    def __init__(self):
        self._sum = MagnitudeSum()

    @property
    def values(self) -> int:
        """How many values it saw."""
        return self._sum.values

    def see(self, real: np.ndarray) -> None:
        self._sum.add(real)

    def found(self, number: Facts) -> Found:
        return Found(mean_magnitude=self._sum.mean)


def with_zero(low: float, high: float) -> Found:
    """The range, widened to contain 0 (whitepaper, section 2.1)."""
    return Found(min(low, 0.0), max(high, 0.0))


def symmetric(threshold: float) -> Found:
    """The range on either side of 0."""
    return Found(-threshold, threshold)
