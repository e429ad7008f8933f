"""Roundings computed again, one value at a time, by Python integers and fractions.

Each is written from the definition of its name alone and shares nothing with ``requantize``.
"""

from fractions import Fraction
from math import ceil, floor, frexp, inf

import numpy as np

from qsim.formats import FixedPoint, Format, Hwgq
from qsim.formats.binary import BinaryFormat
from qsim.formats.unit_interval import UnitInterval
from qsim.values import Element


def level_of_real(x: float, number: Format, scale: float) -> int:
    """The level of a real value, as an input or a float layer makes it."""
    if isinstance(number, UnitInterval):
        n = 2**number.bits - 1
        return round(float(np.float32(n) * np.float32(min(max(x, 0.0), 1.0))))
    return _decide(Fraction(float(x)) / Fraction(scale), number)


def level_of_sums(element: Element, number: Format, scale: float, requantize: str) -> int:
    """The level of an unrounded value by the arithmetic called ``requantize``."""
    low, high = element.low / scale, element.high / scale
    if requantize == "onnx":
        return _decide(_held(Fraction(float(_float32_total(element, scale))), low, high), number)
    if requantize in ("shift", "thresholds"):
        total = sum(Fraction(sums) * Fraction(by) for sums, by in element.terms)
        exact = (total + Fraction(element.offset)) / Fraction(scale)
        return _decide(_held(exact, low, high), number)
    [(sums, by)] = element.terms
    level = fixed_point_product(sums, by / scale, requantize)
    level = min(max(level, number.min_level), number.max_level)
    if low != -inf:
        level = max(level, _decide(Fraction(low), number))
    return level if high == inf else min(level, _decide(Fraction(high), number))


def _held(x: Fraction, low: float, high: float) -> Fraction:
    """``x`` no less than ``low`` and no more than ``high``, which may be infinite."""
    if x < low:
        return Fraction(low)
    return Fraction(high) if x > high else x


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
    total = np.float32(0)
    for sums, by in element.terms:
        rounded = np.int64(sums).astype(np.float32)  # once, not by way of float64
        total = total + rounded * (np.float32(by) / np.float32(scale))
    return total + np.float32(element.offset) / np.float32(scale)


def _decide(x: Fraction, number: Format) -> int:
    """The level of an exact value in units of the scale."""
    if isinstance(number, BinaryFormat):
        return 1 if x >= 0 else -1
    if isinstance(number, Hwgq):
        return 0 if x <= 0 else min(max(ceil(x - Fraction(1, 2)), 1), 2**number.bits - 1)
    if isinstance(number, FixedPoint):
        return _word(x, number)
    return min(max(round(x), number.min_level), number.max_level)  # a half to the even integer


def _word(x: Fraction, number: FixedPoint) -> int:
    """The level of fixed point, by what its rounding and its overflow say."""
    half = Fraction(1, 2)
    nearest_up, nearest_down = floor(x + half), ceil(x - half)
    away, towards = (nearest_up, floor(x)) if x >= 0 else (nearest_down, ceil(x))
    rounded = {
        "half_even": round(x),
        "half_up": nearest_up,
        "half_away": away,
        "floor": floor(x),
        "ceil": ceil(x),
        "toward_zero": towards,
    }[number.rounding]
    if number.overflow == "wrap":
        return (rounded - number.min_level) % 2**number.bits + number.min_level
    return min(max(rounded, number.min_level), number.max_level)
