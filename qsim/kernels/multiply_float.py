"""The products of values of two quantized tensors, as ONNX Runtime's QLinearMul forms them."""

import numpy as np

from qsim.kernels.accumulator import magnitude
from qsim.kernels.add_float import LARGEST_SUM, ScaledCode
from qsim.kernels.channels import check_limits


def multiply_float(
    a: np.ndarray,
    b: np.ndarray,
    codes: tuple[ScaledCode, ScaledCode, ScaledCode],
    low: int,
    high: int,
) -> np.ndarray:
    """The codes of the products of two tensors of codes, clipped to ``low .. high``.

    With ``ratio = a.scale * b.scale / y.scale``, both steps in float32,

        product = float32((a - a.zero_point) * (b - b.zero_point)) * ratio + y.zero_point

    where the product and the sum are rounded to float32 one after the other; the result goes to the
    nearest integer, a half to the even one. So where the zero point is odd a half goes to the other
    level than without one. That is MLAS's QLinearMul on x86-64 and Arm.

    a, b      integers of shapes that broadcast to one another, codes of up to 16 bits
    codes     of a, b and the result
    returns   int32 codes of the common shape

    Raises ValueError on shapes, codes or limits outside these, OverflowError on a product that
    could lie beyond 2**31, TypeError on anything but integers.
    """
    check_limits(low, high)
    if max(magnitude(a), magnitude(b)) >= 2**16:
        raise ValueError("codes have up to 16 bits")
    code_a, code_b, code_y = codes
    product = (a.astype(np.int64) - code_a.zero_point) * (b.astype(np.int64) - code_b.zero_point)
    with np.errstate(over="ignore"):  # an infinite ratio is refused below
        ratio = code_a.scale * code_b.scale / code_y.scale
    return scaled_with_zero_point(product, ratio, code_y.zero_point, low, high)


def scaled_with_zero_point(
    total: np.ndarray, ratio: np.float32, zero_point: int, low: int, high: int
) -> np.ndarray:
    """``float32(total) * ratio + zero_point``, each step rounded to float32, to the nearest integer
    within ``low .. high``, int32: a half to the even one.

    Raises OverflowError where the product could lie beyond 2**31.
    """
    if not float(ratio) * magnitude(total) <= LARGEST_SUM:
        raise OverflowError(
            "a product times the ratio of its scale to the result's is beyond 2**31"
        )
    real = total.astype(np.float32) * ratio + np.float32(zero_point)
    return np.rint(np.clip(real, low, high)).astype(np.int32)
