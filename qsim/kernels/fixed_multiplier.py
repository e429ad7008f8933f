"""Requantization by an integer multiplier and a shift, as gemmlowp and TFLite do it.

A real multiplier is stored as a 31-bit fraction of a half or more and a power of two,
``multiplier / 2**31 * 2**shift``. Its product with a sum is rounded in one of three ways:

tflite             (sum * multiplier + 2**(30 - shift)) >> (31 - shift)
                   rounded once, to the nearest integer, a half up
tflite-reference   product = sum * 2**shift * multiplier / 2**31, to the nearest integer, a half up;
                   a negative shift only then: product / 2**-shift, to the nearest integer, a half
                   away from zero
tflite-builtin     the same two roundings, a half up in both

3/8 is 0.75 * 2**-1. A sum of 1 becomes 0 when 0.375 is rounded once, and 1 when 0.75 is rounded
first and then a half; a sum of -1 becomes 0 (tflite), -1 (tflite-reference), 0 (tflite-builtin).

In the first of two roundings gemmlowp adds 1 - 2**30 to a negative product and cuts towards zero:
a half goes up. It saturates only at -2**31 times -2**31, which is no multiplier's.

Source: gemmlowp fixedpoint/fixedpoint.h, SaturatingRoundingDoublingHighMul and RoundingDivideByPOT;
TFLite kernels/internal/quantization_util.cc, QuantizeMultiplier, and common.h,
MultiplyByQuantizedMultiplier with and without TFLITE_SINGLE_ROUNDING; the vector instructions of
the optimized kernels round a half up (SQRDMULH and SRSHL of Arm).
"""

import numpy as np
from numba import njit

from qsim.kernels.accumulator import as_integers, magnitude
from qsim.kernels.channels import by_channel, check_limits, check_per_channel

ROUNDINGS = ("tflite", "tflite-reference", "tflite-builtin")
MIN_SHIFT, MAX_SHIFT = -31, 30
INT32_MIN, INT32_MAX = -(2**31), 2**31 - 1


def quantize_multiplier(real_multiplier: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The multiplier, int32 2**30 .. 2**31 - 1, and the shift, int64 -31 .. 30, of a real number.

    The fraction is rounded to 31 bits, a half up; one that becomes 1 is halved and the shift raised
    by 1. Where the shift would be less than -31 both are 0, as in TFLite: every sum becomes 0.

    real_multiplier   float64 of any shape, positive

    Raises TypeError on anything but float64 (float32 rounds once too often), ValueError on what is
    not positive or has a shift above 30.
    """
    if real_multiplier.dtype != np.float64:
        raise TypeError(f"a real multiplier is float64, not {real_multiplier.dtype}")
    if not ((real_multiplier > 0) & (real_multiplier < np.inf)).all():
        raise ValueError("a multiplier must be positive and finite")
    fraction, shift = np.frexp(real_multiplier)
    multiplier = np.floor(fraction * 2.0**31 + 0.5).astype(np.int64)  # a half goes up
    is_one = multiplier == 2**31
    multiplier = np.where(is_one, 2**30, multiplier)
    shift = np.where(is_one, shift + 1, shift).astype(np.int64)
    if shift.size and shift.max() > MAX_SHIFT:
        raise ValueError(f"a multiplier must be less than 2**30, not {real_multiplier.max()}")
    vanishes = shift < MIN_SHIFT
    multiplier, shift = np.where(vanishes, 0, multiplier), np.where(vanishes, 0, shift)
    return multiplier.astype(np.int32), shift


def requantize_fixed(
    sums: np.ndarray, real_multiplier: np.ndarray, low: int, high: int, *, rounding: str
) -> np.ndarray:
    """``sums * real_multiplier`` rounded as ``rounding`` says, clipped to ``low .. high``.

    The levels are relative to the zero point, which the runtimes add before they clip. The real
    multiplier of TFLite is input scale * weight scale / output scale, all in float64, except that
    a dense layer of one weight scale forms the product in float32.

    sums              integers within int32 (images, channels, ...)
    real_multiplier   (channels,) float64, as ``quantize_multiplier`` takes it
    rounding          one of ROUNDINGS, see above
    returns           int32 levels of the same shape

    Raises ValueError on shapes, multipliers, limits or a rounding outside these; OverflowError on a
    sum outside int32, and where a runtime's int32 would overflow, which C leaves undefined: in the
    result (tflite), or in the sum shifted to the left before the product (the other two).
    """
    check_per_channel(sums, sums.shape, real_multiplier)
    multiplier, shift = quantize_multiplier(real_multiplier)
    return apply_multiplier(sums, multiplier, shift, (low, high), rounding=rounding)


def apply_multiplier(
    sums: np.ndarray,
    multiplier: np.ndarray,
    shift: np.ndarray,
    limits: tuple[int, int],
    *,
    rounding: str,
) -> np.ndarray:
    """As ``requantize_fixed``, by integers alone, as ``quantize_multiplier`` makes them.

    multiplier   (channels,) integers 0 .. 2**31 - 1
    shift        (channels,) integers -31 .. 30
    limits       the lowest and the highest level

    Raises what ``requantize_fixed`` does, and TypeError on anything but integers.
    """
    check_limits(*limits)
    return _applied(sums, multiplier, shift, limits, rounding)


def scale_fixed(sums: np.ndarray, real_multiplier: np.ndarray, *, rounding: str) -> np.ndarray:
    """``sums * real_multiplier`` rounded as ``rounding`` says, int32, not clipped.

    A step of an arithmetic that goes on with integers, such as TFLite's addition. Arguments and
    errors as ``requantize_fixed``.
    """
    check_per_channel(sums, sums.shape, real_multiplier)
    multiplier, shift = quantize_multiplier(real_multiplier)
    return _applied(sums, multiplier, shift, (INT32_MIN, INT32_MAX), rounding)


def _applied(sums, multiplier, shift, limits: tuple[int, int], rounding: str) -> np.ndarray:
    low, high = limits
    if rounding not in ROUNDINGS:
        raise ValueError(f"a rounding is one of {', '.join(ROUNDINGS)}, not {rounding!r}")
    check_per_channel(sums, sums.shape, multiplier)
    check_per_channel(sums, sums.shape, shift)
    multiplier, shift = as_integers(multiplier, np.int64), as_integers(shift, np.int64)
    if multiplier.min(initial=0) < 0 or multiplier.max(initial=0) > INT32_MAX:
        raise ValueError(f"a multiplier is 0 to {INT32_MAX}, not {multiplier}")
    if shift.min(initial=0) < MIN_SHIFT or shift.max(initial=0) > MAX_SHIFT:
        raise ValueError(f"a shift is {MIN_SHIFT} to {MAX_SHIFT}, not {shift}")
    by_channels = by_channel(sums)
    _check_overflow(by_channels, multiplier, shift, rounding)
    levels = np.empty(by_channels.shape, np.int32)
    if rounding == "tflite":
        _round_once(by_channels, multiplier, shift, levels, low, high)
    else:
        away = rounding == "tflite-reference"
        _round_twice(by_channels, multiplier, shift, away, levels, low, high)
    return levels.reshape(sums.shape)


def _check_overflow(
    sums: np.ndarray, multiplier: np.ndarray, shift: np.ndarray, rounding: str
) -> None:
    """All three are monotone, so the extremes of a channel tell."""
    if not _fits_int32(sums):
        raise OverflowError(f"a sum of magnitude {magnitude(sums)} does not fit int32")
    smallest, largest = sums.min(axis=(0, 2), initial=0), sums.max(axis=(0, 2), initial=0)
    extremes = np.stack([smallest, largest])
    if rounding == "tflite":
        half = np.int64(1) << (30 - shift)
        if not _fits_int32((extremes * multiplier + half) >> (31 - shift)):
            raise OverflowError("a sum times its multiplier does not fit int32")
    elif not _fits_int32(extremes << np.maximum(shift, 0)):
        raise OverflowError("a sum shifted to the left by its multiplier does not fit int32")


def _fits_int32(values: np.ndarray) -> bool:
    return values.min(initial=0) >= INT32_MIN and values.max(initial=0) <= INT32_MAX


@njit(cache=True, nogil=True)
def _round_once(sums, multiplier, shift, levels, low, high):
    """Exact while every sum and every result fits int32.

    sums         (N, C, L) int64
    multiplier   (C,) int64, 0 .. 2**31 - 1
    shift        (C,) int64, -31 .. 30
    levels       (N, C, L) int32, overwritten
    """
    for n in range(sums.shape[0]):
        for c in range(sums.shape[1]):
            half = np.int64(1) << (30 - shift[c])
            for i in range(sums.shape[2]):
                nearest = (sums[n, c, i] * multiplier[c] + half) >> (31 - shift[c])  # a half up
                levels[n, c, i] = np.int32(min(max(nearest, low), high))


@njit(cache=True, nogil=True)
def _round_twice(sums, multiplier, shift, away, levels, low, high):
    """As ``_round_once``; ``away``: a half of the second rounding goes away from zero, else up.

    Exact while every sum, shifted to the left by a positive shift, fits int32.
    """
    for n in range(sums.shape[0]):
        for c in range(sums.shape[1]):
            left, right = max(shift[c], 0), max(-shift[c], 0)
            half = (np.int64(1) << right) >> 1  # 0 where nothing is shifted out
            for i in range(sums.shape[2]):
                product = (sums[n, c, i] << left) * multiplier[c]
                product = (product + (np.int64(1) << 30)) >> 31  # a half up
                down = np.int64(1) if away and product < 0 and right > 0 else np.int64(0)
                nearest = (product + half - down) >> right  # a half up, or down if negative
                levels[n, c, i] = np.int32(min(max(nearest, low), high))
