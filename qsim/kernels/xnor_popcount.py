"""Products of -1 and +1 by XNOR and popcount, and of 0 by a mask.

Source: DoReFa-Net (arXiv 1606.06160v3) Eq. 2, whose sign is printed wrong: with bit 1 for +1 (or
for -1) a product of N terms is ``2 * popcount(xnor) - N``, that is ``N - 2 * popcount(xor)``.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numba import njit

from qsim.kernels.accumulator import Accumulator, as_integers, magnitude
from qsim.kernels.bit_planes import pack_planes, popcount, refuse_saturation
from qsim.kernels.datapath import HeldLevels


@dataclass(frozen=True)
class XnorPopcountWeights(HeldLevels):
    """Binary weights -1 and +1, or ternary ones with 0: an integer array (rows, ...).

    Raises ValueError on anything else.
    """

    def __post_init__(self):
        _check_ternary("weight", self.levels)

    @cached_property
    def _planes(self) -> np.ndarray:
        rows = self.levels.reshape(1, len(self.levels), int(np.prod(self.shape[1:])))
        return pack_planes(as_integers(rows, np.int8), 2)

    def sum_products(self, x: np.ndarray, register: Accumulator) -> np.ndarray:
        """As ``Datapath.dot``, of ``x`` -1 and +1, and 0 where it is padding.

        Raises ValueError on another level and on a register that saturates, OverflowError
        where ``register.check`` does.
        """
        refuse_saturation(register)
        _check_ternary("input", x)
        groups, columns, depth = x.shape
        rows = self.levels.reshape(groups, self.shape[0] // groups, depth).shape[1]
        register.check(depth, magnitude(x), self.max_magnitude)
        out = np.zeros((groups, rows, columns), np.int64)
        # The two lowest bits of -1, 0 and +1 are 11, 00 and 01: not zero, and negative.
        x_mask, x_negative = pack_planes(as_integers(x, np.int8), 2)
        w_mask, w_negative = self._planes.reshape(2, groups, rows, x_mask.shape[2])
        with np.errstate(over="ignore"):  # the product in popcount wraps around, interpreted too
            w_full, x_full = _without_zero(w_mask, depth), _without_zero(x_mask, depth)
            _dot(w_mask, w_negative, w_full, x_mask, x_negative, x_full, out, depth)
        return register.add_bias(out, None)


def _check_ternary(name: str, levels: np.ndarray) -> None:
    if magnitude(levels) > 1:
        raise ValueError(
            f"an XNOR takes {name}s -1 and +1, or 0, not {magnitude(levels)} in magnitude"
        )


@njit(cache=True, nogil=True)
def _dot(w_mask, w_negative, w_full, x_mask, x_negative, x_full, out, depth):
    """Equal signs less unequal ones, counted where neither side is 0: among ``both`` places
    N - 2 * popcount(xor), N being the whole depth where both sides are full.

    w_mask, w_negative   (G, N, words) uint64 planes, 0 beyond the depth
    x_mask, x_negative   (G, M, words) uint64 planes, 0 beyond the depth
    w_full, x_full       (G, N), (G, M) bool, whether no level is 0
    out                  (G, N, M) int64, overwritten
    """
    for g in range(w_mask.shape[0]):
        for n in range(w_mask.shape[1]):
            for m in range(x_mask.shape[1]):
                total = np.int64(0)
                if w_full[g, n] and x_full[g, m]:
                    for k in range(x_mask.shape[2]):
                        total -= popcount(w_negative[g, n, k] ^ x_negative[g, m, k])
                    out[g, n, m] = depth + 2 * total
                else:
                    for k in range(x_mask.shape[2]):
                        both = w_mask[g, n, k] & x_mask[g, m, k]
                        unequal = (w_negative[g, n, k] ^ x_negative[g, m, k]) & both
                        total += popcount(both) - 2 * popcount(unequal)
                    out[g, n, m] = total


@njit(cache=True, nogil=True)
def _without_zero(mask, depth):
    """Whether each row of mask (G, R, words) uint64 has all of its ``depth`` bits set."""
    full = np.empty(mask.shape[:2], np.bool_)
    for g in range(mask.shape[0]):
        for r in range(mask.shape[1]):
            ones = np.int64(0)
            for k in range(mask.shape[2]):
                ones += popcount(mask[g, r, k])
            full[g, r] = ones == depth
    return full
