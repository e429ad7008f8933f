"""A convolution by counting bits, straight from the planes of an image."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from qsim.kernels.affine_code import AffineCode
from qsim.kernels.simd.bit_layers import sums_of_bits
from qsim.kernels.simd.bit_panels import BitPanels, aligned, pack_bits, pack_panels, words_of
from qsim.kernels.simd.bit_products import BitProduct
from qsim.kernels.simd.bit_tiles import TILES, BitReads, literal, tile_for
from qsim.kernels.simd.windows import Windows, in_whole_tiles


@dataclass(frozen=True)
class BitConvolution:
    """A convolution of planes in one group; a linear layer is one of pixels, of a 1 x 1 kernel."""

    product: BitProduct

    @cached_property
    def _panels(self) -> dict[str, BitPanels]:
        return {}

    def panels(self, tile: str) -> BitPanels:
        """The weights as panels for a tile, made once."""
        if tile not in self._panels:
            self._panels[tile] = pack_panels(
                self.product.planes, tile, masked=self.product.code is None
            )
        return self._panels[tile]

    def reads(self, words: np.ndarray, windows: Windows, tile: str) -> BitReads:
        """How windows read the planes of an image.

        words   uint32 (planes, padded height, padded width, words of a pixel)
        """
        pixel = words_of(self.product.levels.shape[1])
        plane = int(np.prod(windows.padded)) * pixel
        runs, pixels = windows.runs(pixel)
        rows = in_whole_tiles(windows.rows(pixel).reshape(-1), TILES[tile].rows)
        w_plane = self.panels(tile).size // len(self.product.planes)
        pairs = self.product.pairs(plane, w_plane)
        mask = plane if self.product.op == "ternary" else 0
        return BitReads(words.reshape(-1), rows, runs, pairs, pixels * pixel, mask)

    def sums(self, x: np.ndarray, windows: Windows, backend: str) -> np.ndarray:
        """The sums of products of levels.

        x         integers (images, channels, height, width), levels of the product's ``x_code``;
                  what is padding counts as 0
        returns   int64 (images, out_channels, out height, out width)

        Raises ValueError on another level.
        """
        product, (height, width) = self.product, windows.out
        images = len(x)
        sums = np.empty((images, len(product.levels), height * width), np.int64)
        tile = tile_for(backend, height * width)
        planes = image_planes(x, product.x_code, windows.padding)
        pattern, taps = windows.patterns()
        bases, panels = product.bases(taps), self.panels(tile)
        counts = aligned(np.zeros((TILES[tile].rows, TILES[tile].channels), np.int32))
        counts = counts.reshape(TILES[tile].rows, TILES[tile].channels)
        with np.errstate(over="ignore"):  # the product in popcount wraps around, interpreted too
            for words, out in zip(planes, sums, strict=True):
                reads = self.reads(words, windows, tile)
                names = literal(tile), literal(product.op)
                sums_of_bits(*names, reads, panels, bases, pattern, product.factor, out.T, counts)
        if product.code_factor:
            codes = product.x_code.encode(x).sum(axis=1, dtype=np.int64)
            sums += product.code_factor * _window_sums(codes, windows)[:, None]
        return sums.reshape(images, len(product.levels), height, width)


def sums_of_rows(held: list[BitConvolution], x: np.ndarray, backend: str) -> np.ndarray:
    """The products of the rows of each group of weights with every row of inputs.

    held      by group, weights (rows, depth, 1, 1)
    x         (groups, columns, depth), levels of their ``x_code``
    returns   int64 (groups, rows, columns)
    """
    groups, columns, depth = x.shape
    rows = held[0].product.levels.shape[0] if held else 0
    sums = np.zeros((groups, rows, columns), np.int64)
    if sums.size == 0 or depth == 0:
        return sums
    windows = Windows((columns, 1), (1, 1))
    for group, levels in enumerate(x):
        image = levels.T.reshape(1, depth, columns, 1)
        sums[group] = held[group].sums(image, windows, backend)[0, :, :, 0]
    return sums


def image_planes(
    x: np.ndarray, code: AffineCode | None, padding: tuple[int, int, int, int]
) -> np.ndarray:
    """The planes of levels, with rows and columns of zeros around them.

    x         integers (images, channels, height, width), levels of ``code``, or -1, 0 and +1 where
              it is None, as a plane of signs and a mask
    padding   rows and columns at top, left, bottom, right
    returns   uint32 (images, planes, padded height, padded width, words of a pixel)
    """
    if code is None:
        bits = [x > 0, x != 0]
    elif code == AffineCode(1, 2, -1):
        code.encode(x)
        bits = [x > 0]
    else:
        codes = code.encode(x)
        bits = [(codes & (1 << j)) != 0 for j in range(code.bits)]
    images, channels, height, width = x.shape
    top, left, bottom, right = padding
    shape = (images, len(bits), top + height + bottom, left + width + right, words_of(channels))
    planes = aligned(np.zeros(shape, np.uint32)).reshape(shape)
    for j, plane in enumerate(bits):
        packed = pack_bits(plane.transpose(0, 2, 3, 1))
        planes[:, j, top : top + height, left : left + width] = packed
    return planes


def _window_sums(values: np.ndarray, windows: Windows) -> np.ndarray:
    """The sums of int64 (images, height, width) under each window, padding being 0: int64 (images,
    positions)."""
    top, left, bottom, right = windows.padding
    padded = np.pad(values, ((0, 0), (top, bottom), (left, right)))
    images = len(values)
    taps, pixels = windows.runs(1)
    at = windows.rows(1).reshape(-1, 1, 1) + taps[:, None] + np.arange(pixels)
    return padded.reshape(images, -1)[:, at].sum(axis=(2, 3))
