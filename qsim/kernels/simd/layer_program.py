"""A whole network as one compiled program: a table of steps over one arena of memory.

A step makes a tensor for one image. Most make it a tile of positions by channels at a time: sums
are formed in a scratch tile, an epilogue brings them to levels while they lie in the nearest
cache, and the levels are stored as bytes, ``level + offset``. Tensors lie channels last, with a
border of level 0 as wide as the paddings of their readers. Several threads take shares of each
step and wait for each other between steps.
"""

from typing import NamedTuple

import numpy as np
from numba import njit
from numpy import uint64 as U

from qsim.kernels.simd.barrier import wait_for_all
from qsim.kernels.simd.product import multiply_tile
from qsim.kernels.simd.thread_tiles import begin, end

# What a step does.
PRODUCT, CHANNELWISE, LOAD_SUMS, MAX_POOL, QUANTIZE, COPY_LEVELS = range(6)
# How sums become what is stored.
KEEP_SUMS, BY_FLOAT = range(2)
# What is added to them first.
NOTHING, BYTES, SUMS = range(3)

FIELDS = (
    "kind",
    "positions",  # of the output, the tables' tails not counted
    "channels",
    "panels",  # of channels, each as wide as a tile
    "rows",  # where in the tables the offsets of the windows begin
    "pitch",
    "runs",
    "n_runs",
    "steps",
    "weights",
    "panel_size",  # in weights
    "out_rows",  # where in the tables the offsets of the output positions begin
    "out_offset",  # of a byte, what is stored of level 0
    "mode",
    "low",
    "high",
    "bias",
    "multiplier",
    "addend",  # -1: none
    "other",
    "other_rows",
    "other_offset",
    "other_multiplier",
    "fills",  # where in the tables the border begins, pairs of offset and length
    "n_fills",
    # of a max pool, and of the image
    "source",  # the offset of pixel 0, 0
    "source_row",
    "height",
    "width",
    "kernel_h",
    "kernel_w",
    "stride_h",
    "stride_w",
    "top",
    "left",
    "out_width",
    "exact",  # whether the quotient of an image value is float64, not float32
)
STEP = np.dtype([(name, np.int64) for name in FIELDS])


class Constants(NamedTuple):
    """What a program reads: int64 tables of offsets, packed int8 weights, and the parameters of
    epilogues in float32, int32 and int64."""

    tables: np.ndarray
    weights: np.ndarray
    floats: np.ndarray
    ints: np.ndarray


class Memory(NamedTuple):
    """What a program writes: bytes (uint8) and sums (int32) of tensors, and a scratch tile."""

    data: np.ndarray
    words: np.ndarray
    tile: np.ndarray


@njit(cache=True, nogil=True)
def run_program(backend, steps, constants, memory, image, levels, scale, team):
    """Compute every tensor of one image.

    image    float32 (channels, height, width), or of no size where ``levels`` are given
    levels   int32 of the same shape: the image quantized already, or of no size
    scale    float64, of the image
    team     this thread among those that run the program
    """
    begin(backend)
    for number in range(len(steps)):
        step = steps[number]
        kind = step["kind"]
        if kind == QUANTIZE:
            _quantize(step, memory, image, scale, team)
        elif kind == COPY_LEVELS:
            _copy_levels(step, memory, levels, team)
        elif kind == MAX_POOL:
            _max_pool(step, memory, team)
        else:
            _tiles(backend, step, constants, memory, team)
        _fill(step, constants, memory, team)
        wait_for_all(team)
    end(backend)


@njit(cache=True, nogil=True)
def _share(count, team):
    """The first and the one past the last of ``count`` things that fall to this thread."""
    return count * team.number // team.size, count * (team.number + 1) // team.size


@njit(cache=True, nogil=True)
def _tiles(backend, step, constants, memory, team):
    """A step whose tensor is made tile by tile, all positions of a panel before the next."""
    height, width = memory.tile.shape
    positions = step["positions"]
    blocks = (positions + height - 1) // height
    first, last = _share(step["panels"] * blocks, team)
    for unit in range(first, last):
        panel, block = unit // blocks, unit % blocks
        row, channel = block * height, panel * width
        if step["kind"] == PRODUCT:
            multiply_tile(
                backend,
                memory.data,
                constants.tables,
                step["rows"] + row,
                step["pitch"],
                constants.tables,
                step["runs"],
                step["n_runs"],
                step["steps"],
                constants.weights,
                step["weights"] + panel * step["panel_size"],
                memory.tile,
            )
        elif step["kind"] == CHANNELWISE:
            _channelwise(step, constants, memory, row, panel, min(height, positions - row))
        else:
            _load_sums(step, constants, memory, row, panel, min(height, positions - row))
        _finish(step, constants, memory, row, channel, min(height, positions - row))


@njit(cache=True, nogil=True)
def _channelwise(step, constants, memory, row, panel, count):
    """Sums over a window of each channel by itself, each value times its weight."""
    data, weights, tile, tables = memory.data, constants.weights, memory.tile, constants.tables
    width = tile.shape[1]
    weight = step["weights"] + panel * step["panel_size"]
    for m in range(count):
        begin = tables[step["rows"] + row + m] + panel * width
        for n in range(U(width)):
            tile[m, n] = 0
        for tap in range(step["n_runs"]):
            x = U(begin + tables[step["runs"] + tap])
            w = U(weight + tap * width)
            for n in range(U(width)):
                tile[m, n] += np.int32(data[x + n]) * np.int32(weights[w + n])


@njit(cache=True, nogil=True)
def _load_sums(step, constants, memory, row, panel, count):
    """Sums that were made before."""
    words, tile, tables = memory.words, memory.tile, constants.tables
    width = tile.shape[1]
    lanes = min(width, step["channels"] - panel * width)
    for m in range(count):
        begin = U(tables[step["rows"] + row + m] + panel * width)
        for n in range(U(lanes)):
            tile[m, n] = words[begin + n]


@njit(cache=True, nogil=True)
def _finish(step, constants, memory, row, channel, count):
    """What is made of a tile of sums."""
    lanes = U(min(memory.tile.shape[1], step["channels"] - channel))
    tables, tile, ints = constants.tables, memory.tile, constants.ints
    bias = U(step["bias"] + channel)
    out = step["out_rows"] + row
    if step["mode"] == KEEP_SUMS:
        words = memory.words
        for m in range(count):
            if tables[out + m] >= 0:
                at = U(tables[out + m] + channel)
                for n in range(lanes):
                    words[at + n] = tile[m, n] + ints[bias + n]
        return
    floats, data = constants.floats, memory.data
    low, high = np.float32(step["low"]), np.float32(step["high"])
    offset = np.int32(step["out_offset"])
    multiplier = U(step["multiplier"] + channel)
    by = U(step["other_multiplier"] + channel)
    zero = np.int32(step["other_offset"])
    addend = U(max(step["addend"], 0) + channel)
    for m in range(count):
        if tables[out + m] < 0:
            continue
        at = U(tables[out + m] + channel)
        if step["other"] == NOTHING and step["addend"] < 0:
            for n in range(lanes):
                total = np.float32(tile[m, n] + ints[bias + n]) * floats[multiplier + n]
                clipped = min(max(total, low), high)
                data[at + n] = np.uint8(np.int32(np.rint(clipped)) + offset)
        elif step["other"] == NOTHING:
            for n in range(lanes):
                total = np.float32(tile[m, n] + ints[bias + n]) * floats[multiplier + n]
                total += floats[addend + n]
                clipped = min(max(total, low), high)
                data[at + n] = np.uint8(np.int32(np.rint(clipped)) + offset)
        elif step["other"] == BYTES:
            other = U(tables[step["other_rows"] + row + m] + channel)
            for n in range(lanes):
                total = np.float32(tile[m, n] + ints[bias + n]) * floats[multiplier + n]
                total += np.float32(np.int32(data[other + n]) - zero) * floats[by + n]
                clipped = min(max(total, low), high)
                data[at + n] = np.uint8(np.int32(np.rint(clipped)) + offset)
        elif step["other"] == SUMS:
            other = U(tables[step["other_rows"] + row + m] + channel)
            words = memory.words
            for n in range(lanes):
                total = np.float32(tile[m, n] + ints[bias + n]) * floats[multiplier + n]
                total += np.float32(words[other + n]) * floats[by + n]
                clipped = min(max(total, low), high)
                data[at + n] = np.uint8(np.int32(np.rint(clipped)) + offset)


@njit(cache=True, nogil=True)
def _quantize(step, memory, image, scale, team):
    """The bytes of an image: value over scale, to the nearest, a half to the even one."""
    channels, height, width = image.shape
    data = memory.data
    low, high, offset = step["low"], step["high"], np.int32(step["out_offset"])
    narrow = np.float32(scale)
    first, last = _share(height, team)
    for y in range(first, last):
        for c in range(channels):
            at = step["source"] + y * step["source_row"] + c
            if step["exact"]:
                for x in range(width):
                    quotient = np.float64(image[c, y, x]) / scale
                    clipped = min(max(quotient, np.float64(low)), np.float64(high))
                    data[at + x * channels] = np.uint8(np.int32(np.rint(clipped)) + offset)
            else:
                for x in range(width):
                    rounded = image[c, y, x] / narrow
                    clipped = np.float64(min(max(rounded, np.float32(low)), np.float32(high)))
                    data[at + x * channels] = np.uint8(np.int32(np.rint(clipped)) + offset)


@njit(cache=True, nogil=True)
def _copy_levels(step, memory, levels, team):
    """The bytes of an image that was quantized already."""
    channels, height, width = levels.shape
    offset = np.int32(step["out_offset"])
    first, last = _share(height, team)
    for y in range(first, last):
        for c in range(channels):
            at = step["source"] + y * step["source_row"] + c
            for x in range(width):
                memory.data[at + x * channels] = np.uint8(levels[c, y, x] + offset)


@njit(cache=True, nogil=True)
def _max_pool(step, memory, team):
    """The largest byte under each window; what lies outside of the image takes no part."""
    data = memory.data
    channels = U(step["channels"])
    out_width = step["out_width"]
    first, last = _share(step["positions"] // out_width, team)
    for y in range(first, last):
        top = y * step["stride_h"] - step["top"]
        bottom = min(top + step["kernel_h"], step["height"])
        top = max(top, 0)
        for x in range(out_width):
            left = x * step["stride_w"] - step["left"]
            right = min(left + step["kernel_w"], step["width"])
            left = max(left, 0)
            at = U(step["out_rows"] + y * step["pitch"] + x * step["channels"])
            for c in range(channels):
                data[at + c] = 0
            for i in range(top, bottom):
                for j in range(left, right):
                    source = U(step["source"] + i * step["source_row"] + j * step["channels"])
                    for c in range(channels):
                        data[at + c] = max(data[at + c], data[source + c])


@njit(cache=True, nogil=True)
def _fill(step, constants, memory, team):
    """Level 0 all around the tensor."""
    tables, data = constants.tables, memory.data
    value = np.uint8(step["out_offset"])
    first, last = _share(step["n_fills"], team)
    for number in range(first, last):
        at = step["fills"] + 2 * number
        begin = U(tables[at])
        for place in range(U(tables[at + 1])):
            data[begin + place] = value
