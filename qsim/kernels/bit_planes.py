"""Bit planes: one bit of 64 integers to a word, so that one instruction works on 64 of them."""

import numpy as np
from numba import njit

from qsim.kernels.accumulator import Accumulator

WORD_BITS = 64


def pack_planes(integers: np.ndarray, bits: int) -> np.ndarray:
    """The lowest ``bits`` bits of ``integers``, a plane each, as two's complement has them.

    integers   (rows, columns, depth) signed integers within 64 bits
    returns    (bits, rows, columns, words) uint64, with words = depth / 64 rounded up; bit b of
               word w of plane p is bit p of the integer at depth 64 * w + b, and 0 beyond the depth
    """
    rows, columns, depth = integers.shape
    planes = np.zeros((bits, rows, columns, -(-depth // WORD_BITS)), np.uint64)
    _pack(np.ascontiguousarray(integers), planes)
    return planes


def refuse_saturation(accumulator: Accumulator) -> None:
    """Raises ValueError if the order of additions matters: 64 products of a word have none."""
    if accumulator.mode == "saturate":
        raise ValueError(
            "a popcount adds the products of a word at once, in no order that an accumulator could"
            " saturate in; its mode is 'exact' or 'wrap'"
        )


@njit(cache=True, nogil=True)
def _pack(integers, planes):
    """integers (R, C, K) signed, planes (P, R, C, K / 64 rounded up) uint64, overwritten."""
    rows, columns, depth = integers.shape
    for p in range(planes.shape[0]):
        for r in range(rows):
            for c in range(columns):
                for first in range(0, depth, WORD_BITS):
                    word = np.uint64(0)
                    for k in range(first, min(first + WORD_BITS, depth)):
                        bit = (np.int64(integers[r, c, k]) >> np.int64(p)) & np.int64(1)
                        word |= np.uint64(bit) << np.uint64(k - first)
                    planes[p, r, c, first // WORD_BITS] = word


@njit(cache=True, nogil=True)
def popcount(word):
    """The ones of a uint64: in pairs, nibbles, bytes, summed in the top byte of a product.

    LLVM knows the pattern and emits the processor's instruction, many words at a time.
    """
    pairs = word - ((word >> np.uint64(1)) & np.uint64(0x5555555555555555))
    low, high = pairs, pairs >> np.uint64(2)
    nibbles = (low & np.uint64(0x3333333333333333)) + (high & np.uint64(0x3333333333333333))
    octets = (nibbles + (nibbles >> np.uint64(4))) & np.uint64(0x0F0F0F0F0F0F0F0F)
    return np.int64((octets * np.uint64(0x0101010101010101)) >> np.uint64(56))
