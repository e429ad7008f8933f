"""Every legal input of the kernels, extremes and empty shapes included."""

from fractions import Fraction
from functools import partial

import numpy as np
from hypothesis import assume
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from qsim.kernels.accumulator import Accumulator, Partial
from qsim.kernels.add_float import ScaledCode
from qsim.kernels.affine_code import AffineCode
from qsim.kernels.bit_serial import BitSerialWeights
from qsim.kernels.level_product import LevelWeights
from qsim.kernels.select_negate import SelectNegateWeights
from qsim.kernels.xnor_popcount import XnorPopcountWeights

MODES = ("exact", "wrap", "saturate")
ORDERLESS = ("exact", "wrap")  # of datapaths that add many products at once
DEPTHS = (0, 1, 63, 64, 65, 128, 130)  # around whole words of bits
LEVEL_LIMITS = (1, 7, 255, 2**15 - 1, 2**15, 2**31 - 1)


@st.composite
def levels(draw, shape, limit=None):
    """An integer array of levels up to one of the limits, both ends likely."""
    if limit is None:
        limit = draw(st.sampled_from(LEVEL_LIMITS))
    values = st.one_of(st.sampled_from([-limit, 0, limit]), st.integers(-limit, limit))
    return draw(arrays(np.int64, shape, elements=values))


@st.composite
def register(draw, worst, modes=MODES, split=None, most_bits=64):
    """An accumulator that sums of up to ``worst`` do not break: exact only where it is safe.

    ``split``, a depth and the largest product, lets it have a partial register. What counts bits in
    no order may then saturate: the sums of the partial register have an order.
    """
    assume(worst < 2**63)
    partial = None if split is None else draw(st.one_of(st.none(), partials(*split, modes)))
    orderless = tuple(modes) == ORDERLESS
    mode = draw(st.sampled_from(MODES if orderless and partial is not None else modes))
    return Accumulator(draw(register_bits(worst, mode, most_bits)), mode, partial)


@st.composite
def partials(draw, depth, largest, modes=MODES):
    """A partial register that products of up to ``largest`` do not break, for up to six groups."""
    fewest = max(depth // 5, 1)
    products = draw(st.one_of(st.sampled_from([64, 2**40]), st.integers(fewest, depth + 1)))
    mode = draw(st.sampled_from(modes))
    return Partial(products, draw(register_bits(min(products, depth) * largest, mode)), mode)


def register_bits(worst, mode, most=64):
    """Widths of a register that sums of up to ``worst`` do not break, the narrowest likely."""
    smallest = max(worst.bit_length() + 1, 2) if mode == "exact" else 2
    return st.one_of(st.just(smallest), st.integers(smallest, most))


@st.composite
def linear_operands(draw):
    images, depth, rows = (draw(st.integers(0, 5)) for _ in range(3))
    x, w = draw(levels((images, depth))), draw(levels((rows, depth)))
    bias = draw(levels((rows,)))
    return x, w, bias, draw(sums_register(x, w, bias, depth))


@st.composite
def geometry(draw):
    """Keyword arguments of a convolution, with the padded sides at least the window's."""
    pair = st.tuples(st.integers(1, 3), st.integers(1, 3))
    kernel, stride, dilation = draw(pair), draw(pair), draw(pair)
    padding = draw(st.tuples(*[st.integers(0, 2)] * 4))
    spans = [dilation[i] * (kernel[i] - 1) + 1 for i in (0, 1)]
    sides = [
        draw(st.integers(max(1, spans[i] - padding[i] - padding[i + 2]), spans[i] + 3))
        for i in (0, 1)
    ]
    return kernel, tuple(sides), {"stride": stride, "padding": padding, "dilation": dilation}


@st.composite
def conv_shapes(draw):
    """Shapes of input and weights, and the geometry between them."""
    kernel, sides, arguments = draw(geometry())
    groups, channels, rows = (draw(st.integers(*ends)) for ends in ((1, 3), (0, 2), (0, 2)))
    images = draw(st.integers(0, 2))
    arguments["groups"] = groups
    return (images, groups * channels, *sides), (groups * rows, channels, *kernel), arguments


@st.composite
def conv_operands(draw):
    x_shape, w_shape, arguments = draw(conv_shapes())
    x, w = draw(levels(x_shape)), draw(levels(w_shape))
    bias = draw(levels(w_shape[:1]))
    arguments["accumulator"] = draw(sums_register(x, w, bias, int(np.prod(w_shape[1:]))))
    return x, w, bias, arguments


@st.composite
def conv_of(draw, x_levels, w_levels, modes=MODES):
    """A convolution of levels from strategies that take a shape."""
    x_shape, w_shape, arguments = draw(conv_shapes())
    x, w = draw(x_levels(x_shape)), draw(w_levels(w_shape))
    none = np.zeros(0, int)
    arguments["accumulator"] = draw(sums_register(x, w, none, int(np.prod(w_shape[1:])), modes))
    return x, w, arguments


@st.composite
def linear_of(draw, x_levels, w_levels, modes=MODES):
    """A linear layer, of a depth around whole words, of levels from strategies of a shape."""
    images, rows, depth = (
        *(draw(st.integers(0, 3)) for _ in range(2)),
        draw(st.sampled_from(DEPTHS)),
    )
    x, w = draw(x_levels((images, depth))), draw(w_levels((rows, depth)))
    return x, w, {"accumulator": draw(sums_register(x, w, np.zeros(0, int), depth, modes))}


def binary(shape):
    return arrays(np.int64, shape, elements=st.sampled_from([-1, 1]))


def ternary(shape):
    return arrays(np.int64, shape, elements=st.sampled_from([-1, 0, 1]))


@st.composite
def affine_codes(draw):
    """Codes of every kind in use, and any other within 32 bits."""
    bits = draw(st.sampled_from([1, 2, 3, 8, 16]))
    most = 2**bits - 1
    step = draw(st.one_of(st.sampled_from([1, 2, (2**32 - 2) // most]), st.integers(1, 99)))
    lowest, highest = -(2**31 - 1), 2**31 - 1 - step * most
    usual = [v for v in (0, -1, -most, -(most + 1) // 2) if lowest <= v <= highest]
    offset = draw(st.one_of(st.sampled_from([*usual, lowest]), st.integers(lowest, highest)))
    return AffineCode(bits, step, offset)


def levels_of(code):
    """A strategy of levels of a code for a shape, both ends likely."""
    most = 2**code.bits - 1
    codes = st.one_of(st.sampled_from([0, most]), st.integers(0, most))
    elements = codes.map(lambda q: code.step * q + code.offset)
    return lambda shape: arrays(np.int64, shape, elements=elements)


@st.composite
def datapaths(draw):
    """A datapath by its class, and strategies of what it multiplies and of what it holds."""
    x_code, code = draw(affine_codes()), draw(affine_codes())
    serial = partial(BitSerialWeights, code=code, x_code=x_code)
    return draw(
        st.sampled_from(
            [
                (LevelWeights, levels, levels),
                (SelectNegateWeights, levels, ternary),
                (XnorPopcountWeights, binary, ternary),
                (serial, levels_of(x_code), levels_of(code)),
            ]
        )
    )


def sums_register(x, w, bias, depth, modes=MODES, most_bits=64):
    """An accumulator of sums of products, some with a partial register."""
    split = depth, worst_sum(x, w, np.zeros(0, int), 1)
    return register(worst_sum(x, w, bias, depth), modes, split, most_bits)


def worst_sum(x, w, bias, depth):
    """The largest magnitude that a sum of products and bias could have."""

    def largest(array):
        return max((abs(int(v)) for v in array.flat), default=0)

    return depth * largest(x) * largest(w) + largest(bias)


@st.composite
def shift_terms(draw, shape, absent=-1, most=15):
    """Signs and shifts of ``shape``."""
    signs = draw(arrays(np.int8, shape, elements=st.sampled_from([-1, 1])))
    shifts = [draw(arrays(np.int8, shape, elements=st.integers(absent, most))) for _ in range(2)]
    return signs, *shifts


@st.composite
def float32_arrays(draw, shape, limit=1e4):
    """Finite float32 values, with zeros, repeats and signs."""
    elements = st.floats(-limit, limit, width=32, allow_subnormal=False)
    return draw(arrays(np.float32, shape, elements=elements))


@st.composite
def positive_scales(draw, shape=()):
    """Positive float32, powers of two likely so that ties occur."""
    powers = st.integers(-12, 6).map(lambda e: float(2.0**e))
    free = st.floats(2.0**-12, 64, width=32)
    return draw(arrays(np.float32, shape, elements=st.one_of(powers, free)))


@st.composite
def real_multipliers(draw, shape):
    """Float64 multipliers: powers of two and their neighbours, few bits so that ties occur, any."""
    powers = st.integers(-36, 29).map(lambda e: 2.0**e)
    beside = st.tuples(powers, st.sampled_from([0.0, np.inf])).map(
        lambda p: float(np.nextafter(*p))
    )
    few_bits = st.tuples(st.integers(1, 63), st.integers(-37, 0)).map(lambda p: p[0] * 2.0 ** p[1])
    free = st.floats(2.0**-36, 2.0**29)
    return draw(arrays(np.float64, shape, elements=st.one_of(powers, beside, few_bits, free)))


@st.composite
def int32_sums(draw, multiplier):
    """A sum that a multiplier leaves within int32, its levels often a half or beside one."""
    shifted_left = multiplier >= 0.9
    largest = int((2**30 - 1) / multiplier) if shifted_left else 2**31 - 1
    smallest = -largest if shifted_left else -(2**31)
    halves = st.integers(-129, 129).map(lambda k: round((k + 0.5) / multiplier))
    near_halves = st.tuples(halves, st.integers(-1, 1)).map(sum)
    ends = st.sampled_from([smallest, smallest + 1, 0, largest - 1, largest])
    total = draw(st.one_of(near_halves, ends, st.integers(-40, 40), st.integers(smallest, largest)))
    return min(max(total, smallest), largest)


@st.composite
def mixed(draw, dtype, shape, elements=None):
    """An array of a few values in any order: of ``elements``, or any of an integer type."""
    limits = None if elements is not None else np.iinfo(dtype)
    elements = elements if limits is None else st.integers(limits.min, limits.max)
    few = draw(st.lists(elements, min_size=1, max_size=8))
    order = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    return np.array(few, dtype)[order.integers(0, len(few), shape)]


@st.composite
def fixed_tiles(draw, dtype, lanes=16):
    """A tile of sums that the multipliers of its channels leave within int32: sums (2, lanes), how
    many rows are real, the tile's first channel, and the real multipliers of all the channels."""
    few, channel = draw(real_multipliers((3,))), draw(st.sampled_from([0, lanes]))
    of_each = [[draw(int32_sums(real)) for _ in range(4)] for real in few]
    which = draw(mixed(np.int64, 2 * lanes, st.integers(0, len(few) - 1)))
    sums = [[of_each[which[channel + k]][(i + k) % 4] for k in range(lanes)] for i in (0, 1)]
    return np.array(sums, dtype), draw(st.integers(1, 2)), channel, few[which]


@st.composite
def thresholds(draw, max_levels=6):
    """Rising thresholds per channel, which channels fall, and sums that hit them or lie beside."""
    images, channels, inner, count = (draw(st.integers(0, n)) for n in (2, 3, 3, max_levels))
    steps = draw(levels((channels, count), draw(st.sampled_from([2, 9, 2**24, 2**62]))))
    values = np.sort(steps, axis=1)
    falling = draw(arrays(bool, channels))
    near = st.tuples(st.sampled_from([0, *values.flat]), st.integers(-1, 1)).map(
        lambda p: sum(map(int, p))
    )
    sums = draw(arrays(np.int64, (images, channels, inner), elements=near))
    return sums, values, falling, draw(st.integers(-8, 8))


LIMITS_OF_CODES = st.sampled_from([(0, 255), (-128, 127), (0, 15), (-8, 7)])


@st.composite
def scaled_codes(draw, low, high):
    """A scale, few bits so that ties occur or any, and a zero point within ``low .. high``."""
    few_bits = st.tuples(st.integers(1, 15), st.integers(-9, -3)).map(lambda p: p[0] * 2.0 ** p[1])
    scale = draw(st.one_of(few_bits, st.floats(2.0**-10, 2.0, width=32)))
    return ScaledCode(np.float32(scale), draw(st.integers(low, high)))


def exact_code(code):
    """The scale of a code as a fraction, and its zero point."""
    return Fraction(float(code.scale)), code.zero_point
