"""Requantization with a bias that is a real number, as fbgemm has it in torch's linear layers."""

import numpy as np

from qsim.kernels.accumulator import magnitude
from qsim.kernels.channels import check_limits, check_per_channel
from qsim.kernels.fused import multiply_add
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
    where each row has its scale. Where all have one it multiplies by the reciprocal, and adds the
    sum to that product before it is rounded, as processors with a fused multiply-add do. The
    multiplier is that of ``onnx_multiplier``. The result goes to the nearest integer, a half to
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
        steps = bias / product
        multiplier = np.broadcast_to(multiplier, bias.shape)
        check_per_channel(sums, sums.shape, steps)
        largest = (magnitude(sums) + np.abs(steps.astype(np.float64))) * multiplier
    if not (largest < LARGEST_SCALED).all():
        raise OverflowError("a sum and its bias times their multiplier reach 2**31")
    along = (slice(None), *(None,) * (sums.ndim - 2))
    rounded = sums.astype(np.float32)
    if product.size == 1:
        total = multiply_add(bias[along], np.float32(1) / product[0], rounded)
    else:
        total = rounded + steps[along]
    scaled = np.clip(total * multiplier[along], np.float32(low), np.float32(high))
    return np.rint(scaled).astype(np.int32)  # rint: a half to the even integer
