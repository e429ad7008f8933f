"""Float models: every node of a graph to layers."""

from collections.abc import Callable

import numpy as np

from qsim.errors import QsimError
from qsim.network.graph import INPUT, Network
from qsim.network.weights import Weights
from qsim.onnx_reader import folding, products
from qsim.onnx_reader.curves import CURVES
from qsim.onnx_reader.graph import MOST_SHOWN, OnnxGraph, OnnxNode
from qsim.onnx_reader.inputs import Fed
from qsim.onnx_reader.lowering import Lowering, Value
from qsim.onnx_reader.patterns import simplified
from qsim.onnx_reader.pools import POOLS
from qsim.onnx_reader.recurrence import RECURRENT
from qsim.onnx_reader.shapes import SHAPES

Handler = Callable[[Lowering, OnnxNode], Value | list[Value | None]]
HANDLERS: dict[str, Handler] = {
    "Add": products.add,
    "BatchNormalization": products.batch_norm,
    "Conv": products.conv,
    "Div": products.divide,
    "Gemm": products.gemm,
    "MatMul": products.matmul,
    "Mul": products.multiply,
    "Sub": products.subtract,
    **CURVES,
    **POOLS,
    **RECURRENT,
    **SHAPES,
}


def float_network(graph: OnnxGraph, fed: Fed, output: str) -> tuple[Network, Weights]:
    """The network of a float graph up to ``output``, and its weights.

    Raises QsimError: naming all operators that are not read at once; or the first node that cannot
    be, and why.
    """
    graph = simplified(graph)
    check_operators(graph, HANDLERS)
    low = Lowering(graph)
    low.tensors |= fed.constants
    low.tensors[fed.name] = Value(INPUT, fed.shape, 0)
    low.shapes[INPUT] = fed.shape[1:]
    for node in graph.nodes:
        _read(low, node)
    return low.network(graph.path.stem, output)


def check_operators(graph: OnnxGraph, known) -> None:
    """Raises QsimError naming all nodes whose operators are not read."""
    strange = [
        node
        for node in graph.nodes
        if node.domain or (node.kind not in known and node.kind not in folding.FOLDS)
    ]
    if strange:
        shown = ", ".join(node.label for node in strange[:MOST_SHOWN])
        more = f" and {len(strange) - MOST_SHOWN} more" if len(strange) > MOST_SHOWN else ""
        raise QsimError(f"{graph.path}: operators that are not read: {shown}{more}")


def _read(low: Lowering, node: OnnxNode) -> None:
    """Take in one node."""
    tensors = [low.tensors.get(name) if name else None for name in node.inputs]
    if node.kind in ("Shape", "Size") and isinstance(tensors[0], Value):
        tensors = [np.broadcast_to(np.float32(0), tensors[0].shape)]
    if not any(isinstance(tensor, Value) for tensor in tensors):
        _fold(low, node, tensors)
        return
    handler = HANDLERS.get(node.kind)
    if handler is None:
        raise low.refusal(node, "it is read of constants alone")
    try:
        made = handler(low, node)
    except (ValueError, TypeError, KeyError, IndexError, OverflowError) as error:
        raise low.refusal(node, f"it is not well made: {error}") from None
    made = made if isinstance(made, list) else [made]
    for name, value in zip(node.outputs, made, strict=False):
        if name and value is not None:
            low.tensors[name] = value


def _fold(low: Lowering, node: OnnxNode, arrays: list[np.ndarray | None]) -> None:
    try:
        made = folding.fold(node, arrays)
    except QsimError as error:
        raise QsimError(f"{low.graph.path}: {error}") from None
    if made is None:
        raise low.refusal(node, "all that it reads are constants, of which it is not computed")
    low.tensors[node.outputs[0]] = made
