from fractions import Fraction

import naive
import numpy as np
import pytest
import strategies
from hypothesis import given
from hypothesis import strategies as st

from qsim.formats import Affine, AffineGrid, Fixed
from qsim.formats.base import Found


def exact(value):
    return Fraction(float(value))


@given(strategies.float32_arrays((3, 5)), st.integers(1, 16), st.sampled_from([0, None]))
def test_levels_scale_and_zero_point_follow_from_the_range(values, bits, axis):
    number, last = Affine(bits), 2**bits - 1
    quantized = number.quantize(values, axis=axis)
    groups = values if axis == 0 else values[None]
    for group, levels, scale, zero_point in zip(
        groups,
        quantized.levels.reshape(len(groups), -1),
        quantized.scale.reshape(-1),
        quantized.zero_point.reshape(-1),
        strict=True,
    ):
        low, high = (f(map(float, group.flat)) for f in (min, max))
        low, high = min(low, 0.0), max(high, 0.0)
        width = max((high - low) / last, float(np.finfo(np.float32).tiny))
        assert scale == (np.float32(width) if high > low else 1)
        nearest = naive.half_even(Fraction(-low / float(scale)))
        assert zero_point == min(max(nearest, 0), last)
        for real, level in zip(group.flat, levels, strict=True):
            wanted = naive.half_even(exact(real) / exact(scale))
            assert level == min(max(wanted, -zero_point), last - zero_point)


@given(strategies.float32_arrays((4, 6)), st.integers(1, 16), st.sampled_from([0, None]))
def test_codes_are_levels_above_the_zero_point(values, bits, axis):
    quantized = Affine(bits).quantize(values, axis=axis)
    assert quantized.codes.min() >= 0
    assert quantized.codes.max() < 2**bits
    for row in range(4):
        grid = quantized.row_format(row)
        np.testing.assert_array_equal(grid.decode(quantized.codes[row]), quantized.levels[row])
        np.testing.assert_array_equal(grid.encode(quantized.levels[row]), quantized.codes[row])


@given(strategies.float32_arrays((3, 4)), st.integers(1, 16))
def test_zero_is_exact(values, bits):
    with_zero = np.append(values, np.float32(0))
    assert Affine(bits).quantize(with_zero).levels[-1] == 0


@given(strategies.float32_arrays((3, 4)), st.integers(1, 16))
def test_values_that_are_not_negative_are_those_of_unsigned_fixed_point(values, bits):
    affine, fixed = (
        Affine(bits).quantize(abs(values)),
        Fixed(bits, signed=False).quantize(abs(values)),
    )
    np.testing.assert_array_equal(affine.levels, fixed.levels)
    assert affine.scale == fixed.scale
    assert affine.zero_point == 0


@given(strategies.float32_arrays((3, 4)), st.integers(2, 8))
def test_a_bound_grid_quantizes_as_the_format_that_found_it(values, bits):
    quantized = Affine(bits).quantize(values)
    low, high = min(values.min(), 0), max(values.max(), 0)
    grid, scale = Affine(bits).bind(Found(float(low), float(high)))
    assert scale == quantized.scale
    np.testing.assert_array_equal(grid.quantize(values, scale=scale).levels, quantized.levels)
    assert grid.max_magnitude <= Affine(bits).max_magnitude


def test_the_zero_point_follows_the_adjusted_scale():
    grid, scale = Affine(4).bind(Found(-1.0, 2.0), lambda scale: scale * np.float32(2))
    assert scale == np.float32(0.4)
    assert grid == AffineGrid(4, 2)  # 2.5 steps below 0, a half to the even one


def test_a_one_sided_range_is_widened_to_contain_zero():
    quantized = Affine(8).quantize(np.array([2.1, 3.5]))  # (2.1, 3.5) becomes (0, 3.5)
    assert quantized.scale == np.float32(3.5 / 255)
    assert quantized.zero_point == 0
    quantized = Affine(8).quantize(np.array([-3.5, -2.1]))
    assert quantized.zero_point == 255
    assert quantized.levels.tolist() == [-255, -153]


def test_eight_bits_of_a_known_range():
    quantized = Affine(8).quantize(np.array([-1.0, 0.0, 1.55]), scale=np.float32(0.01))
    assert quantized.codes.tolist() == [0, 100, 255]


def test_all_zero_tensors_have_scale_one():
    quantized = Affine(8).quantize(np.zeros(3))
    assert quantized.scale == 1
    assert quantized.levels.tolist() == [0, 0, 0]


@pytest.mark.parametrize("make", [lambda: Affine(0), lambda: Affine(17), lambda: AffineGrid(17, 0)])
def test_impossible_bits_are_refused(make):
    with pytest.raises(ValueError, match="1 to 16 bits"):
        make()


@pytest.mark.parametrize("zero_point", [-1, 16])
def test_zero_points_that_are_no_codes_are_refused(zero_point):
    with pytest.raises(ValueError, match="a zero point of 4 bits is not"):
        AffineGrid(4, zero_point)


@given(
    strategies.float32_arrays((2, 4)),
    st.integers(2, 16),
    st.sampled_from(["symmetric", "restricted"]),
    st.sampled_from([0, None]),
)
def test_without_a_zero_point_levels_are_those_of_the_printed_range(values, bits, mode, axis):
    half = 2 ** (bits - 1)
    low, high = (-half if mode == "symmetric" else 1 - half), half - 1
    quantized = Affine(bits, mode).quantize(values, axis=axis)
    scales = np.broadcast_to(quantized.scale, values.shape)
    for real, level, scale in zip(values.flat, quantized.levels.flat, scales.flat, strict=True):
        assert level == min(max(naive.half_even(exact(real) / exact(scale)), low), high)
    own = quantized.format
    assert (own.min_level, own.max_level) == (low, high)
    np.testing.assert_array_equal(own.decode(quantized.codes), quantized.levels)
    assert Affine(bits, mode).max_magnitude == -low


@given(
    strategies.float32_arrays((5,)),
    st.integers(2, 8),
    strategies.positive_scales(),
    st.integers(-300, 300),
    st.sampled_from(["asymmetric", "symmetric", "restricted"]),
)
def test_ties_go_to_the_even_level_in_every_mode(values, bits, scale, halves, mode):
    values[0] = np.float32(halves) / 2 * scale
    quantized = Affine(bits, mode).quantize(values, scale=scale)
    low, high = {
        "asymmetric": (-int(getattr(quantized, "zero_point", 0)), None),
        "symmetric": (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1),
        "restricted": (1 - 2 ** (bits - 1), 2 ** (bits - 1) - 1),
    }[mode]
    high = low + 2**bits - 1 if high is None else high
    for real, level in zip(values, quantized.levels, strict=True):
        assert level == min(max(naive.half_even(exact(real) / exact(scale)), low), high)


@pytest.mark.parametrize("mode", ["symmetric", "restricted"])
def test_a_mode_without_a_zero_point_binds_its_fixed_point(mode):
    number, scale = Affine(4, mode).bind(Found(-3.5, 1.0))
    assert number == Fixed(4, full_range=mode == "symmetric")
    assert scale == 0.5


@pytest.mark.parametrize("mode", ["symmetric", "restricted"])
def test_one_bit_needs_a_zero_point(mode):
    with pytest.raises(ValueError, match=f"{mode} affine has 2 to 16 bits, not 1"):
        Affine(1, mode)


def test_negative_seeds_are_refused():
    with pytest.raises(ValueError, match="a seed is not negative, as -1 is"):
        Affine(4, seed=-1)


def test_the_largest_magnitude_of_each_mode():
    modes = ("asymmetric", "symmetric", "restricted")
    assert [Affine(4, mode=mode).max_magnitude for mode in modes] == [15, 8, 7]
