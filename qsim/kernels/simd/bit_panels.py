"""Planes of bits as words, in the orders in which micro-kernels read them."""

import numpy as np

from qsim.kernels.simd.bit_tiles import TILES, BitPanels

PIXEL_BITS = 64  # channels are filled up with zeros to a multiple of these
WORD_BITS = 32


def whole_channels(channels: int) -> int:
    """The bits of a plane of a pixel."""
    return -(-channels // PIXEL_BITS) * PIXEL_BITS


def words_of(channels: int) -> int:
    """The words of a plane of a pixel."""
    return whole_channels(channels) // WORD_BITS


def pack_bits(bits: np.ndarray) -> np.ndarray:
    """Bits along the last axis as words.

    bits      bool or uint8 0 and 1 (..., channels)
    returns   uint32 (..., words), the first channel in the lowest bit of the first word
    """
    channels = bits.shape[-1]
    octets = np.zeros((*bits.shape[:-1], 4 * words_of(channels)), np.uint8)
    octets[..., : -(-channels // 8)] = np.packbits(bits, axis=-1, bitorder="little")
    return octets.view("<u4")


def pack_panels(planes: np.ndarray, tile: str, *, masked: bool) -> BitPanels:
    """Bits of weights as panels for a tile.

    planes    bool (planes, out_channels, kernel_h, kernel_w, channels)
    masked    whether the second plane is the mask of the first, and follows it word by word
    returns   panels of words, filled up with channels of zeros
    """
    width = TILES[tile].channels
    count, rows = planes.shape[:2]
    words = pack_bits(planes).reshape(count, rows, -1)
    panels = -(-rows // width)
    full = np.zeros((count, panels * width, words.shape[2]), np.uint32)
    full[:, :rows] = words
    by_panel = full.reshape(count, panels, width, -1)
    ordered = by_panel.transpose((1, 3, 0, 2) if masked else (1, 0, 3, 2))
    return BitPanels(aligned(ordered), full.size // max(panels, 1), width if masked else 0)


def aligned(array: np.ndarray) -> np.ndarray:
    """A copy of ``array`` in one dimension, at an address that is a multiple of 64."""
    held = np.empty(array.nbytes + 64, np.uint8)
    start = -held.ctypes.data % 64
    copy = held[start : start + array.nbytes].view(array.dtype)
    copy[:] = array.reshape(-1)
    return copy
