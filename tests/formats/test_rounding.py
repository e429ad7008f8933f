from fractions import Fraction
from math import log, sqrt

import naive_formats
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qsim.formats import Affine
from qsim.formats.rounding import stochastic

DRAWS, FALSE_ALARM = 200_000, 1e-9


def slack(tests):
    """How far the mean of DRAWS numbers of [0, 1] may lie from its expectation, exceeded by one of
    ``tests`` means with a probability of at most FALSE_ALARM (Hoeffding)."""
    return sqrt(log(2 * tests / FALSE_ALARM) / (2 * DRAWS))


class Drawn:
    """A generator whose next numbers are known."""

    def __init__(self, *numbers):
        self.numbers = numbers

    def random(self, shape):
        return np.array(self.numbers).reshape(shape)


@given(
    st.one_of(st.floats(-(2.0**52), 2.0**52), st.integers(-64, 64).map(lambda k: k / 8)),
    st.integers(0, 2**53 - 1).map(lambda k: k * 2.0**-53),
)
def test_a_value_is_rounded_up_where_the_number_drawn_is_below_its_fraction(x, drawn):
    floor, chance = naive_formats.floor_and_up(Fraction(x))
    [got] = stochastic(np.array([x]), Drawn(drawn))
    assert got == floor + (Fraction(drawn) < Fraction(float(chance)))


@given(st.integers(-(2**53), 2**53), st.integers(0, 2**32))
def test_integers_stay(x, seed):
    assert stochastic(np.full(3, float(x)), np.random.default_rng(seed)).tolist() == [x] * 3


FRACTIONS = [1 / 3, 0.5, -0.5, -2.25, 7.001, 2.0**20 + 0.9, -1e-3]


@pytest.mark.parametrize("x", FRACTIONS)
def test_the_mean_of_many_draws_is_the_value(x):
    got = stochastic(np.full(DRAWS, x), np.random.default_rng(1))
    floor, chance = naive_formats.floor_and_up(Fraction(x))
    assert set(got.tolist()) == {floor, floor + 1}
    assert abs((got - floor).mean() - float(chance)) < slack(len(FRACTIONS))


def test_values_are_drawn_apart():
    got = stochastic(np.full(64, 0.5), np.random.default_rng(0))
    assert len(set(got.tolist())) == 2  # all alike with probability 2**-63


@pytest.mark.parametrize("mode", ["asymmetric", "symmetric", "restricted"])
def test_affine_weights_are_rounded_without_bias(mode):
    values = np.full(DRAWS, 0.3, np.float32)
    values[:2] = 1, -1
    quantized = Affine(4, mode, rounding="stochastic", seed=5).quantize(values)
    exact = Fraction(float(values[2])) / Fraction(float(quantized.scale))
    floor, chance = naive_formats.floor_and_up(exact)
    assert set(quantized.levels[2:].tolist()) == {floor, floor + 1}
    assert abs((quantized.levels[2:] - floor).mean() - float(chance)) < slack(3) + 2 / DRAWS


@pytest.mark.parametrize("mode", ["asymmetric", "symmetric", "restricted"])
def test_affine_weights_rounded_by_chance_never_leave_the_range(mode):
    values = np.linspace(-3, 3, 2001, dtype=np.float32)
    scale = np.float32(0.25)
    number = Affine(3, mode, rounding="stochastic", seed=1)
    quantized = number.quantize(values, scale=scale)
    if mode == "asymmetric":
        assert (quantized.codes.min(), quantized.codes.max()) == (0, 7)
    else:
        assert quantized.levels.min() == (-4 if mode == "symmetric" else -3)
        assert quantized.levels.max() == 3


def test_a_seed_settles_what_is_drawn():
    values = np.full(100, 0.3, np.float32)
    values[0] = 1
    levels = [
        Affine(4, rounding="stochastic", seed=seed).quantize(values).levels for seed in (0, 0, 1)
    ]
    np.testing.assert_array_equal(levels[0], levels[1])
    assert (levels[0] != levels[2]).any()  # all alike with probability 2**-49 or less
