"""Windows of convolutions and pools as ONNX writes them."""

from math import ceil

from qsim.onnx_reader.graph import OnnxNode
from qsim.onnx_reader.lowering import Lowering, Value

Pair = tuple[int, int]
Edges = tuple[int, int, int, int]


def window(
    low: Lowering, node: OnnxNode, x: Value, kernel: Pair, *, flat: bool = False
) -> tuple[Pair, Pair, Edges, Pair]:
    """Kernel, stride, padding (top, left, bottom, right) and dilation of a node over images.

    flat   whether the node has one dimension, the width
    """
    given = node.attributes
    stated = _sides(low, node, "kernel_shape", flat) or kernel
    if tuple(stated) != tuple(kernel):
        raise low.refusal(node, f"its kernel_shape {stated} is not that of its weights, {kernel}")
    stride = _sides(low, node, "strides", flat) or (1, 1)
    dilation = _sides(low, node, "dilations", flat) or (1, 1)
    spans = tuple(d * (k - 1) + 1 for d, k in zip(dilation, kernel, strict=True))
    mode = given.get("auto_pad", "NOTSET")
    if mode in ("SAME_UPPER", "SAME_LOWER"):
        if any(x.padding):
            raise low.refusal(node, f"it pads ({mode}) what Pad has padded, which is not read")
        return kernel, stride, _same(x.own[1:], spans, stride, upper=mode == "SAME_UPPER"), dilation
    if mode not in ("NOTSET", "VALID"):
        raise low.refusal(node, f"auto_pad {mode!r} is not known")
    pads = tuple(given.get("pads") or ()) if mode == "NOTSET" else ()
    if flat and pads:
        pads = (0, pads[0], 0, pads[1])
    pads = pads or (0, 0, 0, 0)
    if len(pads) != 4 or min(pads) < 0:
        raise low.refusal(node, f"pads of {list(pads)} are not read")
    return kernel, stride, pads, dilation


def up_to_the_end(sides: Pair, spans: Pair, stride: Pair, padding: Edges) -> Edges:
    """The padding with which windows cover all of an image, as ``ceil_mode`` has them; a window
    that would begin beyond the image and its padding before is left out."""
    edges = list(padding)
    for axis, side in enumerate(sides):
        before, after = padding[axis], padding[axis + 2]
        count = ceil((side + before + after - spans[axis]) / stride[axis]) + 1
        if (count - 1) * stride[axis] >= side + before:
            count -= 1
        missing = (count - 1) * stride[axis] + spans[axis] - (side + before + after)
        edges[axis + 2] += max(missing, 0)
    return tuple(edges)


def _same(sides: Pair, spans: Pair, stride: Pair, *, upper: bool) -> Edges:
    """The padding with which there are as many windows as strides in a side."""
    first, last = [], []
    for side, span, step in zip(sides, spans, stride, strict=True):
        whole = max((ceil(side / step) - 1) * step + span - side, 0)
        less, more = whole // 2, whole - whole // 2
        first.append(less if upper else more)
        last.append(more if upper else less)
    return (*first, *last)


def _sides(low: Lowering, node: OnnxNode, key: str, flat: bool) -> Pair | None:
    """(height, width) of an attribute; None where it is left out."""
    given = node.attributes.get(key)
    if not given:
        return None
    sides = (1, *given) if flat else tuple(given)
    if len(sides) != 2 or min(sides) < 1:
        raise low.refusal(node, f"its {key} {list(given)} is not read; images have two sides")
    return sides
