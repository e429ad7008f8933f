"""Convolutions of few bits: levels, their codes, and what a naive program makes of them."""

from typing import NamedTuple

import naive
import numpy as np
import strategies
from hypothesis import strategies as st
from numba import config

from qsim.kernels.affine_code import AffineCode
from qsim.kernels.simd.bit_convolution import BitConvolution
from qsim.kernels.simd.bit_products import BitProduct
from qsim.kernels.simd.bit_tiles import TILES
from qsim.kernels.simd.windows import Windows

SIGNS = AffineCode(1, 2, -1)
ALL_TILES = ["plain"] if config.DISABLE_JIT else list(TILES)  # of one row are those named _row


class Convolution(NamedTuple):
    held: BitConvolution
    x: np.ndarray
    windows: Windows
    sums: np.ndarray  # by the naive program, (images, out_channels, height, width)


def levels_in(code, rng, shape):
    """Random levels of a code; None: -1, 0 and +1."""
    if code is None:
        return rng.integers(-1, 2, shape)
    return code.step * rng.integers(0, 2**code.bits, shape) + code.offset


@st.composite
def codes(draw):
    """Codes of weights and of inputs, of every kind in which bits are counted."""
    unsigned = AffineCode(draw(st.integers(1, 3)))
    bits = draw(st.integers(2, 4))
    twos_complement = AffineCode(bits, 1, -(2 ** (bits - 1)))
    odd = AffineCode(bits, 2, 1 - 2**bits)
    return draw(
        st.sampled_from(
            [
                (SIGNS, SIGNS), (None, SIGNS), (None, None), (SIGNS, unsigned), (None, unsigned),
                (odd, unsigned), (odd, odd), (unsigned, AffineCode(bits)), (unsigned, SIGNS),
                (twos_complement, unsigned), (unsigned, twos_complement),
            ]
        )
    )  # fmt: skip


@st.composite
def convolutions(draw, of_codes=codes()):  # noqa: B008 (a strategy does not change)
    """Channels around whole words on one side, few on the other."""
    code, x_code = draw(of_codes)
    kernel, sides, arguments = draw(strategies.geometry())
    few, many = draw(st.integers(1, 3)), draw(st.sampled_from([1, 31, 32, 33, 64, 65, 70]))
    channels, rows = draw(st.sampled_from([(few, many), (many, few)]))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    x = levels_in(x_code, rng, (draw(st.integers(1, 2)), channels, *sides))
    w = levels_in(code, rng, (rows, channels, *kernel))
    bias = np.zeros(rows, int)
    sums = naive.conv2d(x, w, bias, **arguments, groups=1, bits=64, mode="exact")
    held = BitConvolution(BitProduct(w, code, x_code))
    return Convolution(held, x, Windows(sides, kernel, **arguments), np.array(sums, np.int64))


def bits_of(words, channel):
    """A channel's bit of every pixel, of words (..., words)."""
    return (words[..., channel // 32].astype(np.int64) // 2 ** (channel % 32)) % 2
