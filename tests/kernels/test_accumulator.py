import naive
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qsim.kernels.accumulator import Accumulator


@given(st.integers(2, 64), st.sampled_from(["wrap", "saturate"]), st.integers(-(2**62), 2**62))
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


def test_an_overflow_is_refused_with_the_widest_safe_depth():
    with pytest.raises(OverflowError, match="the widest safe depth is 2184"):
        Accumulator(16).check(4608, 15, 1)


@pytest.mark.parametrize("mode", ["wrap", "saturate"])
def test_sums_beyond_64_bits_are_refused_in_every_mode(mode):
    with pytest.raises(OverflowError, match="64 bits"):
        Accumulator(32, mode).check(4, 2**31 - 1, 2**31)


@pytest.mark.parametrize("bits", [-1, 0, 1, 65])
def test_impossible_widths_are_refused(bits):
    with pytest.raises(ValueError, match="2 to 64 bits"):
        Accumulator(bits)
