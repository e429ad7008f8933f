import naive
import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from qsim.kernels.accumulator import Accumulator, as_integers, magnitude
from qsim.kernels.layers import conv2d, linear
from qsim.kernels.level_product import LevelWeights
from qsim.kernels.pool import max_pool, sum_pool
from qsim.kernels.requantize import add_aligned, requantize_float, requantize_shift


@given(st.integers(2, 64), st.sampled_from(["wrap", "saturate"]), st.integers(-(2**62), 2**62))
@example(63, "wrap", 2**62)
@example(64, "wrap", -(2**62))
def test_a_register_holds_what_the_naive_register_holds(bits, mode, total):
    held = Accumulator(bits, mode).add_bias(np.array([total]), None)
    assert int(held[0]) == naive.hold(total, bits, mode)


@given(st.integers(2, 64), st.integers(0, 2**31 - 1), st.integers(0, 2**31 - 1))
def test_the_widest_safe_depth_is_safe_and_one_more_is_not(bits, max_x, max_w):
    accumulator = Accumulator(bits)
    depth = accumulator.widest_safe_depth(max_x, max_w)
    accumulator.check(depth, max_x, max_w)
    if max_x * max_w:
        with pytest.raises(OverflowError):
            accumulator.check(depth + 1, max_x, max_w)


def test_a_bias_beyond_the_register_leaves_no_safe_depth():
    assert Accumulator(8).widest_safe_depth(1, 1, 200) == 0


def test_an_overflow_is_refused_with_the_widest_safe_depth():
    with pytest.raises(OverflowError, match="the widest safe depth is 2184"):
        Accumulator(16).check(4608, 15, 1)


def test_a_bias_that_alone_overflows_is_named():
    with pytest.raises(OverflowError, match="a bias of 128 does not fit an exact accumulator of 8"):
        Accumulator(8).check(1, 1, 1, 128)


@pytest.mark.parametrize("mode", ["wrap", "saturate"])
def test_sums_beyond_64_bits_are_refused_in_every_mode(mode):
    with pytest.raises(OverflowError, match="64 bits"):
        Accumulator(32, mode).check(4, 2**31 - 1, 2**31)


@pytest.mark.parametrize("bits", [-1, 0, 1, 65])
def test_impossible_widths_are_refused(bits):
    with pytest.raises(ValueError, match="2 to 64 bits"):
        Accumulator(bits)


@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.int16, np.uint16, np.int64, np.uint64])
def test_integers_of_every_type_keep_their_values(dtype):
    extremes = np.array([np.iinfo(dtype).min, np.iinfo(dtype).max], dtype)
    worst = max(-int(extremes[0]), int(extremes[1]))
    assert magnitude(extremes) == worst
    if worst < 2**31:
        assert as_integers(extremes, np.int32).tolist() == extremes.tolist()
    else:
        with pytest.raises(OverflowError, match=f"a level of {worst} does not fit 32 bits"):
            as_integers(extremes, np.int32)


@pytest.mark.parametrize("levels", [np.array([1.0]), np.array([True]), np.array(["1"])])
def test_levels_that_are_no_integers_are_refused(levels):
    with pytest.raises(TypeError, match="levels are integers"):
        as_integers(levels, np.int32)


def test_every_kernel_refuses_levels_that_are_no_integers():
    real = np.full((1, 1, 2, 2), 0.5)
    whole = real.astype(int)
    calls = [
        lambda: conv2d(real, LevelWeights(whole)),
        lambda: conv2d(whole, LevelWeights(real)),
        lambda: conv2d(whole, LevelWeights(whole), np.array([0.5])),
        lambda: linear(real[0, 0], LevelWeights(whole[0, 0])),
        lambda: max_pool(real, (1, 1)),
        lambda: sum_pool(real, (1, 1)),
        lambda: requantize_float([(real, np.ones(1, np.float32))], 0, 1),
        lambda: requantize_shift(real, np.ones(1, int), 0, 1),
        lambda: requantize_shift(whole, np.ones(1), 0, 1),
        lambda: add_aligned([(real, np.ones(1, int))]),
    ]
    for call in calls:
        with pytest.raises(TypeError, match="levels are integers"):
            call()
