import naive
import numpy as np
import pytest
from bit_operands import bits_of, levels_in
from guards import Guards
from hypothesis import given
from hypothesis import strategies as st
from numba import config

from qsim.kernels.affine_code import AffineCode
from qsim.kernels.simd.bit_packing import byte_tests, pack_bytes, pack_image
from qsim.kernels.simd.bit_panels import pack_bits, words_of
from qsim.kernels.simd.bit_tiles import literal

BACKENDS = ["plain"] if config.DISABLE_JIT else ["plain", "pairs8"]
CHANNELS = st.sampled_from([1, 31, 32, 33, 63, 64, 65, 128, 130])
CODES = [
    AffineCode(1, 2, -1),
    None,
    AffineCode(1),
    AffineCode(3),
    AffineCode(8),
    AffineCode(3, 2, -7),
]


@given(st.integers(0, 2**32 - 1), st.sampled_from(CODES), CHANNELS, st.integers(0, 3))
def test_bytes_become_the_naive_words_of_their_codes_and_nothing_else_is_written(
    seed, code, channels, pixels
):
    rng = np.random.default_rng(seed)
    levels = levels_in(code, rng, (pixels, channels))
    lowest = -1 if code is None else code.low
    source = np.pad((levels - lowest).astype(np.uint8), ((0, 0), (2, 3)))
    tests, size = byte_tests(code), words_of(channels)
    if code is None:
        planes = [levels > 0, levels != 0]
    else:
        codes = (levels - code.offset) // code.step
        planes = [codes // 2**bit % 2 for bit in range(code.bits)]
    for backend in BACKENDS:
        guards = Guards()
        words = guards(np.full(len(tests) * pixels * size, 0xABCDEF01, np.uint32))
        in_rows = guards(np.arange(pixels) * source.shape[1] + 2)
        out_rows = guards(np.arange(pixels) * size)
        held = guards(source.reshape(-1)), in_rows, channels, guards(tests)
        pack_bytes(literal(backend), *held, words, out_rows, pixels * size)
        for plane, got in zip(planes, words.reshape(len(tests), pixels, size), strict=True):
            for row, pixel in zip(plane, got, strict=True):
                filled = np.pad(row.astype(int), (0, 32 * size - channels))
                assert pixel.view(np.uint64).tolist() == naive.packed(filled, 0)
        assert guards.are_intact()


@given(st.integers(0, 2**32 - 1), CHANNELS, st.integers(0, 2), st.integers(0, 2))
def test_an_image_becomes_bits_of_pixels_with_the_rest_left_alone(seed, channels, top, left):
    rng = np.random.default_rng(seed)
    codes = rng.integers(0, 8, (channels, 2, 3)).astype(rng.choice([np.int8, np.int32]))
    for bit in range(3):
        guards = Guards()
        plane = guards(np.zeros((5, 6, words_of(channels)), np.uint32))
        pack_image(guards(codes), bit, plane, top, left)
        for channel in range(32 * plane.shape[2]):
            expected = np.zeros((5, 6), int)
            if channel < channels:
                expected[top : top + 2, left : left + 3] = codes[channel] // 2**bit % 2
            np.testing.assert_array_equal(bits_of(plane, channel), expected)
        assert guards.are_intact()


@given(st.integers(0, 2**32 - 1), CHANNELS)
def test_bits_along_an_axis_become_the_naive_words(seed, channels):
    bits = np.random.default_rng(seed).integers(0, 2, (2, channels)).astype(np.uint8)
    for row, words in zip(bits, pack_bits(bits), strict=True):
        filled = np.pad(row, (0, 32 * len(words) - channels))
        assert words.view(np.uint64).tolist() == naive.packed(filled, 0)


@pytest.mark.parametrize("code", [AffineCode(9), AffineCode(2, 3), AffineCode(8, 2)])
def test_codes_whose_bits_are_no_bits_of_a_byte_are_refused(code):
    with pytest.raises(ValueError, match="are not bits of a byte"):
        byte_tests(code)
