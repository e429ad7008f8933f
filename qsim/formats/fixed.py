"""Fixed point: consecutive integer levels."""

from dataclasses import dataclass

import numpy as np

from qsim.formats.base import INVALID, UniformFormat, check_bits


@dataclass(frozen=True)
class Fixed(UniformFormat):
    """Consecutive integers of ``bits`` bits, 1 to 16.

    unsigned            0 .. 2**bits - 1
    signed (default)    -(2**(bits-1) - 1) .. 2**(bits-1) - 1, symmetric about zero
    signed, full_range  -2**(bits-1) .. 2**(bits-1) - 1, two's complement to its last code

    Codes are plain binary, two's complement when signed. Ties go to the even level. The symmetric
    signed grid is MSQ's fixed-point quantizer (levels k / (2**(m-1) - 1)).
    """

    bits: int
    signed: bool = True
    full_range: bool = False

    roles = ("weights", "activations")
    source = "MSQ (arXiv 2012.04240), Eq. 1, signed"

    def __post_init__(self):
        smallest = 2 if self.signed and not self.full_range else 1
        check_bits(
            self.bits, smallest, 16, f"{'signed' if self.signed else 'unsigned'} fixed point"
        )
        if self.full_range and self.bits < 2:
            raise ValueError("full_range needs 2 bits or more: 1 bit would have no positive level")
        if self.full_range and not self.signed:
            raise ValueError(
                "full_range is a choice for signed numbers; unsigned ones use every code"
            )

    @property
    def refuses_negative(self) -> bool:
        """Whether there are no negative levels: whoever says unsigned knows the data."""
        return not self.signed

    def code_table(self) -> np.ndarray:
        codes = np.arange(2**self.bits, dtype=np.int64)
        if not self.signed:
            return codes
        half = 2 ** (self.bits - 1)
        levels = np.where(codes < half, codes, codes - 2 * half)
        return levels if self.full_range else np.where(codes == half, INVALID, levels)
