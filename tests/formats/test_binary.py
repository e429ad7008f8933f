from fractions import Fraction
from math import log, sqrt

import naive_formats
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from qsim.formats import BinaryActivations, BinaryConnect, BinaryWeights

FLOATS = st.one_of(
    st.sampled_from([0.0, -0.0, 2.0**-149, -(2.0**-149), 2.0**126, -(2.0**126)]),
    st.floats(-(2.0**126), 2.0**126, width=32),
)
SHAPES = st.tuples(st.integers(1, 4), st.integers(1, 5))
DRAWS, FALSE_ALARM = 200_000, 1e-9


def fractions(values):
    return [Fraction(float(v)) for v in np.asarray(values).flat]


@given(SHAPES.flatmap(lambda shape: arrays(np.float32, shape, elements=FLOATS)))
@pytest.mark.parametrize(
    "number", [BinaryConnect(), BinaryActivations(), BinaryActivations(scale_map=True)], ids=str
)
def test_a_value_is_its_sign_at_scale_1(number, values):
    quantized = number.quantize(values)
    assert quantized.levels.ravel().tolist() == [naive_formats.sign(v) for v in fractions(values)]
    assert quantized.scale.shape == ()
    assert quantized.scale == 1
    np.testing.assert_array_equal(quantized.codes, quantized.levels > 0)
    np.testing.assert_array_equal(number.decode(quantized.codes), quantized.levels)


@given(
    SHAPES.flatmap(lambda shape: arrays(np.float32, shape, elements=FLOATS)),
    st.sampled_from([None, 0, 1]),
)
def test_the_scale_is_the_mean_magnitude_of_the_filter_or_the_layer(values, axis):
    parts = {None: [values], 0: list(values), 1: list(values.T)}[axis]
    if not all(naive_formats.mean_magnitude(fractions(part)) for part in parts):
        with pytest.raises(ValueError, match="no scale"):
            BinaryWeights().quantize(values, axis=axis)
        return
    quantized = BinaryWeights().quantize(values, axis=axis)
    assert quantized.levels.ravel().tolist() == [naive_formats.sign(v) for v in fractions(values)]
    assert quantized.scale.shape == {None: (), 0: (len(values), 1), 1: (1, values.shape[1])}[axis]
    wanted = [naive_formats.mean_magnitude(fractions(part)) for part in parts]
    assert fractions(quantized.scale) == wanted


def test_no_order_of_additions_changes_a_mean():
    values = np.array([2.0**100, 1, -1, 1, -(2.0**100)] * 9, np.float64)
    spread = np.concatenate([values, np.full(7, 2.0**48)])
    shuffled = np.random.default_rng(0).permutation(spread)
    assert BinaryWeights().quantize(spread).scale == BinaryWeights().quantize(shuffled).scale
    near_tie = np.array([1, 1 + 2.0**-22, 2.0**-100, 0])  # a half of a last place and a little
    wanted = naive_formats.mean_magnitude(fractions(near_tie))
    assert Fraction(float(BinaryWeights().quantize(near_tie).scale)) == wanted


@pytest.mark.parametrize(
    ("values", "axis", "problem"),
    [
        (np.zeros((2, 3)), None, "all values are 0"),
        (np.array([[1.0, 0], [0, 0]]), 0, "all of index 1 are 0"),
        (np.full((1, 2), 1e-60), None, "all values are 0 .or too small."),
        (np.zeros((0, 3)), None, "an empty tensor has no mean magnitude"),
        (np.array([[1e300, 1e300]]), None, "positive and finite, not inf"),
        (np.array([[1.7e308, 1.7e308]]), None, "positive and finite, not inf"),
        (np.array([[np.nan, 1]]), None, "1 of 2 values are NaN"),
    ],
)
def test_weights_without_a_mean_magnitude_are_refused(values, axis, problem):
    with pytest.raises(ValueError, match=problem):
        BinaryWeights().quantize(values, axis=axis)


@pytest.mark.parametrize("number", [BinaryConnect(), BinaryConnect(stochastic=True)], ids=str)
def test_what_has_scale_1_takes_zeros_and_nothing(number):
    assert number.quantize(np.zeros((0, 3))).levels.shape == (0, 3)
    assert set(number.quantize(np.zeros(64)).levels.tolist()) <= {-1, 1}


WEIGHTS = [-0.75, -0.5, 0.0, -0.0, 0.125, 0.9]


@pytest.mark.parametrize("weight", WEIGHTS)
def test_plus_1_is_drawn_with_the_papers_probability(weight):
    values = np.full(DRAWS, weight, np.float32)
    levels = BinaryConnect(stochastic=True, seed=3).quantize(values).levels
    chance = naive_formats.clip((Fraction(float(np.float32(weight))) + 1) / 2, 0, 1)
    # Hoeffding: one of these means is farther off with probability FALSE_ALARM at most
    slack = sqrt(log(2 * len(WEIGHTS) / FALSE_ALARM) / (2 * DRAWS))
    assert abs((levels == 1).mean() - float(chance)) < slack
    assert set(levels.tolist()) == {-1, 1}


@pytest.mark.parametrize(("weight", "level"), [(-1, -1), (-7, -1), (1, 1), (3e38, 1), (-3e38, -1)])
def test_weights_at_and_beyond_1_leave_nothing_to_chance(weight, level):
    values = np.full(10_000, weight, np.float32)
    assert set(BinaryConnect(stochastic=True).quantize(values).levels.tolist()) == {level}


def test_a_seed_settles_the_draw():
    values = np.zeros(200)
    first, again, other = (
        BinaryConnect(stochastic=True, seed=seed).quantize(values).levels for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


def test_activations_are_read_as_signs_or_with_a_map_as_they_are():
    x = np.array([-2.5, -0.0, 0.5], np.float32)
    assert BinaryActivations().before_rounding(x).tolist() == [-1, 1, 1]
    assert BinaryActivations().before_rounding(x).dtype == np.float32
    np.testing.assert_array_equal(BinaryActivations(scale_map=True).before_rounding(x), x)


def test_negative_seeds_are_refused():
    with pytest.raises(ValueError, match="a seed is not negative, as -1 is"):
        BinaryConnect(seed=-1)


@pytest.mark.parametrize(("drawn", "level"), [(0.25, -1), (np.nextafter(0.25, 0), 1)])
def test_plus_1_is_drawn_just_below_its_probability(monkeypatch, drawn, level):
    class Drawn:
        def random(self, shape):
            return np.full(shape, drawn)

    monkeypatch.setattr(np.random, "default_rng", lambda seed: Drawn())
    got = BinaryConnect(stochastic=True).quantize(np.array([-0.5])).levels
    assert got.tolist() == [level]


def test_seed_0_is_one_of_them():
    assert BinaryConnect(seed=0) == BinaryConnect()
    assert not BinaryConnect().stochastic
