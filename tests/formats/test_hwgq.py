from decimal import Decimal
from fractions import Fraction
from math import erf, exp, inf, pi, sqrt

import naive_formats
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qsim.formats import Hwgq
from qsim.formats.hwgq import half_normal_step

DERIVED = {1: 0.7979, 2: 0.5388, 3: 0.3217, 4: 0.1842}


@pytest.mark.parametrize(("bits", "step"), DERIVED.items())
def test_steps_are_the_known_ones(bits, step):
    assert round(float(Hwgq(bits).quantize(np.zeros(1)).scale), 4) == step


@pytest.mark.parametrize("bits", range(1, 9))
def test_the_step_is_the_float32_nearest_to_the_least_error(bits):
    scale = Hwgq(bits).quantize(np.zeros(1)).scale[()]
    below, above = (np.nextafter(scale, np.float32(end)) for end in (0, 9))
    for other, falls in ((below, True), (above, False)):
        middle = (Decimal(float(scale)) + Decimal(float(other))) / 2
        assert (naive_formats.half_normal_error_slope(middle, bits) < 0) == falls


def squared_error(step, bits):
    """E[(x - q(x))**2] over x > 0, cell by cell, from the moments of a normal distribution."""
    total, last = 0.0, 2**bits - 1
    for level in range(1, last + 1):
        start = 0.0 if level == 1 else (level - 0.5) * step
        end = inf if level == last else (level + 0.5) * step
        tails = [(exp(-x * x / 2) / sqrt(2 * pi) if x < inf else 0.0) for x in (start, end)]
        weighted = [start * tails[0], end * tails[1] if end < inf else 0.0]
        mass = (erf(end / sqrt(2)) - erf(start / sqrt(2))) / 2
        q = level * step
        total += mass + weighted[0] - weighted[1] - 2 * q * (tails[0] - tails[1]) + q * q * mass
    return total


@pytest.mark.parametrize("bits", [1, 2, 3, 4])
def test_no_other_step_has_a_smaller_error(bits):
    best = float(Hwgq(bits).quantize(np.zeros(1)).scale)
    others = [k / 200 for k in range(1, 601)]
    assert all(squared_error(step, bits) >= squared_error(best, bits) for step in others)


@st.composite
def in_steps(draw, bits):
    """float64: boundaries i + 1/2 and beside them, what lies next to 0, extremes, any."""
    middle = draw(st.integers(-1, 2**bits)) + 0.5
    beside = float(np.nextafter(middle, draw(st.sampled_from([-np.inf, np.inf]))))
    ends = st.sampled_from([0.0, -0.0, 5e-324, -5e-324, 1e308, -1e308, 1.0, 0.5])
    return draw(st.one_of(st.sampled_from([middle, beside]), ends, st.floats(-3, 2.0**bits + 2)))


@given(st.data(), st.integers(1, 8))
def test_a_level_is_the_cell_that_holds_the_value(data, bits):
    x = data.draw(in_steps(bits))
    assert int(Hwgq(bits).nearest(np.array(x))) == naive_formats.hwgq(Fraction(x), bits)


@given(st.integers(1, 8), st.floats(2.0**-40, 2.0**40), st.data())
def test_real_values_are_decided_on_exactly(bits, sigma, data):
    number = Hwgq(bits, sigma)
    scale = number.quantize(np.zeros(1)).scale[()]
    steps = data.draw(st.lists(in_steps(bits), min_size=1, max_size=4))
    with np.errstate(over="ignore", under="ignore"):
        values = (np.array(steps) * float(scale)).astype(np.float32)
    values = values[np.isfinite(values)]
    quantized = number.quantize(values)
    exact = [Fraction(float(v)) / Fraction(float(scale)) for v in values]
    assert quantized.levels.tolist() == [naive_formats.hwgq(x, bits) for x in exact]
    np.testing.assert_array_equal(number.decode(quantized.codes), quantized.levels)


def test_only_what_is_not_positive_is_0():
    values = np.array([0.0, -0.0, -1.0, 1e-45, 3e38], np.float32)
    assert Hwgq(3).quantize(values).levels.tolist() == [0, 0, 0, 1, 7]


def test_a_step_grows_with_sigma():
    assert Hwgq(2, 4.0).quantize(np.zeros(1)).scale == 4 * Hwgq(2).quantize(np.zeros(1)).scale


def test_before_rounding_what_lies_outside_the_levels_is_clipped():
    got = Hwgq(2).before_rounding(np.array([-1.0, 0.25, 7], np.float32))
    assert got.tolist() == [0, 0.25, np.float32(3 * np.float32(half_normal_step(2)))]
    assert got.dtype == np.float32


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ((0,), "HWGQ has 1 to 8 bits, not 0"),
        ((9,), "HWGQ has 1 to 8 bits, not 9"),
        ((2, 0.0), "sigma lies between 1e-30 and 1e30, which"),
        ((2, 1e30), r"sigma lies between 1e-30 and 1e30, which"),
        ((2, float("nan")), "sigma lies between 1e-30 and 1e30, which"),
    ],
)
def test_impossible_parameters_are_refused(arguments, problem):
    with pytest.raises(ValueError, match=problem):
        Hwgq(*arguments)


def test_a_sigma_too_small_for_a_float32_step_is_refused():
    with pytest.raises(ValueError, match="sigma lies between 1e-30 and 1e30, which 1e-60 does not"):
        Hwgq(2, 1e-60)
