"""Every position is in one group, and a group's rows are equally spaced."""

import numpy as np
from hypothesis import example, given
from hypothesis import strategies as st

from qsim.kernels.simd.spacing import NO_POSITION, equally_spaced

sides = st.integers(1, 40)
strides = st.integers(1, 3)


def offsets_of(height, width, stride_y, stride_x, beyond, channels=5, first=7):
    """Offsets of windows in an image with ``beyond`` columns more than the windows take."""
    row = (width * stride_x + beyond) * channels
    y, x = np.arange(height)[:, None], np.arange(width)
    return first + y * stride_y * row + x * stride_x * channels


@given(sides, sides, strides, strides, st.integers(0, 4))
@example(1, 1, 1, 1, 0)
def test_every_position_is_in_one_group_of_equally_spaced_rows(height, width, sy, sx, beyond):
    offsets = offsets_of(height, width, sy, sx, beyond)
    order, spaced, pitch = equally_spaced(offsets)
    assert order.size == spaced.size and order.size % 32 == 0
    held = order[order != NO_POSITION]
    assert sorted(held) == list(range(height * width))
    np.testing.assert_array_equal(spaced[order != NO_POSITION], offsets.reshape(-1)[held])
    assert (np.diff(spaced.reshape(-1, 16)) == pitch).all()


@given(sides, sides, strides, strides, st.integers(0, 4))
def test_groups_are_no_more_than_those_of_each_row_by_itself(height, width, sy, sx, beyond):
    order, _, _ = equally_spaced(offsets_of(height, width, sy, sx, beyond))
    groups = (order.reshape(-1, 16) != NO_POSITION).any(axis=1).sum()
    assert groups <= height * ((width + 15) // 16)


def test_rows_of_a_3_by_3_convolution_run_on_over_the_border():
    """7 x 7 positions, 9 columns with the border: 6 * 9 + 7 = 61 places, 4 groups."""
    order, _, _ = equally_spaced(offsets_of(7, 7, 1, 1, 2))
    assert order.size == 4 * 16
    assert order[:16].tolist() == [*range(7), -1, -1, *range(7, 14)]


def test_one_position_alone_is_read_again_in_place_of_others():
    order, spaced, pitch = equally_spaced(np.array([[40]]))
    assert pitch == 0
    assert order.tolist() == [0] + [NO_POSITION] * 31
    assert spaced.tolist() == [40] * 32
