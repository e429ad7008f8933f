from fractions import Fraction

import naive
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from qsim.kernels.narrow_integers import (
    cast_narrow,
    pack_narrow,
    unpack_narrow,
    widen_narrow,
)

WIDTHS = st.sampled_from([2, 4])
SHAPES = st.lists(st.integers(0, 5), max_size=3).map(tuple)
FLOATS = st.one_of(
    st.integers(-64, 64).map(lambda n: n / 4),
    st.floats(-(2.0**62), 2.0**62, width=32),
)


@given(arrays(np.float32, SHAPES, elements=FLOATS), WIDTHS, st.booleans())
def test_a_cast_of_floats_cuts_and_wraps(values, bits, signed):
    got = cast_narrow(values, bits, signed=signed)
    assert got.dtype == np.int8
    expected = [naive.cast_narrow(Fraction(float(v)), bits, signed) for v in values.flat]
    assert got.reshape(-1).tolist() == expected


@given(arrays(np.int64, SHAPES, elements=st.integers(-(2**63), 2**63 - 1)), WIDTHS, st.booleans())
def test_a_cast_of_integers_wraps(values, bits, signed):
    got = cast_narrow(values, bits, signed=signed)
    expected = [naive.cast_narrow(Fraction(int(v)), bits, signed) for v in values.flat]
    assert got.reshape(-1).tolist() == expected


@st.composite
def narrow(draw):
    bits, signed = draw(WIDTHS), draw(st.booleans())
    low, high = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if signed else (0, 2**bits - 1)
    return draw(arrays(np.int8, draw(SHAPES), elements=st.integers(low, high))), bits, signed


@given(narrow())
def test_bytes_hold_the_first_integer_lowest(operands):
    integers, bits, _ = operands
    packed = pack_narrow(integers, bits)
    assert packed.dtype == np.uint8
    assert packed.tolist() == naive.packed_bytes(integers.flat, bits)


@given(narrow())
def test_what_is_packed_is_unpacked(operands):
    integers, bits, signed = operands
    back = unpack_narrow(pack_narrow(integers, bits), integers.shape, bits, signed=signed)
    np.testing.assert_array_equal(back, integers)


@given(narrow(), st.sampled_from([np.int8, np.uint8, np.float16, np.float32]))
def test_a_wider_type_keeps_every_value(operands, dtype):
    integers, _, _ = operands
    if dtype is np.uint8 and (integers < 0).any():
        with pytest.raises(ValueError, match="has no place in uint8"):
            widen_narrow(integers, dtype)
        return
    wide = widen_narrow(integers, dtype)
    assert wide.dtype == dtype
    assert [int(v) for v in wide.flat] == [int(v) for v in integers.flat]


def test_what_is_not_narrow_is_not_widened():
    with pytest.raises(ValueError, match="do not fit 4 bits"):
        widen_narrow(np.array([16]), np.float32)


def test_other_widths_are_refused():
    for call in (
        lambda: cast_narrow(np.ones(1), 3, signed=True),
        lambda: pack_narrow(np.ones(1, int), 8),
        lambda: unpack_narrow(np.ones(1, np.uint8), (1,), 1, signed=True),
    ):
        with pytest.raises(ValueError, match="2 or 4 bits"):
            call()


@pytest.mark.parametrize("value", [np.nan, np.inf, 2.0**63, -(2.0**63)])
def test_floats_that_are_no_integers_of_63_bits_are_not_cast(value):
    with pytest.raises(ValueError, match="finite and within 63 bits"):
        cast_narrow(np.array([value]), 4, signed=True)


def test_unsigned_integers_beyond_63_bits_are_not_cast():
    with pytest.raises(ValueError, match="within 63 bits"):
        cast_narrow(np.array([2**63], np.uint64), 4, signed=True)


@pytest.mark.parametrize("integers", [[-9], [16], [-8, 16]])
def test_integers_that_do_not_fit_are_not_packed(integers):
    with pytest.raises(ValueError, match="do not fit 4 bits"):
        pack_narrow(np.array(integers), 4)


@pytest.mark.parametrize("count", [0, 2])
def test_bytes_of_another_number_are_refused(count):
    with pytest.raises(ValueError, match="do not hold 2 integers of 4 bits"):
        unpack_narrow(np.zeros(count, np.uint8), (2,), 4, signed=False)


def test_other_types_are_refused():
    with pytest.raises(TypeError, match="real numbers, not complex128"):
        cast_narrow(np.array([1j]), 4, signed=True)
    with pytest.raises(TypeError, match="integers, not float64"):
        pack_narrow(np.ones(1), 4)
    with pytest.raises(TypeError, match="uint8, not int64"):
        unpack_narrow(np.ones(1, int), (1,), 4, signed=True)


def test_one_negative_integer_among_others_has_no_place_in_an_unsigned_type():
    with pytest.raises(ValueError, match="-3 has no place in uint8"):
        widen_narrow(np.array([5, -3, 0], np.int8), np.dtype(np.uint8))
