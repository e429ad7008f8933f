from fractions import Fraction

import naive
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from qsim.kernels.add_fixed import ADDITIONS, add_fixed

LIMITS = st.sampled_from([(-128, 127), (0, 255), (3, 3)])
SCALES = st.one_of(
    st.tuples(st.integers(1, 15), st.integers(-4, -2)).map(lambda p: p[0] * 2.0 ** p[1]),
    st.floats(2.0**-4, 2.0, width=32),
).map(np.float32)
ONE = np.float32(1)


@st.composite
def sums(draw):
    shape = draw(st.lists(st.integers(0, 4), max_size=2).map(tuple))
    ends = st.one_of(st.sampled_from([-511, -255, 0, 255, 511]), st.integers(-255, 255))
    a, b = (draw(arrays(np.int64, shape, elements=ends)) for _ in range(2))
    return a, b, tuple(draw(SCALES) for _ in range(3))


@pytest.mark.parametrize("addition", ADDITIONS)
@given(sums(), LIMITS)
def test_the_sum_is_that_of_exact_arithmetic_rounded_where_it_is_said(addition, operands, limits):
    a, b, scales = operands
    got = add_fixed(a, b, scales, *limits, addition=addition)
    assert (got.shape, got.dtype) == (a.shape, np.int32)
    exact = tuple(Fraction(float(scale)) for scale in scales)
    for at in np.ndindex(a.shape):
        expected = naive.add_fixed(int(a[at]), int(b[at]), exact, *limits, addition)
        assert got[at] == expected


@pytest.mark.parametrize("addition", ADDITIONS)
@given(sums())
def test_every_addition_is_within_one_of_the_real_sum(addition, operands):
    a, b, (x, y, out) = operands
    got = add_fixed(a, b, (x, y, out), -(2**24), 2**24, addition=addition)
    for at in np.ndindex(a.shape):
        real = int(a[at]) * Fraction(float(x)) + int(b[at]) * Fraction(float(y))
        assert abs(int(got[at]) - real / Fraction(float(out))) < 1


@pytest.mark.parametrize(
    ("total", "levels"), [(1, (1, 1, 1, 1)), (-1, (-1, -1, 0, 0)), (-3, (-2, -2, -1, -1))]
)
def test_halves_go_where_each_addition_sends_them(total, levels):
    a, b, scales = np.array([total]), np.array([0]), (ONE, ONE, np.float32(2))
    got = [int(add_fixed(a, b, scales, -8, 7, addition=name)[0]) for name in ADDITIONS]
    assert tuple(got) == levels


def test_an_unknown_addition_is_refused():
    with pytest.raises(
        ValueError, match="tflite-reference, tflite-builtin, tflite, xnnpack, not 'onnx'"
    ):
        add_fixed(np.ones(1, int), np.ones(1, int), (ONE, ONE, ONE), 0, 1, addition="onnx")


def test_operands_that_do_not_fit_are_refused():
    one = np.ones(1, int)
    for a, problem in ((np.ones(2, int), "the shapes differ"), (512 * one, "within 511")):
        with pytest.raises(ValueError, match=problem):
            add_fixed(a, one, (ONE, ONE, ONE), 0, 1, addition="xnnpack")
    with pytest.raises(TypeError, match="integers"):
        add_fixed(np.ones(1), one, (ONE, ONE, ONE), 0, 1, addition="xnnpack")


@pytest.mark.parametrize("scale", [1.0, np.float32(0), np.float32(-1), np.float32(np.inf)])
def test_other_scales_are_refused(scale):
    with pytest.raises(ValueError, match="a scale is float32, positive and finite"):
        add_fixed(np.ones(1, int), np.ones(1, int), (ONE, scale, ONE), 0, 1, addition="xnnpack")


@pytest.mark.parametrize(
    ("addition", "ratio", "problem"),
    [
        ("tflite-reference", 2.0**19, "too small beside"),
        ("xnnpack", 2.0**8, "is not 0.0009765625 to 256.0 times"),
        ("xnnpack", 2.0**-11, "is not 0.0009765625 to 256.0 times"),
    ],
)
def test_ratios_of_scales_that_a_runtime_refuses_are_refused(addition, ratio, problem):
    scales = np.float32(ratio), np.float32(min(ratio, 1)), ONE
    with pytest.raises(ValueError, match=problem):
        add_fixed(np.ones(1, int), np.ones(1, int), scales, 0, 1, addition=addition)


def test_the_least_ratio_that_xnnpack_takes():
    scales = np.float32(2.0**-10), ONE, ONE
    got = add_fixed(np.full(1, 511), np.ones(1, int), scales, -8, 7, addition="xnnpack")
    assert got.tolist() == [1]  # 511 / 1024 + 1
