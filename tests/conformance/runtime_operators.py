"""ONNX Runtime's own quantized operators on qsim's kernels, as ``onnx_operators``.

Inputs are in the order of the operator; those that may be left out are None.
"""

import numpy as np
from conformance.onnx_operators import OPERATORS, values

from qsim.kernels.add_float import ScaledCode
from qsim.kernels.average_float import average_float
from qsim.kernels.code_table import clip, code_table, identity, leaky_relu, look_up
from qsim.kernels.float_curves import logistic
from qsim.kernels.matmul import matmul
from qsim.kernels.multipliers import onnx_gemm_multiplier
from qsim.kernels.multiply_float import multiply_float
from qsim.kernels.requantize import requantize_float, total_float
from qsim.kernels.softmax_float import softmax_float


def code_of(scale, zero_point):
    return ScaledCode(np.float32(scale), int(np.asarray(zero_point)))


def _typed(codes, out_type):
    return codes.astype(np.dtype(f"{'i' if out_type.signed else 'u'}{out_type.bits // 8}"))


def _multiply(inputs, attributes, out_type):
    a, a_scale, a_zero, b, b_scale, b_zero, y_scale, y_zero = inputs
    pairs = ((a_scale, a_zero), (b_scale, b_zero), (y_scale, y_zero))
    codes = tuple(code_of(*pair) for pair in pairs)
    return [_typed(multiply_float(a, b, codes, *out_type.limits), out_type)]


def _average_pool(inputs, attributes, out_type):
    x, x_scale, x_zero, y_scale, y_zero = inputs
    last = bool(attributes.get("channels_last", 0))
    pooled = average_float(
        np.moveaxis(x, -1, 1) if last else x,
        tuple(attributes["kernel_shape"]),
        (code_of(x_scale, x_zero), code_of(y_scale, y_zero)),
        *out_type.limits,
        stride=tuple(attributes.get("strides", [1, 1])),
        padding=tuple(attributes.get("pads", [0, 0, 0, 0])),
        count_padding=bool(attributes.get("count_include_pad", 0)),
    )
    return [_typed(np.moveaxis(pooled, 1, -1) if last else pooled, out_type)]


def _concat(inputs, attributes, out_type):
    y_scale, y_zero, *parts = inputs
    code_y = code_of(y_scale, y_zero)
    moved = [
        by_table(identity, x, code_of(scale, zero), code_y, out_type)
        for x, scale, zero in zip(parts[::3], parts[1::3], parts[2::3], strict=True)
    ]
    return [np.concatenate(moved, axis=attributes["axis"])]


def by_table(function, x, code_x, code_y, out_type):
    """A function of one value between DequantizeLinear and QuantizeLinear."""
    low, high = out_type.limits
    table = code_table(function, (code_x, code_y), low, high)
    return _typed(look_up(table, x, low), out_type)


def _tabled(function_of):
    def operator(inputs, attributes, out_type):
        x, x_scale, x_zero, y_scale, y_zero = inputs
        codes = code_of(x_scale, x_zero), code_of(y_scale, y_zero)
        return [by_table(function_of(attributes), x, *codes, out_type)]

    return operator


def _sums(a, a_zero, b, b_zero, bias):
    left = a.astype(np.int64) - np.asarray(a_zero).astype(np.int64)
    right = b.astype(np.int64) - np.asarray(b_zero).astype(np.int64)
    return matmul(left, right) + (0 if bias is None else bias.astype(np.int64))


def _gemm(inputs, attributes, out_type):
    """With int8 or uint8 results, or with float32 ones where it has no y_scale."""
    a, a_scale, a_zero, b, b_scale, b_zero, bias, y_scale, y_zero = (*inputs, None, None)[:9]
    if attributes.get("transB", 0):
        b = np.ascontiguousarray(b.T)
    sums = _sums(a, a_zero, b, b_zero, bias)
    scale = onnx_gemm_multiplier(attributes.get("alpha", 1.0), a_scale, b_scale, y_scale)
    scale = np.broadcast_to(scale, sums.shape[1:])
    if y_scale is None:
        return [total_float([(sums, scale)])]
    (low, high), zero = out_type.limits, int(np.asarray(y_zero))
    return [_typed(requantize_float([(sums, scale)], low - zero, high - zero) + zero, out_type)]


def _matmul_to_float(inputs, attributes, out_type):
    a, b, a_scale, b_scale, a_zero, b_zero, bias = (*inputs, None)[:7]
    scale = onnx_gemm_multiplier(1.0, a_scale, b_scale, None)
    real = total_float([(_sums(a, a_zero, b, b_zero, None), scale)])
    return [real if bias is None else real + bias]


def _softmax(inputs, attributes, out_type):
    x, x_scale, _, y_scale, y_zero = inputs
    codes = softmax_float(values(x), x_scale, code_of(y_scale, y_zero), *out_type.limits)
    return [_typed(codes, out_type)]


OPERATORS |= {
    "MatMulIntegerToFloat": _matmul_to_float,
    "QGemm": _gemm,
    "QLinearAveragePool": _average_pool,
    "QLinearConcat": _concat,
    "QLinearLeakyRelu": _tabled(lambda attributes: leaky_relu(attributes.get("alpha", 0.01))),
    "QLinearMul": _multiply,
    "QLinearSigmoid": _tabled(lambda attributes: logistic),
    "QLinearSoftmax": _softmax,
}
RELU = clip(0.0)
