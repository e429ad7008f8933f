"""Activations and normalisations."""

import numpy as np

from qsim.network.layers import Clip, HardTanh, Relu, Relu6, Sigmoid, Softmax, Tanh
from qsim.network.moves import Transpose
from qsim.network.pointwise import (
    Gelu,
    HardSwish,
    LayerNorm,
    LeakyRelu,
    LocalResponseNorm,
    Silu,
)
from qsim.onnx_reader.graph import OnnxNode
from qsim.onnx_reader.lowering import Lowering, Value
from qsim.onnx_reader.products import along_last, scaled, shifted

WIDEST = 1e29  # a bound that bounds nothing


def of_each_value(kind, **fields):
    """What reads a node as a layer of ``kind``."""

    def lower(low: Lowering, node: OnnxNode) -> Value:
        x = low.value(node)
        return low.make(node, kind(name=low.name_for(node), inputs=(x.layer,), **fields), x)

    return lower


def clip(low: Lowering, node: OnnxNode) -> Value:
    """Clip by constants."""
    given = node.attributes
    low_end = float(low.constant(node, 1, given.get("min", -WIDEST)).reshape(()))
    high_end = float(low.constant(node, 2, given.get("max", WIDEST)).reshape(()))
    return _bounded(low, node, low.value(node), low_end, high_end)


def largest(low: Lowering, node: OnnxNode) -> Value:
    """Max of a tensor and a number."""
    x, number = _beside_number(low, node)
    return _bounded(low, node, x, number, WIDEST)


def smallest(low: Lowering, node: OnnxNode) -> Value:
    """Min of a tensor and a number."""
    x, number = _beside_number(low, node)
    return _bounded(low, node, x, -WIDEST, number)


def _beside_number(low: Lowering, node: OnnxNode) -> tuple[Value, float]:
    """The tensor and the number that a node reads, in either order."""
    if len(node.inputs) != 2:
        raise low.refusal(
            node, f"it reads {len(node.inputs)} tensors; a tensor and a number are read"
        )
    place = 0 if isinstance(low.tensor(node, 0), Value) else 1
    x, number = low.value(node, place), low.reals(node, 1 - place)
    if number.size != 1 or number.ndim > len(x.shape):
        raise low.refusal(node, f"a constant of shape {number.shape} is no single number")
    return x, float(number.reshape(()))


def _bounded(low: Lowering, node: OnnxNode, x: Value, low_end: float, high_end: float) -> Value:
    bounds = max(low_end, -WIDEST), min(high_end, WIDEST)
    if not bounds[0] < bounds[1]:
        raise low.refusal(node, f"its bounds {bounds} leave no values")
    name = low.name_for(node)
    named = {(0.0, 6.0): Relu6, (-1.0, 1.0): HardTanh, (0.0, WIDEST): Relu}
    if bounds == (-WIDEST, WIDEST):
        return x
    if bounds in named:
        return low.make(node, named[bounds](name=name, inputs=(x.layer,)), x)
    layer = Clip(name=name, inputs=(x.layer,), low=bounds[0], high=bounds[1])
    return low.make(node, layer, x)


def leaky_relu(low: Lowering, node: OnnxNode) -> Value:
    """LeakyRelu, its slope rounded to float32."""
    slope = float(np.float32(node.attributes["alpha"]))
    if not 0 <= slope <= 1:
        raise low.refusal(node, f"a slope of {slope:g} is not read; it is 0 to 1")
    return of_each_value(LeakyRelu, slope=slope)(low, node)


def prelu(low: Lowering, node: OnnxNode) -> Value:
    """PRelu with one slope."""
    slopes = np.unique(low.reals(node, 1))
    if len(slopes) != 1 or not 0 <= slopes[0] <= 1:
        raise low.refusal(node, "slopes that differ, or lie outside 0 to 1, are not read")
    return of_each_value(LeakyRelu, slope=float(slopes[0]))(low, node)


def hard_sigmoid(low: Lowering, node: OnnxNode) -> Value:
    """alpha * x + beta, clipped to 0 .. 1."""
    x = low.value(node)
    alpha, beta = (np.float32(node.attributes[key]) for key in ("alpha", "beta"))
    shape = (1,) * len(x.shape)
    straight = scaled(low, node, x, np.full(shape, alpha))
    moved = shifted(low, node, straight, np.full(shape, beta))
    layer = Clip(name=low.name_for(node), inputs=(moved.layer,), low=0.0, high=1.0)
    return low.make(node, layer, x)


def gelu(low: Lowering, node: OnnxNode) -> Value:
    """Gelu, by the error function or by tanh."""
    how = node.attributes.get("approximate", "none")
    if how not in ("none", "tanh"):
        raise low.refusal(node, f"approximation {how!r} is not known; none and tanh are")
    return of_each_value(Gelu, approximation=how)(low, node)


def swish(low: Lowering, node: OnnxNode) -> Value:
    """x * sigmoid(x)."""
    if node.attributes["alpha"] != 1:
        raise low.refusal(node, "x * sigmoid(alpha * x) is read where alpha is 1")
    return of_each_value(Silu)(low, node)


def softmax(low: Lowering, node: OnnxNode) -> Value:
    """Softmax along one axis; another than the last is made the last and put back."""
    x = low.value(node)
    axis = low.axis(node, node.attributes["axis"], len(x.shape))
    last = len(x.shape) - 1
    if low.graph.opset < 13 and any(side != 1 for side in x.shape[axis + 1 :]):
        raise low.refusal(node, "softmax over several axes at once (before opset 13) is not read")
    if axis == x.batch or last == x.batch:
        raise low.refusal(node, "it works along the axis of the images")
    kind = of_each_value(Softmax)
    if axis == last:
        return kind(low, node)
    order = list(range(len(x.own)))
    place = x.own_axis(axis)
    order[place], order[-1] = order[-1], order[place]
    source = low.name_for(node, suffix=".axis_last")
    low.add(node, Transpose(name=source, inputs=(x.layer,), order=tuple(order)))
    shares = low.name_for(node)
    low.add(node, Softmax(name=shares, inputs=(source,)))
    back = Transpose(name=low.name_for(node), inputs=(shares,), order=tuple(order))
    return low.make(node, back, x)


def layer_norm(low: Lowering, node: OnnxNode) -> Value:
    """LayerNormalization over the last axis."""
    x = low.value(node)
    if low.axis(node, node.attributes.get("axis", -1), len(x.shape)) != len(x.shape) - 1:
        raise low.refusal(node, "a normalisation over more than the last axis is not read")
    if x.batch == len(x.shape) - 1:
        raise low.refusal(node, "it works along the axis of the images")
    side = x.shape[-1]
    arrays = {"weight": low.reals(node, 1), "bias": low.reals(node, 2, np.zeros(side, np.float32))}
    for key, array in arrays.items():
        arrays[key] = along_last(low, node, x.shape, array)
    epsilon = float(node.attributes.get("epsilon", 1e-5))
    layer = LayerNorm(name=low.name_for(node, 1), inputs=(x.layer,), epsilon=epsilon)
    return low.make(node, layer, x, arrays)


def local_response_norm(low: Lowering, node: OnnxNode) -> Value:
    """LRN over channels."""
    size = node.attributes["size"]
    if size % 2 == 0:
        raise low.refusal(node, "a normalisation over an even number of channels is not read")
    fields = {key: float(node.attributes[key]) for key in ("alpha", "beta", "bias")}
    return of_each_value(LocalResponseNorm, size=size, **fields)(low, node)


CURVES = {
    "Clip": clip,
    "Gelu": gelu,
    "HardSigmoid": hard_sigmoid,
    "HardSwish": of_each_value(HardSwish),
    "LRN": local_response_norm,
    "LayerNormalization": layer_norm,
    "LeakyRelu": leaky_relu,
    "Max": largest,
    "Min": smallest,
    "PRelu": prelu,
    "Relu": of_each_value(Relu),
    "Sigmoid": of_each_value(Sigmoid),
    "Silu": of_each_value(Silu),
    "Softmax": softmax,
    "Swish": swish,
    "Tanh": of_each_value(Tanh),
}
