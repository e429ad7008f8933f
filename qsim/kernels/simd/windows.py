"""Where the windows of a convolution lie in a tensor stored channels last, with a border."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Window:
    """The geometry of a convolution: (height, width) each, the padding at top, left, bottom and
    right."""

    kernel: tuple[int, int] = (1, 1)
    stride: tuple[int, int] = (1, 1)
    padding: tuple[int, int, int, int] = (0, 0, 0, 0)
    dilation: tuple[int, int] = (1, 1)

    def positions(self, sides: tuple[int, int]) -> tuple[int, int]:
        """How many there are along the sides (height, width) of an image.

        Raises ValueError where the window is larger than the padded image.
        """
        height, width = (sides[i] + self.padding[i] + self.padding[i + 2] for i in (0, 1))
        return (
            out_size(height, self.kernel[0], self.stride[0], self.dilation[0]),
            out_size(width, self.kernel[1], self.stride[1], self.dilation[1]),
        )


def out_size(padded: int, kernel: int, stride: int, dilation: int = 1) -> int:
    """Positions of a window along a padded side; raises ValueError when the window is larger."""
    span = dilation * (kernel - 1) + 1
    if span > padded:
        raise ValueError(f"a window of {span} does not fit a padded side of {padded}")
    return (padded - span) // stride + 1


def window_rows(
    window: Window, out: tuple[int, int], width: int, border: tuple[int, int], channels: int
) -> np.ndarray:
    """The offset of the first value under each of the ``out`` positions, int64 (positions,), from
    the beginning of the stored tensor.

    width    of the stored tensor, its border included
    border   rows and columns of it at top and left, at least the window's padding
    """
    y = np.arange(out[0])[:, None] * window.stride[0] + border[0] - window.padding[0]
    x = np.arange(out[1]) * window.stride[1] + border[1] - window.padding[1]
    return ((y * width + x) * channels).reshape(-1)


def window_taps(window: Window, width: int, channels: int) -> np.ndarray:
    """The offset of each value of a window from its first, int64 (kernel_h, kernel_w)."""
    y = np.arange(window.kernel[0])[:, None] * window.dilation[0] * width
    x = np.arange(window.kernel[1]) * window.dilation[1]
    return (y + x) * channels


def window_runs(
    weights: np.ndarray, window: Window, width: int, channels: int
) -> tuple[np.ndarray, np.ndarray]:
    """The offsets of the runs of contiguous values under a window, int64 (runs,), and the weights
    of each, (rows, runs, length): a row of taps of all channels is one run, unless it is dilated or
    reads some of the channels.

    weights   (rows, in-channels, kernel_h, kernel_w)
    """
    taps = window_taps(window, width, channels)
    last = weights.transpose(0, 2, 3, 1)
    if weights.shape[1] == channels and (window.dilation[1] == 1 or window.kernel[1] == 1):
        return taps[:, 0].copy(), last.reshape(len(weights), len(taps), -1)
    return taps.reshape(-1), last.reshape(len(weights), taps.size, -1)
