"""What a node makes of constants alone: quantized weights, and what is moved of them."""

from collections.abc import Callable

import numpy as np

from qsim.errors import QsimError
from qsim.onnx_reader.light import Node
from qsim.onnx_reader.qonnx_quantizers import (
    DOMAINS,
    Constant,
    quantize_constant,
    quantizer_of,
)

LARGEST = 2**31  # values of a constant


def folded(node: Node, inputs: list[Constant | None]) -> Constant:
    """The constant that a node of constants makes. Raises QsimError where it is not known how."""
    arrays = [None if constant is None else constant.real for constant in inputs]
    if node.domain in DOMAINS:
        if node.operator not in ("Quant", "IntQuant", "BipolarQuant"):
            raise QsimError("it is of constants, of which only quantizers are read")
        return quantize_constant(quantizer_of(node.operator, node.attributes, arrays), arrays[0])
    if node.operator == "Constant":
        return Constant(_value(node))
    if node.operator in ("Identity", "Cast", "Dropout"):
        return inputs[0]
    if node.operator in ARITHMETIC:
        with np.errstate(all="ignore"):  # what is not finite is refused where it is used
            return Constant(ARITHMETIC[node.operator](*arrays))
    if node.operator not in MOVES:
        raise QsimError("it is of constants, which are read only after it is computed")
    move = MOVES[node.operator](node, arrays)
    return inputs[0].moved(move)


def _value(node: Node) -> np.ndarray:
    value = node.attributes.get("value", node.attributes.get("value_float"))
    if not isinstance(value, np.ndarray | float):
        raise QsimError("its value is no array of numbers")
    return np.asarray(value)


def _reshape(node: Node, arrays) -> Callable[[np.ndarray], np.ndarray]:
    shape = [int(side) for side in np.asarray(arrays[1]).reshape(-1)]
    read = arrays[0].shape
    shape = [read[i] if side == 0 and i < len(read) else side for i, side in enumerate(shape)]
    return lambda array: array.reshape(shape)


def _transpose(node: Node, arrays) -> Callable[[np.ndarray], np.ndarray]:
    order = node.attributes.get("perm")
    return lambda array: np.transpose(array, order)


def _flatten(node: Node, arrays) -> Callable[[np.ndarray], np.ndarray]:
    axis = int(node.attributes.get("axis", 1)) % (arrays[0].ndim + 1)
    rows = int(np.prod(arrays[0].shape[:axis]))
    return lambda array: array.reshape(rows, -1)


def _axes(node: Node, arrays) -> tuple[int, ...]:
    given = arrays[1] if len(arrays) > 1 else node.attributes.get("axes")
    if given is None:
        raise QsimError("its axes are not given")
    return tuple(int(axis) for axis in np.asarray(given).reshape(-1))


def _squeeze(node: Node, arrays) -> Callable[[np.ndarray], np.ndarray]:
    axes = _axes(node, arrays)
    return lambda array: np.squeeze(array, axes)


def _unsqueeze(node: Node, arrays) -> Callable[[np.ndarray], np.ndarray]:
    axes = _axes(node, arrays)
    return lambda array: np.expand_dims(array, axes)


MOVES = {
    "Flatten": _flatten,
    "Reshape": _reshape,
    "Squeeze": _squeeze,
    "Transpose": _transpose,
    "Unsqueeze": _unsqueeze,
}
ARITHMETIC = {
    "Add": np.add,
    "Div": np.divide,
    "Mul": np.multiply,
    "Neg": np.negative,
    "Sqrt": np.sqrt,
    "Sub": np.subtract,
}
