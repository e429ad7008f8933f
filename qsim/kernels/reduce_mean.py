"""The float32 mean of the last axes as ONNX Runtime's ReduceMean adds it up."""

import numpy as np
from numba import njit

LANES = 4  # of the vectors that the runtime adds with, on x86-64 and Arm


def reduce_mean(x: np.ndarray, axes: int) -> np.ndarray:
    """The mean over the last ``axes`` axes of a tensor, each step rounded to float32.

    The rows that are averaged lie one after another in memory from an aligned address. Of each, the
    values between the first and the last whole vector of four, by address, are added in two vectors
    that take turns and are then added; their four sums as (first + third) + (second + fourth); then
    the values before and after them one by one; a row without a whole vector from its first value
    on. The sum is divided by the length of the row.

    x         float32, of which the last ``axes`` axes together are a row, not empty
    returns   float32, without these axes

    Source: ONNX Runtime core/providers/cpu/reduction (FastReduceKR) on Eigen's linear reduction.

    Raises TypeError on anything but float32, ValueError on axes that do not exist or hold nothing.
    """
    if x.dtype != np.float32:
        raise TypeError(f"a mean is of float32, not {x.dtype}")
    if not 1 <= axes <= x.ndim or 0 in x.shape[x.ndim - axes :]:
        raise ValueError(f"a tensor of shape {x.shape} has no mean over its last {axes} axes")
    outer, inner = x.shape[: x.ndim - axes], x.shape[x.ndim - axes :]
    rows = np.ascontiguousarray(x).reshape(int(np.prod(outer)), int(np.prod(inner)))
    out = np.empty(len(rows), np.float32)
    _row_means(rows, out)
    return out.reshape(outer)


@njit(cache=True, nogil=True)
def _row_means(rows, out):
    """rows (R, L) float32, out (R,) float32, overwritten."""
    length = rows.shape[1]
    for r in range(rows.shape[0]):
        first = min(-(r * length) % LANES, length)
        last = first + (length - first) // LANES * LANES
        total = np.float32(0)
        if last == first:
            total = rows[r, 0]
            for i in range(1, length):
                total = total + rows[r, i]
        else:
            total = _sum_of_vectors(rows[r, first:last])
            for i in range(first):
                total = total + rows[r, i]
            for i in range(last, length):
                total = total + rows[r, i]
        out[r] = total / np.float32(length)


@njit(cache=True, nogil=True)
def _sum_of_vectors(values):
    """values (L,) float32, L a positive multiple of LANES."""
    length = values.shape[0]
    sums = np.zeros((2, LANES), np.float32)
    sums[0] = values[:LANES]
    if length > LANES:
        sums[1] = values[LANES : 2 * LANES]
        pairs = length // (2 * LANES) * (2 * LANES)
        for start in range(2 * LANES, pairs, 2 * LANES):
            for lane in range(LANES):
                sums[0, lane] += values[start + lane]
                sums[1, lane] += values[start + LANES + lane]
        for lane in range(LANES):
            sums[0, lane] += sums[1, lane]
            if pairs < length:
                sums[0, lane] += values[pairs + lane]
    return (sums[0, 0] + sums[0, 2]) + (sums[0, 1] + sums[0, 3])
