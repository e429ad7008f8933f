"""Tiles and bytes: what is real is moved, and nothing beyond it is touched."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import mixed

from qsim.kernels.simd.tile_bytes import load_levels, store_bytes, store_sums

LANES = 16


@st.composite
def places(draw):
    """Where rows of up to 40 channels lie in 400 places, apart; the tile of them that is meant."""
    channels = draw(st.integers(1, 40))
    slots = draw(st.permutations(range(400 // channels)))[:5]
    margin = draw(st.integers(0, 400 % channels))
    rows = np.array([margin + slot * channels for slot in slots], np.int64)
    first = draw(st.integers(0, 4))
    count = draw(st.integers(0, min(3, len(rows) - first)))
    channel = draw(st.sampled_from(range(0, channels, LANES)))
    rows[draw(st.integers(0, len(rows) - 1))] *= draw(st.sampled_from([1, -1]))  # maybe nowhere
    return rows, first, count, channel, channels


def each_place(rows, first, count, channel, channels):
    for i in range(count):
        for lane in range(min(LANES, channels - channel) if rows[first + i] >= 0 else 0):
            yield i, lane, rows[first + i] + channel + lane


@given(places(), st.data(), st.integers(-10, 255))
def test_levels_are_stored_as_bytes_at_their_channels_alone(places, data, offset):
    rows, first, count, channel, channels = places
    stored = data.draw(mixed(np.uint8, 400))
    levels = data.draw(mixed(np.int32, (3, LANES), elements=st.integers(-offset, 255 - offset)))
    expected = stored.copy()
    for i, lane, at in each_place(*places):
        expected[at] = int(levels[i, lane]) + offset
    store_bytes(levels, count, offset, stored, rows, first, channel, channels)
    assert np.array_equal(stored, expected)


@given(places(), st.data(), st.integers(-10, 255))
def test_bytes_are_loaded_as_levels_into_their_lanes_alone(places, data, offset):
    rows, first, count, channel, channels = places
    stored = data.draw(mixed(np.uint8, 400))
    levels = data.draw(mixed(np.int32, (3, LANES)))
    expected = levels.copy()
    for i, lane, at in each_place(*places):
        expected[i, lane] = int(stored[at]) - offset
    load_levels(levels, count, offset, stored, rows, first, channel, channels)
    assert np.array_equal(levels, expected)


@pytest.mark.parametrize("dtype", [np.int32, np.int64])
@given(places(), st.data())
def test_sums_are_stored_at_their_channels_alone(dtype, places, data):
    rows, first, count, channel, channels = places
    stored = np.arange(400).astype(dtype)
    sums = data.draw(mixed(dtype, (3, LANES)))
    expected = stored.copy()
    for i, lane, at in each_place(*places):
        expected[at] = sums[i, lane]
    store_sums(sums, count, stored, rows, first, channel, channels)
    assert np.array_equal(stored, expected)
