"""Layers of the operators of a quantized graph: of integers where the operator computes with them,
else in real numbers."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from qsim.formats import Float
from qsim.network.graph import INPUT
from qsim.network.layers import Clip, Conv, Flatten, Layer, Linear
from qsim.network.moves import Reshape
from qsim.network.pools import MaxPool
from qsim.onnx_reader.graph import OnnxNode
from qsim.onnx_reader.quantized_geometry import conv_fields, reshaped
from qsim.onnx_reader.quantized_reading import Reading
from qsim.onnx_reader.quantized_runtime import note_float_kernel, takes_bias
from qsim.onnx_reader.quantized_tensors import WIDEST, Activation, Grid, Parameter, base_name

OF_SUMS = (MaxPool, Flatten)  # move sums that are not rounded


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
        elif draft.keeps_levels(layer):  # of real numbers, which it moves
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
    if alone:
        reading.replaced.add(node.inputs[0])
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
    if alone and x.layer == INPUT:
        reading.replaced.discard(node.inputs[0])
    elif alone:
        del draft.formats[x.layer], draft.scales[x.layer]
    layer = draft.add(Clip, base_name(node.outputs[0]), [x.layer], **limits)
    _round(reading, node, layer, grid)
    reading.set(node, Activation(layer, grid, coded=True, merged=x.merged))


def product(reading: Reading, node: OnnxNode, made: Product) -> None:
    """A layer with products of real operands, which are of integers where both are."""
    x = reading.activation(node, 0)
    is_quantized = x.grid is not None and not x.coded and made.weight.scale is not None
    dense = made.kind is Linear
    takes = is_quantized and takes_bias(made.bias, _scale_of_sums(x, made), of_any_scale=dense)
    if takes and (reading.rounding(node) or dense):
        note_float_kernel(reading, node, [x])
        layer = scaled_product(reading, node, x, made)
        reading.set(node, Activation(layer, exact=True, merged=x.merged))
    else:
        _real_product(reading, node, x, made)


def q_product(reading: Reading, node: OnnxNode, made: Product, grid: Grid | None) -> None:
    """A layer with products of integers, rounded or (grid None) not."""
    x = reading.coded(node, 0)
    layer = scaled_product(reading, node, x, made)
    if grid is not None:
        _round(reading, node, layer, grid)
    coded = grid is not None
    reading.set(node, Activation(layer, grid, coded, exact=not coded, merged=x.merged))


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


def real(reading: Reading, node: OnnxNode, kind: type[Layer], **fields: Any) -> None:
    """A layer of one tensor that is computed in real numbers."""
    x = reading.activation(node, 0)
    _check_apart(reading, node, [x])
    made = reading.draft.add(kind, reading.name_of(node), [_real_layer(reading, node, x)], **fields)
    _note_real(reading, made)
    reading.set(node, Activation(made))


def flattened(reading: Reading, node: OnnxNode) -> None:
    """Flatten what a node has made."""
    made = reading.tensors[node.outputs[0]]
    flat = reading.draft.add(Flatten, f"{made.layer}_flat", [made.layer])
    reading.set(node, replace(made, layer=flat))


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
    rounding = reading.rounding(node)
    if x.exact and rounding:  # rounded before it is moved, which gives the same integers
        grid = reading.grid(rounding, 1)
        draft.round(x.layer, grid)
        x = Activation(x.layer, grid)
    elif x.exact and kind not in OF_SUMS:
        draft.formats[x.layer] = Float()
        x = replace(x, exact=False)
    source = _real_layer(reading, node, x) if x.grid is None and not x.exact else x.layer
    made = draft.add(kind, reading.name_of(node), [source], **fields)
    if x.grid is not None:
        draft.formats[made] = draft.formats[x.layer]
        draft.scales[made] = draft.scales[x.layer]
    reading.set(node, replace(x, layer=made))


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


def scaled_product(reading: Reading, node: OnnxNode, x: Activation, made: Product) -> str:
    """Add a layer with products of integers; its name."""
    weight, rows = made.weight, len(made.weight.codes)
    if weight.codes.dtype not in (np.uint8, np.int8):
        raise reading.refusal(node, f"weights of {weight.codes.dtype} are not read; uint8 or int8")
    if weight.scale.size > 1 and weight.axis != 0:
        raise reading.refusal(node, "its weights have scales along what is summed, not by row")
    bias = np.zeros(rows, np.int64)
    if made.bias is not None:
        bias = _bias(reading, node, made, _scale_of_sums(x, made))
    layer = _add_product(reading, node, x.layer, made)
    reading.draft.hold(layer, weight, bias, x.grid)
    return layer


def _check_size(reading: Reading, node: OnnxNode, made: Product) -> None:
    size, rows = made.bias.codes.size, len(made.weight.codes)
    if size != rows:
        raise reading.refusal(node, f"its bias has {size} values for {rows} rows")


def _scale_of_sums(x: Activation, made: Product) -> np.ndarray:
    """That of products of integers, float32 (rows,) or (1,)."""
    return made.weight.scale * np.float32(x.grid.scale)


def _bias(reading: Reading, node: OnnxNode, made: Product, by_row: np.ndarray) -> np.ndarray:
    """The integers of a bias, int64 (rows,): those that are stored, or a real bias in the scale of
    the sums, as the runtime quantizes it."""
    stored, rows = made.bias.codes, len(made.weight.codes)
    _check_size(reading, node, made)
    if made.bias.zero_point is not None and made.bias.zero_point.any():
        raise reading.refusal(node, "its bias has a zero point, which must be 0")
    integers = stored.reshape(rows)
    if stored.dtype != np.int32:
        with np.errstate(over="ignore"):  # what is infinite is refused
            integers = np.rint(integers.astype(np.float32) / by_row)
        if not (np.abs(integers) < 2.0**31).all():
            raise reading.refusal(node, "its bias is beyond int32 in the scale of its sums")
    return integers.astype(np.int64)


def _real_product(reading: Reading, node: OnnxNode, x: Activation, made: Product) -> None:
    if made.bias is not None:
        _check_size(reading, node, made)
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


def _check_apart(reading: Reading, node: OnnxNode, inputs: list[Activation]) -> None:
    if any(x.merged for x in inputs):
        raise reading.refusal(node, "it reads rows of several images at once")


def _note_real(reading: Reading, layer: str) -> None:
    reading.draft.note(
        f"layer {layer!r} is computed in float32, in an order of additions that need not be"
        " ONNX Runtime's; integers after it may differ"
    )
