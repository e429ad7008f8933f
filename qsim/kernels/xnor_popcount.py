"""Products of -1 and +1 by XNOR and popcount, and of 0 by a mask.

Source: DoReFa-Net (arXiv 1606.06160v3) Eq. 2, whose sign is printed wrong: with bit 1 for +1 (or
for -1) a product of N terms is ``2 * popcount(xnor) - N``, that is ``N - 2 * popcount(xor)``.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from qsim.kernels.accumulator import Accumulator, magnitude
from qsim.kernels.affine_code import AffineCode
from qsim.kernels.bit_planes import refuse_saturation
from qsim.kernels.counted_levels import TWO_BITS, CountedLevels
from qsim.kernels.plane_pairs import sums_by_pairs
from qsim.kernels.simd.bit_convolution import sums_of_images, sums_of_rows
from qsim.kernels.simd.bit_products import SIGNS
from qsim.kernels.simd.host import choose
from qsim.kernels.simd.windows import Windows


@dataclass(frozen=True)
class XnorPopcountWeights(CountedLevels):
    """Binary weights -1 and +1, or ternary ones with 0: an integer array (rows, ...).

    Raises ValueError on anything else.
    """

    def __post_init__(self):
        _check_ternary("weight", self.levels)

    def sum_products(self, x: np.ndarray, register: Accumulator) -> np.ndarray:
        """As ``Datapath.dot``, of ``x`` -1, 0 and +1.

        Raises ValueError on another level and on a register that saturates, OverflowError
        where ``register.check`` does.
        """
        refuse_saturation(register)
        _check_ternary("input", x)
        groups, _, depth = x.shape
        held = self.products(*self._codes(x), groups, depth)
        register.check(depth, magnitude(x), self.max_magnitude)
        if held is None:
            w = self.by_group(groups, depth)
            return register.add_bias(sums_by_pairs(w, TWO_BITS, x, TWO_BITS), None)
        return register.add_bias(sums_of_rows(held, x, choose().name), None)

    def sum_windows(self, x: np.ndarray, windows: Windows) -> np.ndarray:
        """As ``CountedLevels.sum_windows``, of ``x`` -1, 0 and +1."""
        _check_ternary("input", x)
        return sums_of_images(self.convolution(*self._codes(x)), x, windows, choose().name)

    @cached_property
    def _is_binary(self) -> bool:
        return bool(self.levels.all())

    def _codes(self, x: np.ndarray) -> tuple[AffineCode | None, AffineCode | None]:
        """Of the weights and of the inputs: signs, or where there are zeros signs and a mask, which
        inputs have only if weights do too."""
        if not x.all():
            return None, None
        return SIGNS if self._is_binary else None, SIGNS


def _check_ternary(name: str, levels: np.ndarray) -> None:
    if magnitude(levels) > 1:
        raise ValueError(
            f"an XNOR takes {name}s -1 and +1, or 0, not {magnitude(levels)} in magnitude"
        )
