"""Additions in a tile, beside those of whole tensors."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import mixed

from qsim.kernels.add_fixed import add_fixed
from qsim.kernels.add_float import ScaledCode, ratios_and_rest
from qsim.kernels.add_float import add_float as add_tensors
from qsim.kernels.simd.additions import add_float, add_tflite, tflite_constants

MANY = 48
LIMITS = st.sampled_from([(-128, 127), (0, 255), (-7, 7), (3, 3)])
SCALES = st.one_of(
    st.tuples(st.integers(1, 15), st.integers(-9, -3)).map(lambda p: p[0] * 2.0 ** p[1]),
    st.floats(2.0**-8, 2.0, width=32),
).map(np.float32)
LEVELS = st.one_of(st.sampled_from([-511, -255, 0, 255, 511]), st.integers(-255, 255))


@st.composite
def pairs(draw, levels=LEVELS):
    """Two flat tiles of levels and how many of them are real."""
    a, b = (draw(mixed(np.int32, MANY, elements=levels)) for _ in range(2))
    return a, b, draw(st.integers(0, MANY))


def agree(got, a, many, expected):
    assert np.array_equal(got[:many], expected)
    assert np.array_equal(got[many:], a[many:])


@pytest.mark.parametrize("levels_first", [True, False])
@given(pairs(st.integers(-255, 255)), st.tuples(SCALES, SCALES, SCALES), st.data())
def test_a_float_addition_equals_that_of_tensors(levels_first, pair, scales, data):
    a, b, many = pair
    zeros = tuple(data.draw(st.integers(-128, 255)) for _ in range(3))
    low, high = data.draw(LIMITS)
    codes = tuple(ScaledCode(s, z) for s, z in zip(scales, zeros, strict=True))
    swapped = codes if levels_first else (codes[1], codes[0], codes[2])
    ratio, other_ratio, rest = ratios_and_rest(swapped)
    factors = (ratio, other_ratio, rest) if levels_first else (other_ratio, ratio, rest)
    terms = [tile[:many] + zero for tile, zero in zip((a, b), zeros, strict=False)]
    expected = add_tensors(
        *(terms if levels_first else terms[::-1]), swapped, low + zeros[2], high + zeros[2]
    )
    got = a.copy()
    add_float(got, b, many, levels_first, factors, zeros, low, high)
    agree(got, a, many, expected - zeros[2])


@pytest.mark.parametrize("addition", ["tflite", "tflite-reference", "tflite-builtin"])
@given(pairs(), st.tuples(SCALES, SCALES, SCALES), LIMITS)
def test_an_addition_of_litert_equals_that_of_tensors(addition, pair, scales, limits):
    a, b, many = pair
    expected = add_fixed(a[:many], b[:many], scales, *limits, addition=addition)
    got = a.copy()
    add_tflite(got, b, many, *tflite_constants(scales, addition), *limits)
    agree(got, a, many, expected)


@pytest.mark.parametrize("addition", ["tflite", "tflite-reference", "tflite-builtin"])
def test_halves_go_where_each_addition_of_litert_sends_them(addition):
    """With scales that are powers of two most sums are a half, or a quarter beside one."""
    a, b = (grid.ravel().astype(np.int32) for grid in np.meshgrid(np.arange(-9, 10), [-3, 0, 1, 2]))
    powers = [np.float32(2.0**power) for power in range(-2, 3)]
    for scales in product(powers, repeat=3):
        expected = add_fixed(a, b, scales, -128, 127, addition=addition)
        got = a.copy()
        add_tflite(got, b, len(a), *tflite_constants(scales, addition), -128, 127)
        assert np.array_equal(got, expected)


def test_scales_that_the_runtime_refuses_are_refused():
    scales = np.float32(1), np.float32(1), np.float32(2.0**-20)
    with pytest.raises(ValueError, match="too small beside"):
        tflite_constants(scales, "tflite")
