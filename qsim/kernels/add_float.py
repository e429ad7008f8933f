"""The sum of two quantized tensors in float32, as ONNX Runtime's QLinearAdd forms it."""

from dataclasses import dataclass

import numpy as np

from qsim.kernels.accumulator import magnitude
from qsim.kernels.channels import check_limits
from qsim.kernels.fused import multiply_add

LARGEST_SUM = 2.0**31  # beyond it the runtime's conversion to an integer is undefined


@dataclass(frozen=True)
class ScaledCode:
    """Codes that stand for ``(code - zero_point) * scale``; the scale float32, positive, finite.

    Raises TypeError or ValueError on another scale, ValueError on a zero point beyond 16 bits.
    """

    scale: np.float32
    zero_point: int

    def __post_init__(self):
        if not isinstance(self.scale, np.float32):
            raise TypeError(f"a scale is float32, not {type(self.scale).__name__}")
        if not 0 < self.scale < np.inf:
            raise ValueError(f"a scale must be positive and finite, not {self.scale}")
        if not -(2**15) <= self.zero_point < 2**16:
            raise ValueError(f"a zero point has up to 16 bits, not {self.zero_point}")


def add_float(
    a: np.ndarray,
    b: np.ndarray,
    codes: tuple[ScaledCode, ScaledCode, ScaledCode],
    low: int,
    high: int,
) -> np.ndarray:
    """The codes of the sum of two tensors of codes, clipped to ``low .. high``.

    With the ratios ``ra = a.scale / y.scale`` and ``rb = b.scale / y.scale``,

        rest = y.zero_point - fma(ra, a.zero_point, rb * b.zero_point)
        sum  = fma(a, ra, fma(b, rb, rest))

    in float32, ``fma`` rounding once, every other step by itself; the sum goes to the nearest
    integer, a half to the even one. That is MLAS's QLinearAdd on processors with a fused
    multiply-add. Where along the last axis one value of a meets several of b, it adds b and a.

    a, b      integers of shapes that broadcast to one another, codes of up to 16 bits
    codes     of a, b and the result
    returns   int32 codes of the common shape

    Raises ValueError on shapes, codes or limits outside these, OverflowError on a sum that could
    lie beyond 2**31, TypeError on anything but integers.
    """
    check_limits(low, high)
    shape = np.broadcast_shapes(a.shape, b.shape)
    if max(magnitude(a), magnitude(b)) >= 2**16:
        raise ValueError("codes have up to 16 bits")
    if _is_spread(a.shape, b.shape):
        code_a, code_b, code_y = codes
        return add_float(b, a, (code_b, code_a, code_y), low, high)
    ratio_a, ratio_b, rest = ratios_and_rest(codes)
    total = multiply_add(np.broadcast_to(b, shape).astype(np.float32), ratio_b, rest)
    total = multiply_add(a.astype(np.float32), ratio_a, total)
    return np.rint(np.clip(total, low, high)).astype(np.int32)  # a half to the even integer


def ratios_and_rest(
    codes: tuple[ScaledCode, ScaledCode, ScaledCode],
) -> tuple[np.float32, np.float32, np.float32]:
    """``ra``, ``rb`` and ``rest`` of ``add_float``, of a, b and the result.

    Raises OverflowError where a sum could lie beyond 2**31.
    """
    code_a, code_b, code_y = codes
    with np.errstate(over="ignore"):  # an overflow to infinity is refused below
        ratio_a, ratio_b = code_a.scale / code_y.scale, code_b.scale / code_y.scale
        worst = 2.0**17 * (float(ratio_a) + float(ratio_b)) + 2.0**16
    if worst > LARGEST_SUM:
        raise OverflowError("a code times the ratio of its scale to the result's is beyond 2**31")
    zeros = multiply_add(
        np.float32(code_a.zero_point), ratio_a, ratio_b * np.float32(code_b.zero_point)
    )
    return ratio_a, ratio_b, np.float32(code_y.zero_point) - np.float32(zeros)


def _is_spread(shape: tuple[int, ...], other: tuple[int, ...]) -> bool:
    """Whether one value meets several of the other tensor along the last axis that has several."""
    axes = max(len(shape), len(other))
    sides = zip(*((1,) * (axes - len(each)) + each for each in (shape, other)), strict=True)
    for mine, others in reversed(list(sides)):
        if (mine, others) != (1, 1):
            return mine == 1
    return False
