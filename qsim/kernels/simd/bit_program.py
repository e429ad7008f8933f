"""The steps of a compiled program that read planes of bits, or make them.

They take shares of positions and panels as the steps on bytes do. A plane is rows and columns of
pixels, each of whole words; around it lies a border of zeros as wide as its readers need.
"""

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
    level_tile,
    tile_for,
)
from qsim.kernels.simd.intrinsics import arrays_are_separate
from qsim.kernels.simd.whole_tensors import share


def step_of_bits(backend, step, constants, memory, team):
    """Make this thread's share of a step of one of the kinds ``COUNT_BITS`` .. ``POOL_BITS``.

    backend  the ``Tag`` of a back end; the others as of ``run_program``
    """
    with np.errstate(over="ignore"):  # the product in popcount wraps around
        _make(backend.name, "plain", "plain", step, constants, memory, team)


@overload(step_of_bits, jit_options={"nogil": True})
def _step_of_bits(backend, step, constants, memory, team):
    name = backend.backend
    tile, row_tile = tile_for(name, positions=2), tile_for(name, positions=1)
    return lambda backend, step, constants, memory, team: _make(
        name, tile, row_tile, step, constants, memory, team
    )


@njit(cache=True, nogil=True)
def _make(name, tile, row_tile, step, constants, memory, team):
    """As ``step_of_bits``; the names of the back end and of its tiles are literal strings."""
    kind = step["kind"]
    if kind == codes.COUNT_BITS:
        if step["positions"] == 1:
            _count(row_tile, step, constants, memory, memory.counts[:1], team)
        else:
            _count(tile, step, constants, memory, memory.counts, team)
    elif kind == codes.PACK_BITS:
        _pack(name, step, constants, memory, team)
    elif kind == codes.UNPACK_BITS:
        _unpack(step, constants.tables, memory.planes, memory.data, team)
    else:
        _pool(step, constants.tables, memory.planes, team)
    _fill_words(step, constants.tables, memory.planes, team)


@njit(cache=True, nogil=True)
def _count(tile, step, constants, memory, counts, team):
    """Levels in planes, or sums, by counting bits."""
    tables, runs, pairs = constants.tables, step["runs"], step["pairs"]
    rows = -(-step["positions"] // len(counts)) * len(counts)
    reads = BitReads(
        memory.planes,
        tables[step["rows"] : step["rows"] + rows],
        tables[runs : runs + step["n_runs"]],
        tables[pairs : pairs + 3 * step["n_pairs"]].reshape(-1, 3),
        step["steps"],
        0,
    )
    size, weights = step["panel_size"], step["weights"]
    words = constants.panels[weights : weights + step["panels"] * size]
    panels = BitPanels(words, size, step["weight_mask"])
    if step["op"] == codes.XOR:
        _count_op(tile, "xor", step, constants, memory, reads, panels, counts, team)
    else:
        _count_op(tile, "masked_xor", step, constants, memory, reads, panels, counts, team)


@njit(cache=True, nogil=True)
def _count_op(tile, op, step, constants, memory, reads, panels, counts, team):
    """As ``_count``, of one kind of bits."""
    tables, many = constants.tables, reads.rows.size
    rows, begin = tables[step["limit_rows"] : step["limit_rows"] + many], step["limits"]
    numbers = constants.numbers[begin : begin + step["n_limits"]]
    out_rows = tables[step["out_rows"] : step["out_rows"] + many]
    if step["planes"] == 0:
        to = memory.words, out_rows, step["positions"], step["channels"]
        _share_of_sums(tile, op, reads, panels, numbers, rows, step["factor"], to, counts, team)
        return
    flips = constants.octets[step["octets"] : step["octets"] + step["n_octets"]]
    limits = BitLimits(numbers, rows, step["limit_plane"], flips)
    writes = BitWrites(memory.planes.view(np.uint8), out_rows, step["out_plane"])
    if step["planes"] == 1:
        _share_of_levels(tile, op, "1", reads, panels, limits, writes, counts, team)
    else:
        _share_of_levels(tile, op, "2", reads, panels, limits, writes, counts, team)


@njit(cache=True, nogil=True)
def _share_of_levels(tile, op, planes, reads, panels, limits, writes, counts, team):
    """A thread's share of tiles as levels; also zeros up to whole pixels."""
    rows, channels = counts.shape
    blocks, many = reads.rows.size // rows, panels.words.size // panels.size
    first, last = share(many * blocks, team)
    for unit in range(first, last):
        panel, row = unit // blocks, unit % blocks * rows
        level_tile(tile, op, planes, reads, row, panels, panel, limits, writes, counts)
    octets, out_rows = writes.octets, writes.rows
    first, last = share(out_rows.size, team)
    for octet in range(many * (channels // 8), limits.flips.size):
        for m in range(first, last):
            octets[out_rows[m] + octet] = 0
            if planes == "2":
                octets[out_rows[m] + writes.plane + octet] = 0


@njit(cache=True, nogil=True)
def _share_of_sums(tile, op, reads, panels, bases, base_rows, factor, to, counts, team):
    """A thread's share of tiles as sums, ``bases + factor * counts``, modulo 2**32."""
    words, out_rows, positions, channels = to
    rows, width = counts.shape
    blocks, many = reads.rows.size // rows, panels.words.size // panels.size
    first, last = share(many * blocks, team)
    for unit in range(first, last):
        panel, row = unit // blocks, unit % blocks * rows
        count_tile(tile, op, reads, row, panels, panel, counts)
        lanes = min(width, channels - panel * width)
        for i in range(min(rows, positions - row)):
            base = base_rows[row + i] + panel * width
            _store_sums(
                words, out_rows[row + i] + panel * width, bases, base, factor, counts, i, lanes
            )


@njit(cache=True, nogil=True)
def _store_sums(words, out, bases, base, factor, counts, row, lanes):
    """The sums of one position."""
    arrays_are_separate()
    times = np.int32(factor)
    for n in range(U(lanes)):
        count = np.int64(counts[row, n]) * np.int64(times)
        words[U(out) + n] = np.int32(np.int64(bases[U(base) + n]) + count)


@njit(cache=True, nogil=True)
def _pack(name, step, constants, memory, team):
    """Planes of the bytes of a tensor."""
    tables = constants.tables
    first, last = share(step["positions"], team)
    in_rows = tables[step["rows"] + first : step["rows"] + last]
    out_rows = tables[step["out_rows"] + first : step["out_rows"] + last]
    tests = constants.octets[step["octets"] : step["octets"] + step["n_octets"]].reshape(-1, 2)
    pack_bytes(
        name, memory.data, in_rows, step["channels"], tests, memory.planes, out_rows,
        step["out_plane"],
    )  # fmt: skip


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
