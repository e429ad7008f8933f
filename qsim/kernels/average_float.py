"""The mean of quantized values under a window in float32, as ONNX Runtime's QLinearAveragePool."""

from collections.abc import Sequence

import numpy as np

from qsim.kernels.accumulator import magnitude
from qsim.kernels.add_float import LARGEST_SUM, ScaledCode
from qsim.kernels.channels import check_limits
from qsim.kernels.multipliers import onnx_average_multiplier
from qsim.kernels.pool import sum_pool
from qsim.kernels.requantize import requantize_float
from qsim.kernels.simd.windows import out_size

LARGEST_RATIO = 256.0  # of scales; the runtime refuses it, and smaller ones than SMALLEST_RATIO
SMALLEST_RATIO = 2.0**-32


def average_float(
    x: np.ndarray,
    kernel: tuple[int, int],
    codes: tuple[ScaledCode, ScaledCode],
    low: int,
    high: int,
    *,
    stride: tuple[int, int] | None = None,
    padding: tuple[int, int, int, int] = (0, 0, 0, 0),
    count_padding: bool = False,
) -> np.ndarray:
    """The codes of the mean under each window, clipped to ``low .. high``: ``mean_float`` of the
    values there; of a window that is the whole image, without padding, ``global_average_float``.

    x               (images, channels, height, width) integer codes
    codes           of x and of the result
    padding         rows and columns at top, left, bottom, right
    count_padding   whether positions in the padding count as zeros, ONNX's count_include_pad;
                    otherwise they do not take part
    returns         int32 (images, channels, out_height, out_width)

    Raises ValueError when the window does not fit, could lie in the padding alone, or on limits;
    OverflowError on a mean that could lie beyond 2**31, TypeError on anything but integers.
    """
    code_x, code_y = codes
    levels = x.astype(np.int64) - code_x.zero_point
    if tuple(kernel) == x.shape[2:] and not any(padding):
        return global_average_float(levels, code_x.scale, code_y, low, high)
    stride = stride or kernel
    values = windows(levels, kernel, stride, padding)
    count = kernel[0] * kernel[1]
    if not count_padding:
        count = sum(windows(np.ones((1, 1, *x.shape[2:]), np.int64), kernel, stride, padding))
    return mean_float([(each, code_x.scale) for each in values], count, code_y, low, high)


def global_average_float(
    levels: np.ndarray, x_scale: np.float32, code_y: ScaledCode, low: int, high: int
) -> np.ndarray:
    """The codes of the mean of each channel, int32 (images, channels, 1, 1): the exact sum of its
    levels times x_scale / (y_scale * count), as ``requantize_float``; QLinearGlobalAveragePool.

    Raises ValueError on a ratio of scales that the runtime refuses, and as ``sum_pool``.
    """
    window = levels.shape[2:]
    multiplier = onnx_average_multiplier(x_scale, window[0] * window[1], code_y.scale)
    check_average_ratio(multiplier)
    per_channel = np.broadcast_to(multiplier, levels.shape[1:2])
    sums, zero = sum_pool(levels, window), code_y.zero_point
    return requantize_float([(sums, per_channel)], low - zero, high - zero) + np.int32(zero)


def check_average_ratio(multiplier: np.ndarray) -> None:
    """Raises ValueError on a ratio of scales over a count that QLinearGlobalAveragePool refuses."""
    if not ((multiplier >= SMALLEST_RATIO) & (multiplier < LARGEST_RATIO)).all():
        raise ValueError(
            "a global average takes ratios of its scale over that of its result and the count from"
            f" 2**-32 to less than 256, not {multiplier}"
        )


def mean_float(
    values: Sequence[tuple[np.ndarray, np.float32]],
    count: int | np.ndarray,
    code_y: ScaledCode,
    low: int,
    high: int,
) -> np.ndarray:
    """The codes of ``sum(level * scale) / count``, clipped to ``low .. high``, int32.

    Each product is rounded to float32 and added to the sum in order, each sum, the quotient by
    ``count``, that by the scale of the result and the sum with its zero point are rounded to
    float32; the last goes to the nearest integer, a half to the even one.

    values   (levels, scale) of each position of a window, levels integers of one shape
    count    of values in a window, or as many as windows: broadcasts to the levels

    Raises ValueError on limits, OverflowError on a mean that could lie beyond 2**31.
    """
    check_limits(low, high)
    total = np.float32(0)
    for levels, scale in values:
        total = total + levels.astype(np.float32) * scale
    largest = max(magnitude(levels) * float(scale) for levels, scale in values)
    if not len(values) * largest / float(code_y.scale) + 2.0**16 <= LARGEST_SUM:
        raise OverflowError("a mean over the scale of the result is beyond 2**31")
    mean = total / np.asarray(count).astype(np.float32)
    real = mean / code_y.scale + np.float32(code_y.zero_point)
    return np.rint(np.clip(real, low, high)).astype(np.int32)


def windows(
    levels: np.ndarray,
    kernel: tuple[int, int],
    stride: tuple[int, int],
    padding: tuple[int, int, int, int] = (0, 0, 0, 0),
) -> list[np.ndarray]:
    """The levels at each position of a window, row by row: of each (images, channels, out_height,
    out_width), 0 in the padding.

    Raises ValueError when the window does not fit or could lie in the padding alone.
    """
    top, left, bottom, right = padding
    if max(top, bottom) >= kernel[0] or max(left, right) >= kernel[1]:
        raise ValueError(f"padding {padding} is not less than the window {kernel}")
    padded = np.pad(levels, ((0, 0), (0, 0), (top, bottom), (left, right)))
    out_h = out_size(padded.shape[2], kernel[0], stride[0])
    out_w = out_size(padded.shape[3], kernel[1], stride[1])
    rows = [slice(i, i + (out_h - 1) * stride[0] + 1, stride[0]) for i in range(kernel[0])]
    columns = [slice(j, j + (out_w - 1) * stride[1] + 1, stride[1]) for j in range(kernel[1])]
    return [padded[:, :, row, column] for row in rows for column in columns]
