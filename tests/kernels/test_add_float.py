from fractions import Fraction

import naive
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from qsim.kernels.add_float import ScaledCode, add_float

LIMITS = st.sampled_from([(0, 255), (-128, 127), (0, 65535), (5, 5)])
SCALES = st.one_of(
    st.tuples(st.integers(1, 15), st.integers(-9, -3)).map(lambda p: p[0] * 2.0 ** p[1]),
    st.floats(2.0**-10, 2.0, width=32),
).map(np.float32)


@st.composite
def sums(draw):
    low, high = draw(LIMITS)
    codes = tuple(ScaledCode(draw(SCALES), draw(st.integers(low, high))) for _ in range(3))
    shape = draw(st.lists(st.integers(0, 4), max_size=2).map(tuple))
    a, b = (draw(arrays(np.int64, shape, elements=st.integers(low, high))) for _ in range(2))
    return a, b, codes, low, high


@given(sums())
def test_the_sum_equals_exact_arithmetic_rounded_where_it_is_said(operands):
    a, b, codes, low, high = operands
    got = add_float(a, b, codes, low, high)
    assert (got.shape, got.dtype) == (a.shape, np.int32)
    exact = [(Fraction(float(c.scale)), c.zero_point) for c in codes]
    for at in np.ndindex(a.shape):
        assert got[at] == naive.add_float(int(a[at]), int(b[at]), exact, low, high)


def test_sums_beyond_32_bits_are_refused():
    large, small = ScaledCode(np.float32(2.0**20), 0), ScaledCode(np.float32(1), 0)
    with pytest.raises(OverflowError, match=r"beyond 2\*\*31"):
        add_float(np.ones(1, int), np.ones(1, int), (large, small, small), 0, 255)


def test_operands_that_do_not_fit_are_refused():
    one = ScaledCode(np.float32(1), 0)
    with pytest.raises(ValueError, match="the shapes differ"):
        add_float(np.ones(1, int), np.ones(2, int), (one, one, one), 0, 255)
    with pytest.raises(ValueError, match="up to 16 bits"):
        add_float(np.array([2**16]), np.array([0]), (one, one, one), 0, 255)


@pytest.mark.parametrize("scale", [0, -1, np.nan, np.inf])
def test_scales_that_are_not_positive_are_refused(scale):
    with pytest.raises(ValueError, match="positive and finite"):
        ScaledCode(np.float32(scale), 0)


def test_other_scales_and_zero_points_are_refused():
    with pytest.raises(TypeError, match="a scale is float32, not float"):
        ScaledCode(1.0, 0)
    with pytest.raises(ValueError, match="up to 16 bits, not 65536"):
        ScaledCode(np.float32(1), 2**16)
