"""The obvious way for tables, softmax and recurrent cells, with Python integers and fractions.

Real functions are enclosed between two fractions. Shares no code with qsim.
"""

from fractions import Fraction
from math import isqrt

from naive import half_even

ONE = 2**220  # unit of the series
FINE = 2**600  # of those whose large terms cancel


def exp_bounds(x: Fraction):
    """Two fractions that enclose e**x, by its series with every term rounded down, and up."""
    if x < 0:
        low, high = exp_bounds(-x)
        return 1 / high, 1 / low
    if x == 0:
        return Fraction(1), Fraction(1)
    p, q = x.numerator, x.denominator
    down = up = low = high = ONE
    k = 0
    while k <= 2 * x or up > 1:
        k += 1
        down, up = down * p // (q * k), -(-up * p // (q * k))
        low, high = low + down, high + up
    return Fraction(low, ONE), Fraction(high + 2 * up, ONE)  # the rest is less than its first


def sigmoid_bounds(x: Fraction):
    low, high = exp_bounds(-x)
    return 1 / (1 + high), 1 / (1 + low)


def tanh_bounds(x: Fraction):
    low, high = exp_bounds(-2 * x)
    return (1 - high) / (1 + high), (1 - low) / (1 + low)


def silu_bounds(x: Fraction):
    low, high = sigmoid_bounds(x)
    return sorted((x * low, x * high))


def gelu_bounds(x: Fraction):
    """x / 2 * (1 + erf(x / sqrt(2))), erf(x / sqrt(2)) = x * sqrt(2 / pi) * sum of
    (-x**2 / 2)**n / (n! * (2n + 1)), whose rest is less than its first term once they fall."""
    square = x * x / 2
    term, total, n = Fraction(1), Fraction(1), 0
    while n <= square or abs(term) > Fraction(1, 2**400):
        n += 1
        term = Fraction(round(-term * square / n * FINE), FINE)
        total += term / (2 * n + 1)
    root = Fraction(isqrt(2 * FINE**3 // machin_pi()), FINE)
    slack = abs(x) * Fraction(1, 2**300)
    value = x / 2 * (1 + x * root * total)
    return value - slack, value + slack


def machin_pi():
    """pi * FINE by 16 * atan(1/5) - 4 * atan(1/239), to all but a few bits."""

    def atan_of_inverse(n):
        power, total, k = FINE // n, 0, 0
        while power:
            total += (-1) ** k * (power // (2 * k + 1))
            power //= n * n
            k += 1
        return total

    return 16 * atan_of_inverse(5) - 4 * atan_of_inverse(239)


def rounded(bounds, scale: Fraction, low, high):
    """The level of an enclosed real, a half to the even one, clipped; the bounds must agree."""
    below, above = (half_even(bound / scale) for bound in bounds)
    assert below == above
    return min(max(below, low), high)


def interpolated(level, first, step, entry):
    """The value at a level on the line between the entries on either side, which ``entry`` gives
    by the level, to the nearest integer, a half to the even one."""
    left = first + (level - first) // step * step
    share = Fraction(level - left, step)
    return half_even(
        entry(left) if share == 0 else (1 - share) * entry(left) + share * entry(left + step)
    )


def softmax(row, scale: Fraction, fraction_bits, bits):
    one = 2**fraction_bits
    terms = [
        rounded(exp_bounds((level - max(row)) * scale), Fraction(1, one), 0, one) for level in row
    ]
    shares = [half_even(Fraction(term * 2**bits, sum(terms))) for term in terms]
    return [min(share, 2**bits - 1) for share in shares]


def softmax_bounds(row, scale: Fraction):
    """Enclosures of the real softmax."""
    terms = [exp_bounds((level - max(row)) * scale) for level in row]
    low, high = (sum(term[i] for term in terms) for i in (0, 1))
    return [(term[0] / high, term[1] / low) for term in terms]
