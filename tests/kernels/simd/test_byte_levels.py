import re

import naive
import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from qsim.formats import Msq, PowerOfTwo, Sp2
from qsim.kernels.accumulator import Accumulator
from qsim.kernels.layers import linear
from qsim.kernels.shift_add import ShiftAddWeights
from qsim.kernels.simd import byte_levels as module
from qsim.kernels.simd.byte_levels import byte_levels, join_passes

NUMBERS = [Sp2(bits) for bits in range(3, 9)] + [PowerOfTwo(bits) for bits in range(2, 6)]


def product_of_bytes(x, stored):
    """What the passes make of bytes (columns, depth): sums that are checked to fit 32 bits."""
    sums = []
    for at, parts in enumerate(stored.passes):
        assert all(part.dtype == np.int8 for part in parts)
        total = sum(x.astype(np.int64) @ part.astype(np.int64).T for part in parts)
        assert np.abs(total).max(initial=0) <= stored.widest_sum(at) < 2**31
        sums.append(total.astype(np.int32))
    return join_passes(sums)


def levels_up_to(low, high):
    ends = st.sampled_from([low, high, 0])
    shape = st.tuples(st.integers(0, 4), st.integers(0, 5))
    return arrays(np.int64, shape, elements=st.one_of(ends, st.integers(low, high)))


RANGES = [(-128, 127), (-128, 128), (-256, 254), (-257, 254), (-256, 255), (-(2**15), 2**15)]


@given(st.one_of(levels_up_to(*ends) for ends in RANGES), st.randoms(use_true_random=False))
@example(np.array([[2**15, -(2**15), 32639, 32640, 2**15 - 1, 255, -257]]), None)
def test_stored_levels_and_their_products_are_the_given_ones(levels, random):
    stored = byte_levels(levels)
    np.testing.assert_array_equal(stored.levels(), levels)
    x = np.random.default_rng(random and random.randrange(99)).integers(0, 256, levels.shape)
    none = np.zeros(len(levels), int)
    expected = naive.linear(x, levels, none, 64, "exact")
    got = product_of_bytes(x, stored)
    assert got.dtype == np.int64
    np.testing.assert_array_equal(got, np.reshape(expected, got.shape))


@pytest.mark.parametrize(
    ("ends", "arrays"),
    [
        ((-128, 127), (1,)),
        ((-129, 0), (2,)),
        ((0, 128), (2,)),
        ((-256, 254), (2,)),
        ((-257, 0), (1, 1)),
        ((0, 255), (1, 1)),
        ((-(2**15), 32639), (1, 1)),
        ((0, 32640), (1, 2)),
        ((0, 2**15), (1, 2)),
    ],
)
def test_the_fewest_arrays_are_chosen(ends, arrays):
    assert byte_levels(np.array([ends])).arrays == arrays


@given(st.sampled_from(NUMBERS), st.integers(0, 2**32), st.integers(0, 9))
def test_products_of_bytes_equal_the_shifts_and_additions(number, seed, depth):
    rng = np.random.default_rng(seed)
    codes = rng.integers(0, 2**number.bits, (5, depth))
    x = rng.integers(0, 256, (3, depth))
    shifted = ShiftAddWeights(*number.shifts(codes))
    stored = byte_levels(number.decode(codes))
    expected = linear(x, shifted, accumulator=Accumulator(64))
    np.testing.assert_array_equal(product_of_bytes(x, stored), expected)


@given(st.integers(3, 8), st.integers(0, 2**32))
def test_mixed_rows_are_stored_exactly(bits, seed):
    rng = np.random.default_rng(seed)
    levels = Msq(bits, "1:1").quantize(rng.standard_normal((6, 7), np.float32), axis=0).levels
    stored = byte_levels(levels)
    np.testing.assert_array_equal(stored.levels(), levels)
    x = rng.integers(0, 256, (3, 7))
    np.testing.assert_array_equal(product_of_bytes(x, stored), x @ levels.T.astype(np.int64))


def test_the_table_says_what_each_format_takes():
    line = re.compile(r"  (\w+)\(bits=(\d)\) +(\d+) +(\d(?: \+ \d)?)$", re.MULTILINE)
    said = [tuple(found.groups()) for found in line.finditer(module.__doc__)]
    measured = []
    for number in NUMBERS:
        table = number.code_table()
        arrays = byte_levels(table[None]).arrays
        largest = str(np.abs(table).max())
        measured.append((number.scheme, str(number.bits), largest, " + ".join(map(str, arrays))))
    assert said == measured


def test_levels_that_no_two_passes_hold_are_refused():
    for level in (2**15 + 1, -(2**15) - 1, 2**30):
        with pytest.raises(OverflowError, match=f"level of {abs(level)} in magnitude does not fit"):
            byte_levels(np.array([[level]]))
    with pytest.raises(TypeError, match="levels are integers"):
        byte_levels(np.zeros((1, 1)))


def test_sums_that_might_not_fit_32_bits_are_refused():
    most = (2**31 - 1) // (255 * 128)
    fits = byte_levels(np.full((2, most), -128))
    assert fits.widest_sum(0) == most * 255 * 128
    with pytest.raises(OverflowError, match="can be 2147516160 in pass 0"):
        byte_levels(np.full((1, most + 1), -128))
    assert byte_levels(np.full((1, most + 1), -128), max_x=15).arrays == (1,)
    half = np.repeat([[-128, 127]], most, axis=0).reshape(1, -1)  # neither end adds up to it
    assert byte_levels(half).widest_sum(0) == most * 255 * 128


@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.int16, np.uint16, np.int64, np.uint64])
def test_levels_of_every_type_keep_their_values(dtype):
    ends = np.iinfo(dtype)
    levels = np.array([[max(ends.min, -(2**15)), 0, 1, min(ends.max, 2**15)]], dtype)
    assert byte_levels(levels).levels().tolist() == levels.tolist()


def test_nothing_is_stored_as_nothing():
    for shape in [(0, 3), (2, 0)]:
        stored = byte_levels(np.zeros(shape, int))
        assert stored.levels().shape == shape
        assert stored.widest_sum(0) == 0
