import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from qsim.calibrate.weight_scales import least_square_error
from qsim.formats import Affine, Fixed, PowerOfTwo, Sp2, quantize_groups

FORMATS = [
    Fixed(2), Fixed(8, full_range=True), Sp2(4), PowerOfTwo(4), Affine(4), Affine(1),
    Affine(4, "symmetric"), Affine(3, "restricted"),
]  # fmt: skip


@st.composite
def weights(draw):
    """(rows, channels, ...) and a group size that divides the channels."""
    rows, groups, size = draw(st.integers(0, 3)), draw(st.integers(1, 3)), draw(st.integers(1, 3))
    rest = draw(st.sampled_from([(), (1,), (2, 1), (2, 3)]))
    elements = st.one_of(st.sampled_from([0.0, -0.0, 1e-40, -3e38]), st.floats(-100, 100, width=32))
    return draw(arrays(np.float32, (rows, groups * size, *rest), elements=elements)), size


@given(weights(), st.sampled_from(FORMATS), st.sampled_from([None, least_square_error]))
def test_groups_are_quantized_each_apart(operands, number, rule):
    values, size = operands
    got = quantize_groups(number, values, size, scale=rule)
    groups = values.shape[1] // size
    assert got.scale.shape == (len(values), groups)
    assert got.levels.shape == got.codes.shape == got.real.shape == values.shape
    for row in range(len(values)):
        for group in range(groups):
            members = slice(group * size, (group + 1) * size)
            alone = number.quantize(values[row, members], scale=rule)
            np.testing.assert_array_equal(got.levels[row, members], alone.levels)
            np.testing.assert_array_equal(got.codes[row, members], alone.codes)
            np.testing.assert_array_equal(got.real[row, members], alone.real)
            assert got.scale[row, group] == alone.scale
            for channel in range(members.start, members.stop):
                own = got.group_format(row, channel)
                assert own.bits == number.bits
                np.testing.assert_array_equal(
                    own.decode(got.codes[row, channel]), got.levels[row, channel]
                )


@given(weights(), st.sampled_from(FORMATS))
def test_the_terms_of_the_groups_are_their_channels(operands, number):
    values, size = operands
    got = quantize_groups(number, values, size)
    whole = np.zeros(values.shape)
    for term in got.terms:
        start, stop = term.inputs
        assert stop - start == size
        by_row = term.scale.astype(np.float64).reshape(-1, *(1,) * (values.ndim - 1))
        whole[:, start:stop] += term.levels * by_row
    assert [term.inputs[0] for term in got.terms] == list(range(0, values.shape[1], size))
    np.testing.assert_array_equal(whole, got.real)


def test_scales_may_be_given_for_every_group():
    values = np.ones((2, 4, 1), np.float32)
    scale = np.array([[1, 0.5], [0.25, 0.125]], np.float32)
    got = quantize_groups(Fixed(8), values, 2, scale=scale)
    assert got.levels[..., 0].tolist() == [[1, 1, 2, 2], [4, 4, 8, 8]]
    np.testing.assert_array_equal(got.scale, scale)


@pytest.mark.parametrize("size", [0, -1, 3, 5])
def test_groups_that_do_not_divide_the_channels_are_refused(size):
    with pytest.raises(ValueError, match=f"groups of {size} do not divide 4 in-channels"):
        quantize_groups(Fixed(4), np.ones((1, 4)), size)


def test_values_that_are_not_finite_are_refused():
    with pytest.raises(ValueError, match="1 of 4 values are NaN"):
        quantize_groups(Fixed(4), np.array([[1, np.nan, 1, 1]]), 2)
