"""ONNX's quantized operators on qsim's kernels: attributes and types mapped, nothing computed here.

An operator is called as ``OPERATORS[name](inputs, attributes, out_type)``. Tensors of 2 and 4 bits
are ``Narrow``; all others are arrays.
"""

from dataclasses import dataclass

import numpy as np

from qsim.kernels.add_float import ScaledCode, add_float
from qsim.kernels.layers import conv2d
from qsim.kernels.level_product import LevelWeights
from qsim.kernels.matmul import matmul
from qsim.kernels.multipliers import onnx_average_multiplier, onnx_multiplier
from qsim.kernels.narrow_integers import cast_narrow, widen_narrow
from qsim.kernels.pool import sum_pool
from qsim.kernels.quantize_linear import dequantize_linear, quantize_linear, range_to_code
from qsim.kernels.requantize import requantize_float


@dataclass(frozen=True)
class IntegerType:
    """An integer type of ``bits`` bits."""

    bits: int
    signed: bool

    @property
    def limits(self):
        half = 2 ** (self.bits - 1)
        return (-half, half - 1) if self.signed else (0, 2 * half - 1)


@dataclass(frozen=True)
class Narrow:
    """Integers of 2 or 4 bits, in an int8 array."""

    values: np.ndarray
    kind: IntegerType


def type_of(tensor):
    """The integer type of a narrow tensor, or the dtype of an array."""
    return tensor.kind if isinstance(tensor, Narrow) else tensor.dtype


def values(tensor):
    """The array of a tensor's values."""
    return tensor.values if isinstance(tensor, Narrow) else np.asarray(tensor)


def _typed(levels, kind):
    if kind.bits < 8:
        return Narrow(levels.astype(np.int8), kind)
    return levels.astype(_dtype(kind))


def _dtype(kind):
    if isinstance(kind, np.dtype):
        return kind
    return np.dtype(f"{'i' if kind.signed else 'u'}{kind.bits // 8}")


def _runs(scale, attributes):
    """How scales lie: ONNX's default axis is 1, and a scale without sides has none."""
    if scale.ndim == 0:
        return {}
    block = attributes.get("block_size", 0) or None
    return {"axis": attributes.get("axis", 1), "block": block}


def _zeros(zero_point, scale):
    """The zero points in the shape of the scales: none is 0, and one may have a side or not."""
    if zero_point is None:
        return np.zeros(scale.shape, np.int32)
    return values(zero_point).reshape(scale.shape)


def _quantize_linear(inputs, attributes, out_type):
    real, scale, zero_point = (*inputs, None)[:3]
    zeros = _zeros(zero_point, scale)
    codes = quantize_linear(real, scale, zeros, *out_type.limits, **_runs(scale, attributes))
    return [_typed(codes, out_type)]


def _dequantize_linear(inputs, attributes, out_type):
    codes, scale, zero_point = (*inputs, None)[:3]
    zeros = _zeros(zero_point, scale)
    return [dequantize_linear(values(codes), scale, zeros, **_runs(scale, attributes))]


def _dynamic_quantize_linear(inputs, attributes, out_type):
    [real] = inputs
    scale, zero_point = range_to_code(real)
    codes = quantize_linear(real, np.asarray(scale), np.asarray(zero_point), 0, 255)
    return [codes.astype(np.uint8), np.asarray(scale), np.asarray(zero_point, np.uint8)]


def _levels(codes, zero_point, axis=None):
    """Codes less their zero point, which may differ along an axis."""
    zeros = np.asarray(0 if zero_point is None else zero_point, np.int64)
    if zeros.size == 1:
        zeros = zeros.reshape(())
    elif axis is not None:
        zeros = zeros.reshape(
            [-1 if side == axis % codes.ndim else 1 for side in range(codes.ndim)]
        )
    return codes.astype(np.int64) - zeros


def _convolve(x, weights, bias, attributes):
    return conv2d(
        x,
        LevelWeights(weights),
        bias,
        stride=tuple(attributes.get("strides", [1, 1])),
        padding=tuple(attributes.get("pads", [0, 0, 0, 0])),
        dilation=tuple(attributes.get("dilations", [1, 1])),
        groups=attributes.get("group", 1),
    )


def _conv_integer(inputs, attributes, out_type):
    x, w, x_zero, w_zero = (*inputs, None, None)[:4]
    sums = _convolve(_levels(x, x_zero), _levels(w, w_zero, axis=0), None, attributes)
    return [sums.astype(np.int32)]


def _matmul_integer(inputs, attributes, out_type):
    a, b, a_zero, b_zero = (*inputs, None, None)[:4]
    return [matmul(_levels(a, a_zero, axis=-2), _levels(b, b_zero, axis=-1)).astype(np.int32)]


def _requantize(sums, scales, y_zero, out_type):
    """Sums with their channels on axis 1 to codes; scales of x, weights and y."""
    x, weights, y = (np.asarray(scale).astype(np.float32).reshape(-1) for scale in scales)
    multiplier = np.broadcast_to(onnx_multiplier(x, weights, y), sums.shape[1:2])
    (low, high), zero = out_type.limits, int(np.asarray(y_zero).reshape(()))
    return _typed(requantize_float([(sums, multiplier)], low - zero, high - zero) + zero, out_type)


def _qlinear_conv(inputs, attributes, out_type):
    x, x_scale, x_zero, w, w_scale, w_zero, y_scale, y_zero, bias = (*inputs, None)[:9]
    sums = _convolve(_levels(x, x_zero), _levels(w, w_zero, axis=0), bias, attributes)
    return [_requantize(sums, (x_scale, w_scale, y_scale), y_zero, out_type)]


def _qlinear_matmul(inputs, attributes, out_type):
    a, a_scale, a_zero, b, b_scale, b_zero, y_scale, y_zero = inputs
    sums = matmul(_levels(a, a_zero), _levels(b, b_zero, axis=-1))
    rows = sums.reshape(-1, sums.shape[-1])
    scales = (a_scale, b_scale, y_scale)
    y_zero = np.asarray(y_zero).reshape(())
    return [
        _typed(values(_requantize(rows, scales, y_zero, out_type)).reshape(sums.shape), out_type)
    ]


def _qlinear_add(inputs, attributes, out_type):
    a, a_scale, a_zero, b, b_scale, b_zero, y_scale, y_zero = inputs
    pairs = ((a_scale, a_zero), (b_scale, b_zero), (y_scale, y_zero))
    codes = tuple(ScaledCode(np.float32(scale), int(zero)) for scale, zero in pairs)
    return [_typed(add_float(a, b, codes, *out_type.limits), out_type)]


def _qlinear_global_average_pool(inputs, attributes, out_type):
    x, x_scale, x_zero, y_scale, y_zero = inputs
    last = bool(attributes.get("channels_last", 0))
    levels = _levels(np.moveaxis(x, -1, 1) if last else x, x_zero)
    window = levels.shape[2:]
    multiplier = onnx_average_multiplier(x_scale, window[0] * window[1], y_scale)
    per_channel = np.broadcast_to(multiplier, levels.shape[1:2])
    (low, high), zero = out_type.limits, int(y_zero)
    pooled = requantize_float([(sum_pool(levels, window), per_channel)], low - zero, high - zero)
    return [_typed((np.moveaxis(pooled, 1, -1) if last else pooled) + zero, out_type)]


def _cast(inputs, attributes, out_type):
    """To or from 2 or 4 bits; ``out_type`` is an integer type or a float dtype."""
    if isinstance(out_type, np.dtype) or out_type.bits >= 8:
        return [widen_narrow(values(inputs[0]), _dtype(out_type))]
    narrow = cast_narrow(values(inputs[0]), out_type.bits, signed=out_type.signed)
    return [Narrow(narrow, out_type)]


OPERATORS = {
    "Cast": _cast,
    "CastLike": _cast,
    "ConvInteger": _conv_integer,
    "DequantizeLinear": _dequantize_linear,
    "DynamicQuantizeLinear": _dynamic_quantize_linear,
    "MatMulInteger": _matmul_integer,
    "QLinearAdd": _qlinear_add,
    "QLinearConv": _qlinear_conv,
    "QLinearGlobalAveragePool": _qlinear_global_average_pool,
    "QLinearMatMul": _qlinear_matmul,
    "QuantizeLinear": _quantize_linear,
}
