"""A layer of bits in and bits out: thresholds of sums as limits of counts, compared in registers.

A level is how many thresholds of its channel a sum reaches, as ``qsim.kernels.thresholds`` has it:
one threshold makes a plane, three make two planes. As a sum is a number less or more than a
multiple of a count, and that number depends on how much of the window is padding, so do the limits.
"""

import numpy as np

from qsim.kernels.simd.bit_convolution import BitConvolution
from qsim.kernels.simd.bit_layers import levels_of_bits
from qsim.kernels.simd.bit_panels import PIXEL_BITS, words_of
from qsim.kernels.simd.bit_tiles import TILES, BitLimits, BitWrites, literal, tile_for
from qsim.kernels.simd.windows import Windows, in_whole_tiles, patterns_of, pixels_of

LOWEST, HIGHEST = -(2**31), 2**31 - 1  # of counts, which are above and below


def levels_of_planes(
    held: BitConvolution,
    planes: np.ndarray,
    windows: Windows,
    thresholds: np.ndarray,
    falling: np.ndarray,
    *,
    padding: tuple[int, int, int, int],
    backend: str,
) -> np.ndarray:
    """The levels of the sums of a convolution, in planes with rows and columns of zeros around.

    planes       uint32 (images, planes, padded height, padded width, words of a pixel)
    thresholds   (out_channels, 1 or 3) integers, none less than the one before it
    falling      (out_channels,) bool, where sums that are no larger reach a threshold
    padding      rows and columns at top, left, bottom, right of the result
    returns      uint32 (images, 1 or 2, padded height, padded width, words of a pixel)

    Raises ValueError as ``limits`` does.
    """
    tile, (top, left, bottom, right) = tile_for(backend, int(np.prod(windows.out))), padding
    height, width = windows.out
    pixel = words_of(len(held.product.levels))
    count = 1 if thresholds.shape[1] == 1 else 2
    shape = (len(planes), count, top + height + bottom, left + width + right, pixel)
    out = np.zeros(shape, np.uint32)
    rows = in_whole_tiles(pixels_of(windows.out, padding, 4 * pixel), TILES[tile].rows)
    compared = limits(held, windows, thresholds, falling, tile)
    counts = np.empty((TILES[tile].rows, TILES[tile].channels), np.int32)
    names = literal(tile), literal(held.product.op), literal(str(count))
    with np.errstate(over="ignore"):  # the product in popcount wraps around, interpreted too
        for words, image in zip(planes, out, strict=True):
            reads = held.reads(words, windows, tile)
            writes = BitWrites(image.reshape(-1).view(np.uint8), rows, image[0].nbytes)
            levels_of_bits(*names, reads, held.panels(tile), compared, writes, counts)
    return out


def limits(
    held: BitConvolution, windows: Windows, thresholds: np.ndarray, falling: np.ndarray, tile: str
) -> BitLimits:
    """The limits of the counts of a tile for each position.

    Raises ValueError on other than one or three thresholds, on those that do not rise, and where
    sums are not found from counts alone.
    """
    channels = len(held.product.levels)
    if thresholds.shape not in ((channels, 1), (channels, 3)):
        raise ValueError(
            f"{channels} channels take one or three thresholds, not {thresholds.shape}"
        )
    if (thresholds[:, 1:] < thresholds[:, :-1]).any():
        raise ValueError("a threshold is no less than the one before it")
    if held.product.code_factor:
        raise ValueError("sums that need those of the inputs' codes have no limits of counts")
    pattern, taps = patterns_of(windows)
    found, flips = limits_of(thresholds, falling, held.product.bases(taps), held.product.factor)
    filled = -channels % PIXEL_BITS  # channels that are filled up are 0
    found = np.pad(found, ((0, 0), (0, 0), (0, filled)), constant_values=LOWEST)
    octets = np.packbits(np.pad(flips, (0, filled)), bitorder="little")
    rows = in_whole_tiles(pattern * found[0].size, TILES[tile].rows)
    return BitLimits(found.reshape(-1), rows, found.shape[2], octets)


def limits_of(
    thresholds: np.ndarray, falling: np.ndarray, bases: np.ndarray, factor: int
) -> tuple[np.ndarray, np.ndarray]:
    """The counts up to which thresholds of sums ``bases + factor * count`` are reached.

    thresholds   (channels, thresholds) integers, none less than the one before it
    falling      (channels,) bool, where a threshold is reached by sums that are no larger
    bases        int64 (patterns, channels)
    returns      int32 (patterns, thresholds, channels); bool (channels,), where it is the counts
                 beyond them that reach it
    """
    room = np.clip(thresholds.astype(np.int64), -(2**40), 2**40).T[None] - bases[:, None]
    flips = falling ^ (factor > 0)
    # count * |factor| <= room, or where it is turned around count * |factor| >= room
    room = room if factor > 0 else -room
    limits = np.where(flips, -(-room // abs(factor)) - 1, room // abs(factor))
    return np.clip(limits, LOWEST, HIGHEST).astype(np.int32), flips
