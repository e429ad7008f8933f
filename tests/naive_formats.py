"""The papers' number formats, one value at a time, by Python's fractions. Shares no code with qsim.

Values are fractions unless a definition is of float64, which Python's floats are.
"""

from decimal import Decimal, localcontext
from fractions import Fraction
from math import floor

from naive import float32, half_even

HALF = Fraction(1, 2)


def clip(x, low, high):
    return min(max(x, low), high)


def sign(x):
    return 1 if x >= 0 else -1


def mean_magnitude(values):
    """float32 of the quotient, float64, of the sum, rounded to float64, and the count."""
    return float32(Fraction(float(sum(abs(v) for v in values)) / len(values)))


def ternary(values, threshold):
    """0 up to the threshold, which belongs to 0."""
    return [0 if abs(v) <= threshold else 1 if v > 0 else -1 for v in values]


def twn(values):
    """Levels and scale."""
    threshold = Fraction(7, 10) * sum(abs(v) for v in values) / len(values)
    levels = ternary(values, threshold)
    kept = [v for v, level in zip(values, levels, strict=True) if level]
    return levels, mean_magnitude(kept)


def ttq(values, threshold: Fraction):
    """Levels, and the scales of +1 and -1 (None where no value has that level)."""
    levels = ternary(values, threshold * max(abs(v) for v in values))
    groups = [
        [v for v, level in zip(values, levels, strict=True) if level == side] for side in (1, -1)
    ]
    return levels, [mean_magnitude(group) if group else None for group in groups]


def unit_interval(x, bits):
    n = 2**bits - 1
    return half_even(float32(n * float32(clip(x, Fraction(0), Fraction(1)))))


def wrpn_weight(x, bits):
    n = 2 ** (bits - 1) - 1
    return half_even(float32(n * float32(clip(x, Fraction(-1), Fraction(1)))))


def odd_level(x, bits):
    """The nearest of the odd integers -n .. n; of two as near the one of the even code."""
    n = 2**bits - 1
    levels = range(-n, n + 1, 2)
    least = min(abs(x - level) for level in levels)
    tied = [(index, level) for index, level in enumerate(levels) if abs(x - level) == least]
    return min(tied, key=lambda pair: pair[0] % 2)[1]


def tanh(x: Fraction) -> Fraction:
    """To 30 digits."""
    if abs(x) > 40:
        return Fraction(sign(x))
    with localcontext() as context:
        context.prec = 70
        context.Emin = -999999
        if abs(x) < Fraction(1, 10**20):
            return x - x**3 / 3
        square = (2 * (Decimal(x.numerator) / Decimal(x.denominator))).exp()
        return Fraction((square - 1) / (square + 1))


def near_a_float32_tie(x: Fraction) -> bool:
    """Whether float64, wrong by 8 units of its last place, could round ``x`` to another float32."""
    slack = abs(x) * Fraction(1, 2**49)
    return float32(x - slack) != float32(x + slack)


def dorefa_weights(values, bits):
    """Codes of k > 1 bits, float32 at every step."""
    n = 2**bits - 1
    bounded = [float32(tanh(v)) for v in values]
    largest = max(abs(t) for t in bounded)
    within = [float32(float32(t / float32(2 * largest)) + HALF) for t in bounded]
    return [half_even(float32(n * r)) for r in within]


def dorefa_gradient(sample, bits, noise):
    """Codes of one sample, Python floats, before they are clipped."""
    n, largest = 2**bits - 1, max(abs(g) for g in sample)
    if largest == 0:
        return [round(n * 0.5 + u) for u in noise]
    return [round(n * (g / (2 * largest) + 0.5) + u) for g, u in zip(sample, noise, strict=True)]


def hwgq(x, bits):
    """``x`` in steps: 0 where not positive, else the level i whose cell (t_i, t_i+1] holds it."""
    if x <= 0:
        return 0
    level = 1
    while level < 2**bits - 1 and x > level + HALF:
        level += 1
    return level


def lsq(x, step, bits, signed):
    low, high = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if signed else (0, 2**bits - 1)
    return half_even(clip(x / step, Fraction(low), Fraction(high)))


def lsq_step_gradient(x, step, bits, signed):
    low, high = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if signed else (0, 2**bits - 1)
    ratio = x / step
    if ratio <= low:
        return Fraction(low)
    return Fraction(high) if ratio >= high else half_even(ratio) - ratio


def pact(x, alpha, bits):
    """The level of clip(x, 0, alpha) of 2**bits - 1 steps."""
    return half_even(clip(x, Fraction(0), alpha) * (2**bits - 1) / alpha)


def by_boundaries(x, levels, boundaries):
    """The level that boundaries, and whether each belongs to the level above it, give."""
    reached = sum(x > at or (x == at and inclusive) for at, inclusive in boundaries)
    return levels[reached]


def scale_map(x, kernel, stride, padding, dilation):
    """XNOR-Net's map of one image (channels, rows, columns), every step a float32, by position."""
    height, width, (top, left, bottom, right) = len(x[0]), len(x[0][0]), padding
    spans = [dilation[i] * (kernel[i] - 1) for i in (0, 1)]

    def mean(y, z):
        total = Fraction(0)
        if 0 <= y < height and 0 <= z < width:
            for channel in x:
                total = float32(total + abs(channel[y][z]))
        return float32(total / len(x))

    def window(y, z):
        total = Fraction(0)
        for i in range(kernel[0]):
            for j in range(kernel[1]):
                total = float32(total + mean(y + i * dilation[0], z + j * dilation[1]))
        return float32(total / (kernel[0] * kernel[1]))

    return [
        [window(y, z) for z in range(-left, width + right - spans[1], stride[1])]
        for y in range(-top, height + bottom - spans[0], stride[0])
    ]


def normal_density(x: Decimal) -> Decimal:
    return (-x * x / 2).exp() / (2 * PI).sqrt()


def normal_above_zero(x: Decimal) -> Decimal:
    """The share of a normal distribution between 0 and ``x``, by its Taylor series."""
    total, term, n = Decimal(0), x, 0
    while abs(term) > Decimal(10) ** -60:
        total += term / (2 * n + 1)
        n += 1
        term = -term * x * x / (2 * n)
    return total / (2 * PI).sqrt()


def half_normal_error_slope(step: Decimal, bits: int) -> Decimal:
    """d/d step of E[(x - q(x))**2] over the positive half of N(0, 1), in 80 digits.

    The cells of q are bounded halfway between levels, where both errors are equal, so that moving a
    bound adds nothing: the slope is the sum of -2 i E[x - i step] over the cells.
    """
    with localcontext() as context:
        context.prec = 80
        last, slope = 2**bits - 1, Decimal(0)
        for level in range(1, last + 1):
            start = Decimal(0) if level == 1 else (level - Decimal("0.5")) * step
            ends = level == last
            end = (level + Decimal("0.5")) * step
            mass = (HALF_MASS if ends else normal_above_zero(end)) - normal_above_zero(start)
            first = normal_density(start) - (0 if ends else normal_density(end))
            slope -= 2 * level * (first - level * step * mass)
        return slope


HALF_MASS = Decimal("0.5")
PI = Decimal("3.14159265358979323846264338327950288419716939937510582097494459230781640628620899")


def floor_and_up(x: Fraction):
    """The integer below, and the probability of the one above."""
    return floor(x), x - floor(x)
