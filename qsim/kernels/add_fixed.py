"""The sum of two quantized tensors in integers alone, as LiteRT's families of kernels do it.

tflite-reference   each level, times 2**20, is scaled by its scale over twice the larger of the two
                   input scales; the sum of both by that over 2**20 times the output's scale; every
                   scaling by a 31-bit multiplier, rounded as "tflite-reference" says
tflite-builtin     the same, but the two levels are scaled with one rounding, as "tflite" says
tflite             the same, but all three are scaled with one rounding
xnnpack            each ratio of an input's scale to the output's, float32, becomes an integer with
                   one common shift, at which the larger one has 21 bits; the sum of the products is
                   shifted back once, a half up

The roundings by name are those of ``fixed_multiplier``.

Source: TFLite kernels/add.cc, reference/add.h and optimized/integer_ops/add.h; XNNPACK
src/microparams-init.c, qs8_add_minmax.
"""

import math

import numpy as np

from qsim.kernels.accumulator import as_integers, magnitude
from qsim.kernels.channels import check_limits
from qsim.kernels.fixed_multiplier import scale_fixed

ADDITIONS = ("tflite-reference", "tflite-builtin", "tflite", "xnnpack")
TFLITE_ROUNDINGS = {  # of each level, and of the sum
    "tflite-reference": ("tflite-reference", "tflite-reference"),
    "tflite-builtin": ("tflite", "tflite-reference"),
    "tflite": ("tflite", "tflite"),
}
LARGEST_LEVEL = 2**9 - 1
LEFT_SHIFT = 20
XNNPACK_BITS = 20
XNNPACK_RATIOS = 2.0**-10, 2.0**8


def add_fixed(
    a: np.ndarray,
    b: np.ndarray,
    scales: tuple[np.float32, np.float32, np.float32],
    low: int,
    high: int,
    *,
    addition: str,
) -> np.ndarray:
    """The levels of the sum of two tensors of levels, clipped to ``low .. high``.

    a, b        integers of one shape, levels (codes less their zero point) within 511
    scales      of a, b and the result: float32, positive and finite
    low, high   relative to the zero point of the result
    addition    one of ADDITIONS, see above
    returns     int32 levels of that shape

    Raises TypeError or ValueError on operands outside these; ValueError on scales whose ratio the
    runtime refuses: a result's less than 2**-19 of the larger input's, or for xnnpack an input's
    outside 2**-10 .. 2**8 of the result's.
    """
    if addition not in ADDITIONS:
        raise ValueError(f"an addition is one of {', '.join(ADDITIONS)}, not {addition!r}")
    check_limits(low, high)
    if a.shape != b.shape:
        raise ValueError(f"cannot add {a.shape} and {b.shape}: the shapes differ")
    if max(magnitude(a), magnitude(b)) > LARGEST_LEVEL:
        raise ValueError(f"levels to add lie within {LARGEST_LEVEL}")
    for scale in scales:
        if not isinstance(scale, np.float32) or not 0 < scale < np.inf:
            raise ValueError(f"a scale is float32, positive and finite, not {scale!r}")
    levels = tuple(as_integers(v, np.int64).reshape(v.shape) for v in (a, b))
    total = _xnnpack(levels, scales) if addition == "xnnpack" else _tflite(levels, scales, addition)
    return np.clip(total, low, high).astype(np.int32)


def _tflite(levels, scales, addition: str) -> np.ndarray:
    inner, outer = TFLITE_ROUNDINGS[addition]
    of_a, of_b, of_sum = tflite_multipliers(scales)
    a, b = (
        _scaled(level << LEFT_SHIFT, multiplier, inner)
        for level, multiplier in zip(levels, (of_a, of_b), strict=True)
    )
    return _scaled(a + b, of_sum, outer)


def tflite_multipliers(
    scales: tuple[np.float32, np.float32, np.float32],
) -> tuple[float, float, float]:
    """By what a level times 2**20 of a and of b, and their sum, are scaled in LiteRT's additions.

    Raises ValueError on scales that the runtime refuses.
    """
    scale_a, scale_b, scale_y = map(float, scales)
    twice_larger = 2 * max(scale_a, scale_b)
    of_sum = twice_larger / (2.0**LEFT_SHIFT * scale_y)
    if of_sum >= 1:
        raise ValueError("the scale of a sum is too small beside those of what is added")
    return scale_a / twice_larger, scale_b / twice_larger, of_sum


def _scaled(values: np.ndarray, real_multiplier: float, rounding: str) -> np.ndarray:
    flat = scale_fixed(values.reshape(-1, 1), np.array([real_multiplier]), rounding=rounding)
    return flat.reshape(values.shape).astype(np.int64)


def _xnnpack(levels, scales) -> np.ndarray:
    a, b, shift = xnnpack_factors(scales)
    return (levels[0] * a + levels[1] * b + (1 << (shift - 1))) >> shift  # a half up


def xnnpack_factors(scales: tuple[np.float32, np.float32, np.float32]) -> tuple[int, int, int]:
    """The integers that levels of a and of b are multiplied by, and the shift of their sum.

    Raises ValueError on scales that XNNPACK refuses.
    """
    scale_y = scales[2]
    lowest, highest = XNNPACK_RATIOS
    if not all(lowest <= float(s) / float(scale_y) < highest for s in scales[:2]):
        raise ValueError(
            f"a scale of what is added is not {lowest} to {highest} times that of the sum"
        )
    ratios = [float(scale / scale_y) for scale in scales[:2]]
    shift = XNNPACK_BITS - (math.frexp(max(ratios))[1] - 1)
    a, b = (round(ratio * 2.0**shift) for ratio in ratios)  # a half goes to the even integer
    return a, b, shift
