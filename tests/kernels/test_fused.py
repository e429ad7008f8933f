from fractions import Fraction

import naive
import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from qsim.kernels.fused import multiply_add

FLOAT32 = st.one_of(
    st.floats(-(2.0**40), 2.0**40, width=32),
    st.tuples(st.integers(-(2**24), 2**24), st.integers(-80, 10)).map(lambda p: p[0] * 2.0 ** p[1]),
).map(np.float32)


@given(FLOAT32, FLOAT32, FLOAT32)
@example(np.float32(1), np.float32(1 + 2.0**-23), np.float32(2.0**-24))  # a midpoint, exactly
@example(np.float32(129), np.float32(2 - 2.0**-23), np.float32(2.0**-70))  # beside a midpoint
@example(np.float32(129), np.float32(2 - 2.0**-23), np.float32(-(2.0**-70)))
@example(np.float32(2.0**-75), np.float32(2.0**-75), np.float32(2.0**-149))  # subnormal
@example(np.float32(0), np.float32(1), np.float32(0))
def test_a_fused_multiply_add_rounds_once(x, factor, term):
    expected = naive.float32(Fraction(float(x)) * Fraction(float(factor)) + Fraction(float(term)))
    got = multiply_add(x, factor, term)
    assert (got.shape, got.dtype) == ((), np.float32)
    assert Fraction(float(got)) == expected


@pytest.mark.parametrize(("off", "expected"), [(-1, 1), (0, 1), (1, 1 + 2.0**-23)])
def test_beside_a_midpoint_what_float64_loses_decides(off, expected):
    factor = np.float32((2**24 + 1) // 97 * 2.0**-24)  # 97 times that is 1 + 2**-24, a midpoint
    got = multiply_add(np.float32(97), factor, np.float32(off * 2.0**-90))
    assert got == np.float32(expected)


def test_shapes_are_broadcast():
    got = multiply_add(np.ones((2, 1), np.float32), np.float32(2), np.arange(3, dtype=np.float32))
    assert got.tolist() == [[2, 3, 4], [2, 3, 4]]
    assert multiply_add(np.ones((0, 2), np.float32), np.float32(2), np.float32(1)).shape == (0, 2)


def test_results_beyond_float32_are_refused():
    large = np.float32(3e38)
    with pytest.raises(OverflowError, match="leave float32"):
        multiply_add(large, large, large)
    with pytest.raises(OverflowError, match="leave float32"):
        multiply_add(np.float32(np.nan), large, large)


def test_other_types_are_refused():
    with pytest.raises(TypeError, match="float32, not float64"):
        multiply_add(np.ones(1), np.float32(1), np.float32(1))
