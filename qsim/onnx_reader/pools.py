"""Pools, means over images, and images at another size."""

import numpy as np

from qsim.network.layers import LARGEST_SIDE
from qsim.network.moves import Upsample
from qsim.network.pointwise import Resize
from qsim.network.pools import AveragePool, MaxPool
from qsim.onnx_reader.folding import axes_of, whole
from qsim.onnx_reader.geometry import up_to_the_end, window
from qsim.onnx_reader.graph import OnnxNode
from qsim.onnx_reader.lowering import Lowering, Value


def max_pool(low: Lowering, node: OnnxNode) -> Value:
    """MaxPool over height and width."""
    x = _image(low, node, low.value(node))
    return low.make(node, MaxPool(**_pool(low, node, x)), x)


def average_pool(low: Lowering, node: OnnxNode) -> Value:
    """AveragePool over height and width."""
    x = _image(low, node, low.value(node, padded=True))
    counted = bool(node.attributes["count_include_pad"])
    fields = _pool(low, node, Value(x.layer, x.shape, x.batch))
    ragged = node.attributes.get("ceil_mode") and counted
    if any(x.padding):
        if any(fields["padding"]) or node.attributes.get("ceil_mode"):
            raise low.refusal(node, "it pads what Pad has padded, which is not read")
        fields, counted = fields | {"padding": x.padding}, True
    if ragged and fields["padding"] != window(low, node, x, fields["kernel"])[2]:
        raise low.refusal(node, "windows beyond the padding (ceil_mode) that count it are not read")
    return low.make(node, AveragePool(**fields, count_padding=counted), x)


def global_average(low: Lowering, node: OnnxNode) -> Value:
    """The mean of every channel of an image."""
    x = _image(low, node, low.value(node))
    return low.make(node, AveragePool(name=low.name_for(node), inputs=(x.layer,)), x)


def global_max(low: Lowering, node: OnnxNode) -> Value:
    """The largest value of every channel of an image."""
    x = _image(low, node, low.value(node))
    return low.make(
        node, MaxPool(name=low.name_for(node), inputs=(x.layer,), kernel=tuple(x.own[1:])), x
    )


def reduce_mean(low: Lowering, node: OnnxNode) -> Value:
    """The mean over height and width."""
    x = low.value(node)
    arrays = [None, low.constant(node, 1)] if low.has(node, 1) else [None]
    axes = axes_of(node, arrays)
    if (
        axes is None
        or len(x.shape) != 4
        or x.batch != 0
        or sorted(low.axis(node, a, 4) for a in axes) != [2, 3]
    ):
        raise low.refusal(node, "means over other axes than height and width are not read")
    made = global_average(low, node)
    return made if node.attributes["keepdims"] else low.reshape(node, made, made.shape[:2], 0)


def resize(low: Lowering, node: OnnxNode) -> Value:
    """Resize or Upsample of height and width: nearest by whole factors, or bilinear."""
    x = _image(low, node, low.value(node))
    factors, sides = _resized(low, node, x)
    mode = node.attributes.get("mode", "nearest")
    how = node.attributes.get("coordinate_transformation_mode", "asymmetric")
    rounding = node.attributes.get("nearest_mode", "floor")
    _check_resize(low, node, x, sides)
    name = low.name_for(node)
    if mode == "nearest":
        ways = {("asymmetric", "floor"), ("half_pixel", "round_prefer_floor"),
                ("pytorch_half_pixel", "round_prefer_floor")}  # fmt: skip
        if None in factors or (how, rounding) not in ways:
            raise low.refusal(
                node, f"nearest values are read by whole factors, not by {how}, {rounding}"
            )
        return low.make(node, Upsample(name=name, inputs=(x.layer,), factor=factors), x)
    if mode != "linear" or how not in ("align_corners", "half_pixel", "pytorch_half_pixel"):
        raise low.refusal(node, f"interpolation {mode}, {how} is not read")
    corners = how == "align_corners"
    layer = Resize(name=name, inputs=(x.layer,), size=sides, align_corners=corners)
    return low.make(node, layer, x)


def _check_resize(low: Lowering, node: OnnxNode, x: Value, sides: tuple[int, int]) -> None:
    """Refuse what changes the values that are read, or their weights."""
    given = node.attributes
    if given.get("antialias") or given.get("exclude_outside") or given.get("axes"):
        raise low.refusal(node, "antialias, exclude_outside and axes are not read")
    if given.get("keep_aspect_ratio_policy", "stretch") != "stretch":
        raise low.refusal(node, "another keep_aspect_ratio_policy than stretch is not read")
    single = any(made == 1 < side for made, side in zip(sides, x.own[1:], strict=True))
    if single and given.get("coordinate_transformation_mode") == "pytorch_half_pixel":
        raise low.refusal(node, "pytorch_half_pixel to a side of 1 is not read")


def _image(low: Lowering, node: OnnxNode, x: Value) -> Value:
    x = low.with_batch(node, x)
    if len(x.shape) != 4:
        raise low.refusal(node, f"it reads {len(x.shape)} axes; images of two sides are read")
    return x


def _pool(low: Lowering, node: OnnxNode, x: Value) -> dict:
    """The fields of a pool."""
    kernel = node.attributes.get("kernel_shape") or ()
    if len(kernel) != 2:
        raise low.refusal(node, f"a window {list(kernel)} is not read; images have two sides")
    kernel, stride, padding, dilation = window(low, node, x, tuple(kernel))
    if dilation != (1, 1):
        raise low.refusal(node, "a window with gaps (dilations) is not read")
    if node.attributes.get("ceil_mode"):
        padding = up_to_the_end(x.own[1:], kernel, stride, padding)
    fields = {"kernel": kernel, "stride": stride, "padding": padding}
    return {"name": low.name_for(node), "inputs": (x.layer,)} | fields


def _resized(low: Lowering, node: OnnxNode, x: Value) -> tuple[tuple, tuple[int, int]]:
    """The factors of height and width, None where they are not whole; and the sides made."""
    places = (1, None) if node.kind == "Upsample" else (2, 3)
    sides = x.shape
    if places[1] is not None and low.has(node, places[1]):
        sides = whole(low.constant(node, places[1]))
    elif low.has(node, places[0]):
        scales = low.reals(node, places[0]).reshape(-1)
        if len(scales) == len(x.shape):
            made = np.rint(np.array(x.shape) * scales.astype(np.float64)).clip(0, LARGEST_SIDE)
            sides = tuple(int(side) for side in made)
            if (np.array(sides, np.float32) / np.array(x.shape, np.float32) != scales).any():
                raise low.refusal(node, f"{x.shape} by {scales.tolist()} makes no whole sides")
    if len(sides) != 4 or sides[:2] != x.shape[:2] or min(sides) < 1:
        raise low.refusal(node, f"{x.shape} made {sides} is not read; height and width change")
    factors = tuple(
        made // side if made % side == 0 else None
        for made, side in zip(sides[2:], x.shape[2:], strict=True)
    )
    return factors, tuple(sides[2:])


POOLS = {
    "AveragePool": average_pool,
    "GlobalAveragePool": global_average,
    "GlobalMaxPool": global_max,
    "MaxPool": max_pool,
    "ReduceMean": reduce_mean,
    "Resize": resize,
    "Upsample": resize,
}
