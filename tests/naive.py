"""The obvious way, with Python integers and fractions and no tricks. Shares no code with qsim."""

from fractions import Fraction
from itertools import product
from math import ceil, floor, inf, log


def hold(total, bits, mode):
    """What a register keeps of a total."""
    low, high = -(2 ** (bits - 1)), 2 ** (bits - 1) - 1
    if mode == "saturate":
        return low if total < low else high if total > high else total
    if mode == "wrap":
        while total > high:
            total -= 2**bits * ((total - high - 1) // 2**bits + 1)
        while total < low:
            total += 2**bits * ((low - total - 1) // 2**bits + 1)
    return total


def accumulate(products, bias, bits, mode, partial=None):
    """``partial``: products to a group, bits and mode of the register that sums a group first."""
    if partial is not None:
        count, *narrow = partial
        groups = [products[i : i + count] for i in range(0, len(products), count)]
        products = [accumulate(group, 0, *narrow) for group in groups]
    total = 0
    for term in products:
        total = hold(total + term, bits, mode)
    return hold(total + bias, bits, mode)


def linear(x, w, bias, bits, mode, partial=None):
    images, depth = x.shape
    return [
        [
            accumulate(
                [int(w[n, k]) * int(x[m, k]) for k in range(depth)],
                int(bias[n]),
                bits,
                mode,
                partial,
            )
            for n in range(w.shape[0])
        ]
        for m in range(images)
    ]


def matmul(x, y, bits, mode, partial=None):
    """By index, the elements of a matrix product; leading axes are aligned at their ends."""
    batch = [max(sizes, key=lambda n: (n != 1, n)) for sizes in aligned(x.shape[:-2], y.shape[:-2])]

    def within(at, shape):
        return tuple(
            0 if n == 1 else i for i, n in zip(at[len(at) - len(shape) :], shape, strict=True)
        )

    sums = {}
    for *at, i, j in product(*map(range, (*batch, x.shape[-2], y.shape[-1]))):
        a, b = within(at, x.shape[:-2]), within(at, y.shape[:-2])
        terms = [int(x[(*a, i, k)]) * int(y[(*b, k, j)]) for k in range(x.shape[-1])]
        sums[(*at, i, j)] = accumulate(terms, 0, bits, mode, partial)
    return sums


def aligned(a, b):
    """Pairs of sizes of two shapes aligned at their ends, 1 where one has none."""
    most = max(len(a), len(b))
    return list(zip((1,) * (most - len(a)) + a, (1,) * (most - len(b)) + b, strict=True))


def conv2d(x, w, bias, stride, padding, dilation, groups, bits, mode, partial=None):
    images, _, height, width = x.shape
    rows, channels, kernel_h, kernel_w = w.shape
    top, left, bottom, right = padding
    out_h = len(range(0, height + top + bottom - dilation[0] * (kernel_h - 1), stride[0]))
    out_w = len(range(0, width + left + right - dilation[1] * (kernel_w - 1), stride[1]))

    def pixel(n, c, y, z):
        inside = 0 <= y < height and 0 <= z < width
        return int(x[n, c, y, z]) if inside else 0

    def output(n, o, oy, ox):
        first = o // (rows // groups) * channels
        products = [
            int(w[o, c, i, j])
            * pixel(
                n,
                first + c,
                oy * stride[0] + i * dilation[0] - top,
                ox * stride[1] + j * dilation[1] - left,
            )
            for c, i, j in product(range(channels), range(kernel_h), range(kernel_w))
        ]
        return accumulate(products, int(bias[o]), bits, mode, partial)

    return [
        [
            [[output(n, o, oy, ox) for ox in range(out_w)] for oy in range(out_h)]
            for o in range(rows)
        ]
        for n in range(images)
    ]


def conv_reads(x_shape, w_shape, stride, padding, dilation, groups):
    """Every (output, weight, input) whose product a convolution sums, by their indices; the input
    is None where it is padding."""
    images, _, height, width = x_shape
    rows, channels, kernel_h, kernel_w = w_shape
    top, left, bottom, right = padding
    tops = range(-top, height + bottom - dilation[0] * (kernel_h - 1), stride[0])
    lefts = range(-left, width + right - dilation[1] * (kernel_w - 1), stride[1])
    for n, o, (oy, y0), (ox, z0) in product(
        range(images), range(rows), enumerate(tops), enumerate(lefts)
    ):
        first = o // (rows // groups) * channels
        for c, i, j in product(range(channels), range(kernel_h), range(kernel_w)):
            y, z = y0 + i * dilation[0], z0 + j * dilation[1]
            inside = 0 <= y < height and 0 <= z < width
            yield (n, o, oy, ox), (o, c, i, j), (n, first + c, y, z) if inside else None


def input_gradient(g, w, x_shape, bits, mode, **geometry):
    """By index of the input, the sum of g * w over the outputs that read it; absent if none does."""
    products = {}
    for output, weight, read in conv_reads(x_shape, w.shape, **geometry):
        if read is not None:
            products.setdefault(read, []).append(int(g[output]) * int(w[weight]))
    return {read: accumulate(terms, 0, bits, mode) for read, terms in products.items()}


def weight_gradient(x, g, w_shape, bits, mode, partial=None, **geometry):
    """By image and index of the weight, the sum of g * x over the positions; absent if it has none."""
    products = {}
    for output, weight, read in conv_reads(x.shape, w_shape, **geometry):
        term = 0 if read is None else int(g[output]) * int(x[read])
        products.setdefault((output[0], *weight), []).append(term)
    return {at: accumulate(terms, 0, bits, mode, partial) for at, terms in products.items()}


def packed(integers, plane):
    """Words of 64 bits: bit ``plane`` of each integer, the first integer in the lowest bit."""
    bits = [(int(v) // 2**plane) % 2 for v in integers]
    return [
        sum(2**b for b, bit in enumerate(bits[first : first + 64]) if bit)
        for first in range(0, len(bits), 64)
    ]


def affine_levels(bits, step, offset):
    """All levels of a code, in the order of the codes."""
    return [step * code + offset for code in range(2**bits)]


def shifted_weight(sign, shift_hi, shift_lo, absent=-1):
    """The integer that a sign and two shifts stand for."""
    return int(sign) * sum(2 ** int(s) for s in (shift_hi, shift_lo) if int(s) != absent)


def pool(x, kernel, stride, padding, reduce):
    """``reduce`` of the list of values under each window."""
    images, channels, height, width = x.shape
    top, left, bottom, right = padding
    rows = range(-top, height + bottom - kernel[0] + 1, stride[0])
    columns = range(-left, width + right - kernel[1] + 1, stride[1])

    def under(n, c, y0, z0):
        return [
            int(x[n, c, y, z])
            for y in range(y0, y0 + kernel[0])
            for z in range(z0, z0 + kernel[1])
            if 0 <= y < height and 0 <= z < width
        ]

    return [
        [[[reduce(under(n, c, y, z)) for z in columns] for y in rows] for c in range(channels)]
        for n in range(images)
    ]


def half_even(value: Fraction) -> int:
    """The nearest integer, a half to the even one."""
    floor = value.numerator // value.denominator
    rest = value - floor
    if rest > Fraction(1, 2) or (rest == Fraction(1, 2) and floor % 2 == 1):
        return floor + 1
    return floor


def float32(value: Fraction) -> Fraction:
    """The nearest float32, a half to the even one; without infinities."""
    if value == 0:
        return Fraction(0)
    exponent = -126
    while abs(value) >= Fraction(2) ** (exponent + 1):
        exponent += 1
    step = Fraction(2) ** (exponent - 23)
    return half_even(value / step) * step


def float_matmul(w, x):
    """float32 products added in order, every step rounded; operands that stay within float32."""
    return [
        [
            accumulate_float(
                [Fraction(float(w[n, k])) * Fraction(float(x[k, m])) for k in range(w.shape[1])]
            )
            for m in range(x.shape[1])
        ]
        for n in range(w.shape[0])
    ]


def accumulate_float(products):
    total = Fraction(0)
    for term in products:
        total = float32(total + float32(term))
    return float(total)


def requantize_float(terms, low, high):
    """Level of a list of (sum, multiplier), every operation rounded to float32."""
    total = Fraction(0)
    for sums, multiplier in terms:
        scaled = float32(float32(Fraction(sums)) * Fraction(float(multiplier)))
        total = float32(total + scaled)
    return min(max(half_even(total), low), high)


def requantize_shift(total, shift, low, high):
    return min(max(half_even(Fraction(total, 2**shift)), low), high)


def quantize_multiplier(real: Fraction):
    """TFLite's 31-bit fraction and exponent of a positive real; zeros where it is too small."""
    exponent = 0
    while real >= Fraction(2) ** exponent:
        exponent += 1
    while real < Fraction(2) ** (exponent - 1):
        exponent -= 1
    scaled = real * Fraction(2) ** (31 - exponent)
    multiplier = scaled.numerator // scaled.denominator
    if scaled - multiplier >= Fraction(1, 2):
        multiplier += 1
    if multiplier == 2**31:
        multiplier, exponent = 2**30, exponent + 1
    return (0, 0) if exponent < -31 else (multiplier, exponent)


def requantize_fixed(total, real: Fraction, low, high, rounding):
    """The C code of TFLite and gemmlowp, division by division."""
    multiplier, exponent = quantize_multiplier(real)
    if rounding == "tflite":
        level = half_up(Fraction(total * multiplier, 2**31) * Fraction(2) ** exponent)
    else:
        product = total * 2 ** max(exponent, 0) * multiplier
        nudge = 2**30 if product >= 0 else 1 - 2**30
        product = int(Fraction(product + nudge, 2**31))  # cut towards zero
        value = Fraction(product, 2 ** max(-exponent, 0))
        away = rounding == "tflite-reference" and value < 0
        level = -half_up(-value) if away else half_up(value)
    return min(max(level, low), high)


def half_up(value: Fraction) -> int:
    """The nearest integer, a half to the larger one."""
    return (2 * value.numerator + value.denominator) // (2 * value.denominator)


def threshold_level(total, thresholds, falling, low):
    """``low`` and one more for each threshold reached."""
    return low + sum(int(t) >= total if falling else int(t) <= total for t in thresholds)


def affine_level(total, multiplier: Fraction, offset: Fraction, low, high):
    value = multiplier * total + offset
    return min(max(value.numerator // value.denominator, low), high)


def is_rounded_line(thresholds, lowest, highest):
    """Whether a rising line, rounded up, reaches the thresholds: every two of them must allow it.

    Those that all or none of ``lowest .. highest`` reach bound the line from one side.
    """
    steps_above, steps_below = [Fraction(0)], []
    for (i, first), (j, second) in product(enumerate(thresholds), repeat=2):
        if i == j or first <= lowest or second > highest:
            continue
        # first - 1 < step * i + start and step * j + start <= second
        step = Fraction(second - (first - 1), j - i)
        (steps_below if j > i else steps_above).append(step)
    return not steps_below or max(steps_above) < min(steps_below)


def nearest_level(value: Fraction, levels, ties):
    """The nearest of ``levels``; of two as near the even or the smaller in magnitude."""
    levels = [int(level) for level in levels]
    least = min(abs(value - level) for level in levels)
    tied = [level for level in levels if abs(value - level) == least]
    if ties == "even":
        return next((level for level in tied if level % 2 == 0), tied[0])
    return min(tied, key=abs)


def sp2_magnitudes(bits):
    """SP2 as its definition is printed: sums of two reals out of 0, 1/2, 1/4, ..."""
    m1, m2 = -(-(bits - 1) // 2), (bits - 1) // 2
    first = [Fraction(0)] + [Fraction(1, 2**i) for i in range(1, 2**m1)]
    second = [Fraction(0)] + [Fraction(1, 2**i) for i in range(1, 2**m2)]
    return sorted({a + b for a in first for b in second})


def low_variance_rows(rows, count):
    """Indices of the ``count`` rows of least variance, the first of equals."""

    def variance(row):
        values = [Fraction(float(v)) for v in row]
        mean = sum(values) / len(values)
        return sum((v - mean) ** 2 for v in values) / len(values)

    order = sorted(range(len(rows)), key=lambda i: (variance(rows[i]), i))
    return set(order[:count])


def run_of(at, shape, axis, block):
    """The index of the scale of the value at ``at``."""
    if axis is None:
        return ()
    axis %= len(shape)
    if block is None:
        return (at[axis],)
    return tuple(i // block if side == axis else i for side, i in enumerate(at))


def quantize_linear(real: Fraction, scale: Fraction, zero_point, low, high):
    return min(max(half_even(float32(real / scale)) + zero_point, low), high)


def dequantize_linear(code, scale: Fraction, zero_point):
    return float32(float32(Fraction(code - zero_point)) * scale)


def range_to_code(values, low, high):
    smallest, largest = min([Fraction(0), *values]), max([Fraction(0), *values])
    if smallest == largest:
        return Fraction(1), min(max(0, low), high)
    scale = float32(float32(largest - smallest) / (high - low))
    exact = float32(low - float32(smallest / scale))
    return scale, half_even(min(max(exact, Fraction(low)), Fraction(high)))


def cast_narrow(value: Fraction, bits, signed):
    """Cut towards zero, then counted around the circle of the words."""
    cut = -(-value.numerator // value.denominator) if value < 0 else int(value)
    word = cut % 2**bits
    return word - 2**bits if signed and word >= 2 ** (bits - 1) else word


def packed_bytes(integers, bits):
    digits = "".join(format(int(v) % 2**bits, f"0{bits}b")[::-1] for v in integers)
    digits += "0" * (-len(digits) % 8)
    return [int(digits[first : first + 8][::-1], 2) for first in range(0, len(digits), 8)]


def add_float(a, b, codes, low, high):
    """Codes are (scale, zero point); three fused multiply-adds, each rounded once."""
    (scale_a, zero_a), (scale_b, zero_b), (scale_y, zero_y) = codes
    ratio_a, ratio_b = float32(scale_a / scale_y), float32(scale_b / scale_y)
    zeros = float32(ratio_a * zero_a + float32(ratio_b * zero_b))
    rest = float32(zero_y - zeros)
    total = float32(a * ratio_a + float32(b * ratio_b + rest))
    return min(max(half_even(total), low), high)


def half_away(value: Fraction) -> int:
    """The nearest integer, a half away from zero."""
    return -half_up(-value) if value < 0 else half_up(value)


def add_fixed(a, b, scales, low, high, addition):
    """Levels; scales are fractions, each a float32."""
    x, y, out = scales
    if addition == "xnnpack":
        ratios = [float32(x / out), float32(y / out)]
        shift = 20
        while max(ratios) * 2**shift >= 2**21:
            shift -= 1
        while max(ratios) * 2**shift < 2**20:
            shift += 1
        total = half_up(Fraction(sum(
            level * half_even(ratio * 2**shift)
            for level, ratio in zip((a, b), ratios, strict=True)
        ), 2**shift))  # fmt: skip
        return min(max(total, low), high)
    larger = 2 * max(x, y)
    inner = "tflite-reference" if addition == "tflite-reference" else "tflite"
    everything = -(2**40), 2**40
    total = sum(
        requantize_fixed(level * 2**20, Fraction(float(scale / larger)), *everything, inner)
        for level, scale in ((a, x), (b, y))
    )
    outer = Fraction(float(larger / (2**20 * out)))
    last = "tflite" if addition == "tflite" else "tflite-reference"
    return requantize_fixed(total, outer, low, high, last)


def requantize_double(total, multiplier, low, high):
    """A Python float is a float64, and the product of two is rounded once."""
    return min(max(half_away(Fraction(float(total) * multiplier)), low), high)


def requantize_real_bias(total, bias: Fraction, scales, one_scale, low, high):
    """Scales of x, the weight and the result are fractions; each operation rounds to float32, but
    for the product with a reciprocal, to which the sum is added first."""
    x, weight, out = scales
    product = float32(x * weight)
    steps = bias * float32(1 / product) if one_scale else float32(bias / product)
    multiplier = float32(product / out)
    scaled = float32(float32(float32(Fraction(total)) + steps) * multiplier)
    return min(max(half_even(scaled), low), high)


def fixed_point_level(value: Fraction, bits, signed, overflow, rounding):
    """The word that keeps a value in steps of the last bit, by what each rounding is said to do."""
    below = value.numerator // value.denominator
    above = below if value == below else below + 1
    nearer = {below, above} if 2 * value == below + above else {half_even(value)}
    chosen = {
        "half_even": half_even(value),
        "half_up": max(nearer),
        "half_away": max(nearer, key=abs),
        "floor": below,
        "ceil": above,
        "toward_zero": min(below, above, key=abs),
    }[rounding]
    if overflow == "wrap":
        return hold(chosen, bits, "wrap") if signed else chosen % 2**bits
    return min(max(chosen, -(2 ** (bits - 1)) if signed else 0), 2 ** (bits - signed) - 1)


def dynamic_code(values, highest):
    """Fractions in, float64 arithmetic: the quotient of fractions rounds once to a float."""
    smallest, largest = min([Fraction(0), *values]), max([Fraction(0), *values])
    scale = Fraction(float(Fraction(float(largest - smallest)) / highest))
    zero_point = half_even(Fraction(float(-smallest / scale)))
    return float32(scale), min(zero_point, highest)


def quantize_dynamic(value: Fraction, scale: Fraction, zero_point, highest):
    return min(max(half_even(float32(value * float32(1 / scale) + zero_point)), 0), highest)


def dequantize_sum(total, scale: Fraction, weight_scale: Fraction, bias: Fraction):
    return float32(float32(Fraction(total)) * float32(scale * weight_scale) + bias)


def quant_level(value: Fraction, words, zero_point, rounding):
    """The level of a value in steps of the scale, by QONNX's definitions of its roundings."""
    exact = min(max(value + zero_point, Fraction(words[0])), Fraction(words[1]))
    sign, magnitude, half = (-1 if exact < 0 else 1), abs(exact), Fraction(1, 2)
    word = {
        "half_even": lambda: round(exact),
        "half_away": lambda: sign * floor(magnitude + half),
        "half_toward": lambda: sign * ceil(magnitude - half),
        "floor": lambda: floor(exact),
        "ceil": lambda: ceil(exact),
        "toward_zero": lambda: sign * floor(magnitude),
        "away": lambda: sign * ceil(magnitude),
    }[rounding]()
    return word - zero_point


def kl_divergence(counts, bins, levels, smooth):
    """TensorRT's entropy calibration, step by step, in fractions up to the logarithms."""
    smooth = Fraction(smooth)
    kept = counts[:bins]
    beyond = sum(counts[bins:])
    if sum(kept) == 0 or (kept[-1] == 0 and beyond > 0 and smooth == 0):
        return inf
    p = [Fraction(count) for count in kept]
    p[-1] += beyond
    merged = [[j for j in range(bins) if j * levels // bins == level] for level in range(levels)]
    q = [Fraction(0)] * bins
    for members in merged:
        filled = [j for j in members if kept[j]]
        for j in filled:
            q[j] = Fraction(sum(kept[k] for k in members), len(filled))
    p, q = (
        [(1 - smooth) * value / sum(values) + smooth / bins for value in values]
        for values in (p, q)
    )
    return sum(float(a) * log(a / b) for a, b in zip(p, q, strict=True) if a > 0)
