"""The product of two activations, as in attention."""

from collections.abc import Callable

import numpy as np

from qsim.kernels.accumulator import Accumulator
from qsim.kernels.level_product import LevelWeights


def matmul(
    x: np.ndarray,
    y: np.ndarray,
    *,
    transposed: bool = False,
    accumulator: Accumulator = Accumulator(),  # noqa: B008 (immutable)
    datapath: Callable = LevelWeights,
) -> np.ndarray:
    """The matrix product of levels ``x`` and ``y``, matrix by matrix of the axes before the last 2.

    x            (..., m, depth) integers within 32 bits signed, already less their zero point
    y            (..., depth, n), or (..., n, depth) where ``transposed``, likewise
    datapath     holds the levels of y, and multiplies x
    returns      (..., m, n) int64; the axes before the last two are broadcast as numpy does

    Element (..., i, j) is the sum of x[..., i, k] * y[..., k, j], k rising, as the accumulator
    holds it: ONNX's MatMulInteger, and QLinearMatMul without its requantization.

    Raises ValueError on shapes that do not fit, OverflowError where ``Accumulator.check`` does,
    TypeError on anything but integers.
    """
    if x.ndim < 2 or y.ndim < 2:
        raise ValueError(f"a product needs matrices, not {x.shape} and {y.shape}")
    rows = y if transposed else np.swapaxes(y, -1, -2)
    if x.shape[-1] != rows.shape[-1]:
        raise ValueError(f"cannot multiply {x.shape} by {y.shape}, transposed: {transposed}")
    batch = np.broadcast_shapes(x.shape[:-2], rows.shape[:-2])
    groups, (m, depth), n = int(np.prod(batch)), x.shape[-2:], rows.shape[-2]
    x = np.broadcast_to(x, (*batch, m, depth)).reshape(groups, m, depth)
    held = datapath(np.broadcast_to(rows, (*batch, n, depth)).reshape(groups * n, depth))
    sums = held.dot(x, accumulator) if groups else np.zeros((0, n, m), np.int64)
    return np.swapaxes(sums, 1, 2).reshape(*batch, m, n)
