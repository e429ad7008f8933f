"""The product of float32 matrices in a stated order: every machine computes the same bits."""

import numpy as np
from numba import njit


def matmul_in_order(w: np.ndarray, x: np.ndarray) -> np.ndarray:
    """``w @ x`` in float32: products added with the inner index rising, each step rounded.

    w (rows, depth) and x (depth, columns) float32; returns (rows, columns) float32. A library's
    product is faster but adds in an order that depends on the processor.

    Raises ValueError on shapes that do not fit.
    """
    if w.ndim != 2 or x.ndim != 2 or w.shape[1] != x.shape[0]:
        raise ValueError(f"cannot multiply {w.shape} by {x.shape}")
    out = np.zeros((w.shape[0], x.shape[1]), np.float32)
    _add_products(np.ascontiguousarray(w, np.float32), np.ascontiguousarray(x, np.float32), out)
    return out


@njit(cache=True, nogil=True)
def _add_products(w, x, out):
    """w (N, K) float32, x (K, M) float32, out (N, M) float32, added to with k rising."""
    for n in range(w.shape[0]):
        for k in range(w.shape[1]):
            for m in range(x.shape[1]):
                out[n, m] += w[n, k] * x[k, m]
