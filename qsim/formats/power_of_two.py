"""Power of two: weights that are one shift."""

from dataclasses import dataclass

import numpy as np

from qsim.formats.base import Format, check_bits

ABSENT = -1  # shift of a term that is zero


@dataclass(frozen=True)
class PowerOfTwo(Format):
    """0 and +-2**e for e = 0 .. 2**(bits-1) - 2; 2 to 6 bits, so that levels fit 32 bits.

    A code is a sign bit, then a magnitude field c of bits - 1 bits: 0 is zero, else 2**(c-1).
    Ties go to the smaller magnitude. Source: the power-of-2 baseline of MSQ (arXiv 2012.04240).
    """

    bits: int

    scheme = "power_of_two"
    datapath = "shift_add"
    rounding_text = "nearest, a tie to the smaller magnitude"
    source = "MSQ (arXiv 2012.04240), its power-of-2 baseline"

    def __post_init__(self):
        check_bits(self.bits, 2, 6, "power of two")

    def code_table(self) -> np.ndarray:
        field = np.arange(2 ** (self.bits - 1), dtype=np.int64)
        magnitude = np.where(field == 0, 0, 1 << np.maximum(field - 1, 0))
        return np.concatenate([magnitude, -magnitude])

    def shifts(self, codes: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Sign (+1 or -1) and the two shifts of each code, int8; the second is always ABSENT."""
        codes = np.asarray(codes, np.int64)
        sign = np.where(codes >> (self.bits - 1), -1, 1)
        shift = (codes & (2 ** (self.bits - 1) - 1)) - 1  # field 0 becomes ABSENT
        return sign.astype(np.int8), shift.astype(np.int8), np.full(codes.shape, ABSENT, np.int8)
