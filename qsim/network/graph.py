"""A network: layers in order, every tensor named after the layer that makes it."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from math import prod

from hwmodels.documents import nearest
from qsim.errors import NetworkError
from qsim.network.kinds import Moves
from qsim.network.layers import LARGEST_SIDE, Conv, Layer, Linear, MatMul, Shape, shape_text
from qsim.network.pointwise import Embedding
from qsim.network.recurrent import Recurrent

MOST_VALUES = 2**32  # of one tensor of one image, or of one layer's weights
INPUT = "input"  # the name of the tensor that the network reads


@dataclass(frozen=True)
class Node:
    """A layer in its place: which tensors it reads, and all shapes (of one image)."""

    layer: Layer
    inputs: tuple[str, ...]
    input_shapes: tuple[Shape, ...]
    output_shape: Shape

    @property
    def name(self) -> str:
        """The name of the layer and of the tensor it makes."""
        return self.layer.name

    @property
    def has_products(self) -> bool:
        """Whether it multiplies its input by weights."""
        return isinstance(self.layer, Conv | Linear)

    @property
    def is_recurrent(self) -> bool:
        """Whether it multiplies its input and its own hidden state by weights, step by step."""
        return isinstance(self.layer, Recurrent)

    @property
    def step_products(self) -> tuple["Node", ...]:
        """The products of one step of a recurrent layer, as linear layers: of its input, and of its
        hidden state, which has the layer's name. They are named as their weights."""
        if not self.is_recurrent:
            return ()
        sources = (self.inputs[0], self.name)
        products = []
        for operand, source in zip(self.layer.operands, sources, strict=True):
            rows, depth = self.parameters[f"weight_{operand}"]
            linear = Linear(
                name=f"{self.name}.weight_{operand}", out_features=rows, bias=self.layer.bias
            )
            products.append(Node(linear, (source,), ((depth,),), (rows,)))
        return tuple(products)

    @property
    def parameters(self) -> dict[str, Shape]:
        """Shapes of the trainable arrays, by name in the layer."""
        return self.layer.parameters(self.input_shapes[0])

    @property
    def arrays(self) -> dict[str, Shape]:
        """Shapes of all arrays that a file of weights holds for it, by ``layer.array``."""
        both = self.parameters | self.layer.statistics(self.input_shapes[0])
        return {f"{self.name}.{key}": shape for key, shape in both.items()}

    @property
    def macs(self) -> int:
        """Multiply-accumulates for one image."""
        if isinstance(self.layer, MatMul):
            return prod(self.output_shape) * self.input_shapes[0][-1]
        if self.is_recurrent:
            return self.output_shape[0] * sum(product.macs for product in self.step_products)
        if not self.has_products:
            return 0
        last = isinstance(self.layer, Linear)  # whose rows are the last axis, not the first
        positions = self.output_shape[:-1] if last else self.output_shape[1:]
        return prod(positions) * prod(self.parameters["weight"])


@dataclass(frozen=True)
class Network:
    """A checked network.

    Raises NetworkError, naming the layer, on a name used twice, a tensor that is not made before it
    is read, shapes that do not fit, or a tensor that nothing reads.
    """

    name: str
    input_shape: Shape
    layers: tuple[Layer, ...]

    def __post_init__(self):
        if not self.layers:
            raise NetworkError(f"network {self.name}: has no layers")
        if not self.input_shape or not all(1 <= s <= LARGEST_SIDE for s in self.input_shape):
            raise NetworkError(f"network {self.name}: input sides must be 1 to {LARGEST_SIDE:,}")
        self._check_all_read()

    @cached_property
    def nodes(self) -> dict[str, Node]:
        """Every layer in its place, by name, in order."""
        nodes: dict[str, Node] = {}
        shapes = {INPUT: tuple(self.input_shape)}
        previous = INPUT
        for layer in self.layers:
            node = self._place(layer, previous, shapes)
            nodes[layer.name] = node
            shapes[layer.name] = node.output_shape
            previous = layer.name
        return nodes

    @property
    def rows_read(self) -> int | None:
        """How many rows the table has whose numbers are the input; None: the input is no such."""
        return min(self.row_counts(INPUT), default=None)

    def row_counts(self, tensor: str) -> list[int]:
        """How many rows each table has whose numbers the tensor holds, where it is read as it is or
        moved."""
        counts = []
        for node in self.readers[tensor]:
            if isinstance(node.layer, Embedding):
                counts.append(node.layer.entries)
            elif isinstance(node.layer, Moves):
                counts += self.row_counts(node.name)
        return counts

    @property
    def output(self) -> str:
        """The name of the last tensor, which is the network's result."""
        return self.layers[-1].name

    @cached_property
    def readers(self) -> dict[str, tuple[Node, ...]]:
        """The layers that read each tensor, by the tensor's name."""
        readers: dict[str, list[Node]] = {name: [] for name in (INPUT, *self.nodes)}
        for node in self.nodes.values():
            for name in node.inputs:
                readers[name].append(node)
        return {name: tuple(nodes) for name, nodes in readers.items()}

    @property
    def product_nodes(self) -> list[Node]:
        """The convolutions and linear layers, in order."""
        return [node for node in self.nodes.values() if node.has_products]

    @property
    def recurrent_nodes(self) -> list[Node]:
        """The recurrent layers, in order."""
        return [node for node in self.nodes.values() if node.is_recurrent]

    @property
    def weighted_nodes(self) -> list[Node]:
        """The layers that have a format of weights, in order."""
        return [node for node in self.nodes.values() if node.has_products or node.is_recurrent]

    @property
    def macs(self) -> int:
        """Multiply-accumulates of all layers for one image."""
        return sum(node.macs for node in self.nodes.values())

    @property
    def parameter_count(self) -> int:
        """Trainable parameters of all layers."""
        shapes = [shape for node in self.nodes.values() for shape in node.parameters.values()]
        return sum(prod(shape) for shape in shapes)

    def _place(self, layer: Layer, previous: str, shapes: dict[str, Shape]) -> Node:
        where = f"network {self.name}: layer {layer.name!r}"
        if layer.name in shapes:
            raise NetworkError(f"{where}: the name is used twice; names must differ")
        inputs = layer.inputs if layer.inputs is not None else (previous,)
        for name in inputs:
            if name not in shapes:
                later = any(other.name == name for other in self.layers)
                remedy = "it is made later; move it up" if later else nearest(name, shapes)
                raise NetworkError(
                    f"{where}: reads {name!r}, which no earlier layer makes; {remedy}"
                )
        read = tuple(shapes[name] for name in inputs)
        try:
            node = Node(layer, tuple(inputs), read, layer.output_shape(*read))
        except NetworkError as error:
            raise NetworkError(f"{where}: {error}") from None
        for shape in (node.output_shape, *read, *node.parameters.values()):
            if prod(shape) > MOST_VALUES:
                raise NetworkError(
                    f"{where}: has a tensor of {shape_text(shape)}, which is more than"
                    f" {MOST_VALUES:,} values"
                )
        return node

    def _check_all_read(self) -> None:
        for name, readers in self.readers.items():
            if not readers and name != self.output:
                raise NetworkError(
                    f"network {self.name}: nothing reads tensor {name!r}; list it under the inputs"
                    " of a layer or remove the layer"
                )


def summary(network: Network) -> str:
    """A network in one line: name, input, size."""
    return (
        f"{network.name}, input {shape_text(network.input_shape)},"
        f" {network.macs:,} MACs per image, {network.parameter_count:,} parameters"
    )


def replaced(network: Network, layers: Sequence[Layer]) -> Network:
    """The same network with other layers."""
    return Network(network.name, network.input_shape, tuple(layers))
