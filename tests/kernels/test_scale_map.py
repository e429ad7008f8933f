from fractions import Fraction

import naive_formats
import numpy as np
import pytest
import strategies
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from qsim.kernels.scale_map import scale_map

FLOATS = st.one_of(
    st.sampled_from([0.0, -0.0, 1.0, -3.0, 2.0**-149, 2.0**24, 1 + 2.0**-23]),
    st.floats(-(2.0**60), 2.0**60, width=32),
)


@st.composite
def maps(draw):
    kernel, sides, arguments = draw(strategies.geometry())
    images, channels = draw(st.integers(0, 2)), draw(st.integers(1, 3))
    x = draw(arrays(np.float32, (images, channels, *sides), elements=FLOATS))
    return x, kernel, arguments


def every_addition(order):
    """One pixel of channels that a sum in another order would round to another mean."""
    return np.array(order, np.float32).reshape(1, -1, 1, 1), (1, 1), {}


@given(maps())
@example(every_addition([2.0**24, 1, 1]))
@example(every_addition([1, 1, 2.0**24]))
def test_the_map_equals_the_naive_one_in_float32(operands):
    x, kernel, arguments = operands
    got = scale_map(x, kernel, **arguments)
    assert got.dtype == np.float32
    arguments = {"stride": (1, 1), "padding": (0, 0, 0, 0), "dilation": (1, 1)} | arguments
    for image, found in zip(x, got, strict=True):
        exact = [[[Fraction(float(v)) for v in row] for row in channel] for channel in image]
        wanted = naive_formats.scale_map(exact, kernel, **arguments)
        assert found.shape == (1, len(wanted), len(wanted[0]))
        assert [[Fraction(float(v)) for v in row] for row in found[0]] == wanted


def test_the_order_of_additions_matters():
    ends = [scale_map(*every_addition(order)[:2]) for order in ([2.0**24, 1, 1], [1, 1, 2.0**24])]
    assert ends[0] != ends[1]


def test_padding_counts_as_0_and_takes_part_in_the_mean():
    x = np.ones((1, 2, 1, 1), np.float32)
    got = scale_map(x, (3, 3), padding=(1, 1, 1, 1))
    assert got.ravel().tolist() == [float(np.float32(1) / np.float32(9))]


def test_a_map_of_a_constant_is_its_magnitude():
    x = np.full((1, 4, 4, 4), -2.5, np.float32)
    assert (scale_map(x, (2, 2), stride=(2, 2)) == 2.5).all()


def test_a_window_that_does_not_fit_is_refused():
    with pytest.raises(ValueError, match="does not fit"):
        scale_map(np.ones((1, 1, 2, 2), np.float32), (3, 3))


def test_windows_are_by_default_next_to_each_other_without_padding():
    x = np.arange(1, 17, dtype=np.float32).reshape(1, 1, 4, 4)
    given_in_full = scale_map(
        x, (2, 3), stride=(1, 1), padding=(0, 0, 0, 0), dilation=(1, 1)
    )  # fmt: skip
    assert given_in_full.shape == (1, 1, 3, 2)
    np.testing.assert_array_equal(scale_map(x, (2, 3)), given_in_full)
