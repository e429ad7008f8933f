"""The product of float32 matrices in a stated order: every machine computes the same bits."""

import numpy as np
from numba import njit

from qsim.kernels.simd.float_tile import FLOAT_TILES, aligned, multiply_float_tile
from qsim.kernels.simd.host import choose
from qsim.kernels.simd.tag import Tag


def matmul_in_order(w: np.ndarray, x: np.ndarray, backend: str | None = None) -> np.ndarray:
    """``w @ x`` in float32: products added with the inner index rising, each step rounded.

    w (rows, depth) and x (depth, columns) float32; returns (rows, columns) float32. A library's
    product is faster but adds in an order that depends on the processor. ``backend`` is as
    ``host.choose`` takes it; all give the same bits.

    Raises ValueError on shapes that do not fit.
    """
    if w.ndim != 2 or x.ndim != 2 or w.shape[1] != x.shape[0]:
        raise ValueError(f"cannot multiply {w.shape} by {x.shape}")
    out = np.zeros((w.shape[0], x.shape[1]), np.float32)
    w, x = np.ascontiguousarray(w, np.float32), np.ascontiguousarray(x, np.float32)
    name = choose(backend).name
    if name == "plain" or not w.size:
        _add_products(w, x, out)
        return out
    tile = FLOAT_TILES[name]
    if len(w) < tile.rows:
        w = np.pad(w, ((0, tile.rows - len(w)), (0, 0)))
    panel = aligned((len(x), tile.columns))
    scratch = aligned((tile.rows, tile.columns))
    _multiply_in_tiles(Tag(name), w, x, panel, scratch, out)
    return out


@njit(cache=True, nogil=True)
def _add_products(w, x, out):
    """w (N, K) float32, x (K, M) float32, out (N, M) float32, added to with k rising."""
    for n in range(w.shape[0]):
        for k in range(w.shape[1]):
            for m in range(x.shape[1]):
                out[n, m] += w[n, k] * x[k, m]


@njit(cache=True, nogil=True)
def _multiply_in_tiles(backend, w, x, panel, scratch, out):
    """w (N, K) float32 with no fewer rows than a tile, x (K, M) float32, out (N, M) float32,
    overwritten; panel float32 (K, columns of a tile) and scratch (rows, columns of one)."""
    height, width = scratch.shape
    depth, columns = x.shape
    rows = out.shape[0]
    panel[:, :] = 0
    for first in range(0, columns, width):
        count = min(width, columns - first)
        for k in range(depth):
            _copy(x[k, first : first + count], panel[k, :count])
        for n in range(0, rows, height):
            row = min(n, w.shape[0] - height)  # the last tile begins in the one before it
            multiply_float_tile(
                backend,
                w.ctypes.data + 4 * row * depth,
                4 * depth,
                panel.ctypes.data,
                depth,
                scratch.ctypes.data,
            )
            for i in range(min(height, rows - row)):
                _copy(scratch[i, :count], out[row + i, first : first + count])


@njit(nogil=True)
def _copy(source, target):
    """Both float32, of one length. A slice begins at its index 0, so numba need not look whether an
    index counts from the end."""
    for i in range(source.size):
        target[i] = source[i]
