"""Where the windows of a convolution lie in a channels-last image with padding around it."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np


@dataclass(frozen=True)
class Windows:
    """The geometry of a convolution in one group.

    image               height and width without padding
    kernel, stride, dilation   (rows, columns)
    padding             rows and columns at top, left, bottom, right
    """

    image: tuple[int, int]
    kernel: tuple[int, int]
    stride: tuple[int, int] = (1, 1)
    padding: tuple[int, int, int, int] = (0, 0, 0, 0)
    dilation: tuple[int, int] = (1, 1)

    @property
    def padded(self) -> tuple[int, int]:
        """Height and width with padding."""
        top, left, bottom, right = self.padding
        return self.image[0] + top + bottom, self.image[1] + left + right

    @property
    def out(self) -> tuple[int, int]:
        """Height and width of the output."""
        spans = [
            step * (size - 1) + 1 for step, size in zip(self.dilation, self.kernel, strict=True)
        ]
        return tuple(
            (side - span) // stride + 1
            for side, span, stride in zip(self.padded, spans, self.stride, strict=True)
        )

    def rows(self, pixel: int) -> np.ndarray:
        """Where each output position's window begins, int64, for pixels ``pixel`` apart."""
        y, x = (np.arange(n) * step for n, step in zip(self.out, self.stride, strict=True))
        return (pixel * (y[:, None] * self.padded[1] + x)).reshape(-1)

    def runs(self, pixel: int) -> tuple[np.ndarray, int]:
        """Where each run of neighbours begins within a window, int64, and how many pixels it has:
        a row of the kernel, or one tap where columns are apart."""
        rows = np.arange(self.kernel[0]) * self.dilation[0] * self.padded[1]
        if self.dilation[1] == 1:
            return pixel * rows, self.kernel[1]
        columns = np.arange(self.kernel[1]) * self.dilation[1]
        return (pixel * (rows[:, None] + columns)).reshape(-1), 1

    def patterns(self) -> tuple[np.ndarray, np.ndarray]:
        """Which taps of a window lie within the image.

        returns   int64 (positions,), the pattern of each; bool (patterns, kernel_h, kernel_w)
        """
        inside = [self._inside(axis) for axis in (0, 1)]
        kinds, index = zip(
            *(np.unique(each, axis=0, return_inverse=True) for each in inside), strict=True
        )
        rows, columns = (each.reshape(-1) for each in index)
        taps = kinds[0][:, None, :, None] & kinds[1][None, :, None, :]
        pattern = rows[:, None] * len(kinds[1]) + columns
        return pattern.reshape(-1), taps.reshape(-1, *self.kernel)

    def _inside(self, axis: int) -> np.ndarray:
        """By position along an axis, whether each tap is within the image: bool (out, kernel)."""
        first = np.arange(self.out[axis]) * self.stride[axis] - self.padding[axis]
        place = first[:, None] + np.arange(self.kernel[axis]) * self.dilation[axis]
        return (place >= 0) & (place < self.image[axis])


@lru_cache(maxsize=64)
def patterns_of(windows: Windows) -> tuple[np.ndarray, np.ndarray]:
    """``windows.patterns()``, not to be changed."""
    return windows.patterns()


@lru_cache(maxsize=64)
def rows_of(windows: Windows, pixel: int, tile_rows: int) -> np.ndarray:
    """``windows.rows(pixel)`` in whole tiles, not to be changed."""
    return in_whole_tiles(windows.rows(pixel), tile_rows)


def pixels_of(image: tuple[int, int], padding: tuple[int, int, int, int], pixel: int) -> np.ndarray:
    """Where the pixels (height, width) of an image lie with ``padding`` (top, left, bottom, right)
    around it, int64, for pixels ``pixel`` apart."""
    top, left, _, right = padding
    y, x = (np.arange(side) + before for side, before in zip(image, (top, left), strict=True))
    return (pixel * (y[:, None] * (left + image[1] + right) + x)).reshape(-1)


def in_whole_tiles(table: np.ndarray, rows: int) -> np.ndarray:
    """A table of positions with its last one repeated up to a multiple of ``rows``."""
    return np.pad(table, (0, -len(table) % rows), mode="edge") if len(table) else table
