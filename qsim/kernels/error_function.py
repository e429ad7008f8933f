"""The error function of float64, which numpy lacks."""

from math import erf as erf_of_one

import numpy as np
from numba import njit


def erf(x: np.ndarray) -> np.ndarray:
    """erf of every value, as the C library computes it.

    x         float64, any shape
    returns   float64 of that shape

    Raises TypeError on another type.
    """
    if x.dtype != np.float64:
        raise TypeError(f"values are float64, not {x.dtype}")
    flat = np.ascontiguousarray(x).reshape(-1)
    out = np.empty_like(flat)
    _erf(flat, out)
    return out.reshape(x.shape)


@njit(cache=True, nogil=True)
def _erf(x, out):
    for i in range(x.shape[0]):
        out[i] = erf_of_one(x[i])
