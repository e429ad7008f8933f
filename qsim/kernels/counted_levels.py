"""What the datapaths have that count bits: their levels as planes, packed once."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from qsim.kernels.accumulator import Accumulator, magnitude
from qsim.kernels.affine_code import AffineCode
from qsim.kernels.bit_planes import refuse_saturation
from qsim.kernels.datapath import HeldLevels
from qsim.kernels.simd.bit_convolution import BitConvolution
from qsim.kernels.simd.bit_products import BitProduct
from qsim.kernels.simd.windows import Windows

TWO_BITS = AffineCode(2, 1, -1)  # -1, 0 and +1, as two planes of a code
FEWEST_ROWS = 16  # of one of several groups, for which a panel of channels is worth filling up


@dataclass(frozen=True)
class CountedLevels(HeldLevels):
    """Weights held as levels: an integer array (rows, ...), not to be changed afterwards."""

    def convolve(
        self, x: np.ndarray, windows: Windows, groups: int, accumulator: Accumulator
    ) -> np.ndarray | None:
        """As ``Datapath.convolve``; None for several groups, and for a partial register, whose
        groups of products are gathered."""
        if groups > 1 or accumulator.partial is not None:
            return None
        refuse_saturation(accumulator)
        accumulator.check(int(np.prod(self.shape[1:])), magnitude(x), self.max_magnitude)
        sums = self.sum_windows(x, windows)
        return None if sums is None else accumulator.add_bias(sums, None)

    def sum_windows(self, x: np.ndarray, windows: Windows) -> np.ndarray | None:
        """The exact sums of a convolution, as ``convolve`` returns them."""
        raise NotImplementedError

    @cached_property
    def _held(self) -> dict[tuple, BitConvolution]:
        return {}

    def convolution(self, code: AffineCode | None, x_code: AffineCode | None) -> BitConvolution:
        """The weights (rows, channels, kernel_h, kernel_w) as planes, for inputs of a code."""
        key = code, x_code
        if key not in self._held:
            self._held[key] = BitConvolution(BitProduct(self.levels, code, x_code))
        return self._held[key]

    def by_group(self, groups: int, depth: int) -> np.ndarray:
        """The levels (groups, rows of a group, depth). Raises ValueError on another depth."""
        return self.levels.reshape(groups, self.shape[0] // groups, depth)

    def products(
        self, code: AffineCode | None, x_code: AffineCode | None, groups: int, depth: int
    ) -> list[BitConvolution] | None:
        """The rows (rows, ...) of each group as planes of a 1 x 1 kernel over ``depth`` channels;
        None for groups of few rows, and where a count could need more than 32 bits.

        Raises ValueError on another depth.
        """
        key = code, x_code, groups
        if key not in self._held:
            levels = self.by_group(groups, depth)
            self._held[key] = None
            if groups == 1 or levels.shape[1] >= FEWEST_ROWS:
                products = [BitProduct(w[:, :, None, None], code, x_code) for w in levels]
                if all(product.is_countable for product in products):
                    self._held[key] = [BitConvolution(product) for product in products]
        return self._held[key]
