"""Sums to bytes in one pass, beside the kernels of whole tensors one after another."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import mixed, positive_scales

from qsim.kernels.add_float import ScaledCode, ratios_and_rest
from qsim.kernels.add_float import add_float as add_tensors
from qsim.kernels.requantize import requantize_float, total_float
from qsim.kernels.simd.float_stores import store_float, store_float_added, store_float_sum

LANES = 16
SUMS = st.one_of(
    st.integers(-2000, 2000),
    st.integers(2**24 - 3, 2**24 + 3),
    st.sampled_from([2**31 - 1, -(2**31)]),
    st.integers(-(2**31), 2**31 - 1),
)
MULTIPLIERS = positive_scales().map(lambda scale: scale[()])
LIMITS = st.sampled_from([(-128, 127), (0, 127), (-7, 7), (3, 3)])
OFFSETS = st.one_of(st.just(0.0), st.floats(-90, 90, width=32))
SCALES = st.floats(2.0**-8, 2.0, width=32).map(np.float32)


class Tile:
    """Two rows of sums with all that belongs to them, and where they are stored."""

    def __init__(self, data):
        draw = data.draw
        self.channel = draw(st.sampled_from([0, LANES]))
        self.channels = self.channel + draw(st.integers(1, LANES))
        self.parameter = self.channel + draw(st.sampled_from([0, LANES]))
        self.here = slice(self.parameter, self.parameter + self.channels - self.channel)
        self.totals = draw(mixed(np.int32, (2, LANES), elements=SUMS))
        self.bias = draw(mixed(np.int32, 3 * LANES))
        with np.errstate(over="ignore"):  # sums of products wrap around until the bias is there
            self.sums = self.totals - self.bias[self.parameter : self.parameter + LANES]
        self.multiplier = draw(mixed(np.float32, 3 * LANES, MULTIPLIERS))
        self.limits, self.count = draw(LIMITS), draw(st.integers(1, 2))
        self.rows = np.array([0, 7 + self.channels, 2 * self.channels + 9], np.int64)
        self.other_rows = self.rows + 3 * self.channels + 9
        if draw(st.booleans()):
            self.other_rows = self.rows.copy()  # in place
        self.rows[draw(st.integers(0, 2))] = draw(st.sampled_from([-1, -(2**40)]))  # nowhere
        self.stored = draw(mixed(np.uint8, 6 * self.channels + 30))
        self.first = self.sums, self.count, self.bias, self.multiplier

    def real(self, tile):
        """Of the real rows, the real lanes, int64."""
        return tile[: self.count, : self.channels - self.channel].astype(np.int64)

    def term(self):
        return self.real(self.totals), self.multiplier[self.here]

    def others(self, byte_offset):
        """The levels that are there before anything is stored, in the lanes of the tile."""
        starts = self.other_rows[1 : 1 + self.count]
        lanes = np.arange(self.channel, self.channels)
        return self.stored[starts[:, None] + lanes].astype(np.int64) - byte_offset

    def check(self, function, arguments, levels, limits=None):
        """``function`` stores ``levels``, which lie within ``limits``, and nothing elsewhere."""
        to_byte = -(limits or self.limits)[0]
        expected, sums = self.stored.copy(), self.sums.copy()
        for i in range(self.count):
            at = self.rows[1 + i]
            if at >= 0:
                expected[at + self.channel : at + self.channels] = levels[i] + to_byte
        function(*self.first, *arguments, to_byte, self.stored, self.rows, 1, self.channels)
        assert np.array_equal(self.stored, expected)
        assert np.array_equal(self.sums, sums)


@given(st.data())
def test_bytes_are_those_of_requantize_float(data):
    tile = Tile(data)
    offset = np.zeros(3 * LANES, np.float32)
    levels = requantize_float([tile.term()], *tile.limits)
    tile.check(store_float, (offset, tile.parameter, tile.channel, *tile.limits), levels)


@given(st.data())
def test_an_offset_is_added_before_the_total_is_rounded(data):
    tile = Tile(data)
    offset = data.draw(mixed(np.float32, 3 * LANES, elements=OFFSETS))
    total = total_float([tile.term()]) + offset[tile.here]
    levels = np.rint(np.clip(total, *map(np.float32, tile.limits)))
    tile.check(store_float, (offset, tile.parameter, tile.channel, *tile.limits), levels)


@given(st.data(), st.integers(0, 255))
def test_the_bytes_of_another_tensor_are_a_second_term(data, byte_offset):
    tile = Tile(data)
    offset = data.draw(mixed(np.float32, 3 * LANES, elements=OFFSETS))
    other = data.draw(mixed(np.float32, 3 * LANES, MULTIPLIERS))
    terms = [tile.term(), (tile.others(byte_offset), other[tile.here])]
    total = total_float(terms) + offset[tile.here]
    levels = np.rint(np.clip(total, *map(np.float32, tile.limits)))
    arguments = (
        offset,
        tile.parameter,
        tile.channel,
        *tile.limits,
        other,
        byte_offset,
        tile.other_rows,
        1,
    )
    tile.check(store_float_sum, arguments, levels)


@pytest.mark.parametrize("levels_first", [True, False])
@given(st.data(), st.integers(0, 255), st.tuples(SCALES, SCALES, SCALES), LIMITS)
def test_the_bytes_of_another_tensor_are_added_as_codes(
    levels_first, data, byte_offset, scales, sum_limits
):
    tile = Tile(data)
    zeros = tuple(data.draw(st.integers(-128, 255)) for _ in range(3))
    codes = tuple(ScaledCode(s, z) for s, z in zip(scales, zeros, strict=True))
    terms = [requantize_float([tile.term()], *tile.limits) + zeros[0]]
    terms.append(tile.others(byte_offset) + zeros[1])
    if levels_first:
        ratio, other_ratio, rest = ratios_and_rest(codes)
    else:
        terms, codes = terms[::-1], (codes[1], codes[0], codes[2])
        other_ratio, ratio, rest = ratios_and_rest(codes)
    code_limits = [limit + zeros[2] for limit in sum_limits]
    levels = add_tensors(*terms, codes, *code_limits) - zeros[2]
    arguments = (
        tile.parameter, tile.channel, *tile.limits, levels_first, (ratio, other_ratio, rest), zeros, *sum_limits,
        byte_offset, tile.other_rows, 1,
    )  # fmt: skip
    tile.check(store_float_added, arguments, levels, sum_limits)
