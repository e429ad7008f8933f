"""Products of affine codes by AND and popcount, a pair of planes after the other.

For what the micro-kernels of panels are not made for: counts beyond 32 bits, groups of few rows.

Source: DoReFa-Net (arXiv 1606.06160v3) Eq. 3, and Eq. 1, its case of one bit each.
"""

import numpy as np
from numba import njit

from qsim.kernels.affine_code import AffineCode
from qsim.kernels.bit_planes import pack_planes, popcount


def sums_by_pairs(w: np.ndarray, code: AffineCode, x: np.ndarray, x_code: AffineCode) -> np.ndarray:
    """The products of the rows of each group of weights with every row of inputs, modulo 2**64.

    A weight s * p + o (step, code, offset) times an input t * q + u makes four sums, of which two
    are one sum of levels: s * t * sum(p * q) + u * s * sum(p) + o * sum(x).

    w         (groups, rows, depth), levels of ``code``
    x         (groups, columns, depth), levels of ``x_code``
    returns   int64 (groups, rows, columns)

    Raises ValueError on a level of another code.
    """
    w_codes, x_codes = code.encode(w), x_code.encode(x)
    out = np.zeros((len(w), w.shape[1], x.shape[1]), np.int64)
    with np.errstate(over="ignore"):  # the product in popcount wraps around, interpreted too
        _dot(pack_planes(w_codes, code.bits), pack_planes(x_codes, x_code.bits), out)
        out *= x_code.step
        out += x_code.offset * w_codes.sum(axis=2, dtype=np.int64)[:, :, None]
        out *= code.step
        out += code.offset * x.sum(axis=2, dtype=np.int64)[:, None, :]
    return out


@njit(cache=True, nogil=True)
def _dot(w, x, out):
    """Eq. 3: add 2**(i + j) * popcount(w_i AND x_j) for every pair of planes i and j.

    w     (I, G, N, words) uint64, planes of the weights' codes, 0 beyond the depth
    x     (J, G, M, words) uint64, planes of the inputs' codes
    out   (G, N, M) int64, added to; exact while words * 64 * 2**(I + J) < 2**63
    """
    for i in range(w.shape[0]):
        for j in range(x.shape[0]):
            for g in range(w.shape[1]):
                for n in range(w.shape[2]):
                    for m in range(x.shape[2]):
                        ones = np.int64(0)
                        for k in range(w.shape[3]):
                            ones += popcount(w[i, g, n, k] & x[j, g, m, k])
                        out[g, n, m] += ones << np.int64(i + j)
