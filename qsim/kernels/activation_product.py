"""The matrix product of two activations: neither is known before the network runs."""

import numpy as np

from qsim.kernels.accumulator import Accumulator
from qsim.kernels.level_product import LevelWeights


def matmul(
    left: np.ndarray,
    right: np.ndarray,
    *,
    accumulator: Accumulator = Accumulator(),  # noqa: B008 (immutable)
) -> np.ndarray:
    """``left @ right`` of integer levels, in the accumulator; the inner index rises.

    left      (..., rows, depth) levels within 32 bits signed
    right     (..., depth, columns), its leading sides those of ``left``
    returns   (..., rows, columns) int64

    Raises ValueError on shapes that do not fit, OverflowError where ``Accumulator.check`` does.
    """
    fits = left.ndim >= 2 and left.ndim == right.ndim and left.shape[:-2] == right.shape[:-2]
    if not fits or left.shape[-1] != right.shape[-2]:
        raise ValueError(f"cannot multiply {left.shape} by {right.shape}")
    (rows, depth), columns = left.shape[-2:], right.shape[-1]
    matrices = int(np.prod(left.shape[:-2]))
    turned = np.ascontiguousarray(np.swapaxes(right, -1, -2)).reshape(matrices * columns, depth)
    if matrices == 0:
        return np.zeros((*left.shape[:-1], columns), np.int64)
    products = LevelWeights(turned).dot(left.reshape(matrices, rows, depth), accumulator)
    return np.swapaxes(products, -1, -2).reshape(*left.shape[:-1], columns)
