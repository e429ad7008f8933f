from fractions import Fraction

import naive
import numpy as np
import pytest
import strategies
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from qsim.calibrate.weight_scales import least_square_error
from qsim.formats import Fixed, Msq, Sp2

QUARTERS = st.integers(-64, 64).map(lambda i: i / 4)  # variances of four of them are exact


@given(strategies.float32_arrays((5, 2, 3)), st.sampled_from([0, None]), st.integers(3, 8))
def test_all_rows_fixed_is_plain_fixed_point(values, axis, bits):
    rows = Msq(bits, "1:0").quantize(values, axis=axis)
    plain = Fixed(bits).quantize(values, axis=axis)
    np.testing.assert_array_equal(rows.levels, plain.levels)
    np.testing.assert_array_equal(rows.codes, plain.codes)
    np.testing.assert_array_equal(np.broadcast_to(plain.scale, rows.scale.shape), rows.scale)


@given(strategies.float32_arrays((5, 2, 3)), st.sampled_from([0, None]), st.integers(3, 8))
def test_all_rows_sp2_is_plain_sp2(values, axis, bits):
    rows = Msq(bits, "0:1").quantize(values, axis=axis)
    plain = Sp2(bits).quantize(values, axis=axis)
    np.testing.assert_array_equal(rows.levels, plain.levels)
    np.testing.assert_array_equal(rows.codes, plain.codes)


@given(
    st.integers(0, 8).flatmap(lambda n: arrays(np.float64, (n, 4), elements=QUARTERS)),
    st.sampled_from(["1:1", "1:1.5", "1:2", "3:1", "0:1"]),
)
def test_the_rows_of_lowest_variance_are_sp2(values, ratio):
    number = Msq(4, ratio)
    expected = naive.low_variance_rows(values, number.sp2_rows(len(values)))
    assert set(np.flatnonzero(number.assign(values))) == expected


@given(strategies.float32_arrays((6, 4)))
def test_each_row_is_quantized_in_its_own_format(values):
    number = Msq(4, "1:1")
    rows = number.quantize(values, axis=0)
    for row in range(6):
        own = rows.row_format(row)
        assert own == (Sp2(4) if rows.is_sp2[row] else Fixed(4))
        alone = own.quantize(values[row])
        np.testing.assert_array_equal(rows.levels[row], alone.levels)
        np.testing.assert_array_equal(own.decode(rows.codes[row]), rows.levels[row])


@pytest.mark.parametrize(
    ("ratio", "rows", "sp2"),
    [("1:1.5", 64, 38), ("1:1.5", 128, 77), ("1:2", 64, 43), ("1:1", 5, 2), ("1:1", 7, 4),
     ("1:0", 9, 0), ("0:2", 9, 9), ("0.5:0.5", 4, 2)],
)  # fmt: skip
def test_the_number_of_sp2_rows_is_the_share_rounded_half_to_even(ratio, rows, sp2):
    fixed, other = (Fraction(part) for part in ratio.split(":"))
    assert sp2 == naive.half_even(other / (fixed + other) * rows)
    assert Msq(4, ratio).sp2_rows(rows) == sp2
    assert Msq(4, ratio).rows_by_datapath(rows) == {"multiply": rows - sp2, "shift_add": sp2}


@pytest.mark.parametrize(
    "ratio",
    ["", "1", "1:2:3", "a:b", "0:0", "-1:2", "1:-2", "1:nan", "1/0:1", "1e9:1", "1:1e99999999"],
)
def test_impossible_ratios_are_refused(ratio):
    with pytest.raises(ValueError, match=r"such as '1:1\.5'"):
        Msq(4, ratio)


@pytest.mark.parametrize("bits", range(3, 9))
def test_magnitudes_reach_as_far_as_either_kind_of_row(bits):
    wanted = max(Fixed(bits).max_magnitude, Sp2(bits).max_magnitude)
    assert Msq(bits, "1:1").max_magnitude == wanted


def test_of_many_rows_with_equal_variance_the_first_are_sp2():
    values = np.tile([0.0, 1.0], (100, 1))
    assert np.flatnonzero(Msq(4, "1:1").assign(values)).tolist() == list(range(50))


def test_a_scale_may_be_given_for_every_row():
    values, scale = np.ones((3, 2), np.float32), np.array([[1], [0.5], [0.25]], np.float32)
    rows = Msq(4, "1:0").quantize(values, scale=scale)
    np.testing.assert_array_equal(rows.levels, [[1, 1], [2, 2], [4, 4]])


@pytest.mark.parametrize("axis", [0, None])
def test_rows_have_one_scale_each(axis):
    rows = Msq(4, "1:1").quantize(np.ones((4, 3, 2)), axis=axis)
    assert rows.scale.shape == (4, 1, 1)
    [term] = rows.terms
    assert term.scale.shape == (4,)


def test_a_rule_finds_the_scales_of_either_kind_of_row():
    real = np.random.default_rng(0).normal(size=(6, 50)).astype(np.float32)
    quantized = Msq(4, "1:1").quantize(real, scale=least_square_error, axis=0)
    numbers = [quantized.row_format(row) for row in range(6)]
    by_rule = [
        n.quantize(x, scale=least_square_error).scale for n, x in zip(numbers, real, strict=True)
    ]
    assert quantized.scale[:, 0].tolist() == by_rule
    assert by_rule != [n.quantize(x).scale for n, x in zip(numbers, real, strict=True)]
