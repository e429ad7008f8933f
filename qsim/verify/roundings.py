"""Roundings computed again, one value at a time, by Python integers and fractions.

Each is written from the definition of its name alone and shares nothing with ``requantize``.
"""

from fractions import Fraction
from math import ceil, floor, frexp, inf

import numpy as np

from qsim.formats import FixedPoint, Format, Hwgq, Quant
from qsim.formats.binary import BinaryFormat
from qsim.formats.unit_interval import UnitInterval
from qsim.values import Element
from qsim.verify import onnx_runtime


def level_of_real(x: float, number: Format, scale: float, requantize: str = "onnx") -> int:
    """The level of a real value, as an input or a float layer makes it."""
    if requantize == "onnxruntime":
        beyond = np.float32(2.0**100)  # of any level
        with np.errstate(over="ignore"):
            quotient = np.clip(np.float32(x) / np.float32(scale), -beyond, beyond)
        return _decide(Fraction(float(quotient)), number)
    if isinstance(number, UnitInterval):
        n = 2**number.bits - 1
        return round(float(np.float32(n) * np.float32(min(max(x, 0.0), 1.0))))
    return _decide(Fraction(float(x)) / Fraction(scale), number)


def level_of_sums(element: Element, number: Format, scale: float, requantize: str) -> int:
    """The level of an unrounded value by the arithmetic called ``requantize``."""
    if requantize == "onnxruntime":
        return onnx_runtime.level_of_sums(element, number, scale)
    if requantize == "onnx":
        x = Fraction(float(_float32_total(element, scale)))
    elif requantize in ("shift", "thresholds"):
        total = sum(Fraction(sums) * Fraction(by) for sums, by in element.terms) / element.divisor
        x = (total + Fraction(element.offset)) / Fraction(scale)
    else:
        x = Fraction(_fixed_point_level(element, scale, requantize))
    low, high = element.low / scale, element.high / scale
    if requantize not in ("onnx", "shift", "thresholds"):  # a level, so its bounds are levels too
        low = low if low == -inf else _decide(Fraction(low), number)
        high = high if high == inf else _decide(Fraction(high), number)
    x = x if low == -inf else max(x, Fraction(low))
    x = x if high == inf else min(x, Fraction(high))
    return _decide(x, number)


def kernel_of(element: Element, requantize: str, channel: int, channels: int) -> str:
    """The rounding that a runtime's kernel has for a value of this kind of layer."""
    if element.source == "linear" and requantize == "tflite-reference":
        return "double"
    last = channel >= channels // 8 * 8
    if element.source == "depthwise" and requantize == "tflite-builtin" and last:
        return "tflite-reference"
    return requantize


def _fixed_point_level(element: Element, scale: float, rounding: str) -> int:
    if element.source == "add":
        return _fixed_point_sum(element, scale, rounding)
    [(sums, by)] = element.terms
    if rounding == "double":
        scaled = Fraction(float(sums) * (by / scale))
        level = floor(abs(scaled) + Fraction(1, 2))
        return level if scaled >= 0 else -level
    return fixed_point_product(sums, by / scale, rounding)


def _fixed_point_sum(element: Element, scale: float, rounding: str) -> int:
    larger = 2 * max(by for _, by in element.terms)
    inner = "tflite" if rounding == "tflite-builtin" else rounding
    scaled = [fixed_point_product(a * 2**20, by / larger, inner) for a, by in element.terms]
    outer = "tflite-reference" if rounding == "tflite-builtin" else rounding
    return fixed_point_product(sum(scaled), larger / (2**20 * scale), outer)


def fixed_point_product(total: int, real_multiplier: float, rounding: str) -> int:
    """``total`` times a real multiplier held in 31 bits and a shift, rounded as TFLite does."""
    fraction, shift = frexp(real_multiplier)
    multiplier = floor(Fraction(fraction) * 2**31 + Fraction(1, 2))
    if multiplier == 2**31:
        multiplier, shift = 2**30, shift + 1
    if shift < -31:
        return 0
    if rounding == "tflite":
        return floor(Fraction(total * multiplier * 2**31, 2 ** (62 - shift)) + Fraction(1, 2))
    product = Fraction(total * 2 ** max(shift, 0) * multiplier, 2**31)
    first = floor(product + Fraction(1, 2))
    second = Fraction(first, 2 ** max(-shift, 0))
    if rounding == "tflite-builtin" or second >= 0:
        return floor(second + Fraction(1, 2))
    return -floor(-second + Fraction(1, 2))  # a half away from zero


def mean(total: int, count: int, rounding: str) -> int:
    """``total / count`` as an average pool rounds it."""
    exact = Fraction(total, count)
    if rounding == "half_even":
        return round(exact)
    return floor(exact + Fraction(1, 2)) if total >= 0 else -floor(-exact + Fraction(1, 2))


def _float32_total(element: Element, scale: float) -> np.float32:
    total, step = np.float32(0), np.float32(scale) * np.float32(element.divisor)
    for sums, by in element.terms:
        rounded = np.int64(sums).astype(np.float32)  # once, not by way of float64
        total = total + rounded * (np.float32(by) / step)
    return total + np.float32(element.offset) / np.float32(scale)


def _decide(x: Fraction, number: Format) -> int:
    """The level of an exact value in units of the scale."""
    if isinstance(number, BinaryFormat):
        return 1 if x >= 0 else -1
    if isinstance(number, Hwgq):
        return 0 if x <= 0 else min(max(ceil(x - Fraction(1, 2)), 1), 2**number.bits - 1)
    if isinstance(number, FixedPoint):
        return _held(_rounded(x, number.rounding), number)
    if isinstance(number, Quant):
        word = _rounded(x + number.zero_point, number.rounding)
        least, most = _words(number)
        return min(max(word, least), most) - number.zero_point
    return min(max(round(x), number.min_level), number.max_level)  # a half to the even integer


def _rounded(x: Fraction, rounding: str) -> int:
    half = Fraction(1, 2)
    away = floor(abs(x) + half) * (1 if x >= 0 else -1)
    towards = floor(x) if x >= 0 else ceil(x)
    others = {"floor": floor(x), "ceil": ceil(x), "half_up": floor(x + half)}
    others["half_toward"] = ceil(abs(x) - half) * (1 if x >= 0 else -1)
    others["away"] = ceil(x) if x >= 0 else floor(x)
    named = {"half_even": round(x), "half_away": away, "toward_zero": towards, **others}
    return named[rounding]


def _words(number: Quant) -> tuple[int, int]:
    """The least and the largest word."""
    count, narrow = 2**number.bits, int(number.narrow)
    return (narrow - count // 2, count // 2 - 1) if number.signed else (0, count - 1 - narrow)


def _held(level: int, number: FixedPoint) -> int:
    low = -(2 ** (number.bits - 1)) if number.signed else 0
    if number.overflow == "wrap":
        return (level - low) % 2**number.bits + low
    return min(max(level, low), low + 2**number.bits - 1)
