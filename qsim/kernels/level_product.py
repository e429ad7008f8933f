"""The product of integer levels, which defines the result of every format."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numba import njit

from qsim.kernels.accumulator import Accumulator, as_integers, magnitude
from qsim.kernels.datapath import HeldLevels
from qsim.kernels.simd.byte_levels import fits_bytes
from qsim.kernels.simd.level_sums import are_bytes
from qsim.kernels.simd.pass_sums import PassWeights
from qsim.kernels.simd.saturating_tiles import RegisterWeights
from qsim.kernels.simd.windows import Windows

INT16_MAX = 2**15 - 1
INT32_MAX = 2**31 - 1
FEWEST_ROWS = 8  # of a group, for which a tile is worth while


@dataclass(frozen=True)
class LevelWeights(HeldLevels):
    """Weights given as levels: an integer array (rows, ...), each level within 32 bits signed."""

    @cached_property
    def _int16(self) -> np.ndarray:
        return as_integers(self.levels, np.int16)

    @cached_property
    def _int32(self) -> np.ndarray:
        return as_integers(self.levels, np.int32)

    @cached_property
    def _bytes(self) -> PassWeights | None:
        """The weights as signed bytes, in passes where one is not enough; None where they do not
        fit."""
        return PassWeights(self.levels) if fits_bytes(self.levels) else None

    @cached_property
    def _registers(self) -> RegisterWeights:
        return RegisterWeights(self.levels)

    def dot(self, x: np.ndarray, accumulator: Accumulator) -> np.ndarray:
        if accumulator.partial is not None:
            return self._registers.sum_products(x, accumulator)
        return self.sum_products(x, accumulator)

    def convolve(
        self, x: np.ndarray, windows: Windows, groups: int, accumulator: Accumulator
    ) -> np.ndarray | None:
        depth, max_x = int(np.prod(self.shape[1:])), magnitude(x)
        largest = depth * max_x * self.max_magnitude
        saturates = accumulator.mode == "saturate" and largest > accumulator.high
        few = self.shape[0] // groups < FEWEST_ROWS and groups > 1
        if accumulator.partial is not None or saturates or few:
            return None
        if self._bytes is None or not are_bytes(x):
            return None
        out = self._bytes.convolve(x, windows, groups)
        return accumulator.add_bias(out, None)

    def sum_products(self, x: np.ndarray, register: Accumulator) -> np.ndarray:
        """As ``Datapath.dot``, by multiplying."""
        groups, columns, depth = x.shape
        grouped = (groups, self.shape[0] // groups, depth)
        max_x, max_w = magnitude(x), self.max_magnitude
        register.check(depth, max_x, max_w)
        if register.mode == "saturate" and depth * max_x * max_w > register.high:
            return self._registers.sum_products(x, register)
        out = np.zeros((*grouped[:2], columns), np.int64)
        if out.size == 0 or depth == 0:
            return out
        if groups == 1 and self._bytes is not None and are_bytes(x):
            return register.add_bias(self._bytes.multiply(x[0])[None], None)
        narrow = max(max_x, max_w) <= INT16_MAX and depth * max_x * max_w <= INT32_MAX
        if narrow:
            _dot_int32(self._int16.reshape(grouped), as_integers(x, np.int16), out)
            return register.add_bias(out, None)
        w, x = self._int32.reshape(grouped), as_integers(x, np.int32)
        _dot_int64(w, x, out)
        return register.add_bias(out, None)


@njit(cache=True, nogil=True)
def _dot_int32(w, x, out):
    """Exact while depth * max|w| * max|x| < 2**31.

    w (G, N, K) int16, x (G, M, K) int16, out (G, N, M) int64, overwritten
    """
    for g in range(w.shape[0]):
        for n in range(w.shape[1]):
            for m in range(x.shape[1]):
                total = np.int32(0)
                for k in range(w.shape[2]):
                    total += np.int32(w[g, n, k]) * np.int32(x[g, m, k])
                out[g, n, m] = total


@njit(cache=True, nogil=True)
def _dot_int64(w, x, out):
    """Exact while depth * max|w| * max|x| < 2**63.

    w (G, N, K) int32, x (G, M, K) int32, out (G, N, M) int64, overwritten
    """
    for g in range(w.shape[0]):
        for n in range(w.shape[1]):
            for m in range(x.shape[1]):
                total = np.int64(0)
                for k in range(w.shape[2]):
                    total += np.int64(w[g, n, k]) * np.int64(x[g, m, k])
                out[g, n, m] = total
