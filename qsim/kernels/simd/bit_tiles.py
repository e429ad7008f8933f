"""Micro-kernels that multiply bit planes: a tile of output positions by a panel of out-channels.

A tile is named by a literal string, so that compiled code is made for it: ``tile_for`` gives the
one of a back end. ``plain`` is numba's alone and is what runs without its compiler; the others are
IR and equal to it. A word holds a bit of 32 channels, the first in the lowest bit; two words make
up the 64 channels to which a pixel is filled up with zeros.

    op           counted, for words x and w                      of
    xor          x ^ w                                           signs by signs
    masked_xor   m & (x ^ w), m the mask of w                    signs by -1, 0 and +1
    ternary      n & (x ^ w), and all but n & ~(x ^ w), where    -1, 0 and +1 on both sides
                 n is both masks
    and          x & w                                           unsigned bits

Bit serially, of several planes on either side, counts are added as 2**(i + j) times those of plane
i of the inputs and j of the weights.
"""

from typing import NamedTuple

import numpy as np
from llvmlite import ir
from numba import config, njit, types
from numba.extending import intrinsic, overload

from qsim.kernels.bit_planes import popcount
from qsim.kernels.simd.bit_emitters import Addresses, Tile, emit_counts, emit_levels, emit_store
from qsim.kernels.simd.host import target_features
from qsim.kernels.simd.ir import I32, I64, load, store, vector

# Without a compiler a panel is small, as the channels that fill it up cost most of the time.
TILES = {
    "plain": Tile(1, 1, 8 if config.DISABLE_JIT else 64, False),
    "wide": Tile(3, 4, 16, False),
    "wide_row": Tile(1, 4, 16, False),
    "wide_bytes": Tile(3, 4, 16, True),
    "wide_bytes_row": Tile(1, 4, 16, True),
    "narrow_bytes": Tile(1, 4, 8, True),
}


class BitReads(NamedTuple):
    """What the windows of the output positions read of bit planes.

    words   uint32 (words,)
    rows    int64: the first word of each position's window in plane 0, the last one repeated up to
            whole tiles
    runs    int64: where each run of words of a window begins, from there
    pairs   int64 (pairs, 3): where a plane begins in the words, where its partner begins in a
            panel, by how many bits the counts so far are shifted left before theirs are added
    steps   the words of a run, an even number
    mask    the distance from a plane to its mask, 0 but for ``ternary``
    """

    words: np.ndarray
    rows: np.ndarray
    runs: np.ndarray
    pairs: np.ndarray
    steps: int
    mask: int


class BitPanels(NamedTuple):
    """Weights, a panel after the other, each [plane][run][step][channel], or with a mask
    [run][step][plane, mask][channel].

    words   uint32 (panels * size,)
    size    the words of a panel
    mask    the distance from a word to its mask, 0 but for ``masked_xor`` and ``ternary``
    """

    words: np.ndarray
    size: int
    mask: int


class BitLimits(NamedTuple):
    """What turns counts into levels: thresholds by channel, which may differ by position.

    limits   int32: a level is reached where the count is no larger
    rows     int64, of each position as in ``BitReads.rows``: where its limits begin
    plane    the distance from the limits of a threshold to those of the next
    flips    uint8, a bit for each channel: 1 where a level is reached where the count is larger
    """

    limits: np.ndarray
    rows: np.ndarray
    plane: int
    flips: np.ndarray


class BitWrites(NamedTuple):
    """Where levels are written: bytes of planes, on a processor whose lowest byte is the first.

    octets   uint8
    rows     int64, of each position as in ``BitReads.rows``: the first byte of its pixel in plane 0
    plane    the distance from plane 0 to plane 1
    """

    octets: np.ndarray
    rows: np.ndarray
    plane: int


def literal(name: str):
    """``name`` as an argument for which compiled code is specialized; itself without a compiler."""
    return name if config.DISABLE_JIT else types.literal(name)


def tile_for(backend: str, positions: int) -> str:
    """The name of the tile of a back end, for one output position or for several."""
    if backend == "plain":
        return "plain"
    if backend == "pairs8":
        return "narrow_bytes"
    name = "wide" if "avx512vpopcntdq" in target_features() else "wide_bytes"
    return f"{name}_row" if positions == 1 else name


def count_tile(tile, op, reads, first, panels, panel, counts):
    """Write the counts of the tile of positions from ``first`` on, and of one panel.

    tile, op   literal strings
    counts     int32 (tile rows, tile channels), overwritten; modulo 2**32
    """
    _plain_counts(op, reads, first, panels, panel, counts)


def level_tile(tile, op, planes, reads, first, panels, panel, limits, writes, counts):
    """Write the levels of a tile as bits, a plane for one threshold, or two planes for three.

    planes   literal string "1" or "2"; level 0 where no threshold is reached, else as many as are
    counts   as of ``count_tile``, for its use
    """
    _plain_counts(op, reads, first, panels, panel, counts)
    _plain_levels(planes, first, panel, limits, writes, counts)


def levels_of_counts(tile, planes, first, panel, limits, writes, counts):
    """As ``level_tile``, of the counts of a tile."""
    _plain_levels(planes, first, panel, limits, writes, counts)


@overload(count_tile, prefer_literal=True)
def _count_tile(tile, op, reads, first, panels, panel, counts):
    if tile.literal_value == "plain":
        return lambda tile, op, reads, first, panels, panel, counts: _plain_counts(
            op, reads, first, panels, panel, counts
        )

    def vector(tile, op, reads, first, panels, panel, counts):
        _counts_of(
            tile,
            op,
            np.int64(reads.words.ctypes.data),
            np.int64(reads.rows.ctypes.data) + 8 * first,
            np.int64(reads.runs.ctypes.data),
            reads.runs.size,
            np.int64(reads.pairs.ctypes.data),
            reads.pairs.shape[0],
            reads.steps,
            reads.mask,
            np.int64(panels.words.ctypes.data) + 4 * panel * panels.size,
            np.int64(counts.ctypes.data),
        )

    return vector


@overload(level_tile, prefer_literal=True)
def _level_tile(tile, op, planes, reads, first, panels, panel, limits, writes, counts):
    if tile.literal_value == "plain":

        def plain(tile, op, planes, reads, first, panels, panel, limits, writes, counts):
            _plain_counts(op, reads, first, panels, panel, counts)
            _plain_levels(planes, first, panel, limits, writes, counts)

        return plain
    channels = TILES[tile.literal_value].channels

    def vector(tile, op, planes, reads, first, panels, panel, limits, writes, counts):
        _levels_of(
            tile,
            op,
            planes,
            np.int64(reads.words.ctypes.data),
            np.int64(reads.rows.ctypes.data) + 8 * first,
            np.int64(reads.runs.ctypes.data),
            reads.runs.size,
            np.int64(reads.pairs.ctypes.data),
            reads.pairs.shape[0],
            reads.steps,
            reads.mask,
            np.int64(panels.words.ctypes.data) + 4 * panel * panels.size,
            np.int64(limits.limits.ctypes.data) + 4 * panel * channels,
            np.int64(limits.rows.ctypes.data) + 8 * first,
            limits.plane,
            np.int64(limits.flips.ctypes.data) + panel * (channels // 8),
            np.int64(writes.octets.ctypes.data) + panel * (channels // 8),
            np.int64(writes.rows.ctypes.data) + 8 * first,
            writes.plane,
        )

    return vector


@overload(levels_of_counts, prefer_literal=True)
def _levels_of_counts(tile, planes, first, panel, limits, writes, counts):
    if tile.literal_value == "plain":
        return lambda tile, planes, first, panel, limits, writes, counts: _plain_levels(
            planes, first, panel, limits, writes, counts
        )
    channels = TILES[tile.literal_value].channels

    def vector(tile, planes, first, panel, limits, writes, counts):
        numbers, octets = limits.limits.ctypes.data, writes.octets.ctypes.data
        flips = np.int64(limits.flips.ctypes.data) + panel * (channels // 8)
        held = np.int64(counts.ctypes.data)
        for row in range(len(counts)):
            start = limits.rows[first + row] + panel * channels
            out = writes.rows[first + row] + panel * (channels // 8)
            _row_of_counts(
                tile,
                planes,
                held + 4 * row * channels,
                np.int64(numbers) + 4 * start,
                limits.plane,
                flips,
                np.int64(octets) + out,
                writes.plane,
            )

    return vector


@intrinsic(prefer_literal=True)
def _row_of_counts(
    typingctx, tile, planes, counts, limits, limit_plane, flips, out, out_plane
):  # fmt: skip
    """Addresses in, the bits of one row of counts written at addresses."""
    shape = TILES[tile.literal_value]._replace(rows=1)
    signature, kind = types.void(tile, planes, *[types.int64] * 6), vector(I32, shape.lanes)

    def generate(context, b, signature, arguments):
        _, _, counts, limits, limit_plane, flips, out, out_plane = arguments
        places = [b.add(counts, I64(4 * shape.lanes * j)) for j in range(shape.vectors)]
        row = [load(b, place, kind, align=4) for place in places]
        flip, plane = load(b, flips, ir.IntType(shape.channels)), b.mul(limit_plane, I64(4))
        [words] = emit_levels(b, shape, row, [limits], plane, flip, int(planes.literal_value))
        for k, word in enumerate(words):
            emit_store(b, word, b.add(out, b.mul(out_plane, I64(k))))
        return context.get_dummy_value()

    return signature, generate


@intrinsic(prefer_literal=True)
def _counts_of(
    typingctx, tile, op, x, rows, runs, run_count, pairs, pair_count, steps, x_mask, weights,
    counts,
):  # fmt: skip
    """Addresses and counts in, counts written at an address."""
    shape, signature = TILES[tile.literal_value], types.void(tile, op, *[types.int64] * 10)

    def generate(context, b, signature, arguments):
        *addresses, out = arguments[2:]
        totals = emit_counts(b, shape, op.literal_value, Addresses(*addresses))
        for i, total in enumerate(totals):
            store(b, total, b.add(out, I64(4 * shape.lanes * i)), align=4)
        return context.get_dummy_value()

    return signature, generate


@intrinsic(prefer_literal=True)
def _levels_of(
    typingctx, tile, op, planes, x, rows, runs, run_count, pairs, pair_count, steps, x_mask,
    weights, limits, limit_rows, limit_plane, flips, out, out_rows, out_plane,
):  # fmt: skip
    """Addresses and counts in, bits written at addresses that a table gives."""
    shape, signature = TILES[tile.literal_value], types.void(tile, op, planes, *[types.int64] * 16)
    count = int(planes.literal_value)

    def generate(context, b, signature, arguments):
        *_, limits, limit_rows, limit_plane, flips, out, out_rows, out_plane = arguments
        totals = emit_counts(b, shape, op.literal_value, Addresses(*arguments[3:12]))

        def placed(start, table, i, unit):
            return b.add(start, b.mul(load(b, b.add(table, I64(8 * i)), I64), I64(unit)))

        firsts = [placed(limits, limit_rows, i, 4) for i in range(shape.rows)]
        flip = load(b, flips, ir.IntType(shape.channels))
        plane = b.mul(limit_plane, I64(4))
        levels = emit_levels(b, shape, totals, firsts, plane, flip, count)
        for i, row in enumerate(levels):
            pixel = placed(out, out_rows, i, 1)
            for k, word in enumerate(row):
                emit_store(b, word, b.add(pixel, b.mul(out_plane, I64(k))))
        return context.get_dummy_value()

    return signature, generate


@njit(cache=True, nogil=True)
def _plain_counts(op, reads, first, panels, panel, counts):
    """As ``count_tile``."""
    rows, channels = counts.shape
    weights = panels.words[panel * panels.size : (panel + 1) * panels.size]
    counts[:] = 0
    for i in range(rows):
        for p in range(reads.pairs.shape[0]):
            x_plane, w_plane, shift = reads.pairs[p]
            for n in range(channels):
                counts[i, n] <<= np.int32(shift)
            for r in range(reads.runs.size):
                start = reads.rows[first + i] + x_plane + reads.runs[r]
                for k in range(reads.steps):
                    at = w_plane + (r * reads.steps + k) * (channels + panels.mask)
                    x = reads.words[start + k]
                    x_mask = reads.words[start + k + reads.mask]
                    w = weights[at : at + channels]
                    w_mask = weights[at + panels.mask : at + panels.mask + channels]
                    row = counts[i]
                    for n in range(channels):
                        row[n] += np.int32(_ones(op, x, x_mask, w[n], w_mask[n]))


def _ones(op, x, x_mask, w, w_mask):
    """The ones of a word of each side, each with its mask."""
    return _ONES[op](op, x, x_mask, w, w_mask)


def _ones_of_xor(op, x, x_mask, w, w_mask):
    return popcount(np.uint64(x ^ w))


def _ones_of_masked_xor(op, x, x_mask, w, w_mask):
    return popcount(np.uint64(w_mask & (x ^ w)))


def _ones_of_ternary(op, x, x_mask, w, w_mask):
    both = x_mask & w_mask
    return popcount(np.uint64(both & (x ^ w))) + 32 - popcount(np.uint64(both & ~(x ^ w)))


def _ones_of_and(op, x, x_mask, w, w_mask):
    return popcount(np.uint64(x & w))


_ONES = {
    "xor": _ones_of_xor,
    "masked_xor": _ones_of_masked_xor,
    "ternary": _ones_of_ternary,
    "and": _ones_of_and,
}


@overload(_ones, prefer_literal=True)
def _compiled_ones(op, x, x_mask, w, w_mask):
    return _ONES[op.literal_value]


@njit(cache=True, nogil=True)
def _plain_levels(planes, first, panel, limits, writes, counts):
    """As ``level_tile``, of counts."""
    rows, channels = counts.shape
    thresholds = 1 if planes == "1" else 3
    for i in range(rows):
        start = limits.rows[first + i] + panel * channels
        out = writes.rows[first + i] + panel * (channels // 8)
        for octet in range(channels // 8):
            flips = limits.flips[panel * (channels // 8) + octet]
            low, high = np.uint8(0), np.uint8(0)
            for bit in range(8):
                n = octet * 8 + bit
                level = 0
                for k in range(thresholds):
                    reached = counts[i, n] <= limits.limits[start + k * limits.plane + n]
                    level += reached != bool((flips >> np.uint8(bit)) & np.uint8(1))
                low |= np.uint8((level & 1) << bit)
                high |= np.uint8((level >> 1) << bit)
            writes.octets[out + octet] = low
            if thresholds == 3:
                writes.octets[out + octet + writes.plane] = high
