"""SP2, sum of two powers of two: weights that are two shifts and an addition."""

from dataclasses import dataclass

import numpy as np

from qsim.formats.base import Format, check_bits
from qsim.formats.power_of_two import ABSENT


@dataclass(frozen=True)
class Sp2(Format):
    """+-(q1 + q2), each term 0 or a negative power of two; 3 to 8 bits.

    Of ``bits`` bits one is the sign, m1 = ceil((bits-1)/2) choose q1 from 0, 2**-1 .. 2**-(2**m1-1)
    and m2 = floor((bits-1)/2) choose q2 likewise. Levels are integers in the unit 2**-(2**m1-1): at
    4 bits 0, 1, 2, 4, 5, 6, 8. A code is sign, q1's field, q2's field; field i is 2**-i, 0 is zero.
    Ties go to the smaller magnitude. Source: MSQ (arXiv 2012.04240), Eq. (8).
    """

    bits: int

    scheme = "sp2"
    datapath = "shift_add"
    rounding_text = "nearest, a tie to the smaller magnitude"
    source = "MSQ (arXiv 2012.04240), Eq. 8"

    def __post_init__(self):
        check_bits(self.bits, 3, 8, "SP2")

    @property
    def term_bits(self) -> tuple[int, int]:
        """The field widths (m1, m2)."""
        return self.bits // 2, (self.bits - 1) // 2

    def code_table(self) -> np.ndarray:
        sign, shift_q1, shift_q2 = self.shifts(np.arange(2**self.bits))
        return sign * (_power(shift_q1) + _power(shift_q2))

    def shifts(self, codes: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Sign (+1 or -1) and the two left shifts of each code, int8; ABSENT for a zero term."""
        m1, m2 = self.term_bits
        codes = np.asarray(codes, np.int64)
        sign = np.where(codes >> (m1 + m2), -1, 1)
        field_q1 = (codes >> m2) & (2**m1 - 1)
        field_q2 = codes & (2**m2 - 1)
        unit_exponent = 2**m1 - 1
        shifts = [np.where(f == 0, ABSENT, unit_exponent - f) for f in (field_q1, field_q2)]
        return sign.astype(np.int8), shifts[0].astype(np.int8), shifts[1].astype(np.int8)


def _power(shift: np.ndarray) -> np.ndarray:
    return np.where(shift == ABSENT, 0, np.int64(1) << np.maximum(shift, 0).astype(np.int64))
