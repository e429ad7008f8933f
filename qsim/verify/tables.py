"""Values of table-driven layers computed again, one at a time, by decimals and Python integers."""

from decimal import ROUND_HALF_EVEN, Decimal, localcontext
from fractions import Fraction
from functools import lru_cache

from qsim.network.kinds import ByTable
from qsim.network.layers import Sigmoid, Softmax, Tabled
from qsim.network.pointwise import Curve, Gelu, HardSwish, LeakyRelu

DIGITS = 50
PI = Decimal("3.14159265358979323846264338327950288419716939937510582097494459230781640628620899")
FULL_TABLE_BITS = 10  # of the distance from the lowest to the highest level


def table_value(layer: ByTable, level: int, low: int, high: int, scale: float) -> int:
    """What a table of one level makes of a level of ``low .. high`` at ``scale``."""

    def entry(at: int) -> int:
        x = Fraction(scale) * at
        if isinstance(layer, Curve):
            with localcontext(prec=DIGITS):
                return _nearest_step(_curve(layer, x), Fraction(scale) / 2**layer.extra_bits)
        return function_level(layer, x)

    return on_a_line(entry, level, low, high)


def softmax_value(
    layer: Softmax, row: list[int], place: int, low: int, high: int, scale: float
) -> int:
    """The level at ``place`` of the softmax of a row of levels of ``low .. high`` at ``scale``."""

    def entry(distance: int) -> int:
        return _exponential(scale, distance, layer.fraction_bits)

    largest = max(row)
    terms = [on_a_line(entry, largest - level, 0, high - low) for level in row]
    share = round(Fraction(terms[place] * 2**layer.bits, sum(terms)))
    return min(share, 2**layer.bits - 1)


@lru_cache(maxsize=2**17)
def _exponential(scale: float, distance: int, fraction_bits: int) -> int:
    """The nearest integer to e**-(scale * distance); held, as long rows have few distances."""
    return _nearest(_exp(-Fraction(scale) * distance), fraction_bits)


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


def _curve(layer: Curve, x: Fraction) -> Fraction | Decimal:
    """The function of x by its definition."""
    real = Decimal(x.numerator) / Decimal(x.denominator)
    match layer:
        case LeakyRelu(slope=slope):
            return x * Fraction(slope) if x < 0 else x
        case HardSwish():
            return x * min(max(x + 3, Fraction(0)), Fraction(6)) / 6
        case Gelu(approximation="tanh"):
            root = (2 / PI).sqrt()
            return real / (1 + (-2 * root * (real + Decimal("0.044715") * real**3)).exp())
        case Gelu():
            return real / 2 * (1 + _erf(real / Decimal(2).sqrt()))
    return real / (1 + _exp(-x))


def _erf(z: Decimal) -> Decimal:
    """By its alternating series 2 / sqrt(pi) * sum((-1)**n z**(2n+1) / (n! (2n+1))), with digits
    enough for what cancels; 1 beyond 12. Source: Abramowitz and Stegun, 7.1.5."""
    if abs(z) > 12:
        return Decimal(1).copy_sign(z)
    with localcontext(prec=DIGITS + 140):
        total, term, n = z, z, 0
        while abs(term) > Decimal(10) ** -(DIGITS + 5):
            n += 1
            term *= -z * z / n
            total += term / (2 * n + 1)
        return 2 / PI.sqrt() * total


def _nearest_step(value: Fraction | Decimal, step: Fraction) -> int:
    """The integer nearest to ``value / step``, a half to the even one."""
    if isinstance(value, Fraction):
        return round(value / step)
    in_steps = value * step.denominator / step.numerator
    return int(in_steps.to_integral_value(ROUND_HALF_EVEN))


def _exp(x: Fraction) -> Decimal:
    with localcontext(prec=DIGITS):
        return (Decimal(x.numerator) / Decimal(x.denominator)).exp()


def _nearest(value: Decimal, fraction_bits: int) -> int:
    with localcontext(prec=DIGITS):
        return int((value * 2**fraction_bits).to_integral_value(ROUND_HALF_EVEN))
