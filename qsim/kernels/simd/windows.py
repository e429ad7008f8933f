"""Where the windows of a convolution lie in an image stored channels last, with a border."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

Border = tuple[int, int, int, int]


@dataclass(frozen=True)
class Windows:
    """The windows of a convolution over an image.

    image                      height and width without padding
    kernel, stride, dilation   (rows, columns)
    padding                    rows and columns at top, left, bottom, right
    """

    image: tuple[int, int] = (1, 1)
    kernel: tuple[int, int] = (1, 1)
    stride: tuple[int, int] = (1, 1)
    padding: Border = (0, 0, 0, 0)
    dilation: tuple[int, int] = (1, 1)

    @property
    def padded(self) -> tuple[int, int]:
        """Height and width with padding."""
        return with_border(self.image, self.padding)

    @property
    def out(self) -> tuple[int, int]:
        """Height and width of the output. Raises ValueError where a window is larger than the
        padded image."""
        height, width = self.padded
        return (
            out_size(height, self.kernel[0], self.stride[0], self.dilation[0]),
            out_size(width, self.kernel[1], self.stride[1], self.dilation[1]),
        )

    def rows(self, pixel: int, border: Border | None = None) -> np.ndarray:
        """Where each output position's window begins, int64 (height, width), from the beginning of
        the stored image, for pixels ``pixel`` apart.

        border   of the stored image, at least the padding, which it is by default
        """
        border = border or self.padding
        y, x = (
            np.arange(self.out[i]) * self.stride[i] + border[i] - self.padding[i] for i in (0, 1)
        )
        return pixel * (y[:, None] * with_border(self.image, border)[1] + x)

    def taps(self, pixel: int, border: Border | None = None) -> np.ndarray:
        """Where each value of a window lies from its first, int64 (kernel_h, kernel_w)."""
        width = with_border(self.image, border or self.padding)[1]
        y, x = (np.arange(self.kernel[i]) * self.dilation[i] for i in (0, 1))
        return pixel * (y[:, None] * width + x)

    def runs(
        self, pixel: int, border: Border | None = None, *, apart: bool = False
    ) -> tuple[np.ndarray, int]:
        """Where each run of neighbours begins within a window, int64, and how many pixels it has:
        a row of the kernel, or one tap where columns are apart.

        apart   whether pixels are, as some of their values belong to other windows
        """
        taps = self.taps(pixel, border)
        if self.kernel[1] == 1 or (self.dilation[1] == 1 and not apart):
            return taps[:, 0].copy(), self.kernel[1]
        return taps.reshape(-1), 1

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


def with_border(image: tuple[int, int], border: Border) -> tuple[int, int]:
    """Height and width of an image with a border."""
    top, left, bottom, right = border
    return image[0] + top + bottom, image[1] + left + right


def by_run(weights: np.ndarray, runs: np.ndarray) -> np.ndarray:
    """Weights (rows, in-channels, kernel_h, kernel_w) in the order of the values of ``runs``:
    (rows, runs, values of a run)."""
    return weights.transpose(0, 2, 3, 1).reshape(len(weights), len(runs), -1)


def out_size(padded: int, kernel: int, stride: int, dilation: int = 1) -> int:
    """Positions of a window along a padded side; raises ValueError when the window is larger."""
    span = dilation * (kernel - 1) + 1
    if span > padded:
        raise ValueError(f"a window of {span} does not fit a padded side of {padded}")
    return (padded - span) // stride + 1


@lru_cache(maxsize=64)
def patterns_of(windows: Windows) -> tuple[np.ndarray, np.ndarray]:
    """``windows.patterns()``, not to be changed."""
    return windows.patterns()


@lru_cache(maxsize=64)
def rows_of(windows: Windows, pixel: int, tile_rows: int) -> np.ndarray:
    """``windows.rows(pixel)`` in whole tiles, not to be changed."""
    return in_whole_tiles(windows.rows(pixel).reshape(-1), tile_rows)


def pixels_of(image: tuple[int, int], padding: tuple[int, int, int, int], pixel: int) -> np.ndarray:
    """Where the pixels (height, width) of an image lie with ``padding`` (top, left, bottom, right)
    around it, int64, for pixels ``pixel`` apart."""
    y, x = (np.arange(image[i]) + padding[i] for i in (0, 1))
    return (pixel * (y[:, None] * with_border(image, padding)[1] + x)).reshape(-1)


def in_whole_tiles(table: np.ndarray, rows: int) -> np.ndarray:
    """A table of positions with its last one repeated up to a multiple of ``rows``."""
    return np.pad(table, (0, -len(table) % rows), mode="edge") if len(table) else table
