from fractions import Fraction
from math import ceil

import numpy as np
import pytest
from calibrate.known_answers import DATA, THRESHOLDS
from hypothesis import given
from hypothesis import strategies as st

from qsim.calibrate.percentile import Percentile
from qsim.formats import Affine, Fixed
from qsim.formats.base import Found

VALUES = st.lists(
    st.one_of(st.floats(-8, 8, width=32), st.sampled_from([0.0, 2.0**-149, 3e38])),
    min_size=1,
    max_size=40,
)
PERCENT = st.sampled_from([50.5, 75, 90, 99.9, 100])


def found(values, number, percent):
    observer = Percentile(percent).observer()
    observer.see(np.array(values, np.float32)[None])
    return observer.found(number)


def rank_of(values, share):
    """The value of which a share of all, or more, is no larger."""
    return sorted(values)[ceil(share * len(values)) - 1]


def bound_of(values):
    """The width of the finest bins that may be in use."""
    return max(abs(v) for v in values) * 2 / 2**17


@given(VALUES, PERCENT)
def test_a_threshold_is_the_quantile_of_the_magnitudes(values, percent):
    exact = rank_of([abs(v) for v in values], Fraction(repr(percent)) / 100)
    got = found(values, Fixed(8), percent)
    assert got.low == -got.high
    assert exact <= got.threshold <= exact + bound_of(values)


@given(VALUES, PERCENT)
def test_an_interval_leaves_out_half_on_either_side(values, percent):
    share = (1 + Fraction(repr(percent)) / 100) / 2
    high = max(rank_of(values, share), 0.0)
    low = min(-rank_of([-v for v in values], share), 0.0)
    got = found(values, Affine(8), percent)
    assert high <= got.high <= high + bound_of(values)
    assert low - bound_of(values) <= got.low <= low


def test_all_of_them_is_the_exact_range():
    values = np.array([-0.3, 0.0, 1.7], np.float32)
    exact = values.astype(float)
    assert found(values, Affine(8), 100) == Found(exact[0], exact[2])
    assert found(values, Fixed(8), 100).threshold == exact[2]


def test_a_decimal_fraction_means_what_is_written():
    values = [*range(1, 1000), 5000]  # 99.9 % are 999 of them; in binary a little more
    assert found(values, Fixed(8), 99.9).threshold < 1000


@pytest.mark.parametrize("name", THRESHOLDS)
def test_thresholds_agree_with_the_known_answers(name):
    *_, percentile, _ = THRESHOLDS[name]
    assert found(DATA[name], Fixed(8), 99.99).threshold == pytest.approx(percentile, abs=0.002)
