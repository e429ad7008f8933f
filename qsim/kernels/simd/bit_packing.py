"""Levels into planes of words: of images as the layers hold them, and of bytes, channels last."""

import numpy as np
from numba import njit, types
from numba.extending import intrinsic, overload

from qsim.kernels.affine_code import AffineCode
from qsim.kernels.simd.ir import I8, I64, load, splat, store, vector, zeros

WORD_BITS, STRETCH = 32, 64  # bits of a word; bytes that are tested at once


@njit(cache=True, nogil=True)
def pack_image(codes, bit, plane, top, left):
    """Write one bit of the codes of an image into a plane, channels last.

    codes   integers (channels, height, width), not negative, or bool
    bit     which one, 0 the lowest
    plane   uint32 (padded height, padded width, words); what is not under the image is left alone,
            and so are words without a channel
    """
    channels, height, width = codes.shape
    row = np.empty(width, np.uint32)
    for first in range(0, channels, WORD_BITS):
        for y in range(height):
            row[:] = 0
            for c in range(first, min(first + WORD_BITS, channels)):
                place = np.uint32(c - first)
                for z in range(width):
                    ones = np.uint32(np.uint32(codes[c, y, z]) >> np.uint32(bit)) & np.uint32(1)
                    row[z] |= np.uint32(ones << place)
            for z in range(width):
                plane[top + y, left + z, first // WORD_BITS] = row[z]


def byte_tests(code: AffineCode | None) -> np.ndarray:
    """The tests of ``pack_bytes`` for bytes that are a level less the lowest one.

    code      of the levels, whose step is a power of two; None: -1, 0 and +1
    returns   uint8 (planes, 2)

    Raises ValueError on another step, and where a level needs more than a byte.
    """
    if code is None:
        return np.array([[0, 2], [1, 3]], np.uint8)  # is it 2; is it not 1
    if code.step & (code.step - 1) or code.high - code.low > 255:
        raise ValueError(f"the bits of {code} are not bits of a byte")
    return np.array([[0, code.step << j] for j in range(code.bits)], np.uint8)


@njit(cache=True, nogil=True)
def pack_bytes(backend, source, in_rows, channels, tests, words, out_rows, plane):
    """Write planes of bits of the bytes of pixels, channels last.

    backend    literal string
    source     uint8 (bytes,)
    in_rows    int64 (pixels,): the first byte of each pixel
    channels   the bytes of a pixel
    tests      uint8 (planes, 2), a flip and a mask: the bit of a byte b is whether
               (b ^ flip) & mask is not 0
    words      uint32: word ``out_rows[m] + p * plane`` is the first of pixel m in plane p; the bits
               of a pixel are filled up with zeros to a multiple of 64
    """
    whole = channels // STRETCH * STRETCH
    for p in range(tests.shape[0]):
        flip, mask = tests[p]
        for m in range(in_rows.size):
            start, out = in_rows[m], out_rows[m] + p * plane
            _pack_stretches(backend, source, start, whole // STRETCH, flip, mask, words, out)
            if whole < channels:
                out += whole // WORD_BITS
                _pack_rest(source, start + whole, channels - whole, flip, mask, words, out)


def _pack_stretches(backend, source, start, count, flip, mask, words, out):
    """Stretches of 64 bytes, two words each."""
    for stretch in range(count):
        first = start + stretch * STRETCH
        _pack_rest(source, first, STRETCH, flip, mask, words, out + 2 * stretch)


@overload(_pack_stretches, prefer_literal=True)
def _compiled_stretches(backend, source, start, count, flip, mask, words, out):
    if backend.literal_value == "plain":
        return _pack_stretches

    def of_vectors(backend, source, start, count, flip, mask, words, out):
        for stretch in range(count):
            at = np.int64(source.ctypes.data) + start + stretch * STRETCH
            to = np.int64(words.ctypes.data) + 4 * (out + 2 * stretch)
            _pack_stretch(at, flip, mask, to)

    return of_vectors


@intrinsic
def _pack_stretch(typingctx, source, flip, mask, out):
    """64 bytes at an address into 64 bits at another."""

    def generate(context, b, signature, arguments):
        source, flip, mask, out = arguments
        octets = b.xor(load(b, source, vector(I8, STRETCH)), splat(b, flip, STRETCH))
        octets = b.and_(octets, splat(b, mask, STRETCH))
        bits = b.icmp_unsigned("!=", octets, zeros(octets.type))
        store(b, b.bitcast(bits, I64), out, align=1)
        return context.get_dummy_value()

    return types.void(types.int64, types.uint8, types.uint8, types.int64), generate


@njit(cache=True, nogil=True)
def _pack_rest(source, start, count, flip, mask, words, out):
    """Up to 64 bytes, as bits of two words."""
    for half in range(2):
        word = np.uint32(0)
        for k in range(half * WORD_BITS, min((half + 1) * WORD_BITS, count)):
            bit = np.uint32((source[start + k] ^ flip) & mask != 0)
            word |= np.uint32(bit << np.uint32(k - half * WORD_BITS))
        words[out + half] = word
