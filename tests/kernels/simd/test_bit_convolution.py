import bit_operands
import numpy as np
import pytest
import strategies
from bit_operands import ALL_TILES, SIGNS
from guards import Guards
from hypothesis import given

from qsim.kernels.affine_code import AffineCode
from qsim.kernels.simd import bit_convolution, bit_tiles
from qsim.kernels.simd.bit_convolution import BitConvolution, sums_of_images, sums_of_rows
from qsim.kernels.simd.bit_products import BitProduct

TILES = [tile for tile in ALL_TILES if not tile.endswith("_row")]


@given(bit_operands.convolutions())
def test_the_sums_of_every_tile_are_the_naive_ones_and_nothing_else_is_written(convolution):
    held, x, windows, expected = convolution
    for tile in TILES:
        guards = Guards()
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(bit_convolution, "tile_for", lambda *_, tile=tile: tile)
            patch.setattr(bit_convolution, "sums_of_bits", between(guards))
            got = sums_of_images(held, x, windows, "any")
        np.testing.assert_array_equal(got, expected)
        assert guards.are_intact()


def between(guards):
    """``sums_of_bits`` with all its arrays between guards."""
    original = bit_convolution.sums_of_bits

    def call(tile, op, reads, panels, bases, base_rows, factor, sums, counts):
        out = guards(sums.T)
        arrays = guards.around(reads), guards.around(panels), guards(bases), guards(base_rows)
        original(tile, op, *arrays, factor, out.T, guards(counts))
        sums[...] = out.T

    return call


@given(strategies.linear_of(strategies.binary, strategies.ternary))
def test_rows_are_multiplied_as_pixels(operands):
    x, w, _ = operands
    held = BitConvolution(BitProduct(w[:, :, None, None], None, SIGNS))
    expected = [[sum(int(a) * int(b) for a, b in zip(row, k, strict=True)) for row in x] for k in w]
    for tile in [tile for tile in ALL_TILES if tile in ("plain", "wide_row")]:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(bit_convolution, "tile_for", lambda *_, tile=tile: tile)
            got = sums_of_rows([held], x[None], "any")[0]
        np.testing.assert_array_equal(got, np.array(expected, int).reshape(got.shape))


def test_a_single_row_and_several_have_tiles_of_their_own(monkeypatch):
    monkeypatch.setattr(bit_tiles, "target_features", lambda: {"avx512vpopcntdq"})
    assert bit_tiles.tile_for("vnni512", 1) == "wide_row"
    assert bit_tiles.tile_for("vnni512", 2) == bit_tiles.tile_for("amx", 2) == "wide"
    monkeypatch.setattr(bit_tiles, "target_features", lambda: set())
    assert bit_tiles.tile_for("pairs16", 2) == "wide_bytes"
    assert bit_tiles.tile_for("pairs8", 2) == bit_tiles.tile_for("pairs8", 1) == "narrow_bytes"
    assert bit_tiles.tile_for("plain", 1) == "plain"


def test_what_could_need_more_than_32_bits_is_not_countable():
    w = np.zeros((1, 64, 1, 1), int)
    assert BitProduct(w, AffineCode(12), AffineCode(12)).is_countable
    assert not BitProduct(w, AffineCode(13), AffineCode(13)).is_countable
    wide = AffineCode(1, 2**31 - 1)
    assert not BitProduct(w, wide, wide).is_countable


def test_ternary_operands_that_are_none_are_refused():
    w = np.full((1, 1, 1, 1), 2)
    with pytest.raises(ValueError, match="ternary weights are -1, 0 and"):
        BitProduct(w, None, SIGNS)
    with pytest.raises(ValueError, match="ternary inputs take weights as"):
        BitProduct(w // 2, SIGNS, None)
