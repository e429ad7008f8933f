"""Convolutions, products of matrices, and what is added to or multiplied with their results."""

from math import prod

import msgspec
import numpy as np

from qsim.network.layers import Add, BatchNorm, Conv, Layer, Linear, MatMul
from qsim.network.moves import Reshape
from qsim.network.pointwise import Multiply, Offset, Scale
from qsim.onnx_reader.geometry import window
from qsim.onnx_reader.graph import OnnxNode
from qsim.onnx_reader.lowering import Lowering, Value


def conv(low: Lowering, node: OnnxNode) -> Value:
    """Conv of two dimensions, or of one as of a height of 1."""
    x = low.with_batch(node, low.value(node, padded=True))
    weight = low.reals(node, 1)
    if len(x.shape) != weight.ndim or weight.ndim not in (3, 4):
        raise low.refusal(node, f"convolutions of {weight.ndim - 2} dimensions are not read")
    flat = weight.ndim == 3
    if flat:
        x = low.reshape(node, x, (x.shape[0], x.shape[1], 1, x.shape[2]), 0)
        weight = weight[:, :, None]
    spans = weight.shape[2:]
    kernel, stride, padding, dilation = window(low, node, x, spans, flat=flat)
    layer = Conv(
        name=low.name_for(node, 1),
        inputs=(x.layer,),
        out_channels=len(weight),
        kernel=kernel,
        stride=stride,
        padding=tuple(a + b for a, b in zip(padding, x.padding, strict=True)),
        dilation=dilation,
        groups=node.attributes["group"],
        bias=low.has(node, 2),
    )
    if weight.shape[1] * layer.groups != x.own[0]:
        raise low.refusal(
            node,
            f"its weights read {weight.shape[1] * layer.groups} channels of a tensor of {x.own[0]}",
        )
    arrays = {"weight": weight}
    if layer.bias:
        arrays["bias"] = low.reals(node, 2)
        if arrays["bias"].shape != (len(weight),):
            raise low.refusal(node, f"a bias of {arrays['bias'].shape} does not fit {len(weight)}")
    made = low.make(node, layer, x, arrays)
    return low.reshape(node, made, (*made.shape[:2], made.shape[3]), 0) if flat else made


def gemm(low: Lowering, node: OnnxNode) -> Value:
    """alpha * A @ B + beta * C, with constant B and C."""
    x, weight = low.value(node), low.reals(node, 1)
    if x.batch == 1:
        raise low.refusal(node, "it multiplies along the axis of the images")
    if node.attributes["transA"] or weight.ndim != 2 or len(x.shape) != 2:
        raise low.refusal(node, "a product of a matrix that is turned around is not read")
    weight = weight if node.attributes["transB"] else weight.T
    arrays = {"weight": weight * np.float32(node.attributes["alpha"])}
    if low.has(node, 2):
        added = low.reals(node, 2) * np.float32(node.attributes["beta"])
        arrays |= {"bias": along_last(low, node, (x.shape[0], len(weight)), added)}
    return _linear(low, node, x, arrays)


def matmul(low: Lowering, node: OnnxNode) -> Value:
    """The product of a tensor and a constant matrix, or of two tensors."""
    x, y = low.tensor(node, 0), low.tensor(node, 1)
    if isinstance(x, np.ndarray):
        raise low.refusal(node, "a constant times a tensor is not read; the constant comes second")
    x = low.value(node, 0)
    if isinstance(y, np.ndarray):
        weight = low.reals(node, 1)
        if weight.ndim != 2:
            raise low.refusal(node, f"a constant of {weight.ndim} axes is not read; it has 2")
        return _linear(low, node, x, {"weight": weight.T})
    y = low.value(node, 1)
    if x.batch != y.batch or x.batch in (len(x.shape) - 2, len(x.shape) - 1):
        raise low.refusal(node, "it multiplies along the axis of the images")
    name = low.name_for(node)
    leading = x.own[:-2]
    if len(x.own) == len(y.own) > 3 and leading == y.own[:-2]:
        a, b = (_merged(low, node, each) for each in (x, y))
        made = low.add(node, MatMul(name=name, inputs=(a, b)))
        layer = Reshape(name=low.name_for(node), inputs=(name,), shape=(*leading, *made[1:]))
        return low.make(node, layer, x)
    return low.make(node, MatMul(name=name, inputs=(x.layer, y.layer)), x)


def add(low: Lowering, node: OnnxNode, sign: int = 1) -> Value:
    """The sum of two tensors, or of one and a constant."""
    x, y = low.tensor(node, 0), low.tensor(node, 1)
    if isinstance(x, Value) and isinstance(y, Value):
        x, y = low.value(node, 0), low.value(node, 1)
        if sign < 0:
            y = scaled(low, node, y, np.float32(-1))
        return _of_two(low, node, x, y, Add)
    if isinstance(y, Value):
        made = scaled(low, node, low.value(node, 1), np.float32(-1)) if sign < 0 else y
        return shifted(low, node, made, low.reals(node, 0))
    return shifted(low, node, low.value(node, 0), sign * low.reals(node, 1))


def total(low: Lowering, node: OnnxNode) -> Value:
    """Sum of tensors of one shape."""
    values = [low.value(node, place) for place in range(len(node.inputs))]
    first = values[0]
    if any((value.shape, value.batch) != (first.shape, first.batch) for value in values):
        raise low.refusal(node, "a sum of tensors of different shapes is not read")
    if len(values) == 1:
        return first
    sources = tuple(value.layer for value in values)
    return low.make(node, Add(name=low.name_for(node), inputs=sources), first)


def negate(low: Lowering, node: OnnxNode) -> Value:
    """Every value with the other sign."""
    return scaled(low, node, low.value(node), np.float32(-1))


def subtract(low: Lowering, node: OnnxNode) -> Value:
    """A difference, as a sum."""
    return add(low, node, -1)


def multiply(low: Lowering, node: OnnxNode) -> Value:
    """The product of two tensors value by value, or of one and a constant."""
    x, y = low.tensor(node, 0), low.tensor(node, 1)
    if isinstance(x, Value) and isinstance(y, Value):
        return _of_two(low, node, low.value(node, 0), low.value(node, 1), Multiply)
    place = 0 if isinstance(x, Value) else 1
    return scaled(low, node, low.value(node, place), low.reals(node, 1 - place))


def divide(low: Lowering, node: OnnxNode) -> Value:
    """A tensor divided by a constant."""
    divisor = low.reals(node, 1)
    if not divisor.all():
        raise low.refusal(node, "it divides by 0")
    with np.errstate(over="ignore"):
        return scaled(low, node, low.value(node, 0), np.float32(1) / divisor)


def batch_norm(low: Lowering, node: OnnxNode) -> Value:
    """BatchNormalization with trained statistics."""
    x = low.value(node)
    if x.batch != 0 or len(x.own) < 1:
        raise low.refusal(node, "its first axis is not that of the images")
    if node.attributes.get("training_mode"):
        raise low.refusal(node, "it normalises by the statistics of a batch (training_mode)")
    names = ("weight", "bias", "running_mean", "running_var")
    arrays = {key: low.reals(node, place) for place, key in enumerate(names, 1)}
    for key, array in arrays.items():
        if array.shape != x.own[:1]:
            raise low.refusal(node, f"its {key} has shape {array.shape}, not {x.own[:1]}")
    if (arrays["running_var"] < 0).any():
        raise low.refusal(node, "it has negative variances")
    epsilon = float(node.attributes["epsilon"])
    layer = BatchNorm(name=low.name_for(node, 1), inputs=(x.layer,), epsilon=epsilon)
    return low.make(node, layer, x, arrays)


def scaled(low: Lowering, node: OnnxNode, x: Value, factor: np.ndarray) -> Value:
    """``x`` times a constant: one number, or one for each channel."""
    _check_no_wider(low, node, x, factor)
    if factor.size == 1 and factor.reshape(()) == 1:
        return x
    if factor.size == 1 and 1e-30 < factor.reshape(()) < 1e30:
        layer = Scale(name=low.name_for(node), inputs=(x.layer,), factor=float(factor.reshape(())))
        return low.make(node, layer, x)
    channels = _per_channel(x, factor)
    if channels is None:
        raise low.refusal(node, f"a factor of shape {factor.shape} is not one for each channel")
    return _normed(low, node, x, channels, np.zeros_like(channels))


def shifted(low: Lowering, node: OnnxNode, x: Value, amount: np.ndarray) -> Value:
    """``x`` plus a constant: the bias of the layer before it, where that has none and nothing else
    reads it; or one number for each channel; or an array."""
    _check_no_wider(low, node, x, amount)
    if not amount.any():
        return x
    maker = low.layers.get(x.layer)
    rows = _row_amounts(x, maker, amount)
    if rows is not None and low.is_read_once(x.layer):
        low.layers[x.layer] = msgspec.structs.replace(maker, bias=True)
        low.weights[f"{x.layer}.bias"] = np.ascontiguousarray(rows, np.float32)
        return x
    channels = _per_channel(x, amount)
    if channels is not None and len(x.own) != 2:
        return _normed(low, node, x, np.ones_like(channels), channels)
    spread = amount.reshape((1,) * (len(x.shape) - amount.ndim) + amount.shape)
    if x.batch is not None and spread.shape[x.batch] != 1:
        raise low.refusal(node, f"a constant of shape {amount.shape} does not fit {x.shape}")
    own = spread if x.batch is None else spread.squeeze(x.batch)
    layer = Offset(name=low.name_for(node), inputs=(x.layer,), shape=own.shape)
    return low.make(node, layer, x, {"bias": own})


def _check_no_wider(low: Lowering, node: OnnxNode, x: Value, array: np.ndarray) -> None:
    """Refuse a constant that makes more of ``x`` than there is."""
    if np.broadcast_shapes(x.shape, array.shape) != x.shape:
        raise low.refusal(node, f"a constant of shape {array.shape} does not fit {x.shape}")


def _linear(low: Lowering, node: OnnxNode, x: Value, arrays: dict[str, np.ndarray]) -> Value:
    """A linear layer over the last axis, whatever lies before it."""
    weight = arrays["weight"]
    if x.shape[-1] != weight.shape[1] or x.batch == len(x.shape) - 1:
        raise low.refusal(node, f"weights of {weight.shape[1]} inputs read {x.shape}")
    name = low.name_for(node, 1)
    tokens, source = x.own[:-1], x.layer
    if len(tokens) > 1:
        source = f"{low.name_for(node)}.tokens"
        flat = Reshape(name=source, inputs=(x.layer,), shape=(prod(tokens), x.own[-1]))
        low.add(node, flat)
    layer = Linear(name=name, inputs=(source,), out_features=len(weight), bias="bias" in arrays)
    low.add(node, layer, arrays)
    shape = (*x.shape[:-1], len(weight))
    return (
        low.reshape(node, Value(name, (prod(tokens), len(weight)), None), shape, x.batch)
        if (len(tokens) > 1)
        else Value(name, shape, x.batch)
    )


def _of_two(low: Lowering, node: OnnxNode, x: Value, y: Value, kind: type[Layer]) -> Value:
    """A layer of two tensors, whose axes are made as many by sides of 1."""
    if len(x.own) < len(y.own):
        x, y = y, x
    if len(y.own) < len(x.own):
        sides = (1,) * (len(x.own) - len(y.own)) + y.own
        source = low.name_for(node, suffix=".sides")
        low.add(node, Reshape(name=source, inputs=(y.layer,), shape=sides))
    else:
        source = y.layer
    layer = kind(name=low.name_for(node), inputs=(x.layer, source))
    like = x if x.batch is not None or y.batch is None else y
    made = low.make(node, layer, like)
    whole = np.broadcast_shapes(x.shape, y.shape)
    if made.shape != whole:
        raise low.refusal(node, f"{x.shape} and {y.shape} make {whole}, across images")
    return made


def _merged(low: Lowering, node: OnnxNode, x: Value) -> str:
    """The layer that makes ``x`` with the axes before the last two as one."""
    name = low.name_for(node, suffix=".matrices")
    low.add(node, Reshape(name=name, inputs=(x.layer,), shape=(-1, *x.own[-2:])))
    return name


def along_last(
    low: Lowering, node: OnnxNode, shape: tuple[int, ...], array: np.ndarray
) -> np.ndarray:
    """The numbers of ``array`` along the last axis of ``shape``."""
    row = _along(Value("", shape), array, len(shape) - 1)
    if row is None:
        raise low.refusal(node, f"a constant of shape {array.shape} is not one for each row")
    return row


def _row_amounts(x: Value, maker: Layer | None, amount: np.ndarray) -> np.ndarray | None:
    """One amount for each row of the layer before, where it can take them as its bias."""
    if not isinstance(maker, Conv | Linear) or maker.bias:
        return None
    axis = len(x.shape) - 1 if isinstance(maker, Linear) else 1
    return _along(x, amount, axis)


def _per_channel(x: Value, array: np.ndarray) -> np.ndarray | None:
    """One number for each channel, the first axis of one image's tensor; None: it is no such."""
    axis = next((axis for axis in range(len(x.shape)) if axis != x.batch), None)
    return None if axis is None else _along(x, array, axis)


def _along(x: Value, array: np.ndarray, axis: int) -> np.ndarray | None:
    """The numbers of ``array`` along an axis of ``x``, where they differ along no other."""
    if array.ndim > len(x.shape):
        return None
    spread = array.reshape((1,) * (len(x.shape) - array.ndim) + array.shape)
    if any(side != 1 for place, side in enumerate(spread.shape) if place != axis):
        return None
    if spread.shape[axis] not in (1, x.shape[axis]):
        return None
    return np.broadcast_to(spread.reshape(-1), (x.shape[axis],)).copy()


def _normed(low: Lowering, node: OnnxNode, x: Value, factor, offset) -> Value:
    """A factor and an offset for each channel, as a batch norm."""
    zeros, ones = np.zeros_like(factor), np.ones_like(factor)
    arrays = {"weight": factor, "bias": offset, "running_mean": zeros, "running_var": ones}
    layer = BatchNorm(name=low.name_for(node), inputs=(x.layer,), epsilon=0.0)
    return low.make(node, layer, x, arrays)
