"""Convolutions and linear layers of levels by the products of bytes, all their sums at once.

Levels become bytes, ``level - lowest``, and what the offset adds to a sum, ``lowest`` times the sum
of a row of weights, is taken off afterwards.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numba import njit

from qsim.kernels.simd.host import choose
from qsim.kernels.simd.product import (
    TILES,
    aligned,
    multiply_tile,
    pack_weights,
)
from qsim.kernels.simd.spacing import equally_spaced
from qsim.kernels.simd.tag import Tag
from qsim.kernels.simd.thread_tiles import begin, end
from qsim.kernels.simd.windows import Windows, by_run, in_whole_tiles

BYTES = 256


def are_bytes(levels: np.ndarray) -> bool:
    """Whether levels, and 0, are at most 255 apart."""
    return int(levels.max(initial=0)) - int(levels.min(initial=0)) < BYTES


@dataclass(frozen=True)
class PackedWeights:
    """Weights of one group, packed for a back end and one layout of the input.

    runs       int64 offsets of the runs under a window
    packed     int8, as ``pack_weights`` makes it
    row_sums   int64 (rows,), of each row of weights
    """

    backend: str
    runs: np.ndarray
    packed: np.ndarray
    row_sums: np.ndarray

    @property
    def reach(self) -> int:
        """How many bytes of each run are read."""
        return self.packed.shape[2] * TILES[self.backend].depth


class ByteWeights:
    """Weights whose levels are signed bytes, int8 (rows, ...), packed once for each use."""

    def __init__(self, levels: np.ndarray):
        self._levels, self._held = levels, {}

    def convolve(self, x: np.ndarray, windows: Windows, groups: int) -> np.ndarray:
        """The sums of a convolution, int64 (images, rows, out_h, out_w), exact where they fit 32
        bits.

        x   integers (images, channels, height, width), at most 255 apart from each other and 0
        """
        lowest, channels = min(int(x.min(initial=0)), 0), x.shape[1]
        rows, depth = len(self._levels) // groups, self._levels.shape[1]
        places = _places(windows.rows(channels))
        parts = [self._pack(g, groups, windows, channels) for g in range(groups)]
        farthest = int(places.rows.max() + parts[0].runs.max()) + channels + parts[0].reach
        size = int(np.prod(windows.padded)) * channels
        data = np.full(max(size, farthest), -lowest, np.uint8)
        top, left, _, _ = windows.padding
        inner = data[:size].reshape(*windows.padded, channels)
        inner = inner[top : top + x.shape[2], left : left + x.shape[3]]
        out = np.empty((len(x), len(self._levels), *windows.out), np.int64)
        for image, sums in zip(x, out.reshape(len(x), groups, rows, -1), strict=True):
            inner[...] = image.transpose(1, 2, 0) - lowest
            for g, part in enumerate(parts):
                _sum(part, data[g * depth :], places, lowest, sums[g])
        return out

    def multiply(self, x: np.ndarray, out: np.ndarray) -> None:
        """Write the products of rows of levels (columns, depth) with the weights, each row of them
        one after another: int64 (rows, columns); levels and exactness as ``convolve``."""
        lowest, depth = min(int(x.min(initial=0)), 0), x.shape[1]
        part = self._flat._pack(0, 1, Windows(), depth)
        places = _places(np.arange(len(x))[None] * depth)
        data = np.zeros(int(places.rows.max()) + max(depth, part.reach), np.uint8)
        data[: x.size] = (x - lowest).reshape(-1)
        _sum(part, data, places, lowest, out)

    @cached_property
    def _flat(self) -> "ByteWeights":
        """The same weights as of a 1 x 1 kernel."""
        return ByteWeights(self._levels.reshape(len(self._levels), -1, 1, 1))

    def _pack(self, group: int, groups: int, windows: Windows, channels: int) -> PackedWeights:
        backend = choose().name
        key = (backend, group, groups, windows, channels)
        if key not in self._held:
            share = len(self._levels) // groups
            levels = self._levels[group * share : (group + 1) * share]
            row_sums = levels.reshape(share, -1).sum(axis=1, dtype=np.int64)
            runs, _ = windows.runs(channels, apart=groups > 1)
            packed = aligned(pack_weights(by_run(levels, runs), backend))
            self._held[key] = PackedWeights(backend, runs, packed, row_sums)
        return self._held[key]


@dataclass(frozen=True)
class Places:
    """Output positions in the order in which tiles take them.

    rows    int64, where the window of each begins; of whole tiles
    order   int64, the position of each row, -1 where it is none
    pitch   the distance of rows in a group of 16, 0 where they lie anyhow
    """

    rows: np.ndarray
    order: np.ndarray
    pitch: int


def _places(at: np.ndarray) -> Places:
    """Of windows that begin at ``at`` (height, width)."""
    tile = TILES[choose().name]
    order, rows, pitch = np.arange(at.size), at.reshape(-1), 0
    if tile.is_spaced:
        order, rows, pitch = equally_spaced(at)
    return Places(in_whole_tiles(rows, tile.rows), order, pitch)


def _sum(part: PackedWeights, data: np.ndarray, places: Places, lowest: int, out) -> None:
    """All sums of an image."""
    tile = TILES[part.backend]
    scratch = aligned(np.zeros((tile.rows, tile.columns), np.int32))
    offsets = (lowest * part.row_sums).astype(np.int32)
    with np.errstate(over="ignore"):  # sums of bytes may wrap around, interpreted too
        _sum_tiles(
        Tag(part.backend), data, places.rows, places.order, places.pitch, part.runs, part.packed,
        offsets, scratch, out,
    )  # fmt: skip


@njit(cache=True, nogil=True)
def _sum_tiles(backend, data, rows, order, pitch, runs, packed, offsets, tile, out):
    """The sums of all positions of all panels.

    data, rows, pitch, runs   as ``multiply_tile`` takes them, rows of whole tiles
    order     the position of each row, -1 where it is none
    packed    int8, as ``pack_weights`` makes it
    offsets   int32 (out-channels,), added to the sums of each
    tile      int32 (tile rows, tile columns), scratch
    out       int64 (out-channels, positions), overwritten
    """
    height, width = tile.shape
    weights = packed.reshape(packed.size)
    panel_size = packed.size // packed.shape[0]
    begin(backend)
    for panel in range(packed.shape[0]):
        first = panel * width
        lanes = min(width, len(out) - first)
        for row in range(0, len(order), height):
            multiply_tile(
                backend, data, rows, row, pitch, runs, 0, len(runs), packed.shape[2], weights,
                panel * panel_size, min(height, len(order) - row), tile,
            )  # fmt: skip
            for n in range(lanes):
                for m in range(min(height, len(order) - row)):
                    if order[row + m] >= 0:
                        out[first + n, order[row + m]] = np.int32(tile[m, n] + offsets[first + n])
    end(backend)
