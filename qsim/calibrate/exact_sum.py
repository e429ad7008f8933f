"""A sum of float32 magnitudes without rounding, so that no order of additions matters."""

from fractions import Fraction

import numpy as np

CHUNK = 2**20  # values that are added at a time: their mantissas' sum stays below 2**53
MANTISSA_BITS = 24
LEAST_EXPONENT = -148  # of frexp, of the least positive float32
UNIT = Fraction(1, 2 ** (MANTISSA_BITS - LEAST_EXPONENT))


class MagnitudeSum:
    """The exact sum of the magnitudes of finite float32 values, and how many there were."""

    def __init__(self):
        self.values = 0
        self._units = 0  # a Python integer, of UNIT

    @property
    def total(self) -> Fraction:
        """The sum, exact."""
        return self._units * UNIT

    @property
    def mean(self) -> float:
        """The sum rounded to float64, over the number of values."""
        return float(self.total) / self.values

    def add(self, real: np.ndarray) -> None:
        """Add the magnitudes of ``real``, float32 of any shape and finite."""
        flat = real.reshape(-1)
        self.values += flat.size
        for start in range(0, flat.size, CHUNK):
            mantissas, exponents = np.frexp(np.abs(flat[start : start + CHUNK]).astype(np.float64))
            places = np.where(mantissas == 0, 0, exponents - LEAST_EXPONENT)
            by_place = np.bincount(places, weights=mantissas * 2.0**MANTISSA_BITS)
            for place in np.nonzero(by_place)[0].tolist():
                self._units += int(by_place[place]) << place
