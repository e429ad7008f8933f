"""ONNX Runtime's arithmetic the obvious way: one value at a time, fractions rounded to float32."""

import math
from fractions import Fraction

from naive import dequantize_linear, float32, half_even, quantize_linear


def clipped(value: Fraction, low, high):
    return min(max(half_even(value), low), high)


def multiply_float(a, b, codes, low, high):
    """Codes are (scale, zero point)."""
    (scale_a, zero_a), (scale_b, zero_b), (scale_y, zero_y) = codes
    ratio = float32(float32(scale_a * scale_b) / scale_y)
    product = float32(float32(Fraction((a - zero_a) * (b - zero_b))) * ratio)
    return clipped(float32(product + zero_y), low, high)


def mean_float(values, count, code_y, low, high):
    """Values are (level, scale), added in order."""
    total = Fraction(0)
    for level, scale in values:
        total = float32(total + float32(level * scale))
    scale, zero_point = code_y
    quotient = float32(float32(total / count) / scale)
    return clipped(float32(quotient + zero_point), low, high)


def average_float(x, kernel, stride, padding, count_padding, codes, low, high):
    """Windows over an array of codes (images, channels, rows, columns), as nested lists."""
    (scale_x, zero_x), code_y = codes
    images, channels, height, width = x.shape
    top, left, bottom, right = padding
    rows = range(-top, height + bottom - kernel[0] + 1, stride[0])
    columns = range(-left, width + right - kernel[1] + 1, stride[1])

    def mean(n, c, y0, z0):
        places = [(y, z) for y in range(y0, y0 + kernel[0]) for z in range(z0, z0 + kernel[1])]
        inside = [(y, z) for y, z in places if 0 <= y < height and 0 <= z < width]
        values = [(int(x[n, c, y, z]) - zero_x, scale_x) for y, z in inside]
        count = len(places) if count_padding else len(inside)
        return mean_float(values, count, code_y, low, high)

    return [
        [[[mean(n, c, y, z) for z in columns] for y in rows] for c in range(channels)]
        for n in range(images)
    ]


def global_average(levels, scale_x, code_y, low, high):
    """The exact sum of levels, times one multiplier."""
    scale_y, zero_y = code_y
    multiplier = float32(scale_x / float32(scale_y * len(levels)))
    scaled = float32(float32(Fraction(sum(levels))) * multiplier)
    return clipped(scaled, low - zero_y, high - zero_y) + zero_y


def row_mean(row, address):
    """The mean of a row of float32 values that begins at ``address``, counted in values."""
    places = range(address, address + len(row))
    whole = [at for at in places if at % 4 == 0 and at + 3 in places]
    vectors = [[row[at - address + lane] for lane in range(4)] for at in whole]
    rest = [v for at, v in zip(places, row, strict=True) if not any(0 <= at - w < 4 for w in whole)]
    if not vectors:
        return float32(added(rest) / len(row))
    first, second = vectors[::2], vectors[1::2]
    odd = first.pop() if len(vectors) % 2 and len(vectors) > 1 else None
    sums = [added([vector[lane] for vector in first]) for lane in range(4)]
    if second:
        others = [added([vector[lane] for vector in second]) for lane in range(4)]
        sums = [float32(a + b) for a, b in zip(sums, others, strict=True)]
    if odd is not None:
        sums = [float32(a + b) for a, b in zip(sums, odd, strict=True)]
    total = float32(float32(sums[0] + sums[2]) + float32(sums[1] + sums[3]))
    return float32(added([total, *rest]) / len(row))


def added(values):
    total = values[0]
    for value in values[1:]:
        total = float32(total + value)
    return total


def code_of(function, code, codes, low, high):
    """A function of one value between DequantizeLinear and QuantizeLinear."""
    (scale_x, zero_x), (scale_y, zero_y) = codes
    real = function(dequantize_linear(code, scale_x, zero_x))
    return quantize_linear(real, scale_y, zero_y, low, high)


def logistic(x: Fraction, numerator, denominator):
    quotient = ratio(x, 18, numerator, denominator)
    return max(float32(quotient + Fraction(1, 2)), Fraction(0))


def hard_swish(x: Fraction):
    share = float32(float32(x * float32(Fraction(1, 6))) + Fraction(1, 2))
    return float32(x * min(max(share, Fraction(0)), Fraction(1)))


def ratio(x: Fraction, largest, numerator, denominator):
    """The ratio of polynomials of x**2 times x, each multiplication and its addition rounded
    once."""
    x = min(max(x, Fraction(-largest)), Fraction(largest))
    square = float32(x * x)

    def polynomial(coefficients):
        total = Fraction(float(coefficients[0]))
        for coefficient in coefficients[1:]:
            total = float32(total * square + Fraction(float(coefficient)))
        return total

    return float32(float32(polynomial(numerator) * x) / polynomial(denominator))


def softmax(row, scale_x: Fraction, code_y, low, high):
    """The codes of a row of codes; exponentials and the logarithm are the C library's."""
    scale_y, zero_y = code_y
    largest = Fraction(2**24 - 1) * 2**104  # of float32
    logarithm = float32(Fraction(math.log(float32(largest / len(row)))))
    above = max(0.0, float(logarithm) - 5.0) / float(scale_x)
    steps = math.floor(float32(1 / scale_y))
    exponents = [(code - max(row) + above) * float(scale_x) for code in row]
    terms = [float32(Fraction(math.exp(exponent))) for exponent in exponents]
    total = added(terms)
    quotients = [float32(float32(term * steps) / total) for term in terms]
    return [min(max(half_even(quotient) + zero_y, low), high) for quotient in quotients]
