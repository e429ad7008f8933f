"""Real functions of a fraction, to enough digits that a table of them is rounded correctly.

Each takes a Fraction and returns a Fraction, which is exact, or a Decimal whose error is less than
10**-50 of it, or than 10**-50 where it is smaller than 1. So near to a limit, which the function
never reaches, that digits would not tell them apart, it is a Fraction beside the limit, on the
function's side and within 10**-40. They make tables; no kernel calls them.
"""

from collections.abc import Callable
from decimal import Context, Decimal, localcontext
from fractions import Fraction

DIGITS = 60  # of the arithmetic: ten more than are promised
BESIDE = Fraction(1, 10**42)  # a limit that is nearer than this to the function
PI = Decimal("3.14159265358979323846264338327950288419716939937510582097494459")

RealFunction = Callable[[Fraction], Fraction | Decimal]


def in_many_digits(function: RealFunction) -> RealFunction:
    """``function`` computed in DIGITS digits, whatever the caller's decimal context is."""

    def computed(x: Fraction) -> Fraction | Decimal:
        with localcontext(Context(prec=DIGITS)):
            return function(x)

    return computed


@in_many_digits
def exp(x: Fraction) -> Fraction | Decimal:
    """e**x, up to x = 10**6."""
    return Fraction(1) if x == 0 else decimal(x).exp()


@in_many_digits
def falling_exp(x: Fraction) -> Fraction | Decimal:
    """e**-x: the term of a softmax that lies x below the largest."""
    return exp(-x)


@in_many_digits
def sigmoid(x: Fraction) -> Fraction | Decimal:
    """1 / (1 + e**-x)."""
    if x == 0:
        return Fraction(1, 2)
    if abs(x) > 100:
        return 1 - BESIDE if x > 0 else BESIDE
    small = decimal(-abs(x)).exp()
    return (1 if x > 0 else small) / (1 + small)


@in_many_digits
def tanh(x: Fraction) -> Fraction | Decimal:
    """(1 - e**-2x) / (1 + e**-2x)."""
    if x == 0:
        return Fraction(0)
    if abs(x) > 50:
        return 1 - BESIDE if x > 0 else BESIDE - 1
    small = decimal(-2 * abs(x)).exp()
    magnitude = (1 - small) / (1 + small)
    return magnitude if x > 0 else -magnitude


@in_many_digits
def silu(x: Fraction) -> Fraction | Decimal:
    """x * sigmoid(x), also called swish."""
    if x == 0 or abs(x) > 100:
        return _beside_relu(x)
    return decimal(x) * sigmoid(x)


@in_many_digits
def gelu(x: Fraction) -> Fraction | Decimal:
    """x / 2 * (1 + erf(x / sqrt(2))): the exact GELU, without tanh."""
    if x == 0 or abs(x) > 14:
        return _beside_relu(x)
    z = decimal(abs(x)) / Decimal(2).sqrt()
    share = _erf(z) if x > 0 else -_erf(z)
    return decimal(x) / 2 * (1 + share)


@in_many_digits
def gelu_by_tanh(x: Fraction) -> Fraction | Decimal:
    """x / 2 * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 * x**3))): the GELU that tanh stands for.

    Source: Hendrycks and Gimpel, Gaussian Error Linear Units (arXiv 1606.08415), section 2.
    """
    if x == 0 or abs(x) > Fraction(21, 2):
        return _beside_relu(x)
    exact = decimal(x)
    inner = (2 / PI).sqrt() * (exact + Decimal("0.044715") * exact**3)
    return exact / (1 + (-2 * inner).exp())  # (1 + tanh(z)) / 2, without a difference


def leaky_relu(slope: Fraction) -> RealFunction:
    """x where it is positive, else ``slope`` * x."""
    return lambda x: x if x > 0 else x * slope


def hard_swish(x: Fraction) -> Fraction:
    """x * (x / 6 + 1 / 2 clipped to 0 .. 1)."""
    return x * hard_sigmoid(x)


def clip(low: Fraction, high: Fraction) -> RealFunction:
    """The function that clips to ``low .. high``: (0, 6) is relu6, (-1, 1) is hard-tanh."""
    return lambda x: min(max(x, Fraction(low)), Fraction(high))


def hard_sigmoid(x: Fraction) -> Fraction:
    """x / 6 + 1 / 2 clipped to 0 .. 1."""
    return min(max(x / 6 + Fraction(1, 2), Fraction(0)), Fraction(1))


def decimal(x: Fraction) -> Decimal:
    """``x`` to the digits of the decimal context."""
    return Decimal(x.numerator) / Decimal(x.denominator)


def _beside_relu(x: Fraction) -> Fraction:
    return max(x, Fraction(0)) - (BESIDE if x != 0 else 0)


def _erf(z: Decimal) -> Decimal:
    """The error function of z > 0 by 2 / sqrt(pi) * e**-z**2 * sum(2**n * z**(2n+1) / (2n+1)!!).

    All terms are positive, so nothing cancels.
    Source: Abramowitz and Stegun, Handbook of Mathematical Functions, 7.1.6.
    """
    total, term, n = z, z, 0
    while term > total * Decimal(10) ** -DIGITS:
        n += 1
        term *= 2 * z * z / (2 * n + 1)
        total += term
    return 2 / PI.sqrt() * (-z * z).exp() * total
