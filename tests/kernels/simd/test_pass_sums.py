import naive
import numpy as np
import pytest
import strategies
from hypothesis import given, settings
from hypothesis import strategies as st

from qsim.formats import PowerOfTwo, Sp2
from qsim.kernels.accumulator import Accumulator
from qsim.kernels.layers import conv2d, linear
from qsim.kernels.level_product import LevelWeights
from qsim.kernels.shift_add import ShiftAddWeights
from qsim.kernels.simd.pass_sums import PassWeights
from qsim.kernels.simd.windows import Windows

NUMBERS = [Sp2(bits) for bits in range(3, 9)] + [PowerOfTwo(5)]
LARGEST = st.sampled_from([127, 128, 254, 255, 2**15 - 1, 2**15])


@st.composite
def convolutions(draw):
    """Bytes, levels of up to 16 bits, and the geometry of a convolution that has sums."""
    kernel, sides, arguments = draw(strategies.geometry())
    groups, channels, rows = (draw(st.integers(1, most)) for most in (2, 3, 3))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    lowest = draw(st.sampled_from([0, -128, -255]))
    x = rng.choice([lowest, lowest + 1, lowest + 255, 0], (2, groups * channels, *sides))
    largest = draw(LARGEST)
    w = rng.choice([-largest, largest, 0, 3, -129], (groups * rows, channels, *kernel))
    return x, np.clip(w, -largest, largest), groups, arguments


@settings(max_examples=50)
@given(convolutions())
def test_convolutions_in_passes_equal_the_naive_sums(drawn):
    x, w, groups, geometry = drawn
    windows = Windows(x.shape[2:], w.shape[2:], *geometry.values())
    got = PassWeights(w).convolve(x, windows, groups)
    none = np.zeros(len(w), int)
    expected = naive.conv2d(x, w, none, **geometry, groups=groups, bits=64, mode="exact")
    np.testing.assert_array_equal(got, np.reshape(expected, got.shape))


@given(st.integers(1, 40), st.integers(0, 2**32), LARGEST)
def test_products_in_passes_equal_the_naive_sums(depth, seed, largest):
    rng = np.random.default_rng(seed)
    x, w = rng.integers(-128, 128, (3, depth)), rng.integers(-largest, largest + 1, (5, depth))
    got = PassWeights(w).multiply(x)
    expected = naive.linear(x, w, np.zeros(5, int), 64, "exact")
    np.testing.assert_array_equal(got.T, expected)


@pytest.mark.parametrize("number", NUMBERS, ids=str)
@pytest.mark.parametrize(("bits", "mode"), [(64, "exact"), (20, "wrap"), (40, "saturate")])
def test_layers_of_shifted_levels_equal_the_shifts_and_additions(number, bits, mode):
    rng = np.random.default_rng(number.bits)
    codes = rng.integers(0, 2**number.bits, (9, 40, 3, 3))
    codes[0] = np.argmax(number.code_table())
    levels, shifted = number.decode(codes), ShiftAddWeights(*number.shifts(codes))
    x = rng.integers(0, 256, (1, 40, 4, 4))
    x[..., :3] = 255
    register = {"accumulator": Accumulator(bits, mode)}
    got = conv2d(x, LevelWeights(levels), padding=(1, 1, 1, 1), **register)
    np.testing.assert_array_equal(got, conv2d(x, shifted, padding=(1, 1, 1, 1), **register))
    flat = [weights.columns(0, 360) for weights in (LevelWeights(levels), shifted)]
    rows = rng.integers(0, 256, (2, 360))
    np.testing.assert_array_equal(*(linear(rows, weights, **register) for weights in flat))


def test_sums_beyond_32_bits_are_joined_exactly():
    x, levels = np.full((1, 300), 255), np.full((2, 300), 2**15)
    got = linear(x, LevelWeights(levels), accumulator=Accumulator(64))
    assert got.tolist() == [[300 * 255 * 2**15] * 2]
    assert got.max() > 2**31
