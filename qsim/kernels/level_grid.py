"""Ranges of levels with an exact scale: what a table reads and what it gives."""

from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from qsim.kernels.accumulator import as_integers

INT32_MAX = 2**31 - 1


@dataclass(frozen=True)
class LevelGrid:
    """Integer levels ``low .. high`` of ``scale`` each, already less their zero point.

    A float32 scale is an exact fraction, ``Fraction(float(scale))``.

    Raises ValueError unless low <= high fit 32 bits signed and the scale is positive.
    """

    low: int
    high: int
    scale: Fraction

    def __post_init__(self):
        if not -INT32_MAX - 1 <= self.low <= self.high <= INT32_MAX:
            raise ValueError(f"levels from {self.low} to {self.high} are no range within 32 bits")
        if self.scale <= 0:
            raise ValueError(f"a scale is positive, not {self.scale}")

    @property
    def levels(self) -> range:
        """Every level, rising."""
        return range(self.low, self.high + 1)

    @property
    def fraction_bits(self) -> int:
        """n of a scale 2**-n. Raises ValueError on a scale that is no such power of two."""
        bits = self.scale.denominator.bit_length() - 1
        if self.scale != Fraction(1, 2**bits):
            raise ValueError(f"a scale of {self.scale} is not 2**-n with n from 0 on")
        return bits

    def clip(self, levels: np.ndarray) -> np.ndarray:
        """``levels``, int64, clipped to ``low .. high``."""
        return np.clip(levels, self.low, self.high)

    def check(self, levels: np.ndarray) -> np.ndarray:
        """``levels`` as int64.

        Raises ValueError if any is outside ``low .. high``, TypeError on anything but integers.
        """
        held = as_integers(levels, np.int64).reshape(levels.shape)
        if held.size and not self.low <= held.min() <= held.max() <= self.high:
            raise ValueError(
                f"levels {held.min()} .. {held.max()} are not all within {self.low} .. {self.high}"
            )
        return held


def fixed_point(bits: int, fraction_bits: int, *, signed: bool = True) -> LevelGrid:
    """The levels of ``bits`` bits, two's complement or unsigned, of 2**-fraction_bits each."""
    low = -(2 ** (bits - 1)) if signed else 0
    return LevelGrid(low, low + 2**bits - 1, Fraction(1) / Fraction(2) ** fraction_bits)
