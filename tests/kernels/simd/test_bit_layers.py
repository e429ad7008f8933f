"""Bytes to planes, a layer from bits to bits, a layer from bits to sums: as a compiled program runs
them, from tables in one piece of memory each."""

import naive
import numpy as np
from bit_operands import SIGNS
from numba import config, njit

from qsim.kernels.simd.bit_convolution import BitConvolution
from qsim.kernels.simd.bit_layers import levels_of_bits, sums_of_bits
from qsim.kernels.simd.bit_packing import byte_tests, pack_bytes
from qsim.kernels.simd.bit_panels import words_of
from qsim.kernels.simd.bit_products import BitProduct
from qsim.kernels.simd.bit_thresholds import limits
from qsim.kernels.simd.bit_tiles import TILES, BitReads, BitWrites, literal
from qsim.kernels.simd.windows import Windows, in_whole_tiles, patterns_of, pixels_of

SIDE, CHANNELS, MIDDLE, ROWS = 4, 70, 40, 9
BORDER = (1, 1, 1, 1)
TILE = "plain" if config.DISABLE_JIT else "narrow_bytes"


@njit
def program(
    tile, backend, op, one, source, first_pixels, tests, words, pixels, layers, sums, counts
):
    """``words`` holds the planes of the input and, from ``layers[1][0]`` on, those between."""
    (reads, panels, compared, out_rows), (start, tables, last, bases, pattern, factor) = layers
    pack_bytes(backend, source, first_pixels, 70, tests, words, pixels, 0)
    reads = BitReads(words, reads.rows, reads.runs, reads.pairs, reads.steps, reads.mask)
    writes = BitWrites(words[start:].view(np.uint8), out_rows, 0)
    levels_of_bits(tile, op, one, reads, panels, compared, writes, counts)
    between = BitReads(
        words[start:], tables.rows, tables.runs, tables.pairs, tables.steps, tables.mask
    )
    sums_of_bits(tile, op, between, last, bases, pattern, factor, sums, counts)


def test_layers_follow_one_another_in_compiled_code():
    rng = np.random.default_rng(0)
    x = rng.choice([-1, 1], (1, CHANNELS, SIDE, SIDE))
    w = rng.choice([-1, 1], (MIDDLE, CHANNELS, 3, 3)), rng.choice([-1, 1], (ROWS, MIDDLE, 3, 3))
    values, falling = rng.integers(-5, 5, (MIDDLE, 1)), rng.random(MIDDLE) < 0.5
    windows = Windows((SIDE, SIDE), (3, 3), padding=BORDER)
    held = [BitConvolution(BitProduct(each, SIGNS, SIGNS)) for each in w]
    source = (x[0].transpose(1, 2, 0) + 1).astype(np.uint8).reshape(-1)  # a level less the lowest
    plane = [(SIDE + 2) ** 2 * words_of(channels) for channels in (CHANNELS, MIDDLE)]
    bytes_between = pixels_of((SIDE, SIDE), BORDER, 4 * words_of(MIDDLE))
    pattern, taps = patterns_of(windows)
    words = np.zeros(sum(plane), np.uint32)
    reads = [each.reads(words, windows, TILE) for each in held]
    compared = limits(held[0], windows, values, falling, TILE)
    sums = np.empty((SIDE * SIDE, ROWS), np.int32)
    first = reads[0], held[0].panels(TILE), compared
    bases = held[1].product.bases(taps).astype(np.int32)
    rest = held[1].panels(TILE), bases, pattern, held[1].product.factor
    with np.errstate(over="ignore"):  # the product in popcount wraps around, interpreted too
        program(
            literal(TILE), literal("plain"), literal("xor"), literal("1"), source,
            CHANNELS * np.arange(SIDE * SIDE), byte_tests(SIGNS), words,
            pixels_of((SIDE, SIDE), BORDER, words_of(CHANNELS)),
            ((*first, in_whole_tiles(bytes_between, TILES[TILE].rows)), (plane[0], reads[1], *rest)),
            sums, np.empty((TILES[TILE].rows, TILES[TILE].channels), np.int32),
        )  # fmt: skip
    np.testing.assert_array_equal(
        sums.T.reshape(1, ROWS, SIDE, SIDE), naively(x, w, values, falling)
    )


def naively(x, w, values, falling):
    """The second layer's sums of the first one's signs."""
    geometry = {"stride": (1, 1), "padding": BORDER, "dilation": (1, 1), "groups": 1}
    geometry |= {"bits": 64, "mode": "exact"}
    sums = np.array(naive.conv2d(x, w[0], np.zeros(MIDDLE, int), **geometry))
    signs = [
        [2 * naive.threshold_level(int(t), values[n], falling[n], 0) - 1 for t in sums[0, n].flat]
        for n in range(MIDDLE)
    ]
    between = np.array(signs).reshape(1, MIDDLE, SIDE, SIDE)
    return np.array(naive.conv2d(between, w[1], np.zeros(ROWS, int), **geometry))
