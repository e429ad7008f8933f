import numpy as np
import pytest
import strategies
from hypothesis import given
from hypothesis import strategies as st

from qsim.calibrate.weight_scales import MSE_CANDIDATES, least_square_error, power_of_two
from qsim.formats import Fixed, Sp2
from qsim.formats.base import largest_magnitude, scale_of


def error(real, number, scale):
    return ((number.quantize(real, scale=scale).real - real) ** 2).sum()


@given(
    strategies.float32_arrays((3, 5)), st.sampled_from([Fixed(4), Sp2(4), Fixed(3, signed=False)])
)
def test_no_candidate_has_a_smaller_error_than_the_chosen_one(values, number):
    real = values.astype(np.float64)
    chosen = least_square_error(real, number, None)
    alpha = float(np.abs(real).max())
    best = min(error(real, number, scale_of(share * alpha, number)) for share in MSE_CANDIDATES)
    assert error(real, number, chosen) <= best * (1 + 1e-12)  # sums of squares round


def test_of_equal_errors_the_smallest_scale_is_taken():
    assert least_square_error(np.zeros(3), Fixed(4), None) == 1
    flat = np.array([1.0, 1.0])  # 1 is a level at every alpha that is 1 * 7 / k
    best = [s for s in MSE_CANDIDATES if error(flat, Fixed(4), scale_of(s, Fixed(4))) < 1e-12]
    assert least_square_error(flat, Fixed(4), None) == scale_of(min(best), Fixed(4))


def test_an_outlier_is_given_up_for_the_many():
    many = np.append(np.linspace(-0.25, 0.25, 999), 1.0)
    assert least_square_error(many, Fixed(4), None) < scale_of(np.array(0.5), Fixed(4))


@given(strategies.float32_arrays((4, 6)))
def test_a_scale_per_row_is_each_rows_own(values):
    together = least_square_error(values, Fixed(4), 0)
    alone = [least_square_error(row, Fixed(4), None) for row in values]
    np.testing.assert_array_equal(together.reshape(-1), alone)


@pytest.mark.parametrize("size", [2**14, 2**14 + 1, 2**16 + 3])
def test_large_tensors_are_sampled_over_their_whole_length(size):
    values = np.zeros(size)
    values[size // 2 :] = 1.0
    assert least_square_error(values, Fixed(4), None) == pytest.approx(1 / 7, rel=0.05)


@given(strategies.float32_arrays((3, 5)))
def test_powers_of_two_are_the_next_ones(values):
    plain = largest_magnitude(values, Fixed(4), 0).astype(np.float64)
    raised = power_of_two(largest_magnitude)(values, Fixed(4), 0).astype(np.float64)
    assert (np.frexp(raised)[0] == 0.5).all()
    assert ((raised >= plain) & (raised < 2 * plain)).all()
