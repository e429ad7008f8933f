"""The graph of an ONNX model: nodes in an order in which each reads what was made before it."""

from collections import Counter
from dataclasses import dataclass
from heapq import heappop, heappush
from pathlib import Path
from typing import Any

import numpy as np

from qsim.errors import QsimError
from qsim.onnx_reader.files import LARGEST_TENSOR_VALUES, STANDARD, onnx_package, tensor_array
from qsim.onnx_reader.schema import attribute_value, check_node, defaults

MOST_NODES = 10**5
MOST_AXES = 16  # of an input
MOST_SHOWN = 8  # names in a complaint


@dataclass(frozen=True)
class OnnxNode:
    """An operator in its place.

    kind         the operator, such as Conv
    domain       "" for ONNX's own operators
    inputs       names of tensors, "" where one is left out
    attributes   numbers, texts, arrays, and tuples of them; what is left out has ONNX's default,
                 where it has one
    """

    kind: str
    domain: str
    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: dict[str, Any]

    @property
    def label(self) -> str:
        """What to call it in a complaint."""
        name = self.name or (self.outputs[0] if self.outputs else "")
        return f"{self.kind} {name!r}"


@dataclass(frozen=True)
class OnnxGraph:
    """A graph as it is written.

    inputs      names and sides of what is fed; a side is a number, a name, or None
    outputs     names of the results
    constants   arrays by name
    opset       version of ONNX's own operators
    integers    the inputs that hold integers
    """

    path: Path
    nodes: tuple[OnnxNode, ...]
    inputs: dict[str, tuple[int | str | None, ...]]
    outputs: tuple[str, ...]
    constants: dict[str, np.ndarray]
    opset: int
    integers: frozenset[str] = frozenset()


def read_graph(path: Path, model: Any) -> OnnxGraph:
    """The graph of an onnx.ModelProto that was read from ``path``.

    Raises QsimError naming file and node or tensor where the graph is not well made: a name made
    twice, a tensor that nothing makes, a cycle, or what is not read: graphs in graphs, sparse or
    damaged tensors, inputs that are no tensors.
    """
    graph = model.graph
    if len(graph.node) > MOST_NODES:
        raise QsimError(f"{path}: has {len(graph.node):,} nodes; up to {MOST_NODES:,} are read")
    if graph.sparse_initializer:
        name = graph.sparse_initializer[0].values.name
        raise QsimError(f"{path}: tensor {name!r} is sparse, which is not read")
    opset = max(entry.version for entry in model.opset_import if entry.domain in STANDARD)
    constants = _constants(path, graph)
    twice = [name for name, n in Counter(value.name for value in graph.input).items() if n > 1]
    if twice:
        raise QsimError(f"{path}: has two inputs called {twice[0]!r}")
    inputs = {
        value.name: _sides(path, value) for value in graph.input if value.name not in constants
    }
    nodes = [_node(path, node, opset) for node in graph.node]
    ordered = _ordered(path, nodes, {*inputs, *constants})
    outputs = tuple(value.name for value in graph.output)
    made = {*inputs, *constants, *(name for node in ordered for name in node.outputs)}
    for name in outputs:
        if name not in made:
            raise QsimError(f"{path}: its output {name!r} is made by no node")
    if not inputs or not outputs:
        raise QsimError(f"{path}: has no inputs or no outputs")
    integers = frozenset(value.name for value in graph.input if _is_integer(value))
    return OnnxGraph(path, tuple(ordered), inputs, outputs, constants, opset, integers)


def _constants(path: Path, graph: Any) -> dict[str, np.ndarray]:
    arrays: dict[str, np.ndarray] = {}
    total = 0
    for tensor in graph.initializer:
        if tensor.name in arrays or not tensor.name:
            raise QsimError(f"{path}: tensor {tensor.name!r} is stored twice or has no name")
        arrays[tensor.name] = tensor_array(path, tensor)
        total += arrays[tensor.name].size
        if total > LARGEST_TENSOR_VALUES:
            raise QsimError(
                f"{path}: its tensors up to {tensor.name!r} have {total:,} values; up to"
                f" {LARGEST_TENSOR_VALUES:,} are read"
            )
    return arrays


def _sides(path: Path, value: Any) -> tuple[int | str | None, ...]:
    if not value.name or not value.type.HasField("tensor_type"):
        raise QsimError(f"{path}: input {value.name!r} is no tensor")
    if not value.type.tensor_type.HasField("shape"):
        raise QsimError(f"{path}: input {value.name!r} does not say its shape")
    if len(value.type.tensor_type.shape.dim) > MOST_AXES:
        raise QsimError(f"{path}: input {value.name!r} has more than {MOST_AXES} axes")
    sides: list[int | str | None] = []
    for dim in value.type.tensor_type.shape.dim:
        if dim.HasField("dim_value"):
            sides.append(int(dim.dim_value) if dim.dim_value > 0 else None)
        else:
            sides.append(dim.dim_param or None)
    return tuple(sides)


def _is_integer(value: Any) -> bool:
    types = onnx_package().TensorProto
    reals = (types.FLOAT, types.FLOAT16, types.BFLOAT16, types.DOUBLE)
    return value.type.tensor_type.elem_type not in reals


def _node(path: Path, node: Any, opset: int) -> OnnxNode:
    domain = "" if node.domain in STANDARD else node.domain
    where = f"{path}: node {node.name or node.op_type!r}"
    attributes: dict[str, Any] = {}
    if domain == "":
        check_node(path, node, opset)
        attributes = dict(defaults(node.op_type, opset))
    for attribute in node.attribute:
        attributes[attribute.name] = _value(path, attribute, where)
    return OnnxNode(
        node.op_type, domain, node.name, tuple(node.input), tuple(node.output), attributes
    )


def _value(path: Path, attribute: Any, where: str) -> Any:
    kinds = onnx_package().AttributeProto
    if attribute.type == kinds.TENSOR:
        return tensor_array(path, attribute.t)
    if attribute.type in (kinds.FLOAT, kinds.INT, kinds.STRING) or attribute.type in (
        kinds.FLOATS, kinds.INTS, kinds.STRINGS,
    ):  # fmt: skip
        return attribute_value(attribute)
    raise QsimError(
        f"{where}: its attribute {attribute.name!r} is a graph or another kind that is not read"
    )


def _ordered(path: Path, nodes: list[OnnxNode], known: set[str]) -> list[OnnxNode]:
    """The nodes in an order in which each reads what is known or made before it."""
    makers: dict[str, int] = {}
    for index, node in enumerate(nodes):
        for name in filter(None, node.outputs):
            if name in makers or name in known:
                raise QsimError(f"{path}: tensor {name!r} is made twice, by {node.label} too")
            makers[name] = index
    waiting = []
    readers: dict[int, list[int]] = {}
    for index, node in enumerate(nodes):
        sources = {name for name in node.inputs if name and name not in known}
        for name in sources:
            if name not in makers:
                raise QsimError(f"{path}: {node.label} reads {name!r}, which nothing makes")
            readers.setdefault(makers[name], []).append(index)
        waiting.append(len(sources))
    ready = [index for index, count in enumerate(waiting) if count == 0]  # a heap: it rises
    ordered: list[OnnxNode] = []
    while ready:
        index = heappop(ready)
        ordered.append(nodes[index])
        for reader in readers.get(index, ()):
            waiting[reader] -= 1
            if waiting[reader] == 0:
                heappush(ready, reader)
    if len(ordered) < len(nodes):
        stuck = next(node for node, count in zip(nodes, waiting, strict=True) if count)
        raise QsimError(f"{path}: {stuck.label} reads, through others, what it makes itself")
    return ordered
