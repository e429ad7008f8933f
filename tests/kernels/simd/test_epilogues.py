"""Every epilogue equals the kernel of the same arithmetic, on tiles whose first rows are real."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import fixed_tiles, mixed, positive_scales

from qsim.kernels.accumulator import Accumulator
from qsim.kernels.fixed_multiplier import quantize_multiplier, requantize_fixed
from qsim.kernels.requantize import add_aligned, requantize_float, requantize_shift, total_float
from qsim.kernels.requantize_double import requantize_double
from qsim.kernels.simd import epilogues

LANES, PANELS = 16, 2
UNTOUCHED = -77
WIDTHS = pytest.mark.parametrize("dtype", [np.int32, np.int64])
INT32 = st.one_of(
    st.integers(-40, 40),
    st.integers(2**24 - 3, 2**24 + 3),  # where float32 begins to skip integers
    st.integers(-(2**24) - 3, 3 - 2**24),
    st.sampled_from([2**31 - 1, 2**31 - 2, -(2**31), 1 - 2**31, 2**30]),
    st.integers(-(2**31), 2**31 - 1),
)
WIDE = st.one_of(INT32, st.sampled_from([2**40 + 1, -(2**40)]), st.integers(-(2**40), 2**40))
MULTIPLIERS = positive_scales().map(lambda scale: scale[()])
LIMITS = st.sampled_from([(0, 15), (-7, 7), (-128, 127), (0, 255), (0, 0), (-(2**24), 2**24)])
CHANNEL = st.sampled_from([LANES * panel for panel in range(PANELS)])


@st.composite
def tiles(draw, dtype=np.int32):
    """Sums (rows, LANES), how many rows are real, the tile's first channel."""
    rows = draw(st.integers(1, 3))
    sums = draw(mixed(dtype, (rows, LANES), elements=INT32 if dtype == np.int32 else WIDE))
    return sums, draw(st.integers(0, rows)), draw(CHANNEL)


def per_channel(dtype, elements):
    return mixed(dtype, LANES * PANELS, elements=elements)


def multipliers():
    return mixed(np.float32, LANES * PANELS, MULTIPLIERS)


def round_tile(function, sums, *arguments):
    """The levels that ``function`` leaves for a tile, those of no row as they were."""
    levels = np.full(sums.shape, UNTOUCHED, np.int32)
    before = sums.copy()
    function(sums, *arguments, levels)
    assert np.array_equal(sums, before)
    return levels


def agree(levels, count, expected):
    assert np.array_equal(levels[:count], expected)
    assert (levels[count:] == UNTOUCHED).all()


@WIDTHS
@given(st.data())
def test_a_bias_is_added_to_the_real_rows_and_wraps_around_as_int32(dtype, data):
    sums, count, channel = data.draw(tiles(dtype))
    bias = data.draw(per_channel(dtype, INT32))
    expected = sums.copy()
    with np.errstate(over="ignore"):
        expected[:count] += bias[channel : channel + LANES]
    epilogues.add_bias(sums, count, bias, channel)
    assert np.array_equal(sums, expected)


@WIDTHS
@given(st.data())
def test_sums_wrap_around_as_in_the_accumulator(dtype, data):
    sums, count, _ = data.draw(tiles(dtype))
    bits = data.draw(st.integers(2, 31 if dtype == np.int32 else 63))
    expected = sums.copy()
    register = Accumulator(bits, "wrap")
    expected[:count] = register.add_bias(sums[:count].astype(np.int64), None)
    epilogues.wrap_to(sums, count, bits)
    assert np.array_equal(sums, expected)


@WIDTHS
@given(st.data(), LIMITS)
def test_float_rounding_equals_requantize_float(dtype, data, limits):
    sums, count, channel = data.draw(tiles(dtype))
    multiplier, no_offset = data.draw(multipliers()), np.zeros(LANES * PANELS, np.float32)
    term = sums[:count].astype(np.int64), multiplier[channel : channel + LANES]
    expected = requantize_float([term], *limits)
    got = round_tile(epilogues.round_float, sums, count, multiplier, no_offset, channel, *limits)
    agree(got, count, expected)


OFFSETS = st.one_of(
    st.just(0.0), st.floats(-300, 300, width=32), st.integers(-60, 60).map(lambda n: n / 4)
)


@WIDTHS
@given(st.data(), LIMITS)
def test_an_offset_is_added_in_float32_before_the_total_is_rounded(dtype, data, limits):
    sums, count, channel = data.draw(tiles(dtype))
    multiplier, offset = data.draw(multipliers()), data.draw(per_channel(np.float32, OFFSETS))
    here = slice(channel, channel + LANES)
    total = total_float([(sums[:count].astype(np.int64), multiplier[here])]) + offset[here]
    expected = np.rint(np.clip(total, *map(np.float32, limits)))
    got = round_tile(epilogues.round_float, sums, count, multiplier, offset, channel, *limits)
    agree(got, count, expected)


@WIDTHS
@given(st.data(), LIMITS, st.booleans())
def test_two_float_terms_are_added_in_either_order(dtype, data, limits, swapped):
    sums, count, channel = data.draw(tiles(dtype))
    others = data.draw(mixed(dtype, sums.shape, elements=INT32))
    multiplier, other_multiplier = data.draw(multipliers()), data.draw(multipliers())
    offset = data.draw(
        st.one_of(st.just(np.zeros(LANES * PANELS, np.float32)), per_channel(np.float32, OFFSETS))
    )
    here = slice(channel, channel + LANES)
    terms = [
        (sums[:count].astype(np.int64), multiplier[here]),
        (others[:count].astype(np.int64), other_multiplier[here]),
    ]
    terms = terms[::-1] if swapped else terms
    got = round_tile(
        epilogues.round_float_sum,
        sums, others, count, multiplier, other_multiplier, offset, channel, *limits,
    )  # fmt: skip
    expected = np.rint(np.clip(total_float(terms) + offset[here], *map(np.float32, limits)))
    agree(got, count, expected)
    if not offset.any():
        agree(got, count, requantize_float(terms, *limits))


DOUBLES = st.one_of(
    st.integers(-36, 20).map(lambda e: 2.0**e),
    st.floats(2.0**-36, 2.0**20),
    st.tuples(st.integers(1, 63), st.integers(-37, 0)).map(lambda p: p[0] * 2.0 ** p[1]),
    st.sampled_from([0.49999999999999994, 2.0**-32, float(np.nextafter(2.0**-32, 0))]),
)


@WIDTHS
@given(st.data(), LIMITS)
def test_double_rounding_equals_requantize_double(dtype, data, limits):
    sums, count, channel = data.draw(tiles())
    sums = sums.astype(dtype)
    multiplier = data.draw(per_channel(np.float64, DOUBLES))
    expected = requantize_double(sums[:count], multiplier[channel : channel + LANES], *limits)
    got = round_tile(epilogues.round_double, sums, count, multiplier, channel, *limits)
    agree(got, count, expected)


@WIDTHS
@given(st.data(), LIMITS)
def test_rounding_once_equals_requantize_fixed(dtype, data, limits):
    sums, count, channel, real = data.draw(fixed_tiles(dtype))
    multiplier, shift = quantize_multiplier(real)
    here = real[channel : channel + sums.shape[1]]
    expected = requantize_fixed(sums[:count], here, *limits, rounding="tflite")
    constants = multiplier, shift.astype(np.int32), channel, *limits
    agree(round_tile(epilogues.round_once, sums, count, *constants), count, expected)


@WIDTHS
@given(st.data(), LIMITS)
def test_two_terms_of_powers_of_two_are_aligned_and_rounded_once(dtype, data, limits):
    sums, count, channel = data.draw(tiles(dtype))
    others = data.draw(mixed(dtype, sums.shape, elements=INT32))
    shifts = [data.draw(per_channel(np.int32, st.integers(-8, 12))) for _ in range(2)]
    here = slice(channel, channel + LANES)
    terms = [
        (tile[:count].astype(np.int64), by[here])
        for tile, by in zip((sums, others), shifts, strict=True)
    ]
    total, common = add_aligned(terms)
    expected = requantize_shift(total, common, *limits)
    common = np.maximum(np.maximum(*shifts), 0)
    ups = [common - by for by in shifts]
    got = round_tile(epilogues.round_shift_sum, sums, others, count, *ups, common, channel, *limits)
    agree(got, count, expected)
