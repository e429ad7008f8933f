"""Operators that move values, or join and part tensors."""

from dataclasses import replace
from math import prod

import numpy as np

from qsim.network.graph import INPUT
from qsim.network.layers import Concat
from qsim.network.moves import Slice, Transpose
from qsim.network.pointwise import Embedding
from qsim.onnx_reader import folding
from qsim.onnx_reader.folding import axes_of, whole
from qsim.onnx_reader.graph import OnnxNode
from qsim.onnx_reader.lowering import Lowering, Value

REAL_TYPES = (1, 10, 11, 16)  # onnx.TensorProto's float, float16, double, bfloat16
WIDE_INTEGERS = (6, 7)  # int32, int64


def reshape(low: Lowering, node: OnnxNode) -> Value:
    """Reshape to constant sides."""
    x = low.value(node)
    wanted = whole(low.constant(node, 1))
    shape = folding.reshaped(x.shape, wanted, bool(node.attributes.get("allowzero", 0)))
    return _as(low, node, x, shape)


def flatten(low: Lowering, node: OnnxNode) -> Value:
    """Flatten to two axes."""
    x = low.value(node)
    axis = node.attributes["axis"]
    if not -len(x.shape) <= axis <= len(x.shape):
        raise low.refusal(node, f"it names axis {axis} of a tensor of {len(x.shape)} axes")
    axis += len(x.shape) if axis < 0 else 0
    return _as(low, node, x, (prod(x.shape[:axis]), prod(x.shape[axis:])))


def transpose(low: Lowering, node: OnnxNode) -> Value:
    """Transpose; the images may come to lie along another axis."""
    x = low.value(node)
    order = tuple(node.attributes.get("perm") or reversed(range(len(x.shape))))
    if sorted(order) != list(range(len(x.shape))):
        raise low.refusal(node, f"it orders the axes of {x.shape} as {order}")
    shape = tuple(x.shape[axis] for axis in order)
    batch = None if x.batch is None else order.index(x.batch)
    own = tuple(x.own_axis(axis) for axis in order if axis != x.batch)
    if own == tuple(range(len(own))):
        return Value(x.layer, shape, batch)
    layer = Transpose(name=low.name_for(node), inputs=(x.layer,), order=own)
    low.add(node, layer)
    return Value(layer.name, shape, batch)


def squeeze(low: Lowering, node: OnnxNode) -> Value:
    """Squeeze sides of 1."""
    x = low.value(node)
    axes = axes_of(node, _constants(low, node))
    if axes is None:
        axes = [axis for axis, side in enumerate(x.shape) if side == 1 and axis != x.batch]
    gone = {low.axis(node, axis, len(x.shape)) for axis in axes}
    if any(x.shape[axis] != 1 for axis in gone):
        raise low.refusal(node, f"it drops axes {sorted(gone)} of {x.shape}, which are not all 1")
    kept = [axis for axis in range(len(x.shape)) if axis not in gone]
    batch = kept.index(x.batch) if x.batch in kept else None
    return low.reshape(node, x, tuple(x.shape[axis] for axis in kept), batch)


def unsqueeze(low: Lowering, node: OnnxNode) -> Value:
    """Unsqueeze: sides of 1 more."""
    x = low.value(node)
    axes = axes_of(node, _constants(low, node)) or ()
    count = len(x.shape) + len(axes)
    new = {low.axis(node, axis, count) for axis in axes}
    if len(new) < len(axes):
        raise low.refusal(node, f"it names an axis twice: {list(axes)}")
    rest = iter(range(len(x.shape)))
    sources = [None if axis in new else next(rest) for axis in range(count)]
    shape = tuple(1 if source is None else x.shape[source] for source in sources)
    batch = sources.index(x.batch) if x.batch is not None else 0 if 0 in new else None
    return low.reshape(node, x, shape, batch)


def concat(low: Lowering, node: OnnxNode) -> Value:
    """Concat of tensors along any axis but that of the images."""
    values = [low.value(node, place) for place in range(len(node.inputs))]
    first = values[0]
    if len(values) == 1:
        return first
    if any(value.batch != first.batch for value in values):
        raise low.refusal(node, "it joins tensors whose images lie along different axes")
    axis = first.own_axis(node.attributes["axis"])
    sources = tuple(value.layer for value in values)
    return low.make(node, Concat(name=low.name_for(node), inputs=sources, axis=axis), first)


def slice_(low: Lowering, node: OnnxNode) -> Value:
    """Slice along one axis or more, forward."""
    x = low.value(node)
    starts, ends = (whole(low.constant(node, place)) for place in (1, 2))
    axes = whole(low.constant(node, 3)) if low.has(node, 3) else range(len(starts))
    steps = whole(low.constant(node, 4)) if low.has(node, 4) else (1,) * len(starts)
    if len({low.axis(node, axis, len(x.shape)) for axis in axes}) < len(axes):
        raise low.refusal(node, f"it names an axis twice: {list(axes)}")
    for axis, start, end, step in zip(axes, starts, ends, steps, strict=True):
        if step < 1:
            raise low.refusal(node, "a slice that goes backward is not read")
        side = x.shape[axis % len(x.shape)]
        first, stop, _ = slice(start, end, step).indices(side)
        if (first, stop, step) != (0, side, 1):
            x = cut(low, node, x, axis, range(first, stop, step))
    return x


def split(low: Lowering, node: OnnxNode) -> list[Value]:
    """Split along an axis."""
    x = low.value(node)
    axis, parts = low.axis(node, node.attributes["axis"], len(x.shape)), len(node.outputs)
    if node.attributes.get("num_outputs", parts) != parts:
        raise low.refusal(node, f"it has {parts} results, not as many as num_outputs says")
    sizes = node.attributes.get("split")
    if low.has(node, 1):
        sizes = whole(low.constant(node, 1))
    size = -(-x.shape[axis] // parts)
    sizes = sizes or [min(size, x.shape[axis] - size * part) for part in range(parts)]
    if sum(sizes) != x.shape[axis] or len(sizes) != parts or min(sizes) < 1:
        raise low.refusal(node, f"parts of {list(sizes)} do not make a side of {x.shape[axis]}")
    ends = np.cumsum(sizes).tolist()
    return [
        cut(low, node, x, axis, range(end - size, end)) if low.is_read(name) else None
        for name, end, size in zip(node.outputs, ends, sizes, strict=True)
    ]


def gather(low: Lowering, node: OnnxNode) -> Value:
    """Gather of one place or of neighbours along an axis; or rows of a constant table by the
    numbers that the input holds."""
    if isinstance(low.tensor(node, 0), np.ndarray):
        return _embedding(low, node)
    x, index = low.value(node), low.constant(node, 1)
    axis = low.axis(node, node.attributes["axis"], len(x.shape))
    places = [low.axis(node, place, x.shape[axis]) for place in whole(index)]
    if index.ndim > 1 or places != list(range(places[0], places[-1] + 1)):
        raise low.refusal(node, "places that are no neighbours in order are not read")
    if axis == x.batch and x.shape[axis] == 1 and index.ndim == 0:
        return Value(x.layer, (*x.shape[:axis], *x.shape[axis + 1 :]), None)
    part = cut(low, node, x, axis, range(places[0], places[-1] + 1))
    if index.ndim:
        return part
    shape = (*part.shape[:axis], *part.shape[axis + 1 :])
    batch = None if part.batch is None else part.batch - (part.batch > axis)
    return low.reshape(node, part, shape, batch)


def cut(low: Lowering, node: OnnxNode, x: Value, axis: int, places: range) -> Value:
    """The values of ``x`` at ``places`` along an axis."""
    axis = axis % len(x.shape)
    if not len(places):
        raise low.refusal(node, "it takes nothing")
    if len(places) == x.shape[axis]:
        return x
    layer = Slice(
        name=low.name_for(node),
        inputs=(x.layer,),
        axis=x.own_axis(axis),
        start=places.start,
        stop=places[-1] + 1,
        step=places.step,
    )
    return low.make(node, layer, x)


def pad(low: Lowering, node: OnnxNode) -> Value:
    """Pad of height and width by 0, left to the layer that reads it."""
    x = low.with_batch(node, low.value(node))
    given = node.attributes.get("pads")
    pads = tuple(given) if given is not None else whole(low.constant(node, 1))
    filled = low.constant(node, 2, node.attributes.get("value", 0.0))
    if low.has(node, 3):
        axes = [low.axis(node, axis, len(x.shape)) for axis in whole(low.constant(node, 3))]
        every = [0] * (2 * len(x.shape))
        for place, axis in enumerate(axes):
            every[axis], every[len(x.shape) + axis] = pads[place], pads[len(axes) + place]
        pads = tuple(every)
    if not any(pads):
        return x
    if node.attributes.get("mode", "constant") != "constant" or filled.any() or min(pads) < 0:
        raise low.refusal(node, "padding by anything but 0 is not read")
    if len(x.shape) != 4 or len(pads) != 8 or any(pads[:2]) or any(pads[4:6]):
        raise low.refusal(node, "padding of other axes than height and width is not read")
    return Value(x.layer, x.shape, 0, (*pads[2:4], *pads[6:8]))


def expand(low: Lowering, node: OnnxNode) -> Value:
    """Expand to the shape that there is."""
    x = low.value(node)
    if np.broadcast_shapes(x.shape, whole(low.constant(node, 1))) != x.shape:
        raise low.refusal(node, "a tensor that is repeated is not read")
    return x


def where(low: Lowering, node: OnnxNode) -> Value:
    """Where by a constant that chooses the same tensor everywhere."""
    chosen = low.constant(node, 0)
    if chosen.size == 0 or chosen.any() != chosen.all():
        raise low.refusal(node, "a choice that differs by place is not read")
    x = low.value(node, 1 if chosen.all() else 2)
    other = low.tensor(node, 2 if chosen.all() else 1)
    if np.broadcast_shapes(x.shape, other.shape, chosen.shape) != x.shape:
        raise low.refusal(node, "a tensor that is repeated is not read")
    return x


def dropout(low: Lowering, node: OnnxNode) -> Value:
    """Dropout, which drops nothing where a network is run."""
    if low.has(node, 2) and low.constant(node, 2).any():
        raise low.refusal(node, "it drops values at random (training_mode)")
    return same(low, node)


def cast(low: Lowering, node: OnnxNode) -> Value:
    """Cast among real numbers, which are float32 here, or of integers that are fed."""
    x, kind = low.value(node, padded=True), node.attributes["to"]
    if kind in REAL_TYPES:
        return replace(x, integers=False)
    if x.integers and kind in WIDE_INTEGERS:
        return x
    raise low.refusal(
        node, "a cast to integers is not read, but of an input of integers to 32 bits"
    )


def depth_to_space(low: Lowering, node: OnnxNode) -> Value:
    """DepthToSpace: blocks of channels laid out as squares, depth first (DCR) or column first."""
    x = low.with_batch(node, low.value(node))
    block = node.attributes["blocksize"]
    if len(x.own) != 3 or block < 1 or x.own[0] % block**2:
        raise low.refusal(node, f"{x.own[0]} channels are no blocks of {block} x {block}")
    (channels, height, width), batch = x.own, x.shape[0]
    kept = channels // block**2
    by_column = node.attributes.get("mode", "DCR") == "CRD"
    parts = (kept, block, block) if by_column else (block, block, kept)
    x = low.reshape(node, x, (batch, *parts, height, width), 0)
    order = (0, 3, 1, 4, 2) if by_column else (2, 3, 0, 4, 1)
    layer = Transpose(name=low.name_for(node, suffix=".blocks"), inputs=(x.layer,), order=order)
    return low.reshape(
        node, low.make(node, layer, x), (batch, kept, height * block, width * block), 0
    )


def same(low: Lowering, node: OnnxNode) -> Value:
    """What changes nothing where a network is run."""
    return low.value(node, padded=True)


def _as(low: Lowering, node: OnnxNode, x: Value, shape: tuple[int, ...]) -> Value:
    """``x`` in another shape, its images along axis 0 where they can be."""
    images = 1 if x.batch is None else x.shape[x.batch]
    if x.batch in (0, None) and shape and shape[0] == images:
        return low.reshape(node, x, shape, 0)
    if images != 1:
        raise low.refusal(node, f"{x.shape} made {shape} mixes images")
    return low.reshape(node, x, shape, None)


def _embedding(low: Lowering, node: OnnxNode) -> Value:
    table, numbers = low.reals(node, 0), low.value(node, 1)
    if table.ndim != 2 or node.attributes["axis"] != 0 or numbers.layer != INPUT:
        raise low.refusal(node, "rows are read of a table of two axes, by numbers of the input")
    layer = Embedding(
        name=low.name_for(node, 0),
        inputs=(numbers.layer,),
        entries=table.shape[0],
        features=table.shape[1],
    )
    return low.make(node, layer, numbers, {"weight": table})


def _constants(low: Lowering, node: OnnxNode) -> list[np.ndarray | None]:
    """The constants after what a node moves."""
    return [None, *(low.constant(node, place) for place in range(1, len(node.inputs)))]


SHAPES = {
    "Concat": concat,
    "DepthToSpace": depth_to_space,
    "Expand": expand,
    "Flatten": flatten,
    "Gather": gather,
    "Pad": pad,
    "Reshape": reshape,
    "Slice": slice_,
    "Split": split,
    "Squeeze": squeeze,
    "Transpose": transpose,
    "Unsqueeze": unsqueeze,
    "Where": where,
}
SHAPES |= {"Cast": cast, "Dropout": dropout, "Identity": same}
