"""Functions of one quantized value as a table of codes, as ONNX Runtime computes or makes them.

Between a DequantizeLinear and a QuantizeLinear a function of one value is a function of one code:
each code is dequantized, the function computed in float32 and its value quantized.
"""

from collections.abc import Callable

import numpy as np

from qsim.kernels.accumulator import as_integers
from qsim.kernels.add_float import ScaledCode
from qsim.kernels.quantize_linear import dequantize_linear, quantize_linear

FloatFunction = Callable[[np.ndarray], np.ndarray]


def code_table(
    function: FloatFunction, codes: tuple[ScaledCode, ScaledCode], low: int, high: int
) -> np.ndarray:
    """The codes that the function makes of the codes ``low .. high``, in order: int32.

    function   float32 to float32, of any shape, value by value
    codes      of what is read and of the result, which both lie within ``low .. high``

    A value is ``function((code - zero_point) * scale)``, quantized as QuantizeLinear does: the
    quotient by the scale rounds to float32, then to the nearest integer, a half to the even one,
    before the zero point is added. With ``identity`` that is a part of ONNX Runtime's
    QLinearConcat, with ``leaky_relu`` QLinearLeakyRelu, with ``logistic`` QLinearSigmoid, with
    ``clip`` a Relu or Clip between the two operators.

    Raises ValueError on limits or zero points, OverflowError on values beyond float32.
    """
    code_x, code_y = codes
    every = np.arange(low, high + 1)
    real = dequantize_linear(every, np.asarray(code_x.scale), np.asarray(code_x.zero_point))
    scale, zero_point = np.asarray(code_y.scale), np.asarray(code_y.zero_point)
    return quantize_linear(function(real), scale, zero_point, low, high)


def look_up(table: np.ndarray, x: np.ndarray, low: int) -> np.ndarray:
    """The entries of a ``code_table`` from ``low`` on for codes ``x``, of their shape.

    Raises ValueError on a code outside the table, TypeError on anything but integers.
    """
    at = as_integers(x, np.int64).reshape(x.shape) - low
    if at.size and not 0 <= at.min() <= at.max() < len(table):
        raise ValueError(
            f"codes {x.min()} .. {x.max()} are not all in {low} .. {low + len(table) - 1}"
        )
    return table[at]


def identity(x: np.ndarray) -> np.ndarray:
    """``x``."""
    return x


def clip(low: float = -np.inf, high: float = np.inf) -> FloatFunction:
    """What bounds values to float32 ``low .. high``; a relu from 0 on."""
    return lambda x: np.clip(x, np.float32(low), np.float32(high))


def leaky_relu(slope: float) -> FloatFunction:
    """What multiplies negative values by the float32 ``slope``."""
    return lambda x: np.where(x >= 0, x, np.float32(slope) * x)
