"""Products of levels of a few bits by AND and popcount, a pair of bit planes at a time.

Source: DoReFa-Net (arXiv 1606.06160v3) Eq. 3, and Eq. 1, its case of one bit each.
"""

from dataclasses import dataclass

import numpy as np

from qsim.kernels.accumulator import Accumulator, magnitude
from qsim.kernels.affine_code import AffineCode, unsigned_code
from qsim.kernels.bit_planes import refuse_saturation
from qsim.kernels.counted_levels import TWO_BITS, CountedLevels
from qsim.kernels.plane_pairs import sums_by_pairs
from qsim.kernels.simd.bit_convolution import sums_of_images, sums_of_rows
from qsim.kernels.simd.bit_products import SIGNS
from qsim.kernels.simd.host import choose
from qsim.kernels.simd.windows import Windows


@dataclass(frozen=True)
class BitSerialWeights(CountedLevels):
    """Weights and inputs whose levels have affine codes, multiplied bit plane by bit plane.

    levels   an integer array (rows, ...), levels of ``code``
    code     None: -1, 0 and +1, as a plane of signs and a mask
    x_code   the code of the inputs; None: unsigned, with as many bits as an input needs

    Raises ValueError on a weight that is no level of its code.
    """

    code: AffineCode | None
    x_code: AffineCode | None = None

    def __post_init__(self):
        if self.code is not None:
            self.code.encode(self.levels)
        elif self.max_magnitude > 1:
            raise ValueError(f"ternary weights are -1, 0 and +1, not {self.max_magnitude}")

    def sum_products(self, x: np.ndarray, register: Accumulator) -> np.ndarray:
        """As ``Datapath.dot``, of ``x`` levels of its code, and 0 where it is padding.

        Padding that has no code is 0 in every plane, so its product with what is above the lowest
        level is 0; the lowest level is multiplied by a plane of what is not padding.

        Raises ValueError on another level and on a register that saturates, OverflowError
        where ``register.check`` does.
        """
        refuse_saturation(register)
        groups, _, depth = x.shape
        self.by_group(groups, depth)  # raises where the depth is another
        register.check(depth, magnitude(x), self.max_magnitude)
        code = self.x_code or unsigned_code(x)
        padding = 0 not in code and not x.all()
        with np.errstate(over="ignore"):  # a part may wrap around 64 bits: the total fits
            if not padding:
                return register.add_bias(self._sums(x, code), None)
            above = code.encode(np.where(x == 0, code.low, x))
            sums = self._sums(above, AffineCode(code.bits)) * code.step
            sums += self._sums((x != 0).view(np.int8), AffineCode(1)) * code.offset
            return register.add_bias(sums, None)

    def sum_windows(self, x: np.ndarray, windows: Windows) -> np.ndarray | None:
        """As ``CountedLevels.sum_windows``; None where a count could need more than 32 bits, and
        where inputs are 0 without a code of it, as padding is."""
        code = self.x_code or unsigned_code(x)
        held = self.convolution(self.code, code)
        if not held.product.is_countable or (0 not in code and not x.all()):
            return None
        _check_signs(x, code)
        return sums_of_images(held, x, windows, choose().name)

    def _sums(self, x: np.ndarray, code: AffineCode) -> np.ndarray:
        """The sums of products of levels of ``code``, modulo 2**64."""
        held = self.products(self.code, code, x.shape[0], x.shape[2])
        if held is None:
            w = self.by_group(x.shape[0], x.shape[2])
            return sums_by_pairs(w, self.code or TWO_BITS, x, code)
        _check_signs(x, code)
        return sums_of_rows(held, x, choose().name)


def _check_signs(x: np.ndarray, code: AffineCode) -> None:
    """Raises ValueError where signs, which are packed as they are, are none."""
    if code == SIGNS:
        code.encode(x)
