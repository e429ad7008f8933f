"""Products of ternary weights without a multiplier: select, negate, add."""

from dataclasses import dataclass

import numpy as np
from numba import njit

from qsim.kernels.accumulator import Accumulator, as_integers, magnitude
from qsim.kernels.datapath import HeldLevels


@dataclass(frozen=True)
class SelectNegateWeights(HeldLevels):
    """Weights -1, 0 and +1: an integer array (rows, ...). Raises ValueError on anything else."""

    def __post_init__(self):
        if magnitude(self.levels) > 1:
            largest = magnitude(self.levels)
            raise ValueError(f"a ternary weight is -1, 0 or +1, not {largest} in magnitude")

    def sum_products(self, x: np.ndarray, register: Accumulator) -> np.ndarray:
        """As ``Datapath.dot``, by selecting, negating and adding."""
        groups, columns, depth = x.shape
        x = as_integers(x, np.int32)
        register.check(depth, magnitude(x), self.max_magnitude)
        w = as_integers(self.levels, np.int8).reshape(groups, self.shape[0] // groups, depth)
        out = np.zeros((*w.shape[:2], columns), np.int64)
        if register.mode == "saturate":
            _dot_saturating(w, x, out, register.low, register.high)
        else:
            _dot(w, x, out)
        return register.add_bias(out, None)


@njit(cache=True, nogil=True)
def _dot(w, x, out):
    """Exact while depth * max|x| < 2**63.

    w (G, N, K) int8 -1 .. 1, x (G, M, K) int32, out (G, N, M) int64, overwritten
    """
    for g in range(w.shape[0]):
        for n in range(w.shape[1]):
            for m in range(x.shape[1]):
                total = np.int64(0)
                for k in range(w.shape[2]):
                    selected = np.int64(x[g, m, k]) if w[g, n, k] != 0 else np.int64(0)
                    total += -selected if w[g, n, k] < 0 else selected
                out[g, n, m] = total


@njit(cache=True, nogil=True)
def _dot_saturating(w, x, out, low, high):
    """As ``_dot``, clipped to low .. high after every addition, k rising."""
    for g in range(w.shape[0]):
        for n in range(w.shape[1]):
            for m in range(x.shape[1]):
                total = np.int64(0)
                for k in range(w.shape[2]):
                    selected = np.int64(x[g, m, k]) if w[g, n, k] != 0 else np.int64(0)
                    total += -selected if w[g, n, k] < 0 else selected
                    total = min(max(total, low), high)
                out[g, n, m] = total
