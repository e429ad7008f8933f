"""A whole network as one compiled program: a table of steps over one arena of memory.

A step makes a tensor for one image. Most make it a tile of positions by channels at a time: sums
are formed in a scratch tile, an epilogue brings them to levels while they lie in the nearest
cache, and the levels are stored as bytes, ``level + offset``. Tensors lie channels last, with a
border of level 0 as wide as the paddings of their readers. Several threads take shares of each
step and wait for each other between steps.
"""

import numpy as np
from numba import njit
from numpy import uint64 as U

from qsim.kernels.simd import step_table as codes
from qsim.kernels.simd.barrier import wait_for_all
from qsim.kernels.simd.bit_program import step_of_bits
from qsim.kernels.simd.borrowed import borrowed
from qsim.kernels.simd.finish import IN_STEPS, addition_of, epilogue_of, finish, finish_at_once
from qsim.kernels.simd.product import multiply_tile
from qsim.kernels.simd.thread_tiles import begin, end
from qsim.kernels.simd.tile_bytes import load_sums
from qsim.kernels.simd.whole_tensors import (
    copy_levels,
    fill_border,
    look_up,
    max_pool,
    quantize_image,
    share,
)


@njit(cache=True, nogil=True)
def run_program(backend, steps, constants, memory, image, levels, scale, team):
    """Compute every tensor of one image.

    backend  the ``Tag`` of a back end
    steps    of ``STEP``
    image    float32 (channels, height, width), or of no size where ``levels`` are given
    levels   int32 of the same shape: the image quantized already, or of no size
    scale    float64, of the image
    team     this thread among those that run the program
    """
    constants, memory, team = borrowed(constants), borrowed(memory), borrowed(team)
    begin(backend)
    for number in range(len(steps)):
        step = steps[number]
        kind = step["kind"]
        if kind == codes.QUANTIZE:
            quantize_image(step, memory, image, scale, team)
        elif kind == codes.COPY_LEVELS:
            copy_levels(step, memory, levels, team)
        elif kind == codes.MAX_POOL:
            max_pool(step, memory, team)
        elif kind == codes.LOOK_UP:
            look_up(step, constants, memory, team)
        elif kind >= codes.COUNT_BITS:
            step_of_bits(backend, step, constants, memory, team)
        else:
            _make_tiles(backend, step, constants, memory, team)
        fill_border(step, constants, memory, team)
        wait_for_all(team)
    end(backend)


@njit(inline="always")
def _make_tiles(backend, step, constants, memory, team):
    """A step whose tensor is made tile by tile, all positions of a panel before the next."""
    height, width = memory.tile.shape
    positions, kind = step["positions"], step["kind"]
    epilogue, addition = epilogue_of(step), addition_of(step, constants)
    blocks = (positions + height - 1) // height
    first, last = share(step["panels"] * blocks, team)
    for unit in range(first, last):
        panel, row = unit // blocks, unit % blocks * height
        count = min(height, positions - row)
        if kind == codes.PRODUCT:
            _multiply(backend, step, constants, memory, row, panel, count)
        elif kind == codes.CHANNELWISE:
            _channelwise(step, constants, memory, row, panel, count)
        else:
            load_sums(
                memory.tile, count, memory.words, constants.tables, step["rows"] + row,
                panel * width, step["channels"],
            )  # fmt: skip
        if epilogue == IN_STEPS:
            finish(step, constants, memory, row, panel * width, count)
        else:
            finish_at_once(epilogue, addition, step, constants, memory, row, panel * width, count)


@njit(inline="always")
def _multiply(backend, step, constants, memory, row, panel, count):
    """Sums of products; of weights in two passes, 256 times those of the second more."""
    tables, tile, others, wide = constants.tables, memory.tile, memory.others, memory.wide
    weight = step["weights"] + panel * step["panel_size"]
    multiply_tile(
        backend, memory.data, tables, step["rows"] + row, step["pitch"], tables, step["runs"],
        step["n_runs"], step["steps"], constants.weights, weight, count, tile,
    )  # fmt: skip
    if step["passes"] == 1:
        return
    weight = step["second_weights"]
    weight += panel * (step["panel_size"] // step["n_runs"] * step["second_n_runs"])
    multiply_tile(
        backend, memory.data, tables, step["rows"] + row, step["pitch"], tables,
        step["second_runs"], step["second_n_runs"], step["steps"], constants.weights, weight,
        count, others,
    )  # fmt: skip
    for m in range(count):
        for n in range(tile.shape[1]):
            if step["is_wide"]:
                wide[m, n] = np.int64(tile[m, n]) + (np.int64(others[m, n]) << 8)
            else:  # what is lost beyond 32 bits is lost of the total too
                tile[m, n] = np.int32(np.int64(tile[m, n]) + (np.int64(others[m, n]) << 8))


@njit(cache=True, nogil=True)
def _channelwise(step, constants, memory, row, panel, count):
    """Sums over a window of each channel by itself, each value times its weight."""
    data, weights, tile, tables = memory.data, constants.weights, memory.tile, constants.tables
    width = tile.shape[1]
    weight = step["weights"] + panel * step["panel_size"]
    for m in range(count):
        first = tables[step["rows"] + row + m] + panel * width
        for n in range(U(width)):
            tile[m, n] = 0
        for tap in range(step["n_runs"]):
            x = U(first + tables[step["runs"] + tap])
            w = U(weight + tap * width)
            for n in range(U(width)):
                tile[m, n] += np.int32(data[x + n]) * np.int32(weights[w + n])
