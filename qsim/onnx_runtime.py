"""From sums to levels as ONNX Runtime's kernels do it, each kind of layer in its own way.

All of it is float32, every step rounded. Products are requantized by one multiplier (QLinearConv,
QGemm, QLinearMatMul), as is the average of a whole image (QLinearGlobalAveragePool); additions,
products of two tensors and averages under a window add the zero point of the result before they
round (QLinearAdd, QLinearMul, QLinearAveragePool); QLinearSoftmax takes a whole number of steps to
1; any other tensor is dequantized and quantized, as are the parts of a concatenation
(QLinearConcat) and what a curve makes (QLinearSigmoid, QLinearLeakyRelu).
"""

from math import isinf

import numpy as np

from qsim.formats import AffineGrid, Format
from qsim.kernels.accumulator import magnitude
from qsim.kernels.add_float import ScaledCode, add_float
from qsim.kernels.average_float import check_average_ratio, mean_float
from qsim.kernels.multiply_float import scaled_with_zero_point
from qsim.kernels.requantize import LARGEST_SCALED, requantize_float
from qsim.kernels.softmax_float import share_codes
from qsim.values import Sums, by_channel


def runtime_levels(sums: Sums, number: Format, scale: np.ndarray) -> np.ndarray:
    """The levels, int32, of ``sums`` in a tensor of format ``number`` at float32 ``scale``.

    Raises ValueError on sums that no kernel of the runtime makes, OverflowError on values beyond
    float32 or beyond what its conversion to an integer defines.
    """
    if not number.rounds_half_even:
        raise ValueError(
            "it gives the nearest of consecutive levels, and the tensor's format has others"
        )
    if sums.offset is not None:
        raise ValueError("it adds biases to sums as integers, and this one is a real number")
    low, high = limits(sums, number, scale)
    code = ScaledCode(np.float32(scale), zero_point_of(number))
    match sums.source:
        case "add":
            return _sum(sums, code, low, high)
        case "average":
            values = [(levels, np.float32(by_term[0])) for levels, by_term in sums.terms]
            zero = code.zero_point
            return mean_float(values, sums.divisor, code, low + zero, high + zero) - zero
        case "multiply":
            return _product(sums, code, low, high)
        case "softmax":
            [(levels, by_term)] = sums.terms
            zero = code.zero_point
            terms = levels.astype(np.float32) * by_term.astype(np.float32)
            return share_codes(terms, sums.divisor, code, low + zero, high + zero) - zero
        case "conv" | "depthwise" | "linear" | "matmul" | "global_average":
            return _scaled(sums, code, low, high)
    return _quantized_again(sums, code, low, high)


def zero_point_of(number: Format) -> int:
    """The zero point of a format, of those without one 0, as a runtime holds it: of codes that it
    holds as signed integers a signed one, which rounds otherwise where it is added in float32."""
    if not isinstance(number, AffineGrid):
        return 0
    return number.zero_point - (2 ** (number.bits - 1) if number.signed_codes else 0)


def limits(sums: Sums, number: Format, scale: np.ndarray) -> tuple[int, int]:
    """The levels that the bounds of ``sums`` leave: a bound is quantized as any value."""

    def level(bound: float, unbounded: int) -> int:
        if isinf(bound):
            return unbounded
        with np.errstate(over="ignore"):  # what is infinite is clipped
            return int(number.nearest(np.float32(bound) / np.float32(scale)))

    low = max(level(sums.low, number.min_level), number.min_level)
    return low, min(level(sums.high, number.max_level), number.max_level)


def _sum(sums: Sums, code: ScaledCode, low: int, high: int) -> np.ndarray:
    if len(sums.terms) != 2 or len(sums.zero_points) != 2:
        raise ValueError(f"it adds two rounded tensors at a time, not {len(sums.terms)} terms")
    zeros, zero = sums.zero_points, code.zero_point
    a, b = (levels + z for (levels, _), z in zip(sums.terms, zeros, strict=True))
    of_terms = (
        ScaledCode(np.float32(by_term[0]), z)
        for (_, by_term), z in zip(sums.terms, zeros, strict=True)
    )
    return add_float(a, b, (*of_terms, code), low + zero, high + zero) - zero


def _product(sums: Sums, code: ScaledCode, low: int, high: int) -> np.ndarray:
    [(levels, by_term)] = sums.terms
    zero = code.zero_point
    with np.errstate(over="ignore"):  # an infinite ratio is refused
        ratio = np.float32(by_term[0]) / code.scale
    return scaled_with_zero_point(levels, ratio, zero, low + zero, high + zero) - zero


def _scaled(sums: Sums, code: ScaledCode, low: int, high: int) -> np.ndarray:
    if not sums.uniform:
        raise ValueError(
            "it scales one sum of each channel by one factor, and these weights make"
            f" {len(sums.terms)}, or a factor for each place; use onnx"
        )
    [(levels, by_term)] = sums.terms
    with np.errstate(over="ignore"):  # an infinite multiplier is refused
        multiplier = by_term.astype(np.float32) / (code.scale * np.float32(sums.divisor))
    if sums.source == "global_average":
        check_average_ratio(multiplier)
    return requantize_float([(levels, multiplier)], low, high)


def _quantized_again(sums: Sums, code: ScaledCode, low: int, high: int) -> np.ndarray:
    if len(sums.terms) > 1:
        raise ValueError(f"no kernel of the runtime adds {len(sums.terms)} terms; use onnx")
    [(levels, by_term)] = sums.terms
    largest = magnitude(levels) * float(by_term.max(initial=0))
    if not max(largest, largest / float(code.scale)) <= LARGEST_SCALED:
        raise OverflowError("a level times its scale is too large for float32")
    real = levels.astype(np.float32) * by_channel(by_term.astype(np.float32), levels)
    return np.rint(np.clip(real / code.scale, low, high)).astype(np.int32)
