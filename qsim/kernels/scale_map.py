"""XNOR-Net's map K: how large the values are that a binary convolution saw as +1 and -1."""

import numpy as np

from qsim.kernels.simd.windows import out_size


def scale_map(
    x: np.ndarray,
    kernel: tuple[int, int],
    *,
    stride: tuple[int, int] = (1, 1),
    padding: tuple[int, int, int, int] = (0, 0, 0, 0),
    dilation: tuple[int, int] = (1, 1),
) -> np.ndarray:
    """The mean of ``|x|`` over the channels, then over each window; padding counts as 0.

    All in float32, every step rounded: magnitudes are added in the order of the channels and
    divided by their number, then added in the order of the window's rows and columns and divided by
    its area. Source: XNOR-Net (arXiv 1603.05279), section 3.2, A and K.

    x         float32 (images, channels, height, width)
    padding   rows and columns at top, left, bottom, right
    returns   float32 (images, 1, out_height, out_width)
    """
    images, channels, height, width = x.shape
    top, left, bottom, right = padding
    out_h = out_size(height + top + bottom, kernel[0], stride[0], dilation[0])
    out_w = out_size(width + left + right, kernel[1], stride[1], dilation[1])
    mean = np.zeros((images, height, width), np.float32)
    for channel in range(channels):
        mean += np.abs(x[:, channel])
    mean /= np.float32(channels)
    padded = np.pad(mean, ((0, 0), (top, bottom), (left, right)))
    total = np.zeros((images, out_h, out_w), np.float32)
    for i in range(0, kernel[0] * dilation[0], dilation[0]):
        for j in range(0, kernel[1] * dilation[1], dilation[1]):
            rows = slice(i, i + (out_h - 1) * stride[0] + 1, stride[0])
            columns = slice(j, j + (out_w - 1) * stride[1] + 1, stride[1])
            total += padded[:, rows, columns]
    return (total / np.float32(kernel[0] * kernel[1]))[:, None]
