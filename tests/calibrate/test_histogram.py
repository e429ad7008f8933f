from collections import Counter
from fractions import Fraction
from itertools import pairwise
from math import floor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qsim.calibrate.histogram import FINE_BINS, Histogram

LARGEST = float(np.finfo(np.float32).max)
VALUES = st.one_of(
    st.floats(width=32, allow_nan=False, allow_infinity=False),
    st.floats(-4, 4, width=32),
    st.sampled_from([0.0, -0.0, 1.0, -1.0, 2.0, 2.0**-149, -(2.0**-149), 2.0**-126, LARGEST]),
    st.integers(-(2**10), 2**10).map(float),
)


def histogram(*parts):
    held = Histogram()
    for part in parts:
        held.add(np.array(part, np.float32))
    return held


def fine_counts(values):
    """Counts by side and bin, zeros left out: bins of the least power of two above all."""
    magnitudes = [abs(Fraction(v)) for v in values]
    end = Fraction(1, 2**148)
    while end <= max(magnitudes):
        end *= 2
    width = end / FINE_BINS
    bins = zip(values, magnitudes, strict=True)
    return Counter((v > 0, floor(m / width)) for v, m in bins if m), width


@settings(max_examples=60)
@given(st.lists(VALUES, min_size=1, max_size=12))
def test_bins_are_those_of_the_least_power_of_two_above_all_values(values):
    held = histogram(*[[v] for v in values])
    counts, width = fine_counts(values)
    sides, bins = np.nonzero(held._sides)
    got = {(bool(s), int(b)): int(held._sides[s, b]) for s, b in zip(sides, bins, strict=True)}
    assert got == counts
    assert Fraction(held.width) == width
    assert (held.values, held.zeros) == (len(values), sum(v == 0 for v in values))
    assert (held.lowest, held.highest) == (min(values), max(values))


@settings(max_examples=60)
@given(st.lists(VALUES, min_size=1, max_size=20), st.data())
def test_neither_the_split_nor_the_order_matters(values, data):
    shuffled = data.draw(st.permutations(values))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(values)), max_size=4)))
    ends = [0, *cuts, len(values)]
    parts = [shuffled[a:b] for a, b in pairwise(ends)]
    whole, split = histogram(values), histogram(*parts)
    np.testing.assert_array_equal(whole._sides, split._sides)
    assert (whole.width, whole.zeros, whole.lowest, whole.highest) == (
        split.width, split.zeros, split.lowest, split.highest,
    )  # fmt: skip


def test_a_chunk_is_no_batch(monkeypatch):
    values = np.random.default_rng(0).standard_normal(1000).astype(np.float32)
    whole = histogram(values)
    monkeypatch.setattr("qsim.calibrate.histogram.CHUNK", 7)
    np.testing.assert_array_equal(whole._sides, histogram(values)._sides)


@given(st.lists(VALUES, min_size=1, max_size=30), st.sampled_from([1, 2, 7, 2048]))
def test_coarse_bins_are_right_up_to_half_a_fine_bin(values, bins):
    held = histogram(values)
    counts, largest = held.magnitudes(bins), max(abs(v) for v in values)
    assert counts.sum() == len(values)
    if not largest:
        assert counts[0] == len(values)
        return
    assert counts[-1] > 0
    for edge in range(1, bins):
        below, end = counts[:edge].sum(), edge * largest / bins
        slack = held.width / 2 + end * 1e-12
        assert below >= sum(abs(v) < end - slack for v in values)
        assert below <= sum(abs(v) < end + slack for v in values)


@given(st.lists(VALUES, min_size=1, max_size=30))
def test_points_stand_for_values_of_their_bin(values):
    held = histogram(values)
    points, counts = held.points(2048)
    assert counts.sum() == len(values)
    repeated = np.repeat(points, counts)
    bound = held.largest / 2048 + held.width
    assert (np.abs(repeated - np.sort(np.array(values, np.float64))) <= bound).all()
    assert points.min() >= min(values)
    assert points.max() <= max(values)


@pytest.mark.parametrize("value", [3.3, -3.3, 0.0, 2.0**-149])
def test_a_single_value_is_kept_exactly(value):
    value = float(np.float32(value))
    points, counts = histogram([value, value], [value]).points(2048)
    assert points.tolist() == [value]
    assert counts.tolist() == [3]


def test_what_was_never_filled_says_so():
    held = Histogram()
    assert held.values == 0
    assert held.largest == 0
