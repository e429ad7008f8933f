from fractions import Fraction
from math import inf, nan

import naive
import numpy as np
import pytest
import strategies
from hypothesis import given
from hypothesis import strategies as st

from qsim.kernels.clip import bound_level, clip_levels

BOUNDS = st.one_of(st.sampled_from([-1.0, 0.0, 6.0, 0.5]), st.floats(-1e4, 1e4))


def in_order(bounds):
    return tuple(sorted(bounds))


@given(st.data(), st.tuples(BOUNDS, BOUNDS).map(in_order))
def test_clipping_levels_is_clipping_reals_and_rounding_them(data, bounds):
    shape = data.draw(st.tuples(*[st.integers(0, 3)] * 3))
    levels = data.draw(strategies.levels(shape, data.draw(st.sampled_from([3, 300, 2**31 - 1]))))
    scale = data.draw(strategies.positive_scales(data.draw(st.sampled_from([(), shape[1:2]]))))
    got = clip_levels(levels, scale, *bounds)
    assert got.shape == shape
    low, high = (Fraction(bound) for bound in bounds)
    for at in np.ndindex(shape):
        step = Fraction(float(scale if scale.ndim == 0 else scale[at[1]]))
        real = min(max(int(levels[at]) * step, low), high)
        assert int(got[at]) == naive.half_even(real / step)


def test_relu6_and_hard_tanh_have_the_levels_of_their_bounds():
    levels = np.array([-128, -65, -3, 0, 64, 97, 127, 2**31 - 1, -(2**31)])
    sixteenth = np.float32(1 / 16)
    assert clip_levels(levels, sixteenth, 0, 6).tolist() == [0, 0, 0, 0, 64, 96, 96, 96, 0]
    assert clip_levels(levels, sixteenth, -1, 1).tolist() == [-16, -16, -3, 0, 16, 16, 16, 16, -16]


def test_a_bound_half_way_goes_to_the_even_level():
    assert [bound_level(bound, 2.0) for bound in (1, 3, 5, -1, -3)] == [0, 2, 2, 0, -2]


def test_a_bound_is_taken_exactly():
    third = np.float32(1 / 3)  # more than a third, so that 0.5 is less than 1.5 of it
    assert bound_level(0.5, third) == 1
    assert bound_level(0.5, np.nextafter(third, np.float32(0))) == 2


def test_a_quotient_that_float64_rounds_to_a_half_is_not_one():
    scale = float.fromhex("0x1.80ccccp+0")
    bound = float(Fraction(scale) * (2**30 + Fraction(1, 2)))  # float64 has only one beside it
    assert bound / scale == 2**30 + 0.5 < Fraction(bound) / Fraction(scale)
    assert bound_level(bound, scale) == 2**30 + 1


def test_bounds_may_be_infinite_or_beyond_64_bits():
    levels = np.array([-(2**62), 5, 2**62])
    for high in (inf, 1e30):
        assert clip_levels(levels, np.float32(1), 0, high).tolist() == [0, 5, 2**62]
        assert clip_levels(levels, np.float32(1), -high, 0).tolist() == [-(2**62), 0, 0]


@pytest.mark.parametrize("bounds", [(1, 0), (nan, 0), (0, nan)])
def test_bounds_out_of_order_are_refused(bounds):
    with pytest.raises(ValueError, match="no value lies from"):
        clip_levels(np.zeros(1, int), np.float32(1), *bounds)


@pytest.mark.parametrize("scale", [0.0, -1.0, inf, nan])
def test_scales_that_are_not_positive_are_refused(scale):
    with pytest.raises(ValueError, match="positive and finite"):
        clip_levels(np.zeros(1, int), np.float32(scale), 0, 1)


@pytest.mark.parametrize("scales", [(2,), (1, 3), (1,)])
def test_scales_of_other_channels_are_refused(scales):
    with pytest.raises(ValueError, match="do not fit levels"):
        clip_levels(np.zeros((1, 3), int), np.ones(scales, np.float32), 0, 1)


def test_levels_that_are_no_integers_are_refused():
    with pytest.raises(TypeError, match="levels are integers"):
        clip_levels(np.zeros(1), np.float32(1), 0, 1)
