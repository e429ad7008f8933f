"""The sum of two rounded tensors, a tile at a time: both are levels, and so is the result.

Additions have the same constants for all channels, so a tile is one long row: ``levels`` and
``others`` (rows * NR,) int32 are flat views of two tiles, of which the first ``many`` are real; the
sum replaces ``levels``. As ``add_float`` and ``add_fixed``, which say more about it; nothing is
checked here. An addition by shifts is ``epilogues.round_shift_sum``.
"""

import numpy as np
from numba import njit

from qsim.kernels.add_fixed import LEFT_SHIFT, TFLITE_ROUNDINGS, tflite_multipliers
from qsim.kernels.fixed_multiplier import quantize_multiplier
from qsim.kernels.simd.intrinsics import arrays_are_separate, fused_multiply_add


@njit(cache=True, nogil=True)
def add_float(levels, others, many, levels_first, factors, zeros, low, high):
    """As ``add_float``. What is added first there, b, is ``others`` if ``levels_first``.

    levels_first   whether ``levels`` are a of ``add_float``, and ``others`` b
    factors        float32: the ratios of ``levels`` and of ``others``, and the rest, all as
                   ``ratios_and_rest`` gives them
    zeros          the zero points of ``levels``, ``others`` and the result
    low, high      of the levels of the result, relative to its zero point
    """
    arrays_are_separate()
    ratio, other_ratio, rest = factors
    zero, other_zero, out_zero = np.int32(zeros[0]), np.int32(zeros[1]), np.int32(zeros[2])
    lowest, highest = np.float32(low + zeros[2]), np.float32(high + zeros[2])
    for k in range(many):
        code = np.float32(np.int32(levels[k] + zero))
        other = np.float32(np.int32(others[k] + other_zero))
        if levels_first:
            total = fused_multiply_add(code, ratio, fused_multiply_add(other, other_ratio, rest))
        else:
            total = fused_multiply_add(other, other_ratio, fused_multiply_add(code, ratio, rest))
        levels[k] = np.int32(np.int32(np.rint(min(max(total, lowest), highest))) - out_zero)


def tflite_constants(
    scales: tuple[np.float32, np.float32, np.float32], addition: str
) -> tuple[bool, tuple[int, int], tuple[int, int], bool, bool]:
    """The arguments of ``add_tflite`` for an addition of that name and the scales of ``levels``,
    ``others`` and the result.

    Raises ValueError on scales that the runtime refuses.
    """
    multipliers, shifts = quantize_multiplier(np.array(tflite_multipliers(scales)))
    levels_larger = bool(scales[0] >= scales[1])
    used = [1, 2] if levels_larger else [0, 2]
    twice = (rounding == "tflite-reference" for rounding in TFLITE_ROUNDINGS[addition])
    return levels_larger, tuple(multipliers[used].tolist()), tuple(shifts[used].tolist()), *twice


@njit(cache=True, nogil=True)
def add_tflite(
    levels, others, many, levels_larger, multipliers, shifts, twice, sum_twice, low, high
):
    """As ``add_fixed`` with one of LiteRT's additions, of levels within 511.

    That of the larger scale is halved exactly: its level times 2**20 by 2**30 over 2**31.

    levels_larger         whether the larger scale, or the same, is that of ``levels``
    multipliers, shifts   of the term of the smaller scale, and of the sum
    twice, sum_twice      whether that term, and whether the sum, is rounded twice
    """
    arrays_are_separate()
    lowest, highest = np.int32(low), np.int32(high)
    if levels_larger:
        _add_terms(levels, others, many, multipliers[0], shifts[0], twice, levels)
    else:
        _add_terms(others, levels, many, multipliers[0], shifts[0], twice, levels)
    if sum_twice:
        _multiply(levels, many, multipliers[1], shifts[1])
        for k in range(many):
            levels[k] = np.int32(min(max(_divided(levels[k], shifts[1]), lowest), highest))
    else:
        for k in range(many):
            total = _scaled(levels[k], multipliers[1], shifts[1])
            levels[k] = np.int32(min(max(total, lowest), highest))


@njit(inline="always")
def _add_terms(larger, smaller, many, multiplier, shift, twice, sums):
    """The sum of both terms, of levels times 2**20, in ``sums``, which is one of them."""
    halved, raised = np.int64(LEFT_SHIFT - 1), np.int64(LEFT_SHIFT)
    if twice:
        high, low = np.int64(np.int32(multiplier >> 16)), np.int64(np.int32(multiplier & 0xFFFF))
        for k in range(many):
            term = np.int32(np.int64(larger[k]) << halved)
            product = _product_of_level(np.int64(smaller[k]), high, low)
            sums[k] = np.int32(term + _divided(product, shift))
    else:
        for k in range(many):
            term = np.int32(np.int64(larger[k]) << halved)
            scaled = _scaled(np.int32(np.int64(smaller[k]) << raised), multiplier, shift)
            sums[k] = np.int32(term + scaled)


@njit(inline="always")
def _product_of_level(level, high, low):
    """``level * 2**20 * multiplier / 2**31``, a half up, in lanes of 32 bits: of the multiplier
    ``high * 2**16 + low`` each part times a level has up to 25 bits, and the first loses none."""
    cut = np.int64(31 - LEFT_SHIFT)
    of_high = np.int32(np.int32(level * high) << (np.int64(16) - cut))
    of_low = np.int32(level * low)
    return np.int32(of_high + np.int32(np.int32(of_low + (1 << (30 - LEFT_SHIFT))) >> cut))


@njit(inline="always")
def _scaled(value, multiplier, shift):
    """The value scaled with one rounding, a half up; the result lies within int32."""
    right = np.int64(31) - np.int64(shift)
    half = (np.int64(1) << right) >> np.int64(1)
    return np.int32((np.int64(value) * np.int64(np.int32(multiplier)) + half) >> right)


@njit(inline="always")
def _multiply(values, many, multiplier, shift):
    """The first of two roundings, a half up; ``_divided`` is the second."""
    left = np.int64(max(shift, 0))
    for k in range(many):
        product = np.int64(np.int32(np.int64(values[k]) << left)) * np.int64(np.int32(multiplier))
        values[k] = np.int32((product + (np.int64(1) << np.int64(30))) >> np.int64(31))


@njit(inline="always")
def _divided(product, shift):
    """``product / 2**-shift`` of a negative shift, a half away from zero; products within 2**30."""
    right = np.int64(max(-shift, 0) & 31)
    half = np.int32((np.int64(1) << right) >> np.int64(1))
    down = np.int32(np.int32(product >> 31) & (np.int32(-1) if right > 0 else np.int32(0)))
    return np.int32(np.int32(np.int32(product + half) + down) >> right)
