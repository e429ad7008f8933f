"""Products of bytes by levels of up to 16 bits, and 32768, in as few passes as their bytes need."""

from collections.abc import Callable
from functools import reduce

import numpy as np

from qsim.kernels.simd.byte_levels import byte_levels, join_passes
from qsim.kernels.simd.level_sums import ByteWeights
from qsim.kernels.simd.windows import Windows


class PassWeights:
    """Weights (rows, ...) that ``fits_bytes`` says fit, each array of their bytes packed apart."""

    def __init__(self, levels: np.ndarray):
        self._rows = len(levels)
        self._passes = [
            [ByteWeights(part) for part in parts] for parts in byte_levels(levels).passes
        ]

    def convolve(self, x: np.ndarray, windows: Windows, groups: int) -> np.ndarray:
        """The exact sums of a convolution, as ``ByteWeights.convolve`` takes and returns them."""
        return self._joined(lambda part: part.convolve(x, windows, groups))

    def multiply(self, x: np.ndarray) -> np.ndarray:
        """The exact products of rows of levels with the weights, int64 (rows, columns), as
        ``ByteWeights.multiply`` takes and writes them."""

        def product(part: ByteWeights) -> np.ndarray:
            out = np.empty((self._rows, len(x)), np.int64)
            part.multiply(x, out)
            return out

        return self._joined(product)

    def _joined(self, product: Callable[[ByteWeights], np.ndarray]) -> np.ndarray:
        return join_passes([reduce(np.add, map(product, parts)) for parts in self._passes])
