import bit_operands
import naive
import numpy as np
import pytest
from bit_operands import ALL_TILES, SIGNS, bits_of
from guards import Guards
from hypothesis import given
from hypothesis import strategies as st

from qsim.kernels.affine_code import AffineCode
from qsim.kernels.simd import bit_thresholds
from qsim.kernels.simd.bit_convolution import BitConvolution, planes_of_images
from qsim.kernels.simd.bit_products import BitProduct
from qsim.kernels.simd.bit_thresholds import levels_of_planes, limits
from qsim.kernels.simd.windows import Windows

TILES = [tile for tile in ALL_TILES if tile in ("plain", "wide", "narrow_bytes")]
FUSED = bit_operands.codes().filter(
    lambda pair: not BitProduct(np.zeros((0, 1, 1, 1), int), *pair).code_factor
)


@st.composite
def thresholds(draw, sums):
    """One or three by channel, beside its sums or beyond them all, and which channels fall."""
    count = draw(st.sampled_from([1, 3]))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    by_channel = sums.transpose(1, 0, 2, 3).reshape(sums.shape[1], -1)
    values = rng.choice(by_channel, count, axis=1) + rng.integers(-1, 2, (sums.shape[1], count))
    beyond = rng.random(values.shape) < 0.1
    values[beyond] = rng.choice([-(2**62), 2**62], beyond.sum())
    return np.sort(values, axis=1), rng.random(sums.shape[1]) < 0.5


@given(st.data(), bit_operands.convolutions(FUSED), st.tuples(*[st.integers(0, 1)] * 4))
def test_the_bits_are_those_of_the_naive_levels_and_nothing_else_is_written(data, conv, padding):
    held, x, windows, sums = conv
    values, falling = data.draw(thresholds(sums))
    planes = planes_of_images(held, x, windows)
    for tile in TILES:
        guards = Guards()
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(bit_thresholds, "tile_for", lambda *_, tile=tile: tile)
            patch.setattr(bit_thresholds, "levels_of_bits", between(guards))
            got = levels_of_planes(
                held, planes, windows, values, falling, padding=padding, backend="any"
            )
        assert_levels(got, sums, values, falling, padding)
        assert guards.are_intact()


def between(guards):
    """``levels_of_bits`` with all its arrays between guards, and noise where it shall write."""
    original = bit_thresholds.levels_of_bits

    def call(tile, op, planes, reads, panels, limits, writes, counts):
        out = guards.around(writes)
        for row in writes.rows:
            out.octets[row : row + limits.flips.size] = 0xFF
        groups = guards.around(reads), guards.around(panels), guards.around(limits)
        original(tile, op, planes, *groups, out, guards(counts))
        writes.octets[:] = out.octets

    return call


def assert_levels(got, sums, values, falling, padding):
    top, left, bottom, right = padding
    edge = (0, 0), (top, bottom), (left, right)
    for channel in range(sums.shape[1]):
        expected = [
            naive.threshold_level(int(total), values[channel], falling[channel], 0)
            for total in sums[:, channel].flat
        ]
        levels = np.array(expected).reshape(sums[:, channel].shape)
        planes = [bits_of(got[:, p], channel) for p in range(got.shape[1])]
        np.testing.assert_array_equal(
            sum(p << k for k, p in enumerate(planes)), np.pad(levels, edge)
        )
    for channel in range(sums.shape[1], 32 * got.shape[-1]):
        assert not bits_of(got, channel).any()


def convolution(code=SIGNS, x_code=SIGNS):
    return BitConvolution(BitProduct(np.ones((2, 1, 1, 1), int), code, x_code))


@pytest.mark.parametrize(
    ("held", "values", "message"),
    [
        (convolution(), np.zeros((2, 2)), r"2 channels take one or three thresholds, not \(2, 2\)"),
        (convolution(), np.array([[0, 1, 0]] * 2), "no less than the one before it"),
        (convolution(AffineCode(2, 1, -2)), np.zeros((2, 1)), "have no limits of counts"),
    ],
)
def test_thresholds_that_have_no_limits_are_refused(held, values, message):
    with pytest.raises(ValueError, match=message):
        limits(held, Windows((1, 1), (1, 1)), values, np.zeros(2, bool), "plain")
