"""A convolution by counting bits, straight from the planes of an image."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from qsim.kernels.affine_code import AffineCode
from qsim.kernels.simd.bit_layers import sums_of_bits
from qsim.kernels.simd.bit_packing import pack_image
from qsim.kernels.simd.bit_panels import BitPanels, pack_bits, pack_panels, words_of
from qsim.kernels.simd.bit_products import SIGNS, BitProduct
from qsim.kernels.simd.bit_tiles import TILES, BitReads, literal, tile_for
from qsim.kernels.simd.windows import Windows, patterns_of, rows_of


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
                self.product.planes(), tile, masked=self.product.code is None
            )
        return self._panels[tile]

    def reads(self, words: np.ndarray, windows: Windows, tile: str) -> BitReads:
        """How windows read the planes of an image.

        words   uint32 (planes, padded height, padded width, words of a pixel)
        """
        pixel = words_of(self.product.levels.shape[1])
        plane = int(np.prod(windows.padded)) * pixel
        runs, pixels = windows.runs(pixel)
        rows = rows_of(windows, pixel, TILES[tile].rows)
        w_plane = self.panels(tile).size // self.product.w_planes
        pairs = self.product.pairs(plane, w_plane)
        mask = plane if self.product.op == "ternary" else 0
        return BitReads(words.reshape(-1), rows, runs, pairs, pixels * pixel, mask)

    def sums(self, planes: np.ndarray, windows: Windows, backend: str) -> np.ndarray:
        """The sums of products of levels in planes, but for ``code_factor``.

        planes    uint32 (images, planes, padded height, padded width, words of a pixel)
        returns   int64 (images, out_channels, positions)
        """
        product, positions = self.product, int(np.prod(windows.out))
        sums = np.empty((len(planes), len(product.levels), positions), np.int64)
        tile = tile_for(backend, positions)
        pattern, taps = patterns_of(windows)
        bases, panels = product.bases(taps), self.panels(tile)
        counts = np.empty((TILES[tile].rows, TILES[tile].channels), np.int32)
        with np.errstate(over="ignore"):  # the product in popcount wraps around, interpreted too
            for words, out in zip(planes, sums, strict=True):
                reads = self.reads(words, windows, tile)
                names = literal(tile), literal(product.op)
                sums_of_bits(*names, reads, panels, bases, pattern, product.factor, out.T, counts)
        return sums


def sums_of_images(
    held: BitConvolution, x: np.ndarray, windows: Windows, backend: str
) -> np.ndarray:
    """The sums of a convolution of levels, what is padding counting as 0.

    x         integers (images, channels, height, width), levels of the product's ``x_code``
    returns   int64 (images, out_channels, out height, out width)

    Raises ValueError on another level.
    """
    product = held.product
    sums = held.sums(planes_of_images(held, x, windows), windows, backend)
    if product.code_factor:
        totals = product.x_code.encode(x).sum(axis=1, dtype=np.int64)
        sums += product.code_factor * _window_sums(totals, windows)[:, None]
    return sums.reshape(*sums.shape[:2], *windows.out)


def planes_of_images(held: BitConvolution, x: np.ndarray, windows: Windows) -> np.ndarray:
    """The planes of levels that a convolution reads, with rows and columns of zeros around them.

    x         as of ``sums_of_images``
    returns   uint32 (images, planes, padded height, padded width, words of a pixel)
    """
    top, left, _, _ = windows.padding
    shape = (len(x), held.product.x_planes, *windows.padded, words_of(x.shape[1]))
    planes = np.zeros(shape, np.uint32)
    codes, bits = _codes_and_bits(x, held.product.x_code)
    for of_image, image in zip(planes, codes, strict=True):
        for plane, (axis, bit) in zip(of_image, bits, strict=True):
            pack_image(image[axis], bit, plane, top, left)
    return planes


def sums_of_rows(held: list[BitConvolution], x: np.ndarray, backend: str) -> np.ndarray:
    """The products of the rows of each group of weights with every row of inputs.

    held      by group, weights (rows, depth, 1, 1)
    x         (groups, columns, depth), levels of their ``x_code``
    returns   int64 (groups, rows, columns)

    Raises ValueError on another level.
    """
    groups, columns, depth = x.shape
    rows = held[0].product.levels.shape[0] if held else 0
    sums = np.zeros((groups, rows, columns), np.int64)
    if sums.size == 0 or depth == 0:
        return sums
    code, windows = held[0].product.x_code, Windows((columns, 1), (1, 1))
    codes, bits = _codes_and_bits(x, code)
    words = np.stack([pack_bits((codes[:, axis] & (1 << bit)) != 0) for axis, bit in bits], axis=1)
    for group, planes in enumerate(words[:, None, :, :, None]):
        sums[group] = held[group].sums(planes, windows, backend)[0]
        if held[group].product.code_factor:
            totals = codes[group, 0].sum(axis=1, dtype=np.int64)
            sums[group] += held[group].product.code_factor * totals
    return sums


def _codes_and_bits(
    x: np.ndarray, code: AffineCode | None
) -> tuple[np.ndarray, list[tuple[int, int]]]:
    """Integers (images, kinds, ...) of levels (images, ...) and the planes they make: which kind,
    and which of its bits. Signs are taken as they are, other levels checked."""
    if code is None:
        return np.stack([x > 0, x != 0], axis=1).view(np.uint8), [(0, 0), (1, 0)]
    if code == SIGNS:
        return (x > 0).view(np.uint8)[:, None], [(0, 0)]
    codes = code.encode(x)
    if code.bits <= 8:
        codes = codes.astype(np.uint8)
    return codes[:, None], [(0, bit) for bit in range(code.bits)]


def _window_sums(values: np.ndarray, windows: Windows) -> np.ndarray:
    """The sums of int64 (images, height, width) under each window, padding being 0: int64 (images,
    positions)."""
    top, left, bottom, right = windows.padding
    padded = np.pad(values, ((0, 0), (top, bottom), (left, right)))
    images = len(values)
    taps, pixels = windows.runs(1)
    at = windows.rows(1).reshape(-1, 1, 1) + taps[:, None] + np.arange(pixels)
    return padded.reshape(images, -1)[:, at].sum(axis=(2, 3))
