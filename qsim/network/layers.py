"""The kinds of layer: their parameters, and the shapes they make.

A shape is that of one image's tensor, without the batch: (channels, height, width), (features,)
once flattened, or (steps, features) of a sequence. Each kind is a row of a layer table, told apart
by its ``type``.
"""

from math import prod
from typing import Annotated

import msgspec

from qsim.errors import NetworkError

LARGEST_SIDE = 2**20  # of anything that a table sets

Shape = tuple[int, ...]
Side = int | tuple[int, int]
Border = int | tuple[int, ...]  # one for all, (height, width), or (top, left, bottom, right)


# printable, so that it can stand in tables, pictures and the names of arrays
LayerName = Annotated[str, msgspec.Meta(pattern=r"^[^\s\x00-\x1f\x7f]{1,100}$")]


class Layer(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="type", kw_only=True
):
    """A named layer. It reads the tensors of ``inputs``; by default that of the row before it."""

    name: LayerName
    inputs: tuple[str, ...] | None = None

    def output_shape(self, *shapes: Shape) -> Shape:
        """The shape made from the shapes read: of one tensor its own, where a kind says no other.

        Raises NetworkError when they do not fit.
        """
        return one_shape(shapes)

    def parameters(self, shape: Shape) -> dict[str, Shape]:
        """Shapes of the trainable arrays when reading ``shape``, by their name in the layer."""
        return {}

    def statistics(self, shape: Shape) -> dict[str, Shape]:
        """Shapes of the arrays that a trained layer holds but no gradient changes."""
        return {}


class Conv(Layer, tag="conv", frozen=True, kw_only=True):
    """2-D convolution. Sides are one integer or [height, width]; padding may also be four sides,
    [top, left, bottom, right]."""

    out_channels: int
    kernel: Side
    stride: Side = 1
    padding: Border = 0
    dilation: Side = 1
    groups: int = 1
    bias: bool = True

    def __post_init__(self):
        check_positive(self, "out_channels", "kernel", "stride", "dilation", "groups")
        if not all(0 <= amount <= LARGEST_SIDE for amount in border(self.padding)):
            raise ValueError(f"padding must be 0 to {LARGEST_SIDE:,}")

    def output_shape(self, *shapes: Shape) -> Shape:
        channels, height, width = image_shape(shapes)
        if channels % self.groups or self.out_channels % self.groups:
            raise NetworkError(
                f"{self.groups} groups do not divide {channels} in- and {self.out_channels}"
                " out-channels"
            )
        sides = window_counts(
            (height, width), self.kernel, self.stride, self.padding, self.dilation
        )
        return (self.out_channels, *sides)

    def parameters(self, shape: Shape) -> dict[str, Shape]:
        weight = (self.out_channels, shape[0] // self.groups, *pair(self.kernel))
        return {"weight": weight} | ({"bias": (self.out_channels,)} if self.bias else {})


class Linear(Layer, tag="linear", frozen=True, kw_only=True):
    """Fully connected layer over the last axis: of (features,), or of every token of (tokens,
    features)."""

    out_features: int
    bias: bool = True

    def __post_init__(self):
        check_positive(self, "out_features")

    def output_shape(self, *shapes: Shape) -> Shape:
        shape = one_shape(shapes)
        if len(shape) > 2:
            raise NetworkError(f"reads {shape_text(shape)}; put a flatten layer before it")
        return (*shape[:-1], self.out_features)

    def parameters(self, shape: Shape) -> dict[str, Shape]:
        weight = {"weight": (self.out_features, shape[-1])}
        return weight | ({"bias": (self.out_features,)} if self.bias else {})


class BatchNorm(Layer, tag="batch_norm", frozen=True, kw_only=True):
    """Normalisation by trained statistics: gamma * (x - mean) / sqrt(variance + epsilon) + beta."""

    epsilon: float = 1e-5

    def __post_init__(self):
        if not 0 <= self.epsilon < 1e30:
            raise ValueError("epsilon must not be negative or infinite")

    def parameters(self, shape: Shape) -> dict[str, Shape]:
        return {"weight": shape[:1], "bias": shape[:1]}

    def statistics(self, shape: Shape) -> dict[str, Shape]:
        return {"running_mean": shape[:1], "running_var": shape[:1]}


class Relu(Layer, tag="relu", frozen=True, kw_only=True):
    """max(x, 0)."""


class Clip(Layer, tag="clip", frozen=True, kw_only=True):
    """Values less than ``low`` become that, values above ``high`` that."""

    low: float
    high: float

    def __post_init__(self):
        if not -1e30 < self.low < self.high < 1e30:
            raise ValueError("low must be less than high, and both must be finite")

    @property
    def bounds(self) -> tuple[float, float]:
        """The lowest and the highest value."""
        return self.low, self.high


class Relu6(Layer, tag="relu6", frozen=True, kw_only=True):
    """Values clipped to 0 .. 6."""

    @property
    def bounds(self) -> tuple[float, float]:
        """The lowest and the highest value."""
        return 0.0, 6.0


class HardTanh(Layer, tag="hard_tanh", frozen=True, kw_only=True):
    """Values clipped to -1 .. 1."""

    @property
    def bounds(self) -> tuple[float, float]:
        """The lowest and the highest value."""
        return -1.0, 1.0


class Sigmoid(Layer, tag="sigmoid", frozen=True, kw_only=True):
    """1 / (1 + e**-x), in integers by a table to ``fraction_bits`` (1 to 16) of the result."""

    fraction_bits: int = 8

    def __post_init__(self):
        _check_bits(self, fraction_bits=(1, 16))


class Tanh(Layer, tag="tanh", frozen=True, kw_only=True):
    """The hyperbolic tangent, in integers by a table to ``fraction_bits`` (1 to 16)."""

    fraction_bits: int = 7

    def __post_init__(self):
        _check_bits(self, fraction_bits=(1, 16))


class Softmax(Layer, tag="softmax", frozen=True, kw_only=True):
    """Softmax along the last axis, in integers by a table of exponentials.

    bits            of the result, 1 to 16, whose scale is 2**-bits
    fraction_bits   of the exponentials, 1 to 30
    """

    bits: int = 8
    fraction_bits: int = 15

    def __post_init__(self):
        _check_bits(self, bits=(1, 16), fraction_bits=(1, 30))


class MatMul(Layer, tag="matmul", frozen=True, kw_only=True):
    """The product of two tensors, matrix by matrix: (rows, depth) by (depth, columns), or by
    (columns, depth) where ``transposed``; both with the same leading side, or none."""

    transposed: bool = False

    def output_shape(self, *shapes: Shape) -> Shape:
        if len(shapes) != 2:
            raise NetworkError("multiplies two tensors: list their names under inputs")
        x, y = shapes
        depth, columns = y[-2:] if len(y) > 1 else (0, 0)
        if self.transposed:
            depth, columns = columns, depth
        if not 2 <= len(x) == len(y) <= 3 or x[:-2] != y[:-2] or x[-1] != depth:
            how = "by the transpose of" if self.transposed else "by"
            raise NetworkError(f"cannot multiply {shape_text(x)} {how} {shape_text(y)}")
        return (*x[:-1], columns)


class Concat(Layer, tag="concat", frozen=True, kw_only=True):
    """Two tensors or more, one after another along ``axis``, by default the first: the channels."""

    axis: int = 0

    def __post_init__(self):
        if self.axis < 0:
            raise ValueError("axis must not be negative")

    def output_shape(self, *shapes: Shape) -> Shape:
        if len(shapes) < 2:
            raise NetworkError("joins two tensors or more: list their names under inputs")
        listed = " and ".join(shape_text(shape) for shape in shapes)
        if self.axis >= min(len(shape) for shape in shapes):
            raise NetworkError(f"joins along axis {self.axis}, which {listed} do not have")
        before, after = shapes[0][: self.axis], shapes[0][self.axis + 1 :]
        if {(s[: self.axis], s[self.axis + 1 :]) for s in shapes} != {(before, after)}:
            what = "channels" if self.axis == 0 else f"axis {self.axis}"
            raise NetworkError(f"cannot join tensors that differ in more than {what}: {listed}")
        return (*before, sum(shape[self.axis] for shape in shapes), *after)


class Add(Layer, tag="add", frozen=True, kw_only=True):
    """The elementwise sum of two or more tensors of one shape."""

    def output_shape(self, *shapes: Shape) -> Shape:
        if len(shapes) < 2:
            raise NetworkError("adds two tensors or more: list their names under inputs")
        if len(set(shapes)) > 1:
            listed = " and ".join(shape_text(shape) for shape in shapes)
            raise NetworkError(f"cannot add tensors of different shapes: {listed}")
        return shapes[0]


class Flatten(Layer, tag="flatten", frozen=True, kw_only=True):
    """All values of an image in one row: channel, height, width."""

    def output_shape(self, *shapes: Shape) -> Shape:
        return (prod(one_shape(shapes)),)


LayerRow = (
    Conv
    | Linear
    | BatchNorm
    | Relu
    | Relu6
    | Clip
    | HardTanh
    | Sigmoid
    | Tanh
    | Softmax
    | Add
    | Concat
    | MatMul
    | Flatten
)
Clipping = Clip | Relu6 | HardTanh  # have bounds
Tabled = Sigmoid | Tanh | Softmax  # are computed from levels by a table


def pair(side: Side) -> tuple[int, int]:
    """(height, width) of a side given once or twice."""
    return (side, side) if isinstance(side, int) else side


def border(padding: Border) -> tuple[int, int, int, int]:
    """(top, left, bottom, right) of a padding given once, by side or by edge."""
    if isinstance(padding, int):
        return (padding,) * 4
    if len(padding) not in (2, 4):
        raise ValueError("padding has one, two or four values")
    return padding if len(padding) == 4 else padding * 2


def one_shape(shapes: tuple[Shape, ...]) -> Shape:
    """The one shape that a layer reads. Raises NetworkError where there are more."""
    if len(shapes) != 1:
        raise NetworkError(f"reads 1 tensor, not {len(shapes)}")
    return shapes[0]


def shape_text(shape: Shape) -> str:
    """A shape as it is printed: 3x224x224."""
    return "x".join(str(side) for side in shape)


def check_positive(layer: Layer, *names: str) -> None:
    """Raises ValueError where a parameter is given and is no side or sides of 1 or more."""
    for name in names:
        value = getattr(layer, name)
        if value is not None and not all(1 <= side <= LARGEST_SIDE for side in pair(value)):
            raise ValueError(f"{name} must be 1 to {LARGEST_SIDE:,}")


def _check_bits(layer: Layer, **ranges: tuple[int, int]) -> None:
    for name, (low, high) in ranges.items():
        if not low <= getattr(layer, name) <= high:
            raise ValueError(f"{name} must be {low} to {high}")


def image_shape(shapes: tuple[Shape, ...]) -> Shape:
    """The one shape read, of an image. Raises NetworkError on another."""
    shape = one_shape(shapes)
    if len(shape) != 3:
        raise NetworkError(f"reads an image of channels, height and width, not {shape_text(shape)}")
    return shape


def window_counts(
    sides: Shape, kernel: Side, stride: Side, padding: Border, dilation: Side = 1
) -> Shape:
    """Positions of a window along height and width."""
    edges = border(padding)
    counts = []
    for axis in (0, 1):
        padded = sides[axis] + edges[axis] + edges[axis + 2]
        span = pair(dilation)[axis] * (pair(kernel)[axis] - 1) + 1
        if span > padded:
            raise NetworkError(f"a window of {span} does not fit a padded side of {padded}")
        counts.append((padded - span) // pair(stride)[axis] + 1)
    return tuple(counts)
