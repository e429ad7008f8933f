"""ONNX Runtime's roundings computed again, one value at a time, by fractions rounded to float32.

Written from what its kernels compute, and sharing nothing with the program's run.
"""

from collections.abc import Sequence
from fractions import Fraction
from math import inf

from qsim.formats import AffineGrid, Format
from qsim.values import Element


def level_of_sums(element: Element, number: Format, scale: float) -> int:
    """The level of an unrounded value in a tensor of format ``number`` at ``scale``."""
    step, zero = Fraction(scale), _zero_point(number)
    if element.source == "add":
        level = _sum(element, step, zero)
    elif element.source == "average":
        total = Fraction(0)
        for value, by in element.terms:
            total = nearest(total + nearest(value * nearest(Fraction(by))))
        mean = nearest(total / element.divisor)
        level = round(nearest(nearest(mean / step) + zero)) - zero
    else:
        [(total, by)] = element.terms
        level = _scaled(total, nearest(Fraction(by)), step, zero, element)
    low, high = number.min_level, number.max_level
    ends = [level_of_bound(bound, step, low, high) for bound in (element.low, element.high)]
    return min(max(level, ends[0]), ends[1])


def level_of_bound(bound: float, step: Fraction, low: int, high: int) -> int:
    """The level of a bound, as that of any value: its quotient by the scale in float32."""
    if abs(bound) == inf:
        return high if bound > 0 else low
    return min(max(round(nearest(nearest(Fraction(bound)) / step)), low), high)


def _scaled(total: int, by: Fraction, step: Fraction, zero: int, element: Element) -> int:
    """The level of one term, the scale of which is ``by``."""
    held = nearest(Fraction(total))
    match element.source:
        case "conv" | "depthwise" | "linear" | "matmul":
            return round(nearest(held * nearest(by / step)))
        case "global_average":
            return round(nearest(held * nearest(by / nearest(step * element.divisor))))
        case "multiply":
            return round(nearest(nearest(held * nearest(by / step)) + zero)) - zero
    return round(nearest(nearest(held * by) / step))


def _sum(element: Element, step: Fraction, zero: int) -> int:
    """Two fused multiply-adds of codes to what the zero points come to."""
    ratios = [nearest(nearest(Fraction(by)) / step) for _, by in element.terms]
    (of_a, of_b), (zero_a, zero_b) = ratios, element.zero_points
    a, b = (level + z for (level, _), z in zip(element.terms, element.zero_points, strict=True))
    rest = nearest(zero - nearest(of_a * zero_a + nearest(of_b * zero_b)))
    return round(nearest(a * of_a + nearest(b * of_b + rest))) - zero


def zero_points(formats: Sequence[Format]) -> tuple[int, ...]:
    """The zero points of formats, 0 of those without one."""
    return tuple(map(_zero_point, formats))


def _zero_point(number: Format) -> int:
    return number.zero_point if isinstance(number, AffineGrid) else 0


def nearest(value: Fraction) -> Fraction:
    """The nearest float32, a half to the even one, subnormal ones included; no infinity."""
    magnitude = abs(value)
    if magnitude == 0:
        return Fraction(0)
    exponent = magnitude.numerator.bit_length() - magnitude.denominator.bit_length()
    if magnitude < Fraction(2) ** exponent:
        exponent -= 1  # now 2**exponent <= magnitude < 2**(exponent + 1)
    unit = Fraction(2) ** (max(exponent, -126) - 23)
    return round(value / unit) * unit
