"""The fused multiply-add of float32: one rounding, on every machine and without the instruction."""

import numpy as np
from numba import njit


def multiply_add(x: np.ndarray, factor: np.ndarray, term: np.ndarray) -> np.ndarray:
    """``x * factor + term`` rounded once to float32, a half to the even one.

    All three float32, of shapes that broadcast to one another; the result has the common shape.

    Raises TypeError on another type, OverflowError when a result is not finite.
    """
    for array in (x, factor, term):
        if array.dtype != np.float32:
            raise TypeError(f"a fused multiply-add is of float32, not {array.dtype}")
    shape = np.broadcast_shapes(x.shape, factor.shape, term.shape)
    flat = [np.broadcast_to(array, shape).flatten() for array in (x, factor, term)]
    out = np.empty(flat[0].size, np.float32)
    with np.errstate(over="ignore", invalid="ignore"):  # refused below
        _multiply_add(*flat, out)
    if not np.isfinite(out).all():
        raise OverflowError("a product and its term leave float32")
    return out.reshape(shape)


@njit(cache=True, nogil=True)
def _fused(x, factor, term):
    """The product is exact in float64. The sum is not, and rounding it again to float32 goes wrong
    only if the first rounding lands on the midpoint of two float32: then its error decides."""
    product = np.float64(x) * np.float64(factor)
    total = product + np.float64(term)
    rounded = np.float64(np.float32(total))
    off = total - rounded
    if off == 0.0 or not np.isfinite(rounded):
        return np.float32(rounded)
    other = rounded + 2.0 * off  # a float32 if the total is a midpoint
    if np.float64(np.float32(other)) != other:
        return np.float32(rounded)
    back = total - product
    error = (product - (total - back)) + (np.float64(term) - back)  # what the sum lost, exactly
    if error > 0.0:
        return np.float32(max(rounded, other))
    if error < 0.0:
        return np.float32(min(rounded, other))
    return np.float32(rounded)


@njit(cache=True, nogil=True)
def _multiply_add(x, factor, term, out):
    """All (L,) float32, out overwritten."""
    for i in range(x.shape[0]):
        out[i] = _fused(x[i], factor[i], term[i])
