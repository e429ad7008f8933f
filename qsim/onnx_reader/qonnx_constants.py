"""What a node makes of constants alone: quantized weights, and what is moved of them."""

from collections.abc import Sequence

import numpy as np

from qsim.onnx_reader.folding import fold
from qsim.onnx_reader.graph import OnnxNode
from qsim.onnx_reader.qonnx_quantizers import (
    DOMAINS,
    QUANTIZERS,
    Constant,
    Reason,
    quantize_constant,
    quantizer_of,
)

MOVES = ("Flatten", "Gather", "Identity", "Reshape", "Slice", "Squeeze", "Transpose", "Unsqueeze")
PASSED_ON = ("Cast", "Dropout")  # of real numbers, they change none


def folded(node: OnnxNode, inputs: Sequence[Constant | None]) -> Constant:
    """The constant that a node of constants makes; what only moves values moves integers too.

    Raises Reason where it is not known how.
    """
    arrays = [None if constant is None else constant.real for constant in inputs]
    if node.domain in DOMAINS:
        if node.kind not in QUANTIZERS:
            raise Reason("reads constants alone, of which only quantizers are read")
        return quantize_constant(quantizer_of(node, arrays), arrays[0])
    first = inputs[0] if inputs else None
    if first is not None and first.levels is not None and node.kind in PASSED_ON:
        return first
    if first is not None and node.kind in MOVES:
        return first.moved(lambda array: _moved(node, array, arrays[1:]))
    made = fold(node, arrays)
    if made is None:
        raise Reason("reads constants alone, and is no operator that is computed while reading")
    return Constant(made)


def _moved(node: OnnxNode, array: np.ndarray, rest: list) -> np.ndarray:
    if node.kind == "Flatten":
        axis = int(node.attributes.get("axis", 1)) % (array.ndim + 1)
        return array.reshape(int(np.prod(array.shape[:axis])), -1)
    return fold(node, [array, *rest])
