"""Requantization with a bias that is a real number, as fbgemm has it in torch's linear layers."""

import numpy as np
from numba import njit

from qsim.kernels.accumulator import magnitude
from qsim.kernels.channels import by_channel, check_limits, check_per_channel
from qsim.kernels.multipliers import onnx_multiplier

LARGEST_SCALED = 2.0**31  # beyond it the runtime's conversion to an integer is undefined


def requantize_real_bias(
    sums: np.ndarray,
    bias: np.ndarray,
    scales: tuple[np.float32, np.ndarray, np.float32],
    low: int,
    high: int,
) -> np.ndarray:
    """``(sums + steps) * multiplier`` clipped to ``low .. high``, every step rounded to float32.

    ``steps`` is the bias in steps of the sums, ``bias / (x_scale * weight_scale)``; fbgemm divides
    where each row has its scale, and multiplies by the reciprocal where all have one. The
    multiplier is that of ``onnx_multiplier``. The product goes to the nearest integer, a half to
    the even one.

    sums       integers within int32 (images, channels, ...)
    bias       float32 (channels,), finite
    scales     of x, of the weights, (1,) or (channels,), and of the result: float32, positive
    low, high  within 24 bits, relative to the zero point
    returns    int32 levels of the shape of ``sums``

    Raises ValueError on shapes, biases, scales or limits outside these, TypeError on other types,
    OverflowError on a product of 2**31 and more.
    """
    check_limits(low, high)
    x_scale, weight_scale, y_scale = scales
    multiplier = onnx_multiplier(x_scale, weight_scale, y_scale)
    product = x_scale * weight_scale
    if bias.dtype != np.float32:
        raise TypeError(f"a real bias is float32, not {bias.dtype}")
    if product.ndim != 1 or product.size not in (1, bias.size):
        raise ValueError(f"weight scales {product.shape} do not fit {bias.size} channels")
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):  # refused below
        steps = bias * (np.float32(1) / product) if product.size == 1 else bias / product
        multiplier = np.broadcast_to(multiplier, bias.shape)
        check_per_channel(sums, sums.shape, steps)
        largest = (magnitude(sums) + np.abs(steps.astype(np.float64))) * multiplier
    if not (largest < LARGEST_SCALED).all():
        raise OverflowError("a sum and its bias times their multiplier reach 2**31")
    by_channels = by_channel(sums)
    levels = np.empty(by_channels.shape, np.int32)
    _round_half_even(by_channels, steps, np.ascontiguousarray(multiplier), levels, (low, high))
    return levels.reshape(sums.shape)


@njit(cache=True, nogil=True)
def _round_half_even(sums, steps, multiplier, levels, limits):
    """sums (N, C, L) int64, steps and multiplier (C,) float32, levels (N, C, L) int32."""
    low, high = np.float32(limits[0]), np.float32(limits[1])
    for n in range(sums.shape[0]):
        for c in range(sums.shape[1]):
            for i in range(sums.shape[2]):
                scaled = (np.float32(sums[n, c, i]) + steps[c]) * multiplier[c]
                levels[n, c, i] = np.int32(np.rint(min(max(scaled, low), high)))
