"""Pooling of levels: largest, sum, and integer average."""

import numpy as np
from numba import njit

from qsim.kernels.accumulator import as_integers, magnitude
from qsim.kernels.simd.windows import out_size


def max_pool(
    x: np.ndarray,
    kernel: tuple[int, int],
    *,
    stride: tuple[int, int] | None = None,
    padding: tuple[int, int, int, int] = (0, 0, 0, 0),
) -> np.ndarray:
    """The largest level under each window; positions in the padding do not take part.

    x         (images, channels, height, width) integers
    padding   rows and columns at top, left, bottom, right, each less than the kernel's side
    returns   (images, channels, out_height, out_width) int64

    Raises ValueError when the window does not fit or could lie in the padding alone, TypeError on
    anything but integers.
    """
    top, left, bottom, right = padding
    if max(top, bottom) >= kernel[0] or max(left, right) >= kernel[1]:
        raise ValueError(f"padding {padding} is not less than the window {kernel}")
    stride = stride or kernel
    out = _out_like(x, kernel, stride, padding)
    _max_pool(as_integers(x, np.int64), out, *kernel, *stride, top, left)
    return out


def sum_pool(x: np.ndarray, kernel: tuple[int, int], *, stride=None) -> np.ndarray:
    """The sum of the levels under each window, int64; shapes and errors as ``max_pool``, and
    OverflowError when a sum could leave 64 bits."""
    stride = stride or kernel
    out = _out_like(x, kernel, stride, (0, 0, 0, 0))
    if magnitude(x) * kernel[0] * kernel[1] >= 2**63:
        raise OverflowError(f"sums of {kernel[0] * kernel[1]} levels up to {magnitude(x)} overflow")
    _sum_pool(as_integers(x, np.int64), out, *kernel, *stride)
    return out


def average_pool(
    x: np.ndarray, kernel: tuple[int, int], *, stride=None, rounding: str = "half_even"
) -> np.ndarray:
    """The mean level under each window, rounded to the nearest integer: a half to the even one, or
    away from zero with ``rounding="half_away"``."""
    divide = {"half_even": divide_half_even, "half_away": divide_half_away}[rounding]
    return divide(sum_pool(x, kernel, stride=stride), kernel[0] * kernel[1])


def divide_half_even(sums: np.ndarray, divisor: int | np.ndarray) -> np.ndarray:
    """``sums / divisor`` (1 .. 2**62, int64) rounded to the nearest integer, a half to the even."""
    quotient, rest = np.divmod(sums, divisor)  # floor, rest in 0 .. divisor - 1
    up = (2 * rest > divisor) | ((2 * rest == divisor) & (quotient % 2 == 1))
    return quotient + up


def divide_half_away(sums: np.ndarray, divisor: int) -> np.ndarray:
    """``sums / divisor`` (divisor > 0) rounded to the nearest integer, a half away from zero."""
    quotient, rest = np.divmod(np.abs(sums), divisor)
    return np.sign(sums) * (quotient + (2 * rest >= divisor))


def _out_like(x: np.ndarray, kernel, stride, padding) -> np.ndarray:
    if x.ndim != 4 or 0 in x.shape[2:]:
        raise ValueError(f"pooling needs 4-D input with rows and columns, not {x.shape}")
    if min(*kernel, *stride) < 1 or min(padding) < 0:
        raise ValueError(f"no window has sides {kernel}, stride {stride} and padding {padding}")
    out_h = out_size(x.shape[2] + padding[0] + padding[2], kernel[0], stride[0])
    out_w = out_size(x.shape[3] + padding[1] + padding[3], kernel[1], stride[1])
    return np.zeros((*x.shape[:2], out_h, out_w), np.int64)


@njit(cache=True, nogil=True)
def _max_pool(x, out, kernel_h, kernel_w, stride_h, stride_w, top, left):
    """x (N, C, H, W) int64, out (N, C, OH, OW) int64, overwritten; every window meets x."""
    _, _, height, width = x.shape
    for n in range(out.shape[0]):
        for c in range(out.shape[1]):
            for oy in range(out.shape[2]):
                y0 = oy * stride_h - top
                for ox in range(out.shape[3]):
                    x0 = ox * stride_w - left
                    best = x[n, c, max(y0, 0), max(x0, 0)]
                    for y in range(max(y0, 0), min(y0 + kernel_h, height)):
                        for z in range(max(x0, 0), min(x0 + kernel_w, width)):
                            best = max(best, x[n, c, y, z])
                    out[n, c, oy, ox] = best


@njit(cache=True, nogil=True)
def _sum_pool(x, out, kernel_h, kernel_w, stride_h, stride_w):
    """x (N, C, H, W) int64, out (N, C, OH, OW) int64, overwritten."""
    for n in range(out.shape[0]):
        for c in range(out.shape[1]):
            for oy in range(out.shape[2]):
                for ox in range(out.shape[3]):
                    total = np.int64(0)
                    for y in range(oy * stride_h, oy * stride_h + kernel_h):
                        for z in range(ox * stride_w, ox * stride_w + kernel_w):
                            total += x[n, c, y, z]
                    out[n, c, oy, ox] = total
