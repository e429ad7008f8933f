"""The obvious way for tables, softmax and recurrent cells, with Python integers and fractions.

Real functions are enclosed between two fractions. Shares no code with qsim.
"""

from fractions import Fraction
from functools import cache
from math import isqrt

from naive import accumulate, half_even, requantize_fixed

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


def gelu_by_tanh_bounds(x: Fraction):
    """x * sigmoid(2 * sqrt(2 / pi) * (x + 0.044715 * x**3)), the root known to within 1 / FINE."""
    root, inner = isqrt(2 * FINE**3 // machin_pi()), x + Fraction(44715, 10**6) * x**3
    slack = Fraction(1, 2**300)
    ends = [bound for side in (-slack, slack)
            for bound in sigmoid_bounds(2 * (Fraction(root, FINE) + side) * inner)]  # fmt: skip
    return min(x * end for end in ends), max(x * end for end in ends)


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


@cache
def table_entry(bounds, level, x_scale, y):
    low, high, scale = y
    return rounded(bounds(level * x_scale), scale, low, high)


def table(bounds, level, x, y, step_bits=0):
    """A table's value; ``x`` and ``y`` are the lowest and the highest level and the scale."""
    low, high, scale = x
    assert low <= level <= high
    return interpolated(level, low, 2**step_bits, lambda at: table_entry(bounds, at, scale, y))


def clipped(value, grid):
    return min(max(value, grid[0]), grid[1])


def gate_part(product, row, operand, gate):
    """A row's product of an operand (w, bias, scales, registers), in the gate's format."""
    w, bias, scales, registers = product
    terms = [int(a) * int(b) for a, b in zip(w[row], operand, strict=True)]
    total = accumulate(terms, int(bias[row]), **registers)
    return requantize_fixed(total, scales[row] / gate[2], gate[0], gate[1], "tflite")


def lstm_step(cell, x, h, c):
    """One image; ``cell`` is a dictionary of products, formats and step bits of the tables."""
    gate, unit, state, hidden = cell["gate"], cell["unit"], cell["state"], len(h)

    def activation(bounds, row):
        parts = [gate_part(*p, gate) for p in ((cell["x"], row, x), (cell["h"], row, h))]
        return table(bounds, clipped(sum(parts), gate), gate, unit, cell["step_bits"])

    h_next, c_next = [], []
    for u in range(hidden):
        i, f, o = (activation(sigmoid_bounds, k * hidden + u) for k in (0, 1, 3))
        g = activation(tanh_bounds, 2 * hidden + u)
        kept = half_even(f * unit[2] * c[u])
        new = half_even(i * unit[2] * g * unit[2] / state[2])
        c_next.append(clipped(kept + new, state))
        squashed = table(tanh_bounds, c_next[u], state, unit, cell["step_bits"])
        low, high, scale = cell["out"]
        h_next.append(requantize_fixed(o * squashed, unit[2] ** 2 / scale, low, high, "tflite"))
    return h_next, c_next


def gru_step(cell, x, h):
    """One image; the reset gate comes after the recurrent product."""
    gate, unit, hidden = cell["gate"], cell["unit"], len(h)
    low, high, scale = cell["out"]

    def parts(row):
        return gate_part(cell["x"], row, x, gate), gate_part(cell["h"], row, h, gate)

    def activation(bounds, total):
        return table(bounds, clipped(total, gate), gate, unit, cell["step_bits"])

    h_next = []
    for u in range(hidden):
        r = activation(sigmoid_bounds, sum(parts(u)))
        z = activation(sigmoid_bounds, sum(parts(hidden + u)))
        p, q = parts(2 * hidden + u)
        n = activation(tanh_bounds, p + half_even(r * unit[2] * q))
        before = requantize_fixed(h[u], scale / unit[2], unit[0], unit[1], "tflite")
        mixed = (round(1 / unit[2]) - z) * n + z * before
        h_next.append(requantize_fixed(mixed, unit[2] ** 2 / scale, low, high, "tflite"))
    return h_next
