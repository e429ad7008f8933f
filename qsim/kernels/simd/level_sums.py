"""Convolutions and linear layers of levels by the products of bytes, all their sums at once.

Levels become bytes, ``level - lowest``, and what the offset adds to a sum, ``lowest`` times the sum
of a row of weights, is taken off afterwards.
"""

from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy import uint64 as U  # noqa: N812 (an index that cannot be negative: numba need not look)

from qsim.kernels.simd.host import choose
from qsim.kernels.simd.product import TILES, aligned, multiply_tile, pack_weights
from qsim.kernels.simd.tag import Tag
from qsim.kernels.simd.windows import Window, window_rows, window_runs

BYTES = 256


@dataclass(frozen=True)
class PackedWeights:
    """Weights of one group, packed for a back end and one layout of the input."""

    backend: str
    runs: np.ndarray
    packed: np.ndarray
    row_sums: np.ndarray


def fits_bytes(x_low: int, x_high: int, weights: np.ndarray) -> bool:
    """Whether levels from ``x_low`` to ``x_high`` are bytes and weights signed bytes."""
    inside = weights.size == 0 or (weights.min() >= -128 and weights.max() <= 127)
    return bool(inside) and max(x_high, 0) - min(x_low, 0) < BYTES


def convolve(
    x: np.ndarray, weights: np.ndarray, window: Window, groups: int, out: np.ndarray
) -> None:
    """Write the sums of a convolution, exact where they fit 32 bits.

    x         integers (images, channels, height, width), at most 255 apart from each other and 0
    weights   integers -128 .. 127 (rows, channels // groups, kernel_h, kernel_w)
    out       int64 (images, rows, out_h, out_w), overwritten
    """
    backend = choose().name
    lowest = min(int(x.min(initial=0)), 0)
    channels = x.shape[1]
    top, left, bottom, right = window.padding
    height, width = x.shape[2] + top + bottom, x.shape[3] + left + right
    rows, depth = len(weights) // groups, weights.shape[1]
    at = window_rows(window, out.shape[2:], width, (top, left), channels)
    parts = [
        _pack(weights[g * rows : (g + 1) * rows], window, width, channels, backend)
        for g in range(groups)
    ]
    reach = parts[0].packed.shape[2] * TILES[backend].depth
    data = np.full(height * width * channels + reach + window.kernel[1] * channels, -lowest, np.uint8)
    inner = data[: height * width * channels].reshape(height, width, channels)
    for image in range(len(x)):
        inner[top : top + x.shape[2], left : left + x.shape[3]] = (
            x[image].transpose(1, 2, 0) - lowest
        )
        for g, part in enumerate(parts):
            sums = out[image, g * rows : (g + 1) * rows].reshape(rows, -1)
            _sum(part, data, at + g * depth, lowest, sums)


def multiply_rows(x: np.ndarray, weights: np.ndarray, out: np.ndarray) -> None:
    """Write the products of rows of levels (columns, depth) by weights (rows, depth), int64 (rows,
    columns); operands and exactness as ``convolve``."""
    backend = choose().name
    lowest, depth = min(int(x.min(initial=0)), 0), x.shape[1]
    part = _pack(weights.reshape(*weights.shape, 1, 1), Window(), 1, depth, backend)
    data = np.zeros(x.size + part.packed.shape[2] * TILES[backend].depth, np.uint8)
    data[: x.size] = (x - lowest).reshape(-1)
    _sum(part, data, np.arange(len(x)) * depth, lowest, out)


def _pack(
    weights: np.ndarray, window: Window, width: int, channels: int, backend: str
) -> PackedWeights:
    runs, by_run = window_runs(weights, window, width, channels)
    row_sums = weights.reshape(len(weights), -1).sum(axis=1, dtype=np.int64)
    return PackedWeights(
        backend, runs, aligned(pack_weights(by_run.astype(np.int8), backend)), row_sums
    )


def _sum(
    part: PackedWeights, data: np.ndarray, rows: np.ndarray, lowest: int, out: np.ndarray
) -> None:
    tile = TILES[part.backend]
    at = np.concatenate([rows, np.full(-rows.size % tile.rows, rows[-1])])
    scratch = aligned(np.zeros((tile.rows, tile.columns), np.int32))
    _sum_tiles(
        Tag(part.backend), data, at, part.runs, part.packed, lowest * part.row_sums, scratch, out
    )


@njit(cache=True, nogil=True)
def _sum_tiles(backend, data, rows, runs, packed, offsets, tile, out):
    """The sums of all positions of all panels.

    data, rows, runs   as ``multiply_tile`` takes them, rows of whole tiles
    packed             int8, as ``pack_weights`` makes it
    offsets            int64 (out-channels,), added to the sums of each
    tile               int32 (tile rows, tile columns), scratch
    out                int64 (out-channels, positions), overwritten
    """
    height, width = tile.shape
    channels, positions = out.shape
    weights = packed.reshape(packed.size)
    panel_size = packed.size // packed.shape[0]
    for panel in range(packed.shape[0]):
        first = panel * width
        lanes = min(width, channels - first)
        for row in range(0, positions, height):
            multiply_tile(
                backend, data, rows, row, 0, runs, 0, len(runs), packed.shape[2], weights,
                panel * panel_size, tile,
            )  # fmt: skip
            for m in range(min(height, positions - row)):
                for n in range(lanes):
                    total = np.int32(tile[m, n] + np.int32(offsets[first + n]))
                    out[first + n, row + m] = total
