"""The real ends of fbgemm's dynamic linear layer: its input quantized on the way in, its sums made
real on the way out.

Between them lies an integer product of the codes less their zero point with int8 weights. The sums
stand for ``sum * (scale * weight_scale)``, the product rounded to float32.

Source: torch ATen/native/quantized/cpu/QuantUtils.h, ChooseQuantizationParams; fbgemm
src/QuantUtilsAvx2.cc, QuantizeAvx2 and requantizationForFloatAvx2, as compiled with fused
multiply-adds.
"""

import numpy as np

from qsim.kernels.accumulator import as_integers
from qsim.kernels.fused import multiply_add

SMALLEST_SCALE = 6.1e-5  # the runtime widens the range of what has a smaller one
HIGHEST_CODES = (127, 255)


def dynamic_code(real: np.ndarray, highest: int = 255) -> tuple[np.float32, int]:
    """The scale and the zero point of codes 0 .. ``highest`` (127 or 255) for the range of ``real``
    and 0, found in float64.

    The scale is (largest - smallest) / highest, then rounded to float32; the zero point is
    -smallest / scale with the scale of before, to the nearest integer, a half to the even one.

    real   float32 of any shape

    Raises TypeError on another type, ValueError on values that are not finite, on other codes and
    on a range whose scale is less than 6.1e-5.
    """
    if real.dtype != np.float32:
        raise TypeError(f"values are float32, not {real.dtype}")
    if highest not in HIGHEST_CODES:
        raise ValueError(f"the highest code is 127 or 255, not {highest}")
    if not np.isfinite(real).all():
        raise ValueError("a range of values is finite")
    smallest, largest = float(real.min(initial=0)), float(real.max(initial=0))
    scale = (largest - smallest) / highest
    if scale < SMALLEST_SCALE:
        raise ValueError(f"the range {smallest} .. {largest} has a scale below {SMALLEST_SCALE}")
    zero_point = min(-smallest / scale, float(highest))
    return np.float32(scale), round(zero_point)


def quantize_dynamic(
    real: np.ndarray, scale: np.float32, zero_point: int, highest: int = 255
) -> np.ndarray:
    """``fma(real, 1 / scale, zero_point)`` in float32 to the nearest integer, a half to the
    even one, and clipped to 0 .. ``highest``: int32 codes.

    real, scale, zero_point   as ``dynamic_code`` takes and returns them

    Raises TypeError on other types, OverflowError on what float32 cannot hold.
    """
    steps = multiply_add(real, np.float32(1) / scale, np.float32(zero_point))
    return np.rint(np.clip(steps, 0, highest)).astype(np.int32)


def dequantize_sums(
    sums: np.ndarray, scale: np.float32, weight_scale: np.ndarray, bias: np.ndarray | None
) -> np.ndarray:
    """``fma(sums, scale * weight_scale, bias)`` in float32, the sums rounded to it first.

    sums           (images, rows) integers within 32 bits signed
    weight_scale   float32 (1,) or (rows,)
    bias           float32 (rows,), or None
    returns        float32 (images, rows)

    Raises TypeError on other types, OverflowError on what float32 or 32 bits cannot hold.
    """
    floats = as_integers(sums, np.int32).astype(np.float32)
    added = np.zeros(1, np.float32) if bias is None else bias
    return multiply_add(floats, scale * weight_scale, added)
