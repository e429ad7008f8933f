"""Layers of the operators of a quantized graph: of integers where the operator computes with them,
else in real numbers."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from qsim.formats import Float
from qsim.network.graph import INPUT
from qsim.network.layers import Clip, Conv, Layer, Linear
from qsim.network.moves import Reshape
from qsim.onnx_reader.graph import OnnxNode
from qsim.onnx_reader.quantized_geometry import conv_fields, reshaped
from qsim.onnx_reader.quantized_reading import Reading
from qsim.onnx_reader.quantized_runtime import note_float_kernel
from qsim.onnx_reader.quantized_tensors import WIDEST, Activation, Grid, Parameter, base_name


@dataclass(frozen=True)
class Product:
    """A layer with products: its kind, its weights, rows first, and its bias."""

    kind: type[Layer]
    weight: Parameter
    bias: Parameter | None


def quantize(reading: Reading, node: OnnxNode, x: Activation, grid: Grid) -> None:
    """Round a real tensor to integers."""
    draft, layer = reading.draft, x.layer
    if x.coded:
        raise reading.refusal(node, "it reads integers, where real numbers are read")
    if x.grid != grid:
        if x.grid is not None or not (reading.is_read_once(node.inputs[0]) or layer == INPUT):
            if x.grid is None:
                draft.formats.setdefault(layer, Float())
            layer = draft.identity(base_name(node.outputs[0]), layer)
        elif layer in draft.formats:
            raise reading.refusal(node, "it rounds a tensor that is rounded in another way too")
        _round(reading, node, layer, grid)
    reading.set(node, Activation(layer, grid, coded=True, merged=x.merged))


def clip_codes(reading: Reading, node: OnnxNode, x: Activation, low: int, high: int) -> None:
    """Bound integers. Where nothing else reads them, they are fewer bits if the bounds are the
    ends of these, else what is rounded to them is bounded first."""
    draft, grid = reading.draft, x.grid
    narrow = grid.narrowed(low, high)
    alone = reading.rounded_at.get(x.layer) == node.inputs[0]
    alone = alone and reading.is_read_once(node.inputs[0])
    if alone and narrow:
        draft.formats[x.layer] = narrow
        reading.set(node, x)
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
    _round(reading, node, layer, grid)
    reading.set(node, Activation(layer, grid, coded=True, merged=x.merged))


def product(reading: Reading, node: OnnxNode, made: Product) -> None:
    """A layer with products of real operands, which are of integers where both are."""
    x = reading.activation(node, 0)
    is_quantized = x.grid is not None and not x.coded and made.weight.scale is not None
    if is_quantized and (reading.rounding(node) or made.kind is Linear):
        note_float_kernel(reading, node, [x])
        _integer_product(reading, node, x, made)
    else:
        _real_product(reading, node, x, made)


def q_product(reading: Reading, node: OnnxNode, made: Product, grid: Grid | None) -> None:
    """A layer with products of integers, rounded or (grid None) not."""
    x = reading.coded(node, 0)
    layer = _integer_product(reading, node, x, made)
    if grid is not None:
        _round(reading, node, layer, grid)
        reading.set(node, Activation(layer, grid, coded=True, merged=x.merged))


def compute(
    reading: Reading, node: OnnxNode, kind: type[Layer], places: list[int], **fields: Any
) -> None:
    """A layer without weights of real operands, which are of integers where all are and their
    result is rounded."""
    inputs = [reading.activation(node, place) for place in places]
    _check_apart(reading, node, inputs)
    of_integers = all(x.grid is not None and not x.coded for x in inputs)
    exact = of_integers and reading.rounding(node) is not None
    if exact:
        note_float_kernel(reading, node, inputs)
    sources = [x.layer if exact else _real_layer(reading, node, x) for x in inputs]
    made = reading.draft.add(kind, reading.name_of(node), sources, **fields)
    if not exact:
        _note_real(reading, made)
    reading.set(node, Activation(made, exact=exact))


def q_compute(
    reading: Reading, node: OnnxNode, kind: type[Layer], places: list[int], grid: Grid, **fields
) -> None:
    """A layer without weights of integers."""
    inputs = [reading.coded(node, place) for place in places]
    _check_apart(reading, node, inputs)
    sources = [x.layer for x in inputs]
    made = reading.draft.add(kind, reading.name_of(node), sources, **fields)
    _round(reading, node, made, grid)
    reading.set(node, Activation(made, grid, coded=True))


def bound(reading: Reading, node: OnnxNode, kind: type[Layer], **fields: Any) -> None:
    """A bound of real numbers."""
    x = reading.activation(node, 0)
    exact = x.exact or (x.grid is not None and reading.rounding(node) is not None)
    source = x.layer if exact else _real_layer(reading, node, x)
    made = reading.draft.add(kind, reading.name_of(node), [source], **fields)
    reading.set(node, Activation(made, exact=exact, merged=x.merged))


def move(reading: Reading, node: OnnxNode, kind: type[Layer], **fields: Any) -> None:
    """A layer that moves values, or takes the largest of some: of integers the integers."""
    x, draft = reading.activation(node, 0), reading.draft
    _check_apart(reading, node, [x])
    if x.exact:  # rounded before it is moved, which gives the same integers
        grid = _grid_ahead(reading, node)
        draft.round(x.layer, grid)
        x = Activation(x.layer, grid)
    made = draft.add(kind, reading.name_of(node), [x.layer], **fields)
    if x.grid is not None:
        draft.formats[made] = draft.formats[x.layer]
        draft.scales[made] = draft.scales[x.layer]
    reading.set(node, Activation(made, x.grid, x.coded))


def reshape(reading: Reading, node: OnnxNode, sides: list[int]) -> None:
    """A change of shape; it may put the rows of all images one after another, and back."""
    x, shape = reading.activation(node, 0), reading.shape(node, 0)
    new, merges = reshaped(shape, sides, x.merged, reading.refuse(node))
    if new == shape:
        reading.set(node, Activation(x.layer, x.grid, x.coded, x.exact, merges))
    else:
        move(reading, node, Reshape, shape=new)


def _round(reading: Reading, node: OnnxNode, layer: str, grid: Grid) -> None:
    """Round what a layer makes to the integers that a node makes."""
    reading.draft.round(layer, grid)
    reading.rounded_at[layer] = node.outputs[0]


def _integer_product(reading: Reading, node: OnnxNode, x: Activation, made: Product) -> str:
    weight, rows = made.weight, len(made.weight.codes)
    if weight.codes.dtype not in (np.uint8, np.int8):
        raise reading.refusal(node, f"weights of {weight.codes.dtype} are not read; uint8 or int8")
    if weight.scale.size > 1 and weight.axis != 0:
        raise reading.refusal(node, "its weights have scales along what is summed, not by row")
    bias = np.zeros(rows, np.int64)
    if made.bias is not None:
        if made.bias.codes.dtype != np.int32 or made.bias.codes.size != rows:
            raise reading.refusal(
                node, f"its bias must be {rows} integers of int32, in the scale of its sums"
            )
        bias = made.bias.codes.astype(np.int64).reshape(rows)
    layer = _add_product(reading, node, x.layer, made)
    reading.draft.hold(layer, weight, bias, x.grid)
    reading.set(node, Activation(layer, exact=True, merged=x.merged))
    return layer


def _real_product(reading: Reading, node: OnnxNode, x: Activation, made: Product) -> None:
    layer = _add_product(reading, node, _real_layer(reading, node, x), made)
    reading.draft.hold_real(layer, made.weight, made.bias)
    _note_real(reading, layer)
    reading.set(node, Activation(layer, merged=x.merged))


def _add_product(reading: Reading, node: OnnxNode, source: str, made: Product) -> str:
    shape, weight = reading.draft.shapes[source], made.weight.codes
    fields: dict[str, Any] = {"out_features": len(weight)}
    if made.kind is Conv:
        fields = conv_fields(node, weight.shape, shape, reading.refuse(node))
    elif weight.shape[1:] != shape[-1:]:
        raise reading.refusal(
            node, f"its weights are for {weight.shape[-1]} features, and it reads {shape[-1]}"
        )
    fields["bias"] = made.bias is not None
    return reading.draft.add(made.kind, reading.name_of(node), [source], **fields)


def _real_layer(reading: Reading, node: OnnxNode, x: Activation) -> str:
    """The layer whose real numbers a node computes with: of integers, one that makes them."""
    if x.coded:
        raise reading.refusal(node, "it reads integers, where real numbers are read")
    if x.exact:
        reading.draft.formats[x.layer] = Float()
    if x.grid is None:
        if x.layer == INPUT:
            reading.draft.real_input = True
        return x.layer
    if x.layer not in reading.real_layers:
        made = reading.draft.identity(f"{x.layer}_float", x.layer)
        reading.draft.formats[made] = Float()
        reading.real_layers[x.layer] = made
    return reading.real_layers[x.layer]


def _grid_ahead(reading: Reading, node: OnnxNode) -> Grid:
    rounding = reading.rounding(node)
    if rounding is None:
        raise reading.refusal(node, "it moves sums that are not rounded; quantize its input")
    return reading.grid(rounding, 1)


def _check_apart(reading: Reading, node: OnnxNode, inputs: list[Activation]) -> None:
    if any(x.merged for x in inputs):
        raise reading.refusal(node, "it reads rows of several images at once")


def _note_real(reading: Reading, layer: str) -> None:
    reading.draft.note(
        f"layer {layer!r} is computed in float32, in an order of additions that need not be"
        " ONNX Runtime's; integers after it may differ"
    )
