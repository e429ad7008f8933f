"""Levels on a line over an unsigned code, so that a product of levels is one of codes."""

from dataclasses import dataclass

import numpy as np

from qsim.kernels.accumulator import as_integers, magnitude

MAX_BITS = 16
INT32_MAX = 2**31 - 1


@dataclass(frozen=True)
class AffineCode:
    """Levels ``step * code + offset``, the code being 0 .. 2**bits - 1 with 1 to 16 bits.

    AffineCode(k)                   unsigned: activations of DoReFa and WRPN
    AffineCode(1, 2, -1)            binary, -1 and +1
    AffineCode(k, 2, 1 - 2**k)      weights and gradients of DoReFa, odd integers: none is 0
    AffineCode(k, 1, -(2**(k-1)))   two's complement

    Raises ValueError on other bits, on a step below 1, on levels beyond 32 bits signed.
    """

    bits: int
    step: int = 1
    offset: int = 0

    def __post_init__(self):
        if not 1 <= self.bits <= MAX_BITS:
            raise ValueError(f"a code has 1 to {MAX_BITS} bits, not {self.bits}")
        if self.step < 1:
            raise ValueError(f"the step of a code is at least 1, not {self.step}")
        if max(abs(self.low), abs(self.high)) > INT32_MAX:
            raise ValueError(f"levels {self.low} .. {self.high} do not fit 32 bits")

    @property
    def low(self) -> int:
        """The smallest level, of code 0."""
        return self.offset

    @property
    def high(self) -> int:
        """The largest level."""
        return self.step * (2**self.bits - 1) + self.offset

    def __contains__(self, level: int) -> bool:
        return self.low <= level <= self.high and (level - self.offset) % self.step == 0

    def encode(self, levels: np.ndarray) -> np.ndarray:
        """The codes of ``levels``, int32 of the same shape.

        Raises ValueError on what is no level of this code, TypeError on anything but integers.
        """
        levels = as_integers(levels, np.int32)
        if levels.size and not self.low <= levels.min() <= levels.max() <= self.high:
            raise ValueError(f"{levels.min()} .. {levels.max()} are not all levels of {self}")
        if self.step == 1 and self.offset == 0:
            return levels
        # What a level is above the lowest fits 32 bits unsigned, so arithmetic may be modulo 2**32.
        above = levels.view(np.uint32) - np.uint32(self.low % 2**32)
        codes = above // np.uint32(self.step)
        stray = codes * np.uint32(self.step) != above
        if stray.any():
            raise ValueError(f"{levels[stray][0]} is not a level of {self}")
        return codes.view(np.int32)


def unsigned_code(levels: np.ndarray) -> AffineCode:
    """The unsigned code of fewest bits that has all of ``levels``, integers from 0 on."""
    return AffineCode(max(magnitude(levels).bit_length(), 1))
