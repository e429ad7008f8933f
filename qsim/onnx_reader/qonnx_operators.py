"""The layers of standard operators between the quantizers of a QONNX file.

Shapes are those of one image, without the batch, which is axis 0 of every tensor in the file.
"""

from collections.abc import Callable
from dataclasses import dataclass
from math import prod

import numpy as np

from qsim.errors import QsimError
from qsim.network.layers import (
    AveragePool,
    Clip,
    Concat,
    Flatten,
    Layer,
    MaxPool,
    Relu,
    Shape,
    Sigmoid,
    Softmax,
    Tanh,
)
from qsim.network.moves import Reshape, Transpose, Upsample
from qsim.onnx_reader.graph import OnnxNode


@dataclass(frozen=True)
class Reading:
    """A node that is read: ``constants`` by its inputs, None where one is a tensor or absent;
    ``shapes`` of the tensors, in order; what its layers read, and the name of the last one."""

    node: OnnxNode
    constants: tuple[np.ndarray | None, ...]
    shapes: tuple[Shape, ...]
    inputs: tuple[str, ...]
    name: str

    def attribute(self, key: str, default=None):
        """The value of an attribute."""
        return self.node.attributes.get(key, default)

    def expect(self, key: str, *allowed) -> None:
        """Refuse an attribute that is given and is none of ``allowed``."""
        value = self.attribute(key, allowed[0])
        if value not in allowed:
            raise QsimError(f"its {key} is {value!r}, of which {allowed[0]!r} is read")

    def constant(self, index: int) -> np.ndarray | None:
        """A constant input, None where it is absent. Raises QsimError where it is a tensor."""
        if len(self.node.inputs) <= index or not self.node.inputs[index]:
            return None
        if self.constants[index] is None:
            raise QsimError(f"its input {self.node.inputs[index]!r} is no constant")
        return self.constants[index]


def conv_geometry(reading: Reading) -> dict:
    """Stride, padding, dilation and groups of a Conv, as the layer takes them."""
    reading.expect("auto_pad", "NOTSET", "VALID")
    valid = reading.attribute("auto_pad", "NOTSET") == "VALID"
    given = [reading.attribute(key) for key in ("strides", "pads", "dilations")]
    for value, sides in zip(given, (2, 4, 2), strict=True):
        if value is not None and len(value) != sides:
            raise QsimError("its window has another number of sides than height and width")
    strides, pads, dilations = given
    return {
        "stride": tuple(strides or (1, 1)),
        "padding": (0, 0, 0, 0) if valid else tuple(pads or (0, 0, 0, 0)),
        "dilation": tuple(dilations or (1, 1)),
        "groups": int(reading.attribute("group", 1)),
    }


def _pool(reading: Reading) -> dict:
    geometry = conv_geometry(reading)
    reading.expect("ceil_mode", 0)
    if geometry["dilation"] != (1, 1):
        raise QsimError("its window is dilated, which pools are not")
    kernel = tuple(reading.attribute("kernel_shape", ()))
    if len(kernel) != 2:
        raise QsimError("its window has another number of sides than height and width")
    return {"kernel": kernel, "stride": geometry["stride"], "padding": geometry["padding"]}


def _max_pool(r: Reading) -> list[Layer]:
    return [MaxPool(name=r.name, inputs=r.inputs, **_pool(r))]


def _average_pool(r: Reading) -> list[Layer]:
    counted = bool(r.attribute("count_include_pad", 0))
    pool = _pool(r)
    counted = counted or not any(pool["padding"])  # which is the same
    return [AveragePool(name=r.name, inputs=r.inputs, count_padding=counted, **pool)]


def _global_average(r: Reading) -> list[Layer]:
    return [AveragePool(name=r.name, inputs=r.inputs)]


def _global_max(r: Reading) -> list[Layer]:
    kernel = tuple(r.shapes[0][1:])
    return [MaxPool(name=r.name, inputs=r.inputs, kernel=kernel, stride=kernel)]


def _relu(r: Reading) -> list[Layer]:
    return [Relu(name=r.name, inputs=r.inputs)]


def _clip(r: Reading) -> list[Layer]:
    bounds = []
    for index, key, without in ((1, "min", -np.inf), (2, "max", np.inf)):
        value = r.constant(index)
        value = r.attribute(key, without) if value is None else value
        bounds.append(float(np.asarray(value).reshape(-1)[0]))
    low, high = bounds
    if low == 0 and high >= np.finfo(np.float32).max:
        return _relu(r)
    if not (np.isfinite(low) and np.isfinite(high)):
        raise QsimError(f"it clips to {low:g} .. {high:g}; both must be finite, or the lower 0")
    return [Clip(name=r.name, inputs=r.inputs, low=low, high=high)]


def _flatten(r: Reading) -> list[Layer]:
    r.expect("axis", 1)
    return [Flatten(name=r.name, inputs=r.inputs)]


def _reshape(r: Reading) -> list[Layer]:
    shape = r.constant(1)
    shape = r.attribute("shape") if shape is None else shape.tolist()
    if not shape:
        raise QsimError("its shape is no constant")
    read = (1, *r.shapes[0])  # with the batch, of which one image is read
    shape = [read[i] if side == 0 and i < len(read) else side for i, side in enumerate(shape)]
    rest = prod(side for side in shape if side != -1)
    made = [prod(read) // rest if side == -1 and rest else side for side in shape]
    if len(made) < 2 or made[0] != 1 or prod(made) != prod(read):
        raise QsimError(
            f"it shapes {list(read)} as {list(shape)}, and the batch must stay a side of its own"
        )
    if len(made) == 2:
        return [Flatten(name=r.name, inputs=r.inputs)]
    return [Reshape(name=r.name, inputs=r.inputs, shape=tuple(made[1:]))]


def _transpose(r: Reading) -> list[Layer]:
    order = r.attribute("perm")
    if not order or order[0] != 0:
        raise QsimError("it moves the batch to another axis")
    return [Transpose(name=r.name, inputs=r.inputs, order=tuple(axis - 1 for axis in order[1:]))]


def _concat(r: Reading) -> list[Layer]:
    axis = int(r.attribute("axis", 1))
    axis = axis + len(r.shapes[0]) + 1 if axis < 0 else axis
    if axis == 0:
        raise QsimError("it joins images")
    return [Concat(name=r.name, inputs=r.inputs, axis=axis - 1)]


def _resize(r: Reading) -> list[Layer]:
    """Of whole factors, to the nearest: any rule that takes each value as often as the others."""
    r.expect("mode", "nearest")
    index = 1 if r.node.kind == "Upsample" else 2
    scales = r.constant(index)
    if scales is None or not scales.size:
        sizes = r.constant(3)
        scales = None if sizes is None else np.asarray(sizes) / (1, *r.shapes[0])
    if scales is None or scales.size != 4 or (scales[:2] != 1).any():
        raise QsimError("it does not scale height and width by constants")
    factors = [int(factor) for factor in scales[2:]]
    if (np.array(factors) != scales[2:]).any() or min(factors) < 1:
        raise QsimError(f"it scales by {scales[2:].tolist()}; whole factors are read")
    rule = [r.attribute("coordinate_transformation_mode", "half_pixel"),
            r.attribute("nearest_mode", "round_prefer_floor")]  # fmt: skip
    repeats = rule[0] in ("half_pixel", "pytorch_half_pixel") and rule[1].startswith("round_prefer")
    if r.node.kind == "Resize" and not (repeats or rule == ["asymmetric", "floor"]):
        raise QsimError(f"its rule {rule} does not repeat each value; asymmetric and floor does")
    return [Upsample(name=r.name, inputs=r.inputs, factor=tuple(factors))]


def _depth_to_space(r: Reading) -> list[Layer]:
    channels, height, width = r.shapes[0]
    block = int(r.attribute("blocksize"))
    kept = channels // (block * block)
    column_first = r.attribute("mode", "DCR") == "CRD"
    parts = (kept, block, block) if column_first else (block, block, kept)
    order = (0, 3, 1, 4, 2) if column_first else (2, 3, 0, 4, 1)
    return [
        Reshape(name=f"{r.name}.parts", inputs=r.inputs, shape=(*parts, height, width)),
        Transpose(name=f"{r.name}.order", order=order),
        Reshape(name=r.name, shape=(kept, height * block, width * block)),
    ]


def _sigmoid(r: Reading) -> list[Layer]:
    return [Sigmoid(name=r.name, inputs=r.inputs)]


def _tanh(r: Reading) -> list[Layer]:
    return [Tanh(name=r.name, inputs=r.inputs)]


def _softmax(r: Reading) -> list[Layer]:
    r.expect("axis", -1, len(r.shapes[0]))
    return [Softmax(name=r.name, inputs=r.inputs)]


LAYERS: dict[str, Callable[[Reading], list[Layer]]] = {
    "AveragePool": _average_pool,
    "Clip": _clip,
    "Concat": _concat,
    "DepthToSpace": _depth_to_space,
    "Flatten": _flatten,
    "GlobalAveragePool": _global_average,
    "GlobalMaxPool": _global_max,
    "MaxPool": _max_pool,
    "Relu": _relu,
    "Reshape": _reshape,
    "Resize": _resize,
    "Sigmoid": _sigmoid,
    "Softmax": _softmax,
    "Tanh": _tanh,
    "Transpose": _transpose,
    "Upsample": _resize,
}
IN_FLOAT = ("Sigmoid", "Softmax", "Tanh")  # are not computed by tables where they are read
