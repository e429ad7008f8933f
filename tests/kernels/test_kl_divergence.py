import math

import naive
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qsim.kernels.kl_divergence import divergences


@settings(max_examples=150)
@given(
    st.lists(
        st.one_of(st.just(0), st.integers(0, 9), st.integers(0, 2**40)), min_size=1, max_size=14
    ),
    st.integers(1, 6),
    st.sampled_from([0.0, 1e-4, 0.5]),
)
def test_every_candidate_diverges_as_the_printed_algorithm_says(counts, levels, smooth):
    levels = min(levels, len(counts))
    candidates = list(range(levels, len(counts) + 1))
    got = divergences(np.array(counts), np.array(candidates), levels, smooth)
    for bins, value in zip(candidates, got.tolist(), strict=True):
        expected = naive.kl_divergence(counts, bins, levels, smooth)
        assert math.isinf(value) == math.isinf(expected)
        # sums of logarithms are rounded; near 0 they cancel
        assert math.isinf(value) or value == pytest.approx(expected, rel=1e-9, abs=1e-12)


def test_a_histogram_that_is_kept_whole_at_as_many_levels_loses_nothing():
    assert divergences(np.array([3, 0, 5, 1]), np.array([4]), 4).tolist() == [0.0]


def test_an_empty_last_bin_that_holds_what_was_cut_off_is_infinite():
    counts = np.array([4, 2, 0, 0, 1])
    got = divergences(counts, np.array([2, 3, 4, 5]), 2)
    assert np.isinf(got).tolist() == [False, True, True, False]
    assert np.isfinite(divergences(counts, np.array([2, 3, 4, 5]), 2, 1e-4)).all()


def test_candidates_without_a_count_are_infinite():
    assert np.isinf(divergences(np.array([0, 0, 1]), np.array([1, 2]), 1, 0.1)).all()


@pytest.mark.parametrize(
    ("counts", "candidates", "levels", "smooth", "problem"),
    [
        ([1, 2], [1], 2, 0.0, "candidates have 2 .levels. to 2 bins"),
        ([1, 2], [3], 2, 0.0, "candidates have 2 .levels. to 2 bins"),
        ([1, 2], [2], 0, 0.0, "candidates have 0 .levels."),
        ([1, -2], [2], 2, 0.0, "none negative"),
        ([2**52, 2**52], [2], 2, 0.0, r"less than 2\*\*53"),
        ([1, 2], [2], 2, 1.0, "from 0 to less than 1, not 1"),
    ],
)
def test_what_is_out_of_range_is_refused(counts, candidates, levels, smooth, problem):
    with pytest.raises(ValueError, match=problem):
        divergences(np.array(counts), np.array(candidates), levels, smooth)
