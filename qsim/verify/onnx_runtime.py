"""ONNX Runtime's roundings computed again, one value at a time, by fractions rounded to float32.

Written from what its kernels compute, and sharing nothing with the program's run.
"""

from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal, localcontext
from fractions import Fraction
from functools import lru_cache
from math import floor, frexp, inf

from qsim.formats import AffineGrid, Format
from qsim.network.layers import Layer, Sigmoid, Tanh
from qsim.network.pointwise import HardSwish, LeakyRelu
from qsim.values import Element

# of MLAS and of Eigen, the coefficients of a numerator and a denominator, highest power first
LOGISTIC = (
    ["4.37031012579801e-11", "1.15627324459942e-07", "6.08574864600143e-05",
     "8.51377133304701e-03", "2.48287947061529e-01"],
    ["6.10247389755681e-13", "5.76102136993427e-09", "6.29106785017040e-06",
     "1.70198817374094e-03", "1.16817656904453e-01", "9.93151921023180e-01"],
)  # fmt: skip
TANGENT = (
    ["-2.76076847742355e-16", "2.00018790482477e-13", "-8.60467152213735e-11",
     "5.12229709037114e-08", "1.48572235717979e-05", "6.37261928875436e-04",
     "4.89352455891786e-03"],
    ["1.19825839466702e-06", "1.18534705686654e-04", "2.26843463243900e-03",
     "4.89352518554385e-03"],
)  # fmt: skip


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
    elif element.source == "softmax":
        [(integer, by)] = element.terms
        steps = floor(nearest(1 / step))
        share = nearest(nearest(integer * Fraction(by) * steps) / Fraction(element.divisor))
        level = round(share)
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


def curve_value(layer: Layer, level: int, scale: float) -> Element:
    """What a curve makes of a level of ``scale``, a float32 value."""
    x = nearest(level * Fraction(scale))
    match layer:
        case Sigmoid():
            return held(max(nearest(_ratio(x, 18, *LOGISTIC) + Fraction(1, 2)), Fraction(0)))
        case Tanh():
            return held(_ratio(x, 9, *TANGENT))
        case LeakyRelu(slope=slope):
            return held(x if x >= 0 else nearest(nearest(Fraction(slope)) * x))
        case HardSwish():
            share = nearest(nearest(x * nearest(Fraction(1, 6))) + Fraction(1, 2))
            return held(nearest(x * min(max(share, Fraction(0)), Fraction(1))))
    raise TypeError(f"no float32 curve of a {type(layer).__name__} layer")


def softmax_value(row: list[int], place: int, scale: float) -> Element:
    """The exponential at ``place`` of a row of levels of ``scale``, over the sum of all, added in
    order."""
    largest = max(row)
    terms = [_exponential(level - largest, scale, len(row)) for level in row]
    total = Fraction(0)
    for term in terms:
        total = nearest(total + term)
    return replace(held(terms[place]), divisor=float(total), source="softmax")


def held(value: Fraction) -> Element:
    """A float32 value as 24 bits and the power of two that they are scaled by."""
    significand, exponent = frexp(float(value))
    return Element(((int(significand * 2**24), 2.0 ** (exponent - 24)),))


@lru_cache(maxsize=4096)
def _exponential(below: int, scale: float, length: int) -> Fraction:
    """The exponential of a level ``below`` the largest of a row, not above 0, in float32: moved up
    so far that ``length`` of the largest nearly fill float32."""
    largest = nearest(Fraction((2**24 - 1) * 2**104) / length)
    with localcontext(prec=50):
        logarithm = nearest(Fraction(Decimal(int(largest)).ln()))
        above = max(0.0, float(logarithm) - 5.0) / scale
        exponent = (below + above) * scale
        return nearest(Fraction(float(Decimal(exponent).exp())))


def _ratio(x: Fraction, largest: int, numerator: list[str], denominator: list[str]) -> Fraction:
    """The ratio of polynomials of x**2, times x, by fused multiply-adds."""
    x = min(max(x, Fraction(-largest)), Fraction(largest))
    square = nearest(x * x)
    quotients = []
    for coefficients in (numerator, denominator):
        first, *others = (nearest(Fraction(each)) for each in coefficients)
        for coefficient in others:
            first = nearest(first * square + coefficient)
        quotients.append(first)
    return nearest(nearest(quotients[0] * x) / quotients[1])


def zero_points(formats: Sequence[Format]) -> tuple[int, ...]:
    """The zero points of formats, 0 of those without one."""
    return tuple(map(_zero_point, formats))


def _zero_point(number: Format) -> int:
    if not isinstance(number, AffineGrid):
        return 0
    half = 2 ** (number.bits - 1)
    return number.zero_point - half if number.signed_codes else number.zero_point


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
