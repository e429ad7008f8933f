"""Windows, paddings and shapes as ONNX writes them, as the fields of layers."""

from collections.abc import Callable
from math import prod
from typing import Any

from qsim.errors import QsimError
from qsim.network.layers import Shape
from qsim.onnx_reader.graph import OnnxNode

Refuse = Callable[[str], QsimError]


def conv_fields(node: OnnxNode, weight: Shape, image: Shape, refuse: Refuse) -> dict[str, Any]:
    """The fields of a convolution with weights of a shape. Raises what ``refuse`` makes."""
    if len(weight) != 4 or len(image) != 3:
        raise refuse("only convolutions of images, with two sides, are read")
    groups = int(node.attributes.get("group", 1))
    kernel = tuple(int(k) for k in node.attributes.get("kernel_shape", weight[2:]))
    if kernel != tuple(weight[2:]) or groups < 1 or weight[1] * groups != image[0]:
        raise refuse(
            f"weights of shape {weight} in {groups} groups do not fit {image} and {kernel}"
        )
    dilation = _two(node, "dilations")
    stride = _two(node, "strides")
    span = tuple(d * (k - 1) + 1 for d, k in zip(dilation, kernel, strict=True))
    return {
        "out_channels": weight[0],
        "kernel": kernel,
        "stride": stride,
        "dilation": dilation,
        "groups": groups,
        "padding": _padding(node, span, stride, image, refuse),
    }


def window_fields(node: OnnxNode, image: Shape, refuse: Refuse) -> dict[str, Any]:
    """The fields of a pool over an image. Raises what ``refuse`` makes."""
    if len(image) != 3 or len(node.attributes.get("kernel_shape", ())) != 2:
        raise refuse("only pools over images, with two sides, are read")
    if any(int(d) != 1 for d in node.attributes.get("dilations", ())):
        raise refuse("pools with dilations are not read")
    if node.attributes.get("storage_order", 0):
        raise refuse("pools that count by columns are not read")
    kernel, stride = (_two(node, key) for key in ("kernel_shape", "strides"))
    padding = _padding(node, kernel, stride, image, refuse)
    if node.attributes.get("ceil_mode", 0):
        padded = [image[1 + i] + padding[i] + padding[i + 2] for i in (0, 1)]
        if any((padded[i] - kernel[i]) % stride[i] for i in (0, 1)):
            raise refuse("windows that reach beyond the padded image (ceil_mode) are not read")
    return {"kernel": kernel, "stride": stride, "padding": padding}


def reshaped(shape: Shape, sides: list[int], merged: bool, refuse: Refuse) -> tuple[Shape, bool]:
    """The shape of one image's tensor once a tensor of images is shaped to ``sides``, and whether
    the rows of all images then follow one another; ``merged``: whether they do before."""
    first, *rest = sides
    kept = (*shape, *rest)[: len(rest)]  # what a side of 0 stands for
    rest = [old if side == 0 else side for old, side in zip(kept, rest, strict=True)]
    values = prod(shape)
    if merged:
        if first == -1 and prod(rest) == values and -1 not in rest:
            return tuple(rest), False
        raise refuse(f"rows of several images cannot be shaped as {sides}")
    if rest.count(-1) == 1 and first != -1:
        known = -prod(rest)
        if known > 0 and values % known == 0:
            return tuple(values // known if side == -1 else side for side in rest), False
    if -1 not in rest and prod(rest) == values:
        return tuple(rest), False
    if first == -1 and len(shape) == 2 and rest == [shape[-1]]:
        return shape, True
    raise refuse(f"images of shape {shape} cannot be shaped as {sides}, each by itself")


def _two(node: OnnxNode, key: str) -> tuple[int, int]:
    values = tuple(int(side) for side in node.attributes.get(key, (1, 1)))
    return values if len(values) == 2 else (0, 0)


def _padding(
    node: OnnxNode, span: tuple[int, ...], stride: tuple[int, int], image: Shape, refuse: Refuse
) -> tuple[int, ...]:
    """(top, left, bottom, right)."""
    kind = node.attributes.get("auto_pad", "NOTSET")
    if kind in ("NOTSET", ""):
        pads = tuple(int(pad) for pad in node.attributes.get("pads", (0,) * 4))
        if len(pads) != 4 or min(pads) < 0:
            raise refuse(f"pads must be four numbers of 0 or more, not {pads}")
        return pads
    if kind == "VALID":
        return (0,) * 4
    if kind not in ("SAME_UPPER", "SAME_LOWER") or 0 in stride:
        raise refuse(f"auto_pad must be NOTSET, VALID, SAME_UPPER or SAME_LOWER, not {kind}")
    before, after = [], []
    for axis in (0, 1):
        windows = -(-image[1 + axis] // stride[axis])
        total = max((windows - 1) * stride[axis] + span[axis] - image[1 + axis], 0)
        less = total // 2
        before.append(less if kind == "SAME_UPPER" else total - less)
        after.append(total - before[-1])
    return (*before, *after)
