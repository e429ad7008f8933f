"""A graph of operators as the readers take it: nodes in order, constants as arrays."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from qsim.errors import QsimError


@dataclass(frozen=True)
class Node:
    """An operator: its ``domain`` is "" where it is a standard one; absent inputs are ""."""

    operator: str
    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    domain: str = ""
    attributes: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Graph:
    """A graph whose nodes stand after what they read.

    input_shape   of the only input that is no constant, with the batch: a side is None where the
                  file leaves it open
    """

    name: str
    nodes: tuple[Node, ...]
    constants: dict[str, np.ndarray]
    input: str
    input_shape: tuple[int | None, ...]
    outputs: tuple[str, ...]


def light_graph(model: Any) -> Graph:
    """The graph of a checked ModelProto whose nodes stand after what they read.

    Raises QsimError where it does not have one input that is no constant.
    """
    from onnx import helper, numpy_helper

    graph = model.graph
    constants = {array.name: numpy_helper.to_array(array) for array in graph.initializer}
    inputs = [value for value in graph.input if value.name not in constants]
    if len(inputs) != 1:
        raise QsimError(f"{graph.name}: has {len(inputs)} inputs, and one is read")
    sides = inputs[0].type.tensor_type.shape.dim
    shape = tuple(side.dim_value if side.HasField("dim_value") else None for side in sides)

    def value(attribute: Any) -> Any:
        held = helper.get_attribute_value(attribute)
        return numpy_helper.to_array(held) if hasattr(held, "raw_data") else held

    nodes = tuple(
        Node(
            node.op_type,
            node.name or (node.output[0] if node.output else node.op_type),
            tuple(node.input),
            tuple(node.output),
            node.domain,
            {attribute.name: value(attribute) for attribute in node.attribute},
        )
        for node in graph.node
    )
    outputs = tuple(output.name for output in graph.output)
    return Graph(graph.name, nodes, constants, inputs[0].name, shape, outputs)
