from fractions import Fraction

import naive
import numpy as np
import pytest
from hypothesis import given, settings
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


@settings(max_examples=40)
@given(sums(), st.sampled_from([((), (3,)), ((2, 1), (2, 3)), ((1, 1), (2, 3)), ((2, 1), (1, 3)),
                                ((2, 1), (2, 1)), ((3,), (2, 3)), ((3, 1), (2, 3, 1))]))  # fmt: skip
def test_the_first_is_added_last_unless_one_of_it_meets_several(operands, shapes):
    """Along the last axis that has several values; where shapes differ before it alone, no."""
    _, _, codes, low, high = operands
    random = np.random.default_rng(abs(codes[0].zero_point))
    a, b = (random.integers(low, high + 1, shape) for shape in shapes)
    exact = [(Fraction(float(c.scale)), c.zero_point) for c in codes]
    swapped = [exact[1], exact[0], exact[2]]
    meets_several = shapes[0] in [(), (2, 1), (1, 1)] and shapes[1] != (2, 1)
    got = add_float(a, b, codes, low, high)
    wide_a, wide_b = np.broadcast_arrays(a, b)
    assert got.shape == wide_a.shape
    for at in np.ndindex(got.shape):
        x, y = int(wide_a[at]), int(wide_b[at])
        expected = naive.add_float(x, y, exact, low, high)
        if meets_several:
            expected = naive.add_float(y, x, swapped, low, high)
        assert got[at] == expected


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
    with pytest.raises(ValueError, match="broadcast"):
        add_float(np.ones(3, int), np.ones(2, int), (one, one, one), 0, 255)
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
