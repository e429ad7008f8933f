"""Reading a quantized graph node by node: what each tensor is, and the layers that come of it."""

from typing import Any

import numpy as np

from qsim.errors import QsimError
from qsim.formats import Float
from qsim.network.graph import INPUT
from qsim.network.layers import Clip, Conv, Layer, Linear, Shape
from qsim.onnx_reader.folding import FOLDS, fold
from qsim.onnx_reader.graph import OnnxNode
from qsim.onnx_reader.quantized_geometry import conv_fields, reshaped, window_fields
from qsim.onnx_reader.quantized_tensors import (
    WIDEST,
    Activation,
    Draft,
    Grid,
    Parameter,
    base_name,
)

BOUNDS = ("Relu", "Clip")
MOVES = ("MaxPool", "Flatten", "Reshape", "Squeeze", "Unsqueeze", "Transpose", "Slice", "Resize")


class Reading:
    """A graph that is being read: its nodes, its constants by name, and the names of its results."""

    def __init__(
        self, nodes: list[OnnxNode], constants: dict[str, np.ndarray], results: tuple[str, ...],
        draft: Draft,
    ):  # fmt: skip
        self.draft = draft
        self._results = results
        self.tensors: dict[str, Activation | Parameter] = {
            name: Parameter(array) for name, array in constants.items()
        }
        self._real_layers: dict[str, str] = {}
        self._rounded_at: dict[str, str] = {}  # by layer, the integers that it was rounded to
        self._readers: dict[str, list[Any]] = {}
        for node in nodes:
            for name in node.inputs:
                self._readers.setdefault(name, []).append(node)

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
        return {name: x.layer for name, x in activations.items() if x.coded and not x.merged}

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

    def refusal(self, node: OnnxNode, reason: str) -> QsimError:
        """What is raised on a node that cannot be read."""
        return QsimError(f"{self.draft.path}: {node.label}: {reason}")

    # integers

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

    # layers

    def quantize(self, node: OnnxNode, x: Activation, grid: Grid) -> None:
        """Round a real tensor to integers."""
        draft, layer = self.draft, x.layer
        if x.coded:
            raise self.refusal(node, "it reads integers, where real numbers are read")
        if x.grid != grid:
            if x.grid is not None or not (self._is_read_once(node.inputs[0]) or layer == INPUT):
                if x.grid is None:
                    draft.formats.setdefault(layer, Float())
                layer = draft.identity(base_name(node.outputs[0]), layer)
            elif layer in draft.formats:
                raise self.refusal(node, "it rounds a tensor that is rounded in another way too")
            self._round(node, layer, grid)
        self.set(node, Activation(layer, grid, coded=True, merged=x.merged))

    def clip_codes(self, node: OnnxNode, x: Activation, low: int, high: int) -> None:
        """Bound integers. Where nothing else reads them, they are fewer bits if the bounds are the
        ends of these, else what is rounded to them is bounded first."""
        draft, grid = self.draft, x.grid
        narrow = grid.narrowed(low, high)
        alone = self._rounded_at.get(x.layer) == node.inputs[0]
        alone = alone and self._is_read_once(node.inputs[0])
        if alone and narrow:
            draft.formats[x.layer] = narrow
            self.set(node, x)
            return
        ends = [(int(code) - grid.zero_point) * float(grid.scale) for code in (low, high)]
        info = np.iinfo(grid.dtype)
        limits = {
            "low": ends[0] if low > info.min else -WIDEST,
            "high": ends[1] if high < info.max else WIDEST,
        }
        if alone and x.layer != INPUT:
            del draft.formats[x.layer], draft.scales[x.layer]
        layer = draft.add(Clip, base_name(node.outputs[0]), [x.layer], **limits)
        self._round(node, layer, grid)
        self.set(node, Activation(layer, grid, coded=True, merged=x.merged))

    def product(
        self, node: OnnxNode, kind: type[Layer], weight: Parameter, bias: Parameter | None
    ) -> None:
        """A layer with products of real operands, which are of integers where both are."""
        x = self.activation(node, 0)
        is_quantized = x.grid is not None and not x.coded and weight.scale is not None
        if not is_quantized or not (self._is_rounded(node) or kind is Linear):
            source = self._real_layer(node, x)
            self._real_product(node, kind, source, weight, bias, x.merged)
            return
        self._check_runtime(node, [x])
        self._integer_product(node, kind, x, weight, bias)

    def q_product(
        self,
        node: OnnxNode,
        kind: type[Layer],
        weight: Parameter,
        bias: Parameter | None,
        grid: Grid | None,
    ) -> None:
        """A layer with products of integers, rounded or (grid None) not."""
        x = self.coded(node, 0)
        made = self._integer_product(node, kind, x, weight, bias)
        if grid is not None:
            self._round(node, made, grid)
            self.set(node, Activation(made, grid, coded=True, merged=x.merged))

    def compute(self, node: OnnxNode, kind: type[Layer], places: list[int], **fields: Any) -> None:
        """A layer without weights of real operands, which are of integers where all are and their
        result is rounded."""
        inputs = [self.activation(node, place) for place in places]
        self._check_apart(node, inputs)
        exact = all(x.grid is not None and not x.coded for x in inputs) and self._is_rounded(node)
        if exact:
            self._check_runtime(node, inputs)
        sources = [x.layer if exact else self._real_layer(node, x) for x in inputs]
        made = self.draft.add(kind, self.name_of(node), sources, **fields)
        if not exact:
            self._note_real(made)
        self.set(node, Activation(made, exact=exact))

    def q_compute(
        self, node: OnnxNode, kind: type[Layer], places: list[int], grid: Grid, **fields: Any
    ) -> None:
        """A layer without weights of integers."""
        inputs = [self.coded(node, place) for place in places]
        self._check_apart(node, inputs)
        sources = [x.layer for x in inputs]
        made = self.draft.add(kind, self.name_of(node), sources, **fields)
        self._round(node, made, grid)
        self.set(node, Activation(made, grid, coded=True))

    def bound(self, node: OnnxNode, kind: type[Layer], **fields: Any) -> None:
        """A bound of real numbers."""
        x = self.activation(node, 0)
        exact = x.exact or (x.grid is not None and self._is_rounded(node))
        source = x.layer if exact else self._real_layer(node, x)
        made = self.draft.add(kind, self.name_of(node), [source], **fields)
        self.set(node, Activation(made, exact=exact, merged=x.merged))

    def move(self, node: OnnxNode, kind: type[Layer], **fields: Any) -> None:
        """A layer that moves values, or takes the largest of some: of integers the integers."""
        x, draft = self.activation(node, 0), self.draft
        self._check_apart(node, [x])
        if x.exact:  # rounded before it is moved, which gives the same integers
            grid = self._grid_ahead(node)
            draft.round(x.layer, grid)
            x = Activation(x.layer, grid)
        made = draft.add(kind, self.name_of(node), [x.layer], **fields)
        if x.grid is not None:
            draft.formats[made] = draft.formats[x.layer]
            draft.scales[made] = draft.scales[x.layer]
        self.set(node, Activation(made, x.grid, x.coded))

    def reshape(self, node: OnnxNode, kind: type[Layer], sides: list[int]) -> None:
        """A change of shape; it may put the rows of all images one after another, and back."""
        x, shape = self.activation(node, 0), self.shape(node, 0)
        new, merges = reshaped(shape, sides, x.merged, lambda text: self.refusal(node, text))
        if new == shape:
            self.set(node, Activation(x.layer, x.grid, x.coded, x.exact, merges))
        else:
            self.move(node, kind, shape=new)

    def window(self, node: OnnxNode) -> dict[str, Any]:
        """The fields of a pool."""
        return window_fields(node, self.shape(node, 0), lambda text: self.refusal(node, text))

    def name_of(self, node: OnnxNode) -> str:
        """The name of the layer that a node becomes: after the integers that are made of its result
        where it is only rounded, else after its result."""
        readers = self._readers.get(node.outputs[0], [])
        if len(readers) == 1 and readers[0].kind == "QuantizeLinear":
            return base_name(readers[0].outputs[0])
        return base_name(node.outputs[0])

    def _round(self, node: OnnxNode, layer: str, grid: Grid) -> None:
        """Round what a layer makes to the integers that a node makes."""
        self.draft.round(layer, grid)
        self._rounded_at[layer] = node.outputs[0]

    def _integer_product(
        self,
        node: OnnxNode,
        kind: type[Layer],
        x: Activation,
        weight: Parameter,
        bias: Parameter | None,
    ) -> str:
        rows = len(weight.codes)
        if weight.codes.dtype not in (np.uint8, np.int8):
            raise self.refusal(node, f"weights of {weight.codes.dtype} are not read; uint8 or int8")
        if weight.scale.size > 1 and weight.axis != 0:
            raise self.refusal(node, "its weights have scales along what is summed, not by row")
        integers = np.zeros(rows, np.int64)
        if bias is not None:
            if bias.codes.dtype != np.int32 or bias.codes.size != rows:
                raise self.refusal(
                    node, f"its bias must be {rows} integers of int32, in the scale of its sums"
                )
            integers = bias.codes.astype(np.int64).reshape(rows)
        made = self._add_product(node, kind, x.layer, weight, bias is not None)
        self.draft.hold(made, weight, integers)
        if bias is not None:
            by = weight.scale.astype(np.float64) * np.float64(x.grid.scale)
            self.draft.real[f"{made}.bias"] = (integers * by).astype(np.float32)
        self.set(node, Activation(made, exact=True, merged=x.merged))
        return made

    def _real_product(
        self, node: OnnxNode, kind: type[Layer], source: str, weight: Parameter, bias: Parameter | None,
        merged: bool,
    ) -> None:  # fmt: skip
        made = self._add_product(node, kind, source, weight, bias is not None)
        self.draft.hold_real(made, weight, bias)
        self._note_real(made)
        self.set(node, Activation(made, merged=merged))

    def _add_product(
        self, node: OnnxNode, kind: type[Layer], source: str, weight: Parameter, has_bias: bool
    ) -> str:
        fields: dict[str, Any] = {"out_features": len(weight.codes)}
        depth = self.draft.shapes[source][-1]
        if kind is Conv:
            shape = self.draft.shapes[source]
            refuse = lambda text: self.refusal(node, text)  # noqa: E731
            fields = conv_fields(node, weight.codes.shape, shape, refuse)
        elif weight.codes.shape[1:] != (depth,):
            raise self.refusal(
                node, f"its weights are for {weight.codes.shape[-1]} features, and it reads {depth}"
            )
        return self.draft.add(kind, self.name_of(node), [source], bias=has_bias, **fields)

    def _real_layer(self, node: OnnxNode, x: Activation) -> str:
        """The layer whose real numbers a node computes with: of integers, one that makes them."""
        if x.coded:
            raise self.refusal(node, "it reads integers, where real numbers are read")
        if x.exact:
            self.draft.formats[x.layer] = Float()
        if x.grid is None:
            if x.layer == INPUT:
                self.draft.real_input = True
            return x.layer
        if x.layer not in self._real_layers:
            made = self.draft.identity(f"{x.layer}_float", x.layer)
            self.draft.formats[made] = Float()
            self._real_layers[x.layer] = made
        return self._real_layers[x.layer]

    # what follows

    def _is_read_once(self, tensor: str) -> bool:
        return len(self._readers.get(tensor, [])) == 1 and tensor not in self._results

    def _is_rounded(self, node: OnnxNode) -> bool:
        """Whether what a node makes is rounded, after bounds and moves alone."""
        return self._rounding(node) is not None

    def _rounding(self, node: OnnxNode):
        """The node that rounds what a node makes, after bounds and moves alone; None: there is no
        such, or others read it."""
        while self._is_read_once(node.outputs[0]):
            [node] = self._readers[node.outputs[0]]
            if node.kind == "QuantizeLinear":
                return node
            if node.kind not in (*BOUNDS, *MOVES):
                return None
        return None

    def _grid_ahead(self, node: OnnxNode) -> Grid:
        rounding = self._rounding(node)
        if rounding is None:
            raise self.refusal(node, "it moves sums that are not rounded; quantize its input")
        return self.grid(rounding, 1)

    def _check_runtime(self, node: OnnxNode, inputs: list[Activation]) -> None:
        """Note where ONNX Runtime would compute the layer in float32."""
        rounding = self._rounding(node)
        name = base_name(node.outputs[0])
        grids = [x.grid for x in inputs] + ([self.grid(rounding, 1)] if rounding else [])
        if any(grid.dtype == np.int8 for grid in grids):
            self.draft.note(
                "tensors are int8 in QDQ form, which ONNX Runtime computes in integers on Arm, or"
                " with session.qdqisint8allowed; else in float32, with integers that may differ"
            )
        elif rounding and not self._bounds_are_redundant(node, grids[-1]):
            self.draft.note(
                f"layer {name!r} is bounded within the range of its integers, so that ONNX Runtime"
                " computes it in float32, with integers that may differ"
            )

    def _bounds_are_redundant(self, node: OnnxNode, grid: Grid) -> bool:
        info = np.iinfo(grid.dtype)
        ends = (np.float32(end - grid.zero_point) for end in (info.min, info.max))
        lowest, highest = (end * np.float32(grid.scale) for end in ends)
        while (node := self._readers[node.outputs[0]][0]).kind != "QuantizeLinear":
            if node.kind in BOUNDS:
                low, high = self.bounds(node)
                if low > lowest or high < highest:
                    return False
        return True

    def bounds(self, node: OnnxNode) -> tuple[float, float]:
        """The bounds of a Relu or a Clip."""
        if node.kind == "Relu":
            return 0.0, np.inf
        ends = [-np.inf, np.inf]
        for place in (1, 2):
            if self.has(node, place):
                ends[place - 1] = self.constant(node, place, "a bound").reshape(()).item()
        return ends[0], ends[1]

    def _check_apart(self, node: OnnxNode, inputs: list[Activation]) -> None:
        if any(x.merged for x in inputs):
            raise self.refusal(node, "it reads rows of several images at once")

    def _check_scale(self, node: OnnxNode, scale: np.ndarray) -> None:
        if scale.dtype != np.float32 or not (np.isfinite(scale) & (scale > 0)).all():
            raise self.refusal(node, "a scale must be a positive, finite float32")

    def _note_real(self, layer: str) -> None:
        self.draft.note(
            f"layer {layer!r} is computed in float32, in an order of additions that need not be"
            " ONNX Runtime's; integers after it may differ"
        )
