"""Products by shifts and additions alone: weights that are powers of two, or sums of two."""

from dataclasses import dataclass
from functools import cached_property
from typing import Self

import numpy as np
from numba import njit

from qsim.kernels.accumulator import Accumulator, as_integers, magnitude
from qsim.kernels.datapath import Datapath, columns_of

ABSENT = -1  # shift of a term that is zero
MAX_SHIFT = 30  # so that a shifted 32-bit activation fits 62 bits


@dataclass(frozen=True)
class ShiftAddWeights(Datapath):
    """Weights ``sign * (2**shift_hi + 2**shift_lo)``, a term with shift ABSENT being zero.

    sign                 int8 (rows, ...), -1 or +1
    shift_hi, shift_lo   int8 of the same shape, ABSENT or 0 .. 30

    Raises TypeError or ValueError on anything else.
    """

    sign: np.ndarray
    shift_hi: np.ndarray
    shift_lo: np.ndarray

    def __post_init__(self):
        if not self.sign.shape == self.shift_hi.shape == self.shift_lo.shape:
            raise ValueError("signs and shifts must have one shape")
        if not self.sign.dtype == self.shift_hi.dtype == self.shift_lo.dtype == np.int8:
            raise TypeError("signs and shifts are int8")
        if not np.isin(self.sign, (-1, 1)).all():
            raise ValueError("a sign is -1 or +1")
        for shift in (self.shift_hi, self.shift_lo):
            if shift.size and not (shift.min() >= ABSENT and shift.max() <= MAX_SHIFT):
                raise ValueError(f"a shift is {ABSENT} (absent) or 0 to {MAX_SHIFT}")

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of the weights."""
        return self.sign.shape

    @cached_property
    def max_magnitude(self) -> int:
        """The largest absolute weight."""
        return magnitude(_power(self.shift_hi) + _power(self.shift_lo))

    def columns(self, start: int, stop: int) -> Self:
        return ShiftAddWeights(
            sign=columns_of(self.sign, start, stop),
            shift_hi=columns_of(self.shift_hi, start, stop),
            shift_lo=columns_of(self.shift_lo, start, stop),
        )

    def sum_products(self, x: np.ndarray, register: Accumulator) -> np.ndarray:
        """As ``Datapath.dot``, by shifts and additions."""
        groups, columns, depth = x.shape
        x = as_integers(x, np.int32)
        register.check(depth, magnitude(x), self.max_magnitude)
        out = np.zeros((groups, self.shape[0] // groups, columns), np.int64)
        if out.size == 0 or depth == 0:
            return out
        saturate = register.mode == "saturate"
        low, high = (register.low, register.high) if saturate else (-(2**63), 2**63 - 1)
        terms = [
            np.ascontiguousarray(a, np.int8).reshape(groups, self.shape[0] // groups, depth)
            for a in (self.sign, self.shift_hi, self.shift_lo)
        ]
        _dot(*terms, x.astype(np.int64), out, low, high)
        return register.add_bias(out, None)


def _power(shift: np.ndarray) -> np.ndarray:
    return np.where(shift == ABSENT, 0, np.int64(1) << np.maximum(shift, 0).astype(np.int64))


@njit(cache=True, nogil=True)
def _dot(sign, shift_hi, shift_lo, x, out, low, high):
    """Clipped to low .. high after every addition, k rising; no intermediate overflows 64 bits
    while depth * max|w| * max|x| < 2**63.

    sign, shift_hi, shift_lo   (G, N, K) int8
    x                          (G, M, K) int64
    out                        (G, N, M) int64, overwritten
    """
    for g in range(sign.shape[0]):
        for n in range(sign.shape[1]):
            for m in range(x.shape[1]):
                total = np.int64(0)
                for k in range(sign.shape[2]):
                    product = np.int64(0)
                    if shift_hi[g, n, k] != ABSENT:
                        product += x[g, m, k] << np.int64(shift_hi[g, n, k])
                    if shift_lo[g, n, k] != ABSENT:
                        product += x[g, m, k] << np.int64(shift_lo[g, n, k])
                    total += product if sign[g, n, k] > 0 else -product
                    total = min(max(total, low), high)
                out[g, n, m] = total
