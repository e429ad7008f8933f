"""An ONNX graph on its way to a network: what each tensor is, and the layers made so far."""

import re
from dataclasses import dataclass, replace
from math import prod
from typing import Any

import msgspec
import numpy as np

from qsim.errors import NetworkError, QsimError
from qsim.network.graph import INPUT, Network
from qsim.network.layers import Flatten, Layer, Shape
from qsim.network.moves import Reshape
from qsim.network.weights import Weights
from qsim.onnx_reader.graph import OnnxGraph, OnnxNode

MOST_MADE = 2**28  # values of all arrays that are made of constants
LONGEST_NAME = 80  # room is left for what makes it unique


@dataclass(frozen=True)
class Value:
    """A tensor that depends on the input.

    layer     that makes it, or ``input``
    shape     as ONNX has it
    batch     the axis of the images; None: it has none, and is that of one image
    integers  whether it holds the whole numbers of an input of integers
    padding   zeros around height and width that are still to be added: top, left, bottom, right
    """

    layer: str
    shape: tuple[int, ...]
    batch: int | None = 0
    padding: tuple[int, int, int, int] = (0, 0, 0, 0)
    integers: bool = False

    @property
    def own(self) -> Shape:
        """The shape of one image's tensor."""
        return tuple(side for axis, side in enumerate(self.shape) if axis != self.batch)

    def own_axis(self, axis: int) -> int:
        """The axis of one image's tensor that is ``axis`` here. Raises ValueError on the batch, and
        on an axis that there is not."""
        if not -len(self.shape) <= axis < len(self.shape):
            raise ValueError(f"it names axis {axis} of a tensor of {len(self.shape)} axes")
        axis = axis % len(self.shape)
        if axis == self.batch:
            raise ValueError("it works along the axis of the images")
        return axis - (self.batch is not None and axis > self.batch)


class Lowering:
    """Layers and weights in the making, and the tensors of the graph by name."""

    def __init__(self, graph: OnnxGraph):
        self.graph = graph
        self.tensors: dict[str, Value | np.ndarray] = dict(graph.constants)
        self.layers: dict[str, Layer] = {}
        self.shapes: dict[str, Shape] = {}
        self.weights: Weights = {}
        self._reads: dict[str, int] = {}
        self._made = 0
        self._numbers: dict[str, int] = {}
        self._names: dict[str, list[str]] = {}
        for name in (*graph.outputs, *(name for node in graph.nodes for name in node.inputs)):
            self._reads[name] = self._reads.get(name, 0) + 1

    def refusal(self, node: OnnxNode, reason: str) -> QsimError:
        """What is raised on a node that cannot be read."""
        return QsimError(f"{self.graph.path}: {node.label}: {reason}")

    def spend(self, node: OnnxNode, array: np.ndarray) -> None:
        """Count an array that is made of constants, of which a graph makes only so many values."""
        self._made += array.size
        if self._made > MOST_MADE:
            raise self.refusal(node, f"the graph makes over {MOST_MADE:,} values of its constants")

    def has(self, node: OnnxNode, place: int) -> bool:
        """Whether a node has an input that may be left out."""
        return place < len(node.inputs) and bool(node.inputs[place])

    def tensor(self, node: OnnxNode, place: int) -> Value | np.ndarray:
        """What a node reads."""
        if not self.has(node, place):
            raise self.refusal(node, f"its input {place} is missing")
        return self.tensors[node.inputs[place]]

    def value(self, node: OnnxNode, place: int = 0, *, padded: bool = False) -> Value:
        """The tensor of the network that a node reads; ``padded``: with zeros still to be added."""
        tensor = self.tensor(node, place)
        if isinstance(tensor, np.ndarray):
            raise self.refusal(node, f"its input {place} is a constant; a computed tensor is read")
        if any(tensor.padding) and not padded:
            raise self.refusal(node, "it reads what Pad made, which convolutions and pools read")
        return tensor

    def constant(self, node: OnnxNode, place: int, default: Any = None) -> np.ndarray:
        """The constant that a node reads, or ``default`` where it is left out."""
        if not self.has(node, place):
            if default is not None:
                return np.asarray(default)
            raise self.refusal(node, f"its input {place} is missing")
        tensor = self.tensors[node.inputs[place]]
        if isinstance(tensor, Value):
            raise self.refusal(node, f"its input {place} must be a constant of the file")
        return tensor

    def reals(self, node: OnnxNode, place: int, default: Any = None) -> np.ndarray:
        """A constant of finite float32."""
        array = self.constant(node, place, default)
        if self.has(node, place) and array.dtype.kind != "f":
            raise self.refusal(node, f"its input {place} is {array.dtype}, not real numbers")
        array = array.astype(np.float32)
        if not np.isfinite(array).all():
            raise self.refusal(node, f"its input {place} holds NaN or infinite values")
        return array

    def settle(self, name: str, tensor: Value | np.ndarray) -> None:
        """Say what a tensor of the graph is."""
        self.tensors[name] = tensor
        if isinstance(tensor, Value):
            self._names.setdefault(tensor.layer, []).append(name)

    def is_read(self, name: str) -> bool:
        """Whether a node or the user reads a tensor of the graph."""
        return self._reads.get(name, 0) > 0

    def is_read_once(self, layer: str) -> bool:
        """Whether what a layer makes is read in one place, whatever its names in the graph."""
        return all(self._reads.get(name, 0) == 1 for name in self._names.get(layer, ()))

    def axis(self, node: OnnxNode, axis: int, count: int) -> int:
        """The number from 0 on of one of ``count`` axes, which may be counted from the last."""
        if not -count <= axis < count:
            raise self.refusal(node, f"it names axis {axis} of a tensor of {count} axes")
        return axis % count

    def name_for(self, node: OnnxNode, parameter: int | None = None, suffix: str = "") -> str:
        """A name for a layer, not used yet: that of its weights without ``.weight``, or the path of
        the node."""
        stored = node.inputs[parameter] if parameter is not None else ""
        path = stored.removesuffix(".weight") if stored.endswith(".weight") else _path_of(node)
        clean = re.sub(r"[\s\x00-\x1f\x7f]", "_", path)[:LONGEST_NAME].strip(".") or node.kind
        first = clean = clean + suffix
        while clean in self.layers or clean == INPUT:
            self._numbers[first] = self._numbers.get(first, 1) + 1
            clean = f"{first}_{self._numbers[first]}"
        return clean

    def add(self, node: OnnxNode, layer: Layer, arrays: dict[str, Any] | None = None) -> Shape:
        """Take in a layer with its weights, and say what shape it makes of one image's tensor."""
        numbers = [value for value in msgspec.structs.astuple(layer) if isinstance(value, float)]
        if not np.isfinite(numbers).all():
            raise self.refusal(node, f"{numbers} are not all finite")
        try:
            made = layer.output_shape(*(self.shapes[name] for name in layer.inputs))
        except (NetworkError, ValueError) as error:
            raise self.refusal(node, str(error)) from None
        self.layers[layer.name], self.shapes[layer.name] = layer, tuple(made)
        for key, array in (arrays or {}).items():
            if not np.isfinite(array).all():
                raise self.refusal(node, f"its {key} would be no finite float32")
            self.weights[f"{layer.name}.{key}"] = np.ascontiguousarray(array, np.float32)
        return self.shapes[layer.name]

    def make(self, node: OnnxNode, layer: Layer, like: Value, arrays=None) -> Value:
        """As ``add``; the tensor made, its batch where that of ``like`` is."""
        made = self.add(node, layer, arrays)
        return _value(layer.name, made, like.batch, like.shape)

    def reshape(self, node: OnnxNode, x: Value, shape: Shape, batch: int | None) -> Value:
        """The same values in another ONNX shape whose images lie along ``batch``."""
        wanted = Value(x.layer, tuple(shape), batch)
        if wanted.own == x.own:
            return wanted
        if prod(wanted.own) != prod(x.own):
            raise self.refusal(node, "it mixes the values of different images")
        flat = len(wanted.own) == 1
        name = self.name_for(node)
        kind = Flatten if flat else Reshape
        fields = {} if flat else {"shape": wanted.own}
        self.add(node, kind(name=name, inputs=(x.layer,), **fields))
        return replace(wanted, layer=name)

    def with_batch(self, node: OnnxNode, x: Value) -> Value:
        """``x`` with its images along axis 0."""
        if x.batch == 0:
            return x
        if x.batch is None and x.shape and x.shape[0] == 1:
            return self.reshape(node, x, x.shape, 0)
        raise self.refusal(node, "its first axis is not that of the images")

    def network(self, name: str, output: str) -> tuple[Network, Weights]:
        """The network up to a tensor of the graph, and its weights."""
        result = self.tensors[output]
        path = self.graph.path
        if isinstance(result, np.ndarray) or result.layer == INPUT:
            raise QsimError(f"{path}: its output {output!r} is not computed from the input")
        if any(result.padding):
            raise QsimError(f"{path}: its output {output!r} is what Pad made, which is not read")
        needed, waiting = set(), [result.layer]
        while waiting:
            current = waiting.pop()
            if current not in needed and current != INPUT:
                needed.add(current)
                waiting += self.layers[current].inputs
        layers = tuple(layer for key, layer in self.layers.items() if key in needed)
        try:
            network = Network(name, self.shapes[INPUT], layers)
        except NetworkError as error:
            raise QsimError(f"{path}: {error}") from None
        wanted = [key for node in network.nodes.values() for key in node.arrays]
        return network, {key: self.weights[key] for key in wanted}


def _value(layer: str, own: Shape, batch: int | None, like: tuple[int, ...]) -> Value:
    """A tensor of ``own`` shape with its images along ``batch``, as many as ``like`` has."""
    if batch is None:
        return Value(layer, tuple(own), None)
    place = min(batch, len(own))
    return Value(layer, (*own[:place], like[batch], *own[place:]), place)


def _path_of(node: OnnxNode) -> str:
    """The name of a node, or of what it makes, with each part of a path said once: of
    ``/layer1/layer1.0/conv1/Conv`` it is ``layer1.0.conv1``."""
    parts = [part for part in (node.name or node.outputs[0]).split("/") if part]
    if len(parts) > 1 and re.fullmatch(rf"{node.kind}(_\d+)?", parts[-1]):
        last = parts.pop()
        if last != node.kind:
            parts.append(last)
    path = ""
    for part in parts:
        path = part if not path or part.startswith(f"{path}.") else f"{path}.{part}"
    return path
