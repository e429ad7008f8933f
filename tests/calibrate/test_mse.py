import numpy as np
import pytest
from calibrate.known_answers import DATA, THRESHOLDS
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from qsim.calibrate.mse import Mse
from qsim.formats import Affine, Fixed, Pact
from qsim.formats.base import Found

VALUES = arrays(np.float32, (1, 30), elements=st.floats(-8, 8, width=32))
SYMMETRIC = [Fixed(4), Fixed(3, full_range=True), Affine(4, "symmetric"), Affine(2, "restricted")]


def observer_of(values):
    observer = Mse().observer()
    observer.see(np.asarray(values, np.float32).reshape(1, -1))
    return observer


def squared_error(values, number, found):
    """Of the values themselves, by the levels one by one."""
    bound, scale = number.bind(found)
    levels = (bound.levels() * float(scale)).tolist()
    return sum(min(abs(v - level) for level in levels) ** 2 for v in values.reshape(-1).tolist())


def slack(values):
    """How much the error changes at most as values move to the middles of their bins."""
    largest = float(np.abs(values).max())
    return values.size * 2 * largest * (largest / 2048)


@settings(max_examples=25)
@given(VALUES, st.sampled_from(SYMMETRIC))
def test_no_threshold_has_a_smaller_error(values, number):
    found, largest = observer_of(values).found(number), float(np.abs(values).max())
    assert found.low == -found.high
    shares = [Found(-largest * s, largest * s) for s in (np.arange(20, 101) / 100).tolist()]
    assert found in shares
    least = min(squared_error(values, number, candidate) for candidate in shares)
    assert squared_error(values, number, found) <= least + slack(values)


@settings(max_examples=25)
@given(VALUES, st.integers(1, 4))
def test_no_other_end_of_an_interval_has_a_smaller_error(values, bits):
    number = Affine(bits)
    found = observer_of(values).found(number)
    low, high = min(float(values.min()), 0.0), max(float(values.max()), 0.0)
    shares = (np.arange(20, 101) / 100).tolist()
    others = [Found(found.low, high * s) for s in shares]
    others += [Found(low * s, found.high) for s in shares]
    least = min(squared_error(values, number, other) for other in [Found(low, high), *others])
    assert squared_error(values, number, found) <= least + slack(values)


@pytest.mark.parametrize("name", THRESHOLDS)
def test_the_error_is_as_small_as_that_of_the_known_answers(name):
    values, *_, reference = DATA[name], *THRESHOLDS[name]
    number = Fixed(8)

    def error(threshold):
        bound, scale = number.bind(Found(-threshold, threshold))
        return ((bound.at_scale(values, scale) * scale.astype(np.float64) - values) ** 2).sum()

    assert error(observer_of(values).found(number).threshold) <= 1.01 * error(reference)


@pytest.mark.parametrize("number", [*SYMMETRIC, Affine(4), Affine(16), Pact(4)], ids=str)
@pytest.mark.parametrize("value", [0.0, 3.3, 2.0**-149, 3e38])
def test_a_single_value_has_a_range(number, value):
    found = observer_of([value, value]).found(number)
    assert 0.2 * value <= found.threshold <= np.float32(value)
    number.bind(found)


def test_levels_decide_where_values_lie_on_them():
    values = np.repeat([-7.0, -3.0, 1.0, 7.0], 5)  # levels of the range to 7, and of no other
    assert observer_of(values).found(Fixed(4)).threshold == 7


def test_of_many_bits_the_range_stays_whole():
    assert observer_of(DATA["uniform"]).found(Fixed(16)).threshold > 0.98
