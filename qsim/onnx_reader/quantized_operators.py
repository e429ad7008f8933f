"""Operators of quantized graphs, in QDQ and in QOperator form, as layers of a program."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from qsim.network.layers import (
    Add,
    AveragePool,
    Clip,
    Concat,
    Conv,
    Flatten,
    Linear,
    MatMul,
    MaxPool,
    Relu,
    Sigmoid,
    Softmax,
    Tanh,
)
from qsim.network.moves import Reshape, Slice, Transpose, Upsample
from qsim.network.pointwise import HardSwish, LeakyRelu, Multiply
from qsim.onnx_reader import quantized_layers as layers
from qsim.onnx_reader import quantized_sums as sums
from qsim.onnx_reader.graph import OnnxNode
from qsim.onnx_reader.quantized_geometry import window_fields
from qsim.onnx_reader.quantized_layers import Product
from qsim.onnx_reader.quantized_reading import Reading
from qsim.onnx_reader.quantized_tensors import WIDEST, Activation, Parameter

MICROSOFT = "com.microsoft"
Handler = Callable[[Reading, OnnxNode], None]
HANDLERS: dict[tuple[str, str], Handler] = {}


def handles(*kinds: str, domain: str = "") -> Callable[[Handler], Handler]:
    """Register what reads operators."""

    def register(handler: Handler) -> Handler:
        HANDLERS.update({(domain, kind): handler for kind in kinds})
        return handler

    return register


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
    return _window(reading, node) | {"count_padding": counted}


def _window(reading: Reading, node: OnnxNode) -> dict[str, Any]:
    return window_fields(node, reading.shape(node, 0), reading.refuse(node))


@handles("MaxPool")
def _max_pool(reading: Reading, node: OnnxNode) -> None:
    if len(node.outputs) > 1:
        raise reading.refusal(node, "the indices of a MaxPool are not read")
    layers.move(reading, node, MaxPool, **_window(reading, node))


@handles("Flatten")
def _flatten(reading: Reading, node: OnnxNode) -> None:
    if node.attributes.get("axis", 1) != 1:
        raise reading.refusal(node, "only an axis of 1 is read, which keeps the images apart")
    if len(reading.shape(node, 0)) == 1:
        reading.set(node, reading.activation(node, 0))
    else:
        layers.move(reading, node, Flatten)


@handles("Reshape")
def _reshape(reading: Reading, node: OnnxNode) -> None:
    layers.reshape(reading, node, [int(side) for side in reading.constant(node, 1, "its shape")])


@handles("Squeeze", "Unsqueeze")
def _squeeze(reading: Reading, node: OnnxNode) -> None:
    axes = [int(axis) for axis in reading.constant(node, 1, "its axes")]
    shape = [1, *reading.shape(node, 0)]
    ranks = len(shape) + (len(axes) if node.kind == "Unsqueeze" else 0)
    axes = sorted(axis % ranks for axis in axes)
    if 0 in axes:
        raise reading.refusal(node, "the axis of the images must stay as it is")
    if node.kind == "Squeeze":
        shape = [side for axis, side in enumerate(shape) if axis not in axes]
    else:
        for axis in axes:
            shape.insert(axis, 1)
    layers.move(reading, node, Reshape, shape=tuple(shape[1:]))


@handles("Transpose")
def _transpose(reading: Reading, node: OnnxNode) -> None:
    axes = len(reading.shape(node, 0)) + 1
    order = [int(axis) for axis in node.attributes.get("perm", range(axes - 1, -1, -1))]
    if order[0] != 0:
        raise reading.refusal(node, "the axis of the images must stay the first")
    layers.move(reading, node, Transpose, order=tuple(axis - 1 for axis in order[1:]))


@handles("Slice")
def _slice(reading: Reading, node: OnnxNode) -> None:
    rank = len(reading.shape(node, 0)) + 1
    values = [reading.constant(node, place, "its bounds") for place in (1, 2)]
    axes = reading.constant(node, 3, "its axes") if len(node.inputs) > 3 else [0]
    steps = reading.constant(node, 4, "its steps") if len(node.inputs) > 4 else [1]
    if len(values[0]) != 1:
        raise reading.refusal(node, "slices along one axis at a time are read")
    axis = int(axes[0]) % rank
    if axis == 0:
        raise reading.refusal(node, "the axis of the images must stay as it is")
    side = reading.shape(node, 0)[axis - 1]
    start, stop = (_within(int(value[0]), side) for value in values)
    layers.move(reading, node, Slice, axis=axis - 1, start=start, stop=stop, step=int(steps[0]))


def _within(index: int, side: int) -> int:
    return min(max(index + side if index < 0 else index, 0), side)


@handles("Resize")
def _resize(reading: Reading, node: OnnxNode) -> None:
    """Nearest neighbours at whole factors, which moves values alone."""
    attributes = node.attributes
    known = {
        "mode": "nearest",
        "coordinate_transformation_mode": "asymmetric",
        "nearest_mode": "floor",
    }
    if any(attributes.get(key, "") != value for key, value in known.items()):
        raise reading.refusal(
            node, "only nearest neighbours are read (asymmetric, floor), which move values alone"
        )
    scales = reading.constant(node, 2, "its scales")
    factors = [int(scale) for scale in scales]
    if len(factors) != 4 or [*scales] != factors or factors[:2] != [1, 1]:
        raise reading.refusal(node, "only whole factors of height and width are read")
    layers.move(reading, node, Upsample, factor=tuple(factors[2:]))


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


@handles("Identity", "Dropout")
def _identity(reading: Reading, node: OnnxNode) -> None:
    reading.set(node, reading.read(node, 0))
