"""The steps of a compiled program that read planes of bits, or make them.

They take shares of positions and panels as the steps on bytes do. A plane is rows and columns of
pixels, each of whole words; around it lies a border of zeros as wide as its readers need.
"""

from typing import NamedTuple

import numpy as np
from numba import njit
from numba.extending import overload
from numpy import uint64 as U

from qsim.kernels.simd import step_table as codes
from qsim.kernels.simd.bit_packing import WORD_BITS, pack_bytes
from qsim.kernels.simd.bit_tiles import (
    BitLimits,
    BitPanels,
    BitReads,
    BitWrites,
    count_tile,
    levels_of_counts,
    tile_for,
)
from qsim.kernels.simd.intrinsics import arrays_are_separate
from qsim.kernels.simd.whole_tensors import share


def step_of_bits(backend, step, constants, memory, team):
    """Make this thread's share of a step of one of the kinds ``COUNT_BITS`` .. ``POOL_BITS``.

    backend  the ``Tag`` of a back end; the others as of ``run_program``
    """
    with np.errstate(over="ignore"):  # the product in popcount wraps around
        if step["kind"] == codes.COUNT_BITS:
            _count(
                "plain", "plain", step, constants.tables, constants.panels, constants.numbers,
                constants.octets, memory.planes, memory.words, memory.counts, team,
            )  # fmt: skip
        else:
            _convert(
                "plain", step, constants.tables, constants.octets, memory.planes, memory.data, team
            )
        _fill_words(step, constants.tables, memory.planes, team)


@overload(step_of_bits, jit_options={"nogil": True})
def _step_of_bits(backend, step, constants, memory, team):
    name = backend.backend
    tile, row_tile = tile_for(name, positions=2), tile_for(name, positions=1)

    def of_backend(backend, step, constants, memory, team):
        if step["kind"] == codes.COUNT_BITS:
            _count(
                tile, row_tile, step, constants.tables, constants.panels, constants.numbers,
                constants.octets, memory.planes, memory.words, memory.counts, team,
            )  # fmt: skip
        else:
            _convert(
                name, step, constants.tables, constants.octets, memory.planes, memory.data, team
            )
        _fill_words(step, constants.tables, memory.planes, team)

    return of_backend


class Stores(NamedTuple):
    """What becomes of counts: levels in planes, or sums.

    planes     of levels; 0: sums are made
    positions, channels   of the output
    factor     of counts in sums
    limits     of levels; of sums what is added to counts, and where by position
    writes     where levels are written, or sums
    sums       int32
    """

    planes: int
    positions: int
    channels: int
    factor: int
    limits: BitLimits
    writes: BitWrites
    sums: np.ndarray


@njit(cache=True, nogil=True)
def _count(
    tile, row_tile, step, tables, weights, numbers, octets, planes, words, counts, team
):  # fmt: skip
    """Levels in planes, or sums, by counting bits."""
    positions, is_row = step["positions"], step["positions"] == 1
    height = 1 if is_row else len(counts)
    many, is_xor = -(-positions // height) * height, step["op"] == codes.XOR
    reads = BitReads(
        planes,
        tables[step["rows"] : step["rows"] + many],
        tables[step["runs"] : step["runs"] + step["n_runs"]],
        tables[step["pairs"] : step["pairs"] + 3 * step["n_pairs"]].reshape(-1, 3),
        step["steps"],
        0,
    )
    size, begin = step["panel_size"], step["weights"]
    panels = BitPanels(weights[begin : begin + step["panels"] * size], size, step["weight_mask"])
    limits = BitLimits(
        numbers[step["limits"] : step["limits"] + step["n_limits"]],
        tables[step["limit_rows"] : step["limit_rows"] + many],
        step["limit_plane"],
        octets[step["octets"] : step["octets"] + step["n_octets"]],
    )
    out_rows = tables[step["out_rows"] : step["out_rows"] + many]
    writes = BitWrites(planes.view(np.uint8), out_rows, step["out_plane"])
    stores = Stores(
        step["planes"], positions, step["channels"], step["factor"], limits, writes, words
    )
    if is_row and is_xor:
        _share_of_tiles(row_tile, "xor", reads, panels, stores, counts[:1], team)
    elif is_row:
        _share_of_tiles(row_tile, "masked_xor", reads, panels, stores, counts[:1], team)
    elif is_xor:
        _share_of_tiles(tile, "xor", reads, panels, stores, counts, team)
    else:
        _share_of_tiles(tile, "masked_xor", reads, panels, stores, counts, team)
    _fill_pixels(panels, stores, counts.shape[1], team)


@njit(cache=True, nogil=True)
def _share_of_tiles(tile, op, reads, panels, stores, counts, team):
    """A thread's share of tiles, all positions of a panel before the next."""
    rows = len(counts)
    blocks, many = reads.rows.size // rows, panels.words.size // panels.size
    first, last = share(many * blocks, team)
    for unit in range(first, last):
        panel, row = unit // blocks, unit % blocks * rows
        count_tile(tile, op, reads, row, panels, panel, counts)
        if stores.planes == 0:
            _store_sums(stores, row, panel, counts)
        elif stores.planes == 1:
            levels_of_counts(tile, "1", row, panel, stores.limits, stores.writes, counts)
        else:
            levels_of_counts(tile, "2", row, panel, stores.limits, stores.writes, counts)


@njit(cache=True, nogil=True)
def _fill_pixels(panels, stores, width, team):
    """Zeros from the last panel on up to whole pixels of planes."""
    written = panels.words.size // panels.size * (width // 8)
    octets, rows = stores.writes.octets, stores.writes.rows
    first, last = share(rows.size, team)
    for octet in range(written, stores.limits.flips.size):
        for m in range(first, last):
            for p in range(stores.planes):
                octets[rows[m] + octet + p * stores.writes.plane] = 0


@njit(cache=True, nogil=True)
def _store_sums(stores, row, panel, counts):
    """The sums of the counts of a tile, modulo 2**32."""
    bases, base_rows, out_rows = stores.limits.limits, stores.limits.rows, stores.writes.rows
    rows, width = counts.shape
    channel = panel * width
    lanes = min(width, stores.channels - channel)
    for i in range(min(rows, stores.positions - row)):
        base, out = base_rows[row + i] + channel, out_rows[row + i] + channel
        _add_counts(bases, base, stores.factor, counts, i, stores.sums, out, lanes)


@njit(cache=True, nogil=True)
def _add_counts(bases, base, factor, counts, row, sums, out, lanes):
    """``bases + factor * counts`` of one position."""
    arrays_are_separate()
    for n in range(U(lanes)):
        count = np.int64(counts[row, n]) * np.int64(factor)
        sums[U(out) + n] = np.int32(np.int64(bases[U(base) + n]) + count)


@njit(cache=True, nogil=True)
def _convert(name, step, tables, octets, planes, data, team):
    """Planes of bytes, bytes of planes, or a pool of planes."""
    if step["kind"] == codes.PACK_BITS:
        _pack(name, step, tables, octets, planes, data, team)
    elif step["kind"] == codes.UNPACK_BITS:
        _unpack(step, tables, planes, data, team)
    else:
        _pool(step, tables, planes, team)


@njit(cache=True, nogil=True)
def _pack(name, step, tables, octets, planes, data, team):
    """Planes of the bytes of a tensor."""
    first, last = share(step["positions"], team)
    in_rows = tables[step["rows"] + first : step["rows"] + last]
    out_rows = tables[step["out_rows"] + first : step["out_rows"] + last]
    tests = octets[step["octets"] : step["octets"] + step["n_octets"]].reshape(-1, 2)
    channels, plane = step["channels"], step["out_plane"]
    pack_bytes(name, data, in_rows, channels, tests, planes, out_rows, plane)


@njit(cache=True, nogil=True)
def _unpack(step, tables, words, data, team):
    """Bytes of the planes of a tensor: ``factor`` times the code."""
    channels, plane, planes = step["channels"], step["source_plane"], step["planes"]
    first, last = share(step["positions"], team)
    for m in range(first, last):
        source, out = tables[step["rows"] + m], tables[step["out_rows"] + m]
        for channel in range(0, channels, WORD_BITS):
            lanes = min(WORD_BITS, channels - channel)
            place, at = source + channel // WORD_BITS, out + channel
            for p in range(planes):
                weight = np.uint8(step["factor"] << p)
                _unpack_word(words[place + p * plane], weight, p > 0, data, at, lanes)


@njit(cache=True, nogil=True)
def _unpack_word(word, weight, adds, data, at, lanes):
    """The bits of a word, times a weight, as bytes, or added to them."""
    for n in range(U(lanes)):
        bit = np.uint8((word >> np.uint32(n)) & np.uint32(1)) * weight
        data[U(at) + n] = np.uint8(bit + data[U(at) + n]) if adds else np.uint8(bit)


@njit(cache=True, nogil=True)
def _pool(step, tables, words, team):
    """The larger of signs: whether one of those under each window is set."""
    pixel, source_row = step["channels"], step["source_row"]
    first, last = share(step["positions"], team)
    for position in range(first, last):
        y, x = position // step["out_width"], position % step["out_width"]
        top = y * step["stride_h"] - step["top"]
        left = x * step["stride_w"] - step["left"]
        bottom = min(top + step["kernel_h"], step["height"])
        right = min(left + step["kernel_w"], step["width"])
        out = tables[step["out_rows"] + position]
        for k in range(pixel):
            ones = np.uint32(0)
            for row in range(max(top, 0), bottom):
                for column in range(max(left, 0), right):
                    ones |= words[step["source"] + row * source_row + column * pixel + k]
            words[out + k] = ones


@njit(cache=True, nogil=True)
def _fill_words(step, tables, words, team):
    """Zeros all around every plane."""
    first, last = share(step["n_word_fills"], team)
    for number in range(first, last):
        at = step["word_fills"] + 2 * number
        begin = U(tables[at])
        for place in range(U(tables[at + 1])):
            words[begin + place] = 0
