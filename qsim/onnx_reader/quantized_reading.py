"""A quantized graph while it is read: what its tensors are, and what follows them."""

from collections.abc import Callable

import numpy as np

from qsim.errors import QsimError
from qsim.network.layers import Shape
from qsim.onnx_reader.folding import FOLDS, fold
from qsim.onnx_reader.graph import OnnxNode
from qsim.onnx_reader.quantized_tensors import Activation, Draft, Grid, Parameter, base_name

BOUNDS = ("Relu", "Clip")
MOVES = ("MaxPool", "Flatten", "Reshape", "Squeeze", "Unsqueeze", "Transpose", "Slice", "Resize")


class Reading:
    """A graph that is being read.

    draft         the program that comes of it
    tensors       what is known of its tensors, by name
    readers       by tensor, the nodes that read it
    rounded_at    by layer, the tensor of integers that it was rounded to
    replaced      tensors of integers that the program has only within bounds that follow
    real_layers   by layer of integers, the layer that makes real numbers of them
    """

    def __init__(
        self, nodes: list[OnnxNode], constants: dict[str, np.ndarray], results: tuple[str, ...],
        draft: Draft,
    ):  # fmt: skip
        self.draft = draft
        self._results = results
        self.tensors: dict[str, Activation | Parameter] = {
            name: Parameter(array) for name, array in constants.items()
        }
        self.real_layers: dict[str, str] = {}
        self.replaced: set[str] = set()
        self.rounded_at: dict[str, str] = {}  # by layer, the integers that it was rounded to
        self.readers: dict[str, list[OnnxNode]] = {}
        for node in nodes:
            for name in node.inputs:
                self.readers.setdefault(name, []).append(node)

    def is_constant(self, node: OnnxNode) -> bool:
        """Whether a node computes with constants alone what can be computed while it is read."""
        held = [self.tensors.get(name) for name in node.inputs if name]
        return (
            all(isinstance(x, Parameter) and x.scale is None for x in held)
            and node.kind in FOLDS
            and not node.domain
        )

    def fold(self, node: OnnxNode) -> bool:
        """Compute a node of constants alone; whether it is one."""
        if not self.is_constant(node):
            return False
        arrays = [self.tensors[name].codes if name else None for name in node.inputs]
        try:
            made = fold(node, arrays)
        except QsimError as error:
            raise QsimError(f"{self.draft.path}: {error}") from None
        self.set(node, Parameter(made))
        return True

    def set(self, node: OnnxNode, tensor: Activation | Parameter) -> None:
        """Say what a node makes."""
        self.tensors[node.outputs[0]] = tensor

    @property
    def coded_layers(self) -> dict[str, str]:
        """By tensor of integers, the layer that makes it."""
        activations = {k: v for k, v in self.tensors.items() if isinstance(v, Activation)}
        coded = {name: x for name, x in activations.items() if x.coded and not x.merged}
        return {name: x.layer for name, x in coded.items() if name not in self.replaced}

    def read(self, node: OnnxNode, place: int) -> Activation | Parameter:
        """What a node reads. Raises QsimError where there is nothing."""
        name = node.inputs[place] if place < len(node.inputs) else ""
        if name not in self.tensors:
            raise self.refusal(node, f"its input {place} is missing")
        return self.tensors[name]

    def has(self, node: OnnxNode, place: int) -> bool:
        """Whether a node has an input that may be left out."""
        return place < len(node.inputs) and bool(node.inputs[place])

    def activation(self, node: OnnxNode, place: int) -> Activation:
        """The tensor of the network that a node reads."""
        tensor = self.read(node, place)
        if isinstance(tensor, Parameter):
            raise self.refusal(
                node, f"its input {place} is a constant, where a tensor of the network is read"
            )
        return tensor

    def constant(self, node: OnnxNode, place: int, what: str) -> np.ndarray:
        """A constant that a node reads, as it is stored."""
        tensor = self.read(node, place)
        if isinstance(tensor, Activation) or tensor.scale is not None:
            raise self.refusal(node, f"{what} must be a constant")
        return tensor.codes

    def shape(self, node: OnnxNode, place: int) -> Shape:
        """The shape of one image's tensor that a node reads."""
        return self.draft.shapes[self.activation(node, place).layer]

    def axis(self, node: OnnxNode, place: int) -> int:
        """The axis that a node names, without that of the images."""
        axis = int(node.attributes["axis"]) % (len(self.shape(node, place)) + 1)
        if axis == 0:
            raise self.refusal(node, "the axis of the images must stay as it is")
        return axis - 1

    def refuse(self, node: OnnxNode) -> Callable[[str], QsimError]:
        """What makes a refusal of a reason."""
        return lambda reason: self.refusal(node, reason)

    def refusal(self, node: OnnxNode, reason: str) -> QsimError:
        """What is raised on a node that cannot be read."""
        return QsimError(f"{self.draft.path}: {node.label}: {reason}")

    def grid(self, node: OnnxNode, place: int) -> Grid:
        """The scale and, after it, the zero point that a node reads."""
        scale = self.constant(node, place, "a scale")
        zero_point = np.zeros((), np.uint8)
        if self.has(node, place + 1):
            zero_point = self.constant(node, place + 1, "a zero point")
        if scale.size != 1 or zero_point.size != 1:
            raise self.refusal(node, "a tensor of the network has one scale and one zero point")
        if zero_point.dtype not in (np.uint8, np.int8):
            raise self.refusal(
                node, f"integers of {zero_point.dtype} are not read; tensors have uint8 or int8"
            )
        self._check_scale(node, scale)
        return Grid(np.float32(scale.reshape(())), int(zero_point.reshape(())), zero_point.dtype)

    def coded(self, node: OnnxNode, place: int) -> Activation:
        """The integers that a node reads, its scale and zero point after them.

        Raises QsimError where these are not those that the integers were made with.
        """
        x = self.activation(node, place)
        if not x.coded:
            raise self.refusal(node, "it reads real numbers, where integers are read")
        if x.grid != self.grid(node, place + 1):
            raise self.refusal(
                node, "it reads integers with another scale or zero point than they were made with"
            )
        return x

    def weight(self, node: OnnxNode, place: int) -> Parameter:
        """The weights that a node reads, real or dequantized."""
        held = self.read(node, place)
        if isinstance(held, Activation):
            raise self.refusal(node, "its weights must be constants")
        return held

    def stored(self, node: OnnxNode, place: int, axis: int) -> Parameter:
        """The integers, scale and zero point of weights that a node reads, with a scale along
        ``axis`` or one."""
        codes = self.constant(node, place, "its weights")
        scale = self.constant(node, place + 1, "a scale")
        zero_point = np.zeros(scale.shape, codes.dtype)
        if self.has(node, place + 2):
            zero_point = self.constant(node, place + 2, "a zero point")
        self._check_scale(node, scale)
        if codes.dtype.kind not in "iu" or zero_point.dtype != codes.dtype:
            raise self.refusal(
                node, "constants are integers, and their zero point is of their type"
            )
        if scale.ndim > 1 or zero_point.size not in (1, scale.size):
            raise self.refusal(node, "constants have one scale and zero point, or one for each row")
        if scale.size > 1 and scale.size != codes.shape[axis]:
            raise self.refusal(
                node, f"it has {scale.size} scales for {codes.shape[axis]} rows along axis {axis}"
            )
        zero_point = np.broadcast_to(zero_point.reshape(-1), scale.reshape(-1).shape)
        return Parameter(codes, scale.reshape(-1), zero_point, axis)

    def dequantized(self, node: OnnxNode, codes: Parameter) -> Parameter:
        """A constant that a node dequantizes."""
        if node.attributes.get("block_size", 0):
            raise self.refusal(node, "scales of blocks are not read; a row has one scale")
        axis = int(node.attributes.get("axis", 1)) % max(codes.codes.ndim, 1)
        return self.stored(node, 0, axis)

    def bias(self, node: OnnxNode, place: int) -> Parameter | None:
        """The bias that a node reads, if it has one."""
        return self.weight(node, place) if self.has(node, place) else None

    def name_of(self, node: OnnxNode) -> str:
        """The name of the layer that a node becomes: after the integers that are made of its result
        where it is only rounded, else after its result."""
        readers = self.readers.get(node.outputs[0], [])
        if len(readers) == 1 and readers[0].kind == "QuantizeLinear":
            return base_name(readers[0].outputs[0])
        return base_name(node.outputs[0])

    def is_read_once(self, tensor: str) -> bool:
        """Whether one node reads a tensor, and it is no result."""
        return len(self.readers.get(tensor, [])) == 1 and tensor not in self._results

    def rounding(self, node: OnnxNode) -> OnnxNode | None:
        """The node that rounds what a node makes, after bounds and moves alone; None: there is no
        such, or others read it."""
        while self.is_read_once(node.outputs[0]):
            [node] = self.readers[node.outputs[0]]
            if node.kind == "QuantizeLinear":
                return node
            if node.kind not in (*BOUNDS, *MOVES):
                return None
        return None

    def bounds(self, node: OnnxNode) -> tuple[float, float]:
        """The bounds of a Relu or a Clip."""
        if node.kind == "Relu":
            return 0.0, np.inf
        ends = [-np.inf, np.inf]
        for place in (1, 2):
            if self.has(node, place):
                ends[place - 1] = self.constant(node, place, "a bound").reshape(()).item()
        return ends[0], ends[1]

    def _check_scale(self, node: OnnxNode, scale: np.ndarray) -> None:
        if scale.dtype != np.float32 or not (np.isfinite(scale) & (scale > 0)).all():
            raise self.refusal(node, "a scale must be a positive, finite float32")
