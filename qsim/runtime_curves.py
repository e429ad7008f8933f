"""Curves of rounded tensors in float32, as ONNX Runtime computes them between DequantizeLinear and
QuantizeLinear, or by tables that amount to it (QLinearSigmoid, QLinearLeakyRelu, QLinearSoftmax).

A float32 value is held as its 24-bit integer and the power of two that it is scaled by.
"""

import numpy as np

from qsim.kernels.code_table import leaky_relu
from qsim.kernels.float_curves import hard_swish, logistic, tangent
from qsim.kernels.softmax_float import CODES, exponentials_of
from qsim.network.kinds import ByTable
from qsim.network.layers import Sigmoid, Softmax, Tanh
from qsim.network.pointwise import HardSwish, LeakyRelu
from qsim.values import Levels, Sums

SIGNIFICAND_BITS = 24  # of float32


def is_runtime_curve(layer: ByTable, levels: int) -> bool:
    """Whether the runtime's arithmetic for a curve of a tensor of so many levels is known here: a
    softmax has one for codes of 8 bits."""
    if isinstance(layer, Softmax):
        return levels <= CODES
    return isinstance(layer, Sigmoid | Tanh | LeakyRelu | HardSwish)


def runtime_curve(layer: ByTable, x: Levels) -> Sums:
    """The values of a curve of ``x``, a scale for each position; of a softmax the exponentials, and
    their sums as the divisors. Raises TypeError on a layer that ``is_runtime_curve`` denies."""
    scale = np.float32(x.scale)
    if isinstance(layer, Softmax):
        exponentials, total = exponentials_of(x.levels, scale)
        return Sums((_held(exponentials),), divisor=total, source="softmax")
    real = x.levels.astype(np.float32) * scale
    match layer:
        case Sigmoid():
            return Sums((_held(logistic(real)),))
        case Tanh():
            return Sums((_held(tangent(real)),))
        case LeakyRelu(slope=slope):
            return Sums((_held(leaky_relu(slope)(real)),))
        case HardSwish():
            return Sums((_held(hard_swish(real)),))
    raise TypeError(f"no float32 curve of a {type(layer).__name__} layer")


def _held(real: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """float32 values as integers int64 and the float64 scale of each, exactly."""
    significand, exponent = np.frexp(real.astype(np.float64))
    integers = np.ldexp(significand, SIGNIFICAND_BITS).astype(np.int64)
    return integers, np.ldexp(1.0, exponent - SIGNIFICAND_BITS)
