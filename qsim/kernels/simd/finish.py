"""From a tile of sums to what is stored of it, by the epilogue that a step names."""

import numpy as np
from numba import njit

from qsim.kernels.simd import epilogues
from qsim.kernels.simd import step_table as codes
from qsim.kernels.simd.additions import add_float, add_tflite
from qsim.kernels.simd.counted_thresholds import count_thresholds
from qsim.kernels.simd.tile_bytes import load_levels, store_bytes, store_float, store_sums

add_bias, round_float_sum, round_double = (
    epilogues.add_bias, epilogues.round_float_sum, epilogues.round_double,
)  # fmt: skip
round_once, round_twice = epilogues.round_once, epilogues.round_twice
round_shift, round_shift_sum = epilogues.round_shift, epilogues.round_shift_sum


@njit(cache=True, nogil=True)
def finish(step, constants, memory, row, channel, count):
    """Store what becomes of the first ``count`` rows of the tile of sums, whose first is position
    ``row`` of the output and whose lanes are the channels from ``channel`` on."""
    tables, columns = constants.tables, constants.columns
    at = step["parameters"] + channel
    out = step["out_rows"] + row
    mode = step["mode"]
    if mode == codes.FLOAT and step["addition"] == codes.NO_ADDITION and step["passes"] == 1:
        store_float(
            memory.tile, count, columns.bias, columns.factor, columns.offset, at, step["low"],
            step["high"], step["out_offset"], memory.data, tables, out, channel, step["channels"],
        )  # fmt: skip
        return
    if mode in (codes.FLOAT_SUM, codes.SHIFT_SUM) or step["addition"] != codes.NO_ADDITION:
        _load_others(step, constants, memory, row, channel, count)
    if step["passes"] == 1:
        add_bias(memory.tile, count, columns.bias, at)
        if mode == codes.KEEP_SUMS:
            store_sums(memory.tile, count, memory.words, tables, out, channel, step["channels"])
            return
        _round(step, constants, memory.tile, memory, at, count)
    else:
        add_bias(memory.wide, count, columns.wide_bias, at)
        _round(step, constants, memory.wide, memory, at, count)
    _add(step, constants, memory, count)
    store_bytes(
        memory.levels, count, step["out_offset"], memory.data, tables, out, channel,
        step["channels"],
    )  # fmt: skip


@njit(cache=True, nogil=True)
def _load_others(step, constants, memory, row, channel, count):
    """The levels, or sums, of the other tensor at the places of the tile."""
    tables, others = constants.tables, memory.others
    first = step["other_rows"] + row
    if step["other_is_sums"]:
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


@njit(cache=True, nogil=True)
def _round(step, constants, sums, memory, at, count):
    """The levels of a tile of sums."""
    columns, levels, others = constants.columns, memory.levels, memory.others
    mode, low, high = step["mode"], step["low"], step["high"]
    if mode == codes.AS_LEVELS:
        for m in range(count):
            for n in range(sums.shape[1]):
                levels[m, n] = np.int32(sums[m, n])
    elif mode == codes.FLOAT:
        epilogues.round_float(sums, count, columns.factor, columns.offset, at, low, high, levels)
    elif mode == codes.FLOAT_SUM:
        round_float_sum(
            sums, others, count, columns.factor, columns.other_factor, columns.offset, at, low,
            high, levels,
        )  # fmt: skip
    elif mode == codes.DOUBLE:
        round_double(sums, count, columns.double, at, low, high, levels)
    elif mode == codes.ROUND_ONCE:
        round_once(sums, count, columns.multiplier, columns.shift, at, low, high, levels)
    elif mode == codes.ROUND_TWICE:
        round_twice(sums, count, columns.multiplier, columns.shift, False, at, low, high, levels)
    elif mode == codes.ROUND_TWICE_AWAY:
        round_twice(sums, count, columns.multiplier, columns.shift, True, at, low, high, levels)
    elif mode == codes.SHIFT:
        round_shift(sums, count, columns.shift, at, low, high, levels)
    elif mode == codes.SHIFT_SUM:
        round_shift_sum(
            sums, others, count, columns.up, columns.other_up, columns.shift, at, low, high, levels
        )
    else:
        count_thresholds(
            sums, count, constants.exceeded, step["n_thresholds"], constants.threshold_steps,
            step["threshold_steps"], columns.start, at, levels,
        )  # fmt: skip


@njit(cache=True, nogil=True)
def _add(step, constants, memory, count):
    """The levels of the other tensor added to those of the tile."""
    levels, others = memory.levels, memory.others
    number, low, high = step["added"], step["added_low"], step["added_high"]
    if step["addition"] == codes.ADD_FLOAT:
        ratios, zeros = constants.ratios, constants.zeros
        add_float(
            levels, others, count, zeros[number, 3] != 0,
            (ratios[number, 0], ratios[number, 1], ratios[number, 2]),
            (zeros[number, 0], zeros[number, 1], zeros[number, 2]), low, high,
        )  # fmt: skip
    elif step["addition"] == codes.ADD_TFLITE:
        fixed = constants.fixed
        add_tflite(
            levels, others, count, (fixed[number, 0], fixed[number, 1], fixed[number, 2]),
            (fixed[number, 3], fixed[number, 4], fixed[number, 5]), fixed[number, 6] != 0,
            fixed[number, 7] != 0, low, high,
        )  # fmt: skip
