"""Values of thresholds and of dropped bits computed again, one at a time, by fractions."""

from fractions import Fraction
from math import ceil, floor, inf

import numpy as np

from qsim.network.roundings import MultiThreshold, Truncate
from qsim.values import Element


def counted(layer: MultiThreshold, before: Element, thresholds: list[float]) -> Element:
    """What a MultiThreshold of a channel's thresholds makes of a value."""
    value = exact(before)
    count = sum(1 for threshold in thresholds if value >= Fraction(threshold))
    scale, bias = Fraction(layer.out_scale), Fraction(layer.out_bias)
    level = round((scale * count + bias) / Fraction(layer.unit))
    return Element(((level, layer.unit),))


def truncated(layer: Truncate, before: Element) -> Element:
    """What a Truncate makes of a value."""
    integer = round(exact(before) * layer.times / Fraction(layer.scale))  # a half to the even one
    steps, half = Fraction(integer, 2**layer.dropped_bits), Fraction(1, 2)
    side = 1 if steps >= 0 else -1
    level = {
        "half_even": round(steps),
        "half_away": side * floor(abs(steps) + half),
        "half_toward": side * ceil(abs(steps) - half),
        "floor": floor(steps),
        "ceil": ceil(steps),
        "toward_zero": side * floor(abs(steps)),
        "away": side * ceil(abs(steps)),
    }[layer.rounding]
    level = level if layer.low is None else max(level, layer.low)
    level = level if layer.high is None else min(level, layer.high)
    return Element(((level, layer.out_scale),))


def exact(element: Element) -> Fraction:
    """The value as it is defined: its bounds after its sums, divisor and offset."""
    total = sum(Fraction(sums) * Fraction(by) for sums, by in element.terms) / element.divisor
    value = total + Fraction(float(np.float32(element.offset)))
    value = value if element.low == -inf else max(value, Fraction(element.low))
    return value if element.high == inf else min(value, Fraction(element.high))
