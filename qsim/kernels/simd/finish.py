"""From a tile of sums to what is stored of it, by the epilogue that a step names."""

import numpy as np
from numba import njit

from qsim.kernels.simd import step_table as codes
from qsim.kernels.simd.additions import add_float, add_tflite
from qsim.kernels.simd.counted_thresholds import count_thresholds
from qsim.kernels.simd.epilogues import (
    add_bias,
    round_double,
    round_float,
    round_float_sum,
    round_once,
    round_shift_sum,
    wrap_to,
)
from qsim.kernels.simd.float_stores import store_float, store_float_added, store_float_sum
from qsim.kernels.simd.tile_bytes import load_levels, store_bytes, store_sums
from qsim.kernels.simd.twice_rounded import round_twice, store_twice_rounded

# Epilogues that bring sums to bytes at once; the others do so step by step.
IN_STEPS, FLOAT, FLOAT_SUM, FLOAT_ADDED, TWICE = range(5)


@njit(inline="always")
def epilogue_of(step):
    """Which of these a step has."""
    found = IN_STEPS
    if step["wrap"] == 0 and not step["is_wide"]:
        mode, added = step["mode"], step["addition"]
        if mode == codes.FLOAT and added == codes.NO_ADDITION:
            found = FLOAT
        elif mode == codes.FLOAT and added == codes.ADD_FLOAT:
            found = FLOAT_ADDED
        elif mode == codes.FLOAT_SUM and step["other"] == codes.LEVELS:
            found = FLOAT_SUM
        elif mode == codes.ROUND_TWICE_AWAY and added == codes.NO_ADDITION:
            found = TWICE
    return found


@njit(inline="always")
def addition_of(step, constants):
    """The ratios and zero points of a step's addition; of one without, those of none."""
    ratios = (np.float32(0), np.float32(0), np.float32(0))
    zeros = (0, 0, 0, 0)
    if step["addition"] == codes.ADD_FLOAT:
        at = step["added"]
        r, z = constants.ratios, constants.zeros
        ratios = (r[at, 0], r[at, 1], r[at, 2])
        zeros = (z[at, 0], z[at, 1], z[at, 2], z[at, 3])
    return ratios, zeros


@njit(inline="always")
def finish_at_once(epilogue, addition, step, constants, memory, row, channel, count):
    """As ``finish``, by an epilogue that is not ``IN_STEPS``."""
    tables, columns = constants.tables, constants.columns
    tile, data, channels = memory.tile, memory.data, step["channels"]
    at, out = step["parameters"] + channel, step["out_rows"] + row
    low, high, zero = step["low"], step["high"], step["out_offset"]
    others, other_zero = step["other_rows"] + row, step["other_offset"]
    if epilogue == FLOAT:
        store_float(
            tile, count, columns.bias, columns.factor, columns.offset, at, channel, low, high,
            zero, data, tables, out, channels,
        )  # fmt: skip
    elif epilogue == FLOAT_ADDED:
        ratios, zeros = addition
        store_float_added(
            tile, count, columns.bias, columns.factor, at, channel, low, high, zeros[3] != 0,
            ratios, (zeros[0], zeros[1], zeros[2]), step["added_low"], step["added_high"],
            other_zero, tables, others, zero, data, tables, out, channels,
        )  # fmt: skip
    elif epilogue == FLOAT_SUM:
        store_float_sum(
            tile, count, columns.bias, columns.factor, columns.offset, at, channel, low, high,
            columns.other_factor, other_zero, tables, others, zero, data, tables, out, channels,
        )  # fmt: skip
    else:
        store_twice_rounded(
            tile, count, columns.bias, columns.multiplier, columns.shift, True, at, channel, low,
            high, zero, data, tables, out, channels,
        )  # fmt: skip


@njit(inline="always")
def finish(step, constants, memory, row, channel, count):
    """Store what becomes of the first ``count`` rows of the tile of sums, whose first is position
    ``row`` of the output and whose lanes are the channels from ``channel`` on."""
    columns, at = constants.columns, step["parameters"] + channel
    mode = step["mode"]
    if step["other"] != codes.NOTHING or mode == codes.SHIFT_SUM or step["is_wide"]:
        _load_others(step, constants, memory, row, channel, count)
    out = step["out_rows"] + row
    if step["is_wide"]:
        add_bias(memory.wide, count, columns.wide_bias, at)
        _round_wide(step, constants, memory, at, count)
    elif mode in (codes.ROUND_TWICE, codes.ROUND_TWICE_AWAY):
        round_twice(
            memory.tile, count, columns.bias, columns.multiplier, columns.shift,
            mode == codes.ROUND_TWICE_AWAY, at, step["low"], step["high"], memory.levels,
        )  # fmt: skip
    else:
        add_bias(memory.tile, count, columns.bias, at)
        if step["wrap"]:
            wrap_to(memory.tile, count, step["wrap"])
        if mode == codes.KEEP_SUMS:
            store_sums(
                memory.tile, count, memory.words, constants.tables, out, channel, step["channels"]
            )
            return
        _round(step, constants, memory, at, count)
    _add(step, constants, memory, count)
    store_bytes(
        memory.levels, count, step["out_offset"], memory.data, constants.tables, out, channel,
        step["channels"],
    )  # fmt: skip


@njit(inline="always")
def _load_others(step, constants, memory, row, channel, count):
    """The levels, or sums, of the other tensor at the places of the tile; 0 where there is none."""
    tables, others = constants.tables, memory.others
    first = step["other_rows"] + row
    if step["other"] == codes.NOTHING:
        for m in range(count):
            for n in range(others.shape[1]):
                others[m, n] = 0
    elif step["other"] == codes.SUMS:
        lanes = min(others.shape[1], step["channels"] - channel)
        for m in range(count):
            begin = np.uint64(tables[first + m] + channel)
            for n in range(np.uint64(lanes)):
                others[m, n] = memory.words[begin + n]
    else:
        load_levels(
            others, count, step["other_offset"], memory.data, tables, first, channel,
            step["channels"],
        )  # fmt: skip


@njit(inline="always")
def _round(step, constants, memory, at, count):
    """The levels of a tile of sums of 32 bits."""
    columns, levels, sums = constants.columns, memory.levels, memory.tile
    mode, low, high = step["mode"], step["low"], step["high"]
    if mode == codes.AS_LEVELS:
        for m in range(count):
            for n in range(sums.shape[1]):
                levels[m, n] = sums[m, n]
    elif mode == codes.FLOAT:
        round_float(sums, count, columns.factor, columns.offset, at, low, high, levels)
    elif mode == codes.FLOAT_SUM:
        round_float_sum(
            sums, memory.others, count, columns.factor, columns.other_factor, columns.offset, at,
            low, high, levels,
        )  # fmt: skip
    elif mode == codes.DOUBLE:
        round_double(sums, count, columns.double, at, low, high, levels)
    elif mode == codes.ROUND_ONCE:
        round_once(sums, count, columns.multiplier, columns.shift, at, low, high, levels)
    elif mode == codes.SHIFT_SUM:
        round_shift_sum(
            sums, memory.others, count, columns.up, columns.other_up, columns.shift, at, low, high,
            levels,
        )  # fmt: skip
    elif mode == codes.THRESHOLDS:
        count_thresholds(
            sums, count, constants.exceeded, step["n_thresholds"], constants.threshold_steps,
            step["threshold_steps"], columns.start, at, levels,
        )  # fmt: skip


@njit(inline="always")
def _round_wide(step, constants, memory, at, count):
    """The levels of a tile of sums of 64 bits."""
    columns, sums = constants.columns, memory.wide
    if step["mode"] == codes.SHIFT_SUM:
        round_shift_sum(
            sums, memory.others, count, columns.up, columns.other_up, columns.shift, at,
            step["low"], step["high"], memory.levels,
        )  # fmt: skip
    else:
        round_float_sum(
            sums, memory.others, count, columns.factor, columns.other_factor, columns.offset, at,
            step["low"], step["high"], memory.levels,
        )  # fmt: skip


@njit(inline="always")
def _add(step, constants, memory, count):
    """The levels of the other tensor added to those of the tile."""
    number, low, high = step["added"], step["added_low"], step["added_high"]
    levels, others = memory.levels.reshape(-1), memory.others.reshape(-1)
    many = count * memory.levels.shape[1]
    if step["addition"] == codes.ADD_FLOAT:
        ratios, zeros = constants.ratios, constants.zeros
        add_float(
            levels, others, many, zeros[number, 3] != 0,
            (ratios[number, 0], ratios[number, 1], ratios[number, 2]),
            (zeros[number, 0], zeros[number, 1], zeros[number, 2]), low, high,
        )  # fmt: skip
    elif step["addition"] == codes.ADD_TFLITE:
        fixed = constants.fixed
        add_tflite(
            levels, others, many, fixed[number, 0] != 0, (fixed[number, 1], fixed[number, 2]),
            (fixed[number, 3], fixed[number, 4]), fixed[number, 5] != 0, fixed[number, 6] != 0,
            low, high,
        )  # fmt: skip
