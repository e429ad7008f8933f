"""Sums of integer products that a graph scales itself: ConvInteger or MatMulInteger, an Add of a
bias where there is one, a Cast to float32 and a Mul by a scale."""

from dataclasses import dataclass, replace

import numpy as np

from qsim.network.layers import Conv, Layer, Linear
from qsim.onnx_reader.graph import OnnxNode
from qsim.onnx_reader.quantized_layers import Product, scaled_product
from qsim.onnx_reader.quantized_reading import Reading
from qsim.onnx_reader.quantized_tensors import Activation, Parameter

FLOAT = 1  # TensorProto.FLOAT
NEIGHBOURS = 2  # float32 values on either side of a quotient that may give its dividend back


@dataclass(frozen=True)
class IntegerSums:
    """Sums that wait for their scale.

    node     the node whose products they are
    x        the integers that it reads
    weight   rows first, without a scale, int8 or uint8, and their zero point
    bias     int32 (rows,), if there is one
    is_real  whether they were cast to float32
    """

    node: OnnxNode
    kind: type[Layer]
    x: Activation
    weight: np.ndarray
    zero_point: np.ndarray
    bias: np.ndarray | None = None
    is_real: bool = False


def begin(reading: Reading, node: OnnxNode) -> None:
    """ConvInteger or MatMulInteger."""
    x = reading.activation(node, 0)
    zero_point = reading.constant(node, 2, "a zero point") if reading.has(node, 2) else np.zeros(())
    if not x.coded or zero_point.size != 1 or int(zero_point.reshape(())) != x.grid.zero_point:
        raise reading.refusal(node, "it does not read integers with their zero point")
    weight = reading.constant(node, 1, "its weights")
    zero = np.zeros((), weight.dtype)
    if reading.has(node, 3):
        zero = reading.constant(node, 3, "a zero point")
    kind: type[Layer] = Conv
    if node.kind == "MatMulInteger":
        if weight.ndim != 2:
            raise reading.refusal(node, "its weights must be a matrix")
        kind, weight = Linear, weight.T
    reading.set(node, IntegerSums(node, kind, x, weight, zero))


def goes_on(reading: Reading, node: OnnxNode) -> bool:
    """Take in a node that reads waiting sums; whether it does."""
    sums = [reading.tensors.get(name) for name in node.inputs]
    if not any(isinstance(each, IntegerSums) for each in sums):
        return False
    place = 0 if isinstance(sums[0], IntegerSums) else 1
    held, other = sums[place], 1 - place
    if node.kind == "Cast" and node.attributes.get("to") == FLOAT:
        reading.set(node, replace(held, is_real=True))
    elif node.kind == "Add" and held.bias is None and not held.is_real:
        bias = reading.constant(node, other, "a bias").reshape(-1)
        if bias.dtype != np.int32 or bias.size != len(held.weight):
            raise reading.refusal(node, "a bias of integer sums has one int32 for each row")
        reading.set(node, replace(held, bias=bias))
    elif node.kind == "Mul" and held.is_real:
        _settle(reading, node, held, reading.constant(node, other, "a scale"))
    else:
        raise reading.refusal(
            node, "it reads sums of integers, which may take a bias, a Cast and a Mul by a scale"
        )
    return True


def _settle(reading: Reading, node: OnnxNode, held: IntegerSums, scale: np.ndarray) -> None:
    """The layer of sums whose scale is known."""
    if scale.size not in (1, len(held.weight)) or scale.dtype != np.float32:
        raise reading.refusal(node, "a scale of sums is one float32, or one for each row")
    by_row = _quotient(scale.reshape(-1), held.x.grid.scale)
    if by_row is None:
        raise reading.refusal(node, "its scale is no float32 multiple of that of its input")
    zero_point = np.broadcast_to(held.zero_point.reshape(-1)[:1], by_row.shape)
    weight = Parameter(held.weight, by_row, zero_point, axis=0)
    bias = None if held.bias is None else Parameter(held.bias)
    made = scaled_product(reading, held.node, held.x, Product(held.kind, weight, bias))
    reading.set(node, Activation(made, exact=True, merged=held.x.merged))


def _quotient(scale: np.ndarray, x_scale: np.float32) -> np.ndarray | None:
    """What times ``x_scale`` is ``scale``, both rounded to float32; None: there is none."""
    tried = scale / x_scale
    nearest = [tried]
    for towards in (np.float32(np.inf), np.float32(0)):
        each = tried
        for _ in range(NEIGHBOURS):
            each = np.nextafter(each, towards)
            nearest.append(each)
    found = np.full(scale.shape, np.float32(np.nan))
    for each in nearest[::-1]:
        found = np.where(each * x_scale == scale, each, found)
    return None if np.isnan(found).any() or not (found > 0).all() else found
