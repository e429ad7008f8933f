"""The ONNX operator of each kind of layer, without its numbers: name, attributes, constants."""

from dataclasses import dataclass, field
from functools import singledispatch
from typing import Any

import numpy as np

from qsim.network.graph import Node
from qsim.network.layers import (
    Add,
    Concat,
    Conv,
    Flatten,
    Layer,
    Linear,
    MatMul,
    Sigmoid,
    Softmax,
    Tanh,
    border,
    pair,
)
from qsim.network.moves import Reshape, Slice, Transpose, Upsample
from qsim.network.pointwise import HardSwish, LeakyRelu, Multiply
from qsim.network.pools import AveragePool, MaxPool


@dataclass(frozen=True)
class Operator:
    """An operator of the standard domain: its name, its attributes, and the constant inputs that
    follow the tensors it reads, by a name of what each says."""

    name: str
    attributes: dict[str, Any] = field(default_factory=dict)
    constants: dict[str, np.ndarray] = field(default_factory=dict)


def operator(node: Node) -> Operator | None:
    """The operator that computes a layer in real numbers, or moves its values; None: there is none
    among those that are written."""
    return _operator(node.layer, node)


@singledispatch
def _operator(layer: Layer, node: Node) -> Operator | None:
    return None


@_operator.register
def _(layer: Conv, node: Node) -> Operator:
    attributes = {
        "kernel_shape": pair(layer.kernel),
        "strides": pair(layer.stride),
        "pads": border(layer.padding),
        "dilations": pair(layer.dilation),
        "group": layer.groups,
    }
    return Operator("Conv", attributes)


@_operator.register
def _(layer: Linear, node: Node) -> Operator:
    return Operator("Gemm", {"transB": 1})


@_operator.register
def _(layer: MatMul, node: Node) -> Operator:
    return Operator("MatMul")


@_operator.register
def _(layer: MaxPool, node: Node) -> Operator:
    return Operator("MaxPool", _window(layer, pair(layer.kernel)))


@_operator.register
def _(layer: AveragePool, node: Node) -> Operator:
    if layer.kernel is None:
        return Operator("GlobalAveragePool")
    counted = {"count_include_pad": int(layer.count_padding)}
    return Operator("AveragePool", _window(layer, pair(layer.kernel)) | counted)


@_operator.register
def _(layer: Add, node: Node) -> Operator:
    return Operator("Add")


@_operator.register
def _(layer: Multiply, node: Node) -> Operator:
    return Operator("Mul")


@_operator.register
def _(layer: Concat, node: Node) -> Operator:
    return Operator("Concat", {"axis": layer.axis + 1})


@_operator.register
def _(layer: Sigmoid, node: Node) -> Operator:
    return Operator("Sigmoid")


@_operator.register
def _(layer: Tanh, node: Node) -> Operator:
    return Operator("Tanh")


@_operator.register
def _(layer: Softmax, node: Node) -> Operator:
    return Operator("Softmax", {"axis": -1})


@_operator.register
def _(layer: LeakyRelu, node: Node) -> Operator:
    return Operator("LeakyRelu", {"alpha": layer.slope})


@_operator.register
def _(layer: HardSwish, node: Node) -> Operator:
    return Operator("HardSwish")


@_operator.register
def _(layer: Flatten, node: Node) -> Operator:
    return Operator("Flatten", {"axis": 1})


@_operator.register
def _(layer: Reshape, node: Node) -> Operator:
    shape = np.array([0, *node.output_shape], np.int64)  # 0 keeps the batch
    return Operator("Reshape", constants={"shape": shape})


@_operator.register
def _(layer: Transpose, node: Node) -> Operator:
    return Operator("Transpose", {"perm": (0, *(axis + 1 for axis in layer.order))})


@_operator.register
def _(layer: Slice, node: Node) -> Operator:
    values = {"starts": layer.start, "ends": layer.stop, "axes": layer.axis + 1}
    values["steps"] = layer.step
    return Operator("Slice", constants={k: np.array([v], np.int64) for k, v in values.items()})


@_operator.register
def _(layer: Upsample, node: Node) -> Operator:
    attributes = {
        "mode": "nearest",
        "coordinate_transformation_mode": "asymmetric",
        "nearest_mode": "floor",
    }
    scales = np.array([1, 1, *pair(layer.factor)], np.float32)
    return Operator("Resize", attributes, {"roi": np.zeros(0, np.float32), "scales": scales})


def _window(layer: MaxPool | AveragePool, kernel: tuple[int, int]) -> dict[str, Any]:
    return {
        "kernel_shape": kernel,
        "strides": pair(layer.stride or layer.kernel),
        "pads": border(layer.padding),
    }
