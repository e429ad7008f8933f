from fractions import Fraction
from math import sqrt

import naive
import naive_formats
import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from qsim.formats import Lsq
from qsim.formats.base import Found
from qsim.formats.lsq import gradient_scale, step_gradient

KINDS = st.one_of(
    st.tuples(st.integers(2, 16), st.just(True)), st.tuples(st.integers(1, 16), st.just(False))
)
STEPS = st.one_of(
    st.integers(-12, 12).map(lambda e: 2.0**e), st.floats(2.0**-12, 2.0**12, width=32)
)


def fractions(values):
    return [Fraction(float(v)) for v in np.asarray(values).flat]


@st.composite
def values_of(draw, step, bits):
    tie = np.float32(draw(st.integers(-(2 ** (bits + 1)), 2 ** (bits + 1))) / 2 * step)
    beside = np.nextafter(tie, np.float32(draw(st.sampled_from([-np.inf, np.inf]))))
    usual = st.sampled_from([tie, beside, 0.0, -0.0, 3e38, -3e38, 1e-45])
    return draw(st.one_of(usual, st.floats(-4, 4, width=32)))


@given(st.data(), KINDS, STEPS)
def test_levels_equal_the_printed_formula(data, kind, step):
    bits, signed = kind
    values = np.array([data.draw(values_of(step, bits)) for _ in range(4)], np.float32)
    number = Lsq(bits, signed, step)
    quantized = number.quantize(values)
    wanted = [naive_formats.lsq(v, Fraction(step), bits, signed) for v in fractions(values)]
    assert quantized.levels.tolist() == wanted
    assert quantized.scale == np.float32(step)
    np.testing.assert_array_equal(number.decode(quantized.codes), quantized.levels)


@given(
    st.integers(1, 6).flatmap(
        lambda n: arrays(np.float32, n, elements=st.floats(-(2.0**100), 2.0**100, width=32))
    ),
    KINDS,
)
def test_without_a_step_it_is_twice_the_mean_over_the_root_of_the_largest_level(values, kind):
    bits, signed = kind
    mean = naive_formats.mean_magnitude(fractions(values))
    start = 2 * float(mean) / sqrt(2 ** (bits - 1) - 1 if signed else 2**bits - 1)
    assume(naive.float32(Fraction(start)))
    for scale in (
        Lsq(bits, signed).quantize(values).scale,
        Lsq(bits, signed).bind(Found(mean_magnitude=float(mean)))[1],
    ):
        assert fractions(scale) == [naive.float32(Fraction(start))]


@given(st.data(), KINDS, STEPS)
def test_the_steps_gradient_is_the_papers(data, kind, step):
    bits, signed = kind
    value = np.float32(data.draw(values_of(step, bits)))
    exact = naive_formats.lsq_step_gradient(Fraction(float(value)), Fraction(step), bits, signed)
    [got] = step_gradient(np.array([value], np.float32), step, Lsq(bits, signed))
    assert abs(Fraction(float(got)) - exact) <= Fraction(2) ** -35  # v / step is rounded
    if Fraction(float(value)) / Fraction(step) == Fraction(float(value) / step):
        assert Fraction(float(got)) == exact


@given(st.data(), KINDS)
def test_the_steps_gradient_is_the_slope_where_there_is_one(data, kind):
    """Clipped, v_hat rises with the step by its level. Inside, where round(v / step) is constant,
    it rises by that too; the straight-through estimator adds the slope of v / step, -v / step."""
    bits, signed = kind
    step, tiny = Fraction(1), Fraction(1, 2**40)
    x = Fraction(data.draw(st.integers(-(2 ** (bits + 3)), 2 ** (bits + 3))), 8)
    number = Lsq(bits, signed)

    def v_hat(s):
        return s * naive_formats.lsq(x, s, bits, signed)

    low, high = number.min_level, number.max_level
    assume(x not in (low, high))
    assume((x - Fraction(1, 2)).denominator != 1)  # no slope on a tie
    slope = (v_hat(step + tiny) - v_hat(step - tiny)) / (2 * tiny)
    through = -x if low < x < high else 0
    assert step_gradient(np.array([float(x)]), 1.0, number).tolist() == [slope + through]


@pytest.mark.parametrize(
    ("number", "level"), [(Lsq(3), 3), (Lsq(3, signed=False), 7), (Lsq(1, signed=False), 1)]
)
def test_the_gradient_is_scaled_by_the_number_of_values_and_the_largest_level(number, level):
    assert gradient_scale(12, number) == pytest.approx((12 * level) ** -0.5, rel=1e-15)


@pytest.mark.parametrize(
    ("make", "problem"),
    [
        (lambda: Lsq(1), "LSQ has 2 to 16 bits, not 1"),
        (lambda: Lsq(17), "LSQ has 2 to 16 bits, not 17"),
        (lambda: Lsq(0, signed=False), "LSQ has 1 to 16 bits, not 0"),
        (lambda: Lsq(4, step=0.0), "step lies between 1e-30 and 1e30, which"),
        (lambda: Lsq(4, step=1e30), r"step lies between 1e-30 and 1e30, which"),
        (lambda: Lsq(4).quantize(np.zeros(3)), "all values are 0"),
        (lambda: Lsq(4).quantize(np.zeros((0, 3))), "an empty tensor has no mean magnitude"),
        (lambda: Lsq(1, signed=False).quantize(np.full(2, 3e38)), "positive and finite, not inf"),
        (lambda: Lsq(4, step=1.0).quantize(np.array([np.inf])), "1 of 1 values are NaN"),
        (lambda: Lsq(4, step=1.0).quantize(np.ones(1), scale=np.float32(2)), "none can be given"),
    ],
)
def test_what_cannot_be_is_refused(make, problem):
    with pytest.raises(ValueError, match=problem):
        make()


def test_a_learned_step_takes_zeros_and_nothing():
    assert Lsq(4, step=0.5).quantize(np.zeros(2)).levels.tolist() == [0, 0]
    assert Lsq(4, step=0.5).quantize(np.zeros((0, 2))).levels.shape == (0, 2)


def test_the_gradient_at_the_outermost_levels_is_that_beyond_them():
    number = Lsq(3, step=0.5)
    assert step_gradient(np.array([-2.0, 1.5, -1.5, 1.0]), 0.5, number).tolist() == [-4, 3, 0, 0]
