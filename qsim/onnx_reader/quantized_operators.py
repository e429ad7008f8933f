"""Operators that compute, of quantized graphs in QDQ and in QOperator form, as layers."""

from dataclasses import replace
from typing import Any

import numpy as np

from qsim.network.layers import (
    Add,
    Clip,
    Concat,
    Conv,
    Linear,
    MatMul,
    Relu,
    Sigmoid,
    Softmax,
    Tanh,
)
from qsim.network.pointwise import HardSwish, LeakyRelu, Multiply
from qsim.network.pools import AveragePool
from qsim.onnx_reader import quantized_layers as layers
from qsim.onnx_reader import quantized_sums as sums
from qsim.onnx_reader.graph import OnnxNode
from qsim.onnx_reader.quantized_handlers import MICROSOFT, Handlers, window_of
from qsim.onnx_reader.quantized_layers import Product
from qsim.onnx_reader.quantized_reading import Reading
from qsim.onnx_reader.quantized_tensors import WIDEST, Activation, Parameter

OPERATORS = Handlers()
handles = OPERATORS.of


@handles("QuantizeLinear")
@handles("QuantizeLinear", domain=MICROSOFT)
def _quantize(reading: Reading, node: OnnxNode) -> None:
    layers.quantize(reading, node, reading.activation(node, 0), reading.grid(node, 1))


@handles("DequantizeLinear")
@handles("DequantizeLinear", domain=MICROSOFT)
def _dequantize(reading: Reading, node: OnnxNode) -> None:
    held = reading.read(node, 0)
    if isinstance(held, Parameter):
        reading.set(node, reading.dequantized(node, held))
    else:
        x = reading.coded(node, 0)
        reading.set(node, Activation(x.layer, x.grid, merged=x.merged))


@handles("Relu", "Clip")
def _bound(reading: Reading, node: OnnxNode) -> None:
    """Of real numbers; or a Clip of integers."""
    low, high = reading.bounds(node)
    x = reading.activation(node, 0)
    if x.coded:
        info = np.iinfo(x.grid.dtype)
        layers.clip_codes(reading, node, x, max(low, info.min), min(high, info.max))
    elif node.kind == "Relu":
        layers.bound(reading, node, Relu)
    else:
        low, high = max(float(low), -WIDEST), min(float(high), WIDEST)
        layers.bound(reading, node, Clip, low=low, high=high)


@handles("Conv")
def _conv(reading: Reading, node: OnnxNode) -> None:
    made = Product(Conv, reading.weight(node, 1), reading.bias(node, 2))
    layers.product(reading, node, made)


@handles("QLinearConv")
def _q_conv(reading: Reading, node: OnnxNode) -> None:
    weight = reading.stored(node, 3, axis=0)
    made = Product(Conv, weight, reading.bias(node, 8))
    layers.q_product(reading, node, made, reading.grid(node, 6))


@handles("Gemm")
def _gemm(reading: Reading, node: OnnxNode) -> None:
    turned = _is_turned(reading, node)
    weight = reading.weight(node, 1).rows_first(turned)
    layers.product(reading, node, Product(Linear, weight, reading.bias(node, 2)))


@handles("QGemm", domain=MICROSOFT)
def _q_gemm(reading: Reading, node: OnnxNode) -> None:
    turned = _is_turned(reading, node)
    weight = reading.stored(node, 3, axis=1 if turned else 0).rows_first(turned)
    grid = reading.grid(node, 7) if reading.has(node, 7) else None
    layers.q_product(reading, node, Product(Linear, weight, reading.bias(node, 6)), grid)


def _is_turned(reading: Reading, node: OnnxNode) -> bool:
    """Whether the columns of a Gemm's weights, not their rows, make its outputs."""
    attributes = node.attributes
    if attributes.get("transA", 0) or any(attributes.get(k, 1.0) != 1 for k in ("alpha", "beta")):
        raise reading.refusal(node, "transA must be 0, alpha and beta 1")
    return not attributes.get("transB", 0)


@handles("MatMul")
def _matmul(reading: Reading, node: OnnxNode) -> None:
    if isinstance(reading.read(node, 1), Parameter):
        weight = _matrix(reading, node, reading.weight(node, 1))
        layers.product(reading, node, Product(Linear, weight, None))
    else:
        layers.compute(reading, node, MatMul, [0, 1])


@handles("QLinearMatMul")
def _q_matmul(reading: Reading, node: OnnxNode) -> None:
    grid = reading.grid(node, 6)
    if isinstance(reading.read(node, 3), Parameter):
        weight = _matrix(reading, node, reading.stored(node, 3, axis=-1))
        layers.q_product(reading, node, Product(Linear, weight, None), grid)
    else:
        layers.q_compute(reading, node, MatMul, [0, 3], grid)


def _matrix(reading: Reading, node: OnnxNode, weight: Parameter) -> Parameter:
    """The weights of a matrix product with their rows first."""
    if weight.codes.ndim != 2:
        raise reading.refusal(node, "its weights must be a matrix")
    return replace(weight, axis=weight.axis % 2).rows_first(True)


TWO = {"Add": Add, "Mul": Multiply}


@handles("ConvInteger", "MatMulInteger")
def _integer_sums(reading: Reading, node: OnnxNode) -> None:
    sums.begin(reading, node)


@handles("Cast")
def _cast(reading: Reading, node: OnnxNode) -> None:
    if not sums.goes_on(reading, node):
        raise reading.refusal(node, "only a Cast of integer sums to float32 is read")


@handles(*TWO)
def _two(reading: Reading, node: OnnxNode) -> None:
    if sums.goes_on(reading, node):
        return
    layers.compute(reading, node, TWO[node.kind], [0, 1])


@handles(*(f"QLinear{kind}" for kind in TWO), domain=MICROSOFT)
def _q_two(reading: Reading, node: OnnxNode) -> None:
    kind = TWO[node.kind.removeprefix("QLinear")]
    layers.q_compute(reading, node, kind, [0, 3], reading.grid(node, 6))


@handles("Concat")
def _concat(reading: Reading, node: OnnxNode) -> None:
    places = range(len(node.inputs))
    layers.compute(reading, node, Concat, [*places], axis=reading.axis(node, 0))


@handles("QLinearConcat", domain=MICROSOFT)
def _q_concat(reading: Reading, node: OnnxNode) -> None:
    places = range(2, len(node.inputs), 3)
    axis = reading.axis(node, 2)
    layers.q_compute(reading, node, Concat, [*places], reading.grid(node, 0), axis=axis)


@handles("AveragePool", "GlobalAveragePool")
def _average(reading: Reading, node: OnnxNode) -> None:
    layers.compute(reading, node, AveragePool, [0], **_average_fields(reading, node))


@handles("QLinearAveragePool", "QLinearGlobalAveragePool", domain=MICROSOFT)
def _q_average(reading: Reading, node: OnnxNode) -> None:
    if node.attributes.get("channels_last", 0):
        raise reading.refusal(node, "channels_last is not read; put the channels first")
    fields = _average_fields(reading, node)
    layers.q_compute(reading, node, AveragePool, [0], reading.grid(node, 3), **fields)


def _average_fields(reading: Reading, node: OnnxNode) -> dict[str, Any]:
    if "Global" in node.kind:
        return {}
    counted = bool(node.attributes.get("count_include_pad", 0))
    return window_of(reading, node) | {"count_padding": counted}


@handles("ReduceMean")
def _reduce_mean(reading: Reading, node: OnnxNode) -> None:
    """The mean over an image, in real numbers."""
    given = node.attributes.get("axes")
    axes = given if given is not None else reading.constant(node, 1, "its axes")
    if len(reading.shape(node, 0)) != 3 or sorted(int(axis) % 4 for axis in axes) != [2, 3]:
        raise reading.refusal(node, "only a mean over height and width is read")
    layers.real(reading, node, AveragePool)
    if not node.attributes.get("keepdims", 1):
        layers.flattened(reading, node)


CURVES = {
    "HardSwish": HardSwish,
    "LeakyRelu": LeakyRelu,
    "Sigmoid": Sigmoid,
    "Softmax": Softmax,
    "Tanh": Tanh,
}


@handles(*CURVES)
def _curve(reading: Reading, node: OnnxNode) -> None:
    layers.compute(reading, node, CURVES[node.kind], [0], **_curve_fields(reading, node))


@handles("QLinearLeakyRelu", "QLinearSigmoid", "QLinearSoftmax", domain=MICROSOFT)
def _q_curve(reading: Reading, node: OnnxNode) -> None:
    kind = CURVES[node.kind.removeprefix("QLinear")]
    grid = reading.grid(node, 3)
    layers.q_compute(reading, node, kind, [0], grid, **_curve_fields(reading, node))


def _curve_fields(reading: Reading, node: OnnxNode) -> dict[str, Any]:
    if node.kind.endswith("LeakyRelu"):
        return {"slope": float(np.float32(node.attributes.get("alpha", 0.01)))}
    if node.kind.endswith("Softmax"):
        rank = len(reading.shape(node, 0)) + 1
        if int(node.attributes.get("axis", -1)) % rank != rank - 1:
            raise reading.refusal(node, "only a softmax along the last axis is read")
    return {}
