"""Arrays of one type that grow into one, as the tables of a compiled program do."""

import numpy as np

from qsim.kernels.simd.product import aligned


class Growing:
    """Arrays of one type, one after another."""

    def __init__(self, dtype: type):
        self.parts, self.length = [np.zeros(0, dtype)], 0

    def put(self, array: np.ndarray) -> int:
        """Where the array begins."""
        begin = self.length
        self.parts.append(array.reshape(-1))
        self.length += array.size
        return begin

    def array(self) -> np.ndarray:
        """All of them."""
        return aligned(np.concatenate(self.parts))
