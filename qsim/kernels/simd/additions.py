"""The sum of two rounded tensors, a tile at a time: both are levels, and so is the result.

``levels`` and ``others`` (rows, NR) int32 are two tiles of which the first ``count`` rows are real;
the sum replaces ``levels``. As ``add_float`` and ``add_fixed``, which say more about it; nothing is
checked here. An addition by shifts is ``epilogues.round_shift_sum``.
"""

import numpy as np
from numba import config, njit, types
from numba.extending import intrinsic

from qsim.kernels.add_fixed import LEFT_SHIFT, TFLITE_ROUNDINGS, tflite_multipliers
from qsim.kernels.fixed_multiplier import quantize_multiplier
from qsim.kernels.fused import multiply_add
from qsim.kernels.simd.separate import arrays_are_separate


@intrinsic
def _fma(typing_context, x, factor, term):
    """LLVM's fused multiply-add of float32: the instruction, or where it lacks the C library's."""

    def emit(context, builder, signature, arguments):
        return builder.fma(*arguments)

    return types.float32(types.float32, types.float32, types.float32), emit


fused_multiply_add = multiply_add if config.DISABLE_JIT else _fma


@njit(cache=True, nogil=True)
def add_float(levels, others, count, levels_first, factors, zeros, low, high):
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
    for i in range(count):
        for lane in range(levels.shape[1]):
            code = np.float32(np.int32(levels[i, lane] + zero))
            other = np.float32(np.int32(others[i, lane] + other_zero))
            if levels_first:
                total = fused_multiply_add(other, other_ratio, rest)
                total = fused_multiply_add(code, ratio, total)
            else:
                total = fused_multiply_add(code, ratio, rest)
                total = fused_multiply_add(other, other_ratio, total)
            rounded = np.int32(np.rint(min(max(total, lowest), highest)))
            levels[i, lane] = np.int32(rounded - out_zero)


def tflite_constants(
    scales: tuple[np.float32, np.float32, np.float32], addition: str
) -> tuple[tuple[int, int, int], tuple[int, int, int], bool, bool]:
    """What ``add_tflite`` needs for an addition of that name, of a, b and the result.

    returns   multipliers and shifts of a, b and the sum; whether each level, and whether the sum,
              is rounded twice

    Raises ValueError on scales that the runtime refuses.
    """
    multipliers, shifts = quantize_multiplier(np.array(tflite_multipliers(scales)))
    twice = tuple(rounding == "tflite-reference" for rounding in TFLITE_ROUNDINGS[addition])
    return tuple(multipliers.tolist()), tuple(shifts.tolist()), *twice


@njit(cache=True, nogil=True)
def _once(value, multiplier, shift):
    """As the rounding "tflite" of ``fixed_multiplier``; the result lies within int32."""
    right = np.int64(31 - shift)
    half = (np.int64(1) << right) >> np.int64(1)
    return np.int32((np.int64(value) * np.int64(multiplier) + half) >> right)  # a half up


@njit(cache=True, nogil=True)
def _twice(value, multiplier, shift):
    """As the rounding "tflite-reference" of ``fixed_multiplier``, of values within 2**30."""
    left, right = np.int64(max(shift, 0) & 31), np.int64(max(-shift, 0) & 31)
    product = np.int64(np.int32(np.int64(value) << left)) * np.int64(multiplier)
    product = np.int32((product + (np.int64(1) << np.int64(30))) >> np.int64(31))  # a half up
    half = np.int64(1) << right >> np.int64(1)
    down = np.int64(1) if product < 0 and right > 0 else np.int64(0)
    return np.int32((np.int64(product) + half - down) >> right)  # a half away from zero


@njit(cache=True, nogil=True)
def add_tflite(levels, others, count, multipliers, shifts, twice, sum_twice, low, high):
    """As ``add_fixed`` with one of LiteRT's additions, of levels within 511.

    multipliers, shifts   of ``levels``, ``others`` and their sum, see ``tflite_constants``
    twice, sum_twice      whether a level, and whether the sum, is rounded twice
    """
    arrays_are_separate()
    m, other_m = np.int32(multipliers[0]), np.int32(multipliers[1])
    lowest, highest = np.int32(low), np.int32(high)
    for i in range(count):
        if twice:
            for lane in range(levels.shape[1]):
                a = _twice(np.int32(levels[i, lane] << LEFT_SHIFT), m, shifts[0])
                b = _twice(np.int32(others[i, lane] << LEFT_SHIFT), other_m, shifts[1])
                levels[i, lane] = np.int32(a + b)
        else:
            for lane in range(levels.shape[1]):
                a = _once(np.int32(levels[i, lane] << LEFT_SHIFT), m, shifts[0])
                b = _once(np.int32(others[i, lane] << LEFT_SHIFT), other_m, shifts[1])
                levels[i, lane] = np.int32(a + b)
        if sum_twice:
            for lane in range(levels.shape[1]):
                total = _twice(levels[i, lane], np.int32(multipliers[2]), shifts[2])
                levels[i, lane] = np.int32(min(max(total, lowest), highest))
        else:
            for lane in range(levels.shape[1]):
                total = _once(levels[i, lane], np.int32(multipliers[2]), shifts[2])
                levels[i, lane] = np.int32(min(max(total, lowest), highest))


@njit(cache=True, nogil=True)
def add_xnnpack(levels, others, count, factor, other_factor, shift, low, high):
    """As ``add_fixed`` with the addition "xnnpack"; ``xnnpack_factors`` gives both factors, of
    ``levels`` and ``others``, and the shift."""
    arrays_are_separate()
    half = np.int64(1) << np.int64(shift - 1)
    for i in range(count):
        for lane in range(levels.shape[1]):
            total = np.int64(levels[i, lane]) * np.int64(np.int32(factor))
            total = total + np.int64(others[i, lane]) * np.int64(np.int32(other_factor))
            nearest = (total + half) >> np.int64(shift)  # a half up
            levels[i, lane] = np.int32(min(max(nearest, low), high))
