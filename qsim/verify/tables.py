"""Values of table-driven layers computed again, one at a time, by decimals and Python integers."""

from decimal import ROUND_HALF_EVEN, Decimal, localcontext
from fractions import Fraction

from qsim.network.layers import Sigmoid, Softmax, Tabled

DIGITS = 50
FULL_TABLE_BITS = 10  # of the distance from the lowest to the highest level


def table_value(layer: Tabled, level: int, low: int, high: int, scale: float) -> int:
    """What a sigmoid or tanh by table makes of a level of ``low .. high`` at ``scale``."""

    def entry(at: int) -> int:
        return function_level(layer, Fraction(scale) * at)

    return on_a_line(entry, level, low, high)


def softmax_value(
    layer: Softmax, row: list[int], place: int, low: int, high: int, scale: float
) -> int:
    """The level at ``place`` of the softmax of a row of levels of ``low .. high`` at ``scale``."""

    def entry(distance: int) -> int:
        return _nearest(_exp(-Fraction(scale) * distance), layer.fraction_bits)

    largest = max(row)
    terms = [on_a_line(entry, largest - level, 0, high - low) for level in row]
    share = round(Fraction(terms[place] * 2**layer.bits, sum(terms)))
    return min(share, 2**layer.bits - 1)


def on_a_line(entry, at: int, low: int, high: int) -> int:
    """The entry of ``at``; where entries stand for several levels, of the line between two."""
    step = 2 ** max((high - low).bit_length() - FULL_TABLE_BITS, 0)
    left = low + (at - low) // step * step
    if left == at:
        return entry(at)
    beyond = at - left
    return round(Fraction(entry(left) * (step - beyond) + entry(left + step) * beyond, step))


def function_level(layer: Tabled, x: Fraction) -> int:
    """The nearest integer to the function of x at the layer's fraction bits."""
    with localcontext(prec=DIGITS):
        if isinstance(layer, Sigmoid):
            return _nearest(1 / (1 + _exp(-x)), layer.fraction_bits)
        return _nearest(1 - 2 / (1 + _exp(2 * x)), layer.fraction_bits)


def _exp(x: Fraction) -> Decimal:
    with localcontext(prec=DIGITS):
        return (Decimal(x.numerator) / Decimal(x.denominator)).exp()


def _nearest(value: Decimal, fraction_bits: int) -> int:
    with localcontext(prec=DIGITS):
        return int((value * 2**fraction_bits).to_integral_value(ROUND_HALF_EVEN))
