"""Layers that compute each value from one or a few others: activations, products, normalisations.

Some are computed from levels by a table (``Curve``), some from levels exactly, and some only in
floating point (``FloatStep``), whatever the formats around them.
"""

from typing import Literal

import numpy as np

from qsim.errors import NetworkError
from qsim.network.layers import (
    LARGEST_SIDE,
    Layer,
    Shape,
    Side,
    image_shape,
    one_shape,
    pair,
    shape_text,
)


class Curve(Layer, frozen=True, kw_only=True):
    """A function of one value that grows no faster than it, in integers by a table whose results
    are 2**``extra_bits`` (0 to 16) times as fine as what it reads."""

    extra_bits: int = 8

    def __post_init__(self):
        if not 0 <= self.extra_bits <= 16:
            raise ValueError("extra_bits must be 0 to 16")


class LeakyRelu(Curve, tag="leaky_relu", frozen=True, kw_only=True):
    """x where it is positive, else ``slope`` * x."""

    slope: float = 0.01

    def __post_init__(self):
        super().__post_init__()
        if not 0 <= self.slope <= 1:
            raise ValueError("slope must be 0 to 1")


class Gelu(Curve, tag="gelu", frozen=True, kw_only=True):
    """x * (1 + erf(x / sqrt 2)) / 2; or by ``approximation: tanh``
    x * (1 + tanh(sqrt(2/pi) * (x + 0.044715 x**3))) / 2."""

    approximation: Literal["none", "tanh"] = "none"


class Silu(Curve, tag="silu", frozen=True, kw_only=True):
    """x * sigmoid(x), also called swish."""


class HardSwish(Curve, tag="hard_swish", frozen=True, kw_only=True):
    """x * min(max(x + 3, 0), 6) / 6."""


class Multiply(Layer, tag="multiply", frozen=True, kw_only=True):
    """The elementwise product of two tensors of one shape, where a side of 1 stands for any."""

    def output_shape(self, *shapes: Shape) -> Shape:
        if len(shapes) != 2:
            raise NetworkError("multiplies two tensors: list their names under inputs")
        return _broadcast(shapes, "multiply")


class Scale(Layer, tag="scale", frozen=True, kw_only=True):
    """Every value times a positive ``factor``: integers stay as they are, and their scale is
    multiplied, rounded to float32."""

    factor: float

    def __post_init__(self):
        if not 1e-30 < self.factor < 1e30:
            raise ValueError("factor must be positive and finite; a batch_norm turns signs around")


class FloatStep(Layer, frozen=True, kw_only=True):
    """A layer that is computed in floating point also between quantized ones."""


class LayerNorm(FloatStep, tag="layer_norm", frozen=True, kw_only=True):
    """(x - mean) / sqrt(variance + epsilon) * weight + bias, over the last axis."""

    epsilon: float = 1e-5

    def __post_init__(self):
        if not 0 <= self.epsilon < 1e30:
            raise ValueError("epsilon must not be negative or infinite")

    def parameters(self, shape: Shape) -> dict[str, Shape]:
        return {"weight": shape[-1:], "bias": shape[-1:]}


class LocalResponseNorm(FloatStep, tag="local_response_norm", frozen=True, kw_only=True):
    """x / (bias + alpha / size * sum of squares over ``size`` neighbouring channels) ** beta."""

    size: int = 5
    alpha: float = 1e-4
    beta: float = 0.75
    bias: float = 1.0

    def __post_init__(self):
        if not (1 <= self.size <= LARGEST_SIDE and self.bias > 0 and self.alpha >= 0):
            raise ValueError("size must be 1 or more, bias positive, alpha not negative")


class Offset(FloatStep, tag="offset", frozen=True, kw_only=True):
    """x plus a trained array of ``shape``, where a side of 1 stands for any."""

    shape: Shape

    def output_shape(self, *shapes: Shape) -> Shape:
        read = one_shape(shapes)
        if _broadcast((read, self.shape), "add") != read:
            raise NetworkError(
                f"an array of {shape_text(self.shape)} does not fit {shape_text(read)}"
            )
        return read

    def parameters(self, shape: Shape) -> dict[str, Shape]:
        return {"bias": self.shape}


class Embedding(FloatStep, tag="embedding", frozen=True, kw_only=True):
    """Rows of a table by their numbers, which it reads as (tokens,): (tokens, features).

    positions   rows of a second table, of which each token's place is added; 0: none
    types       rows of a third table, of which the first is added to every token; 0: none
    """

    entries: int
    features: int
    positions: int = 0
    types: int = 0

    def __post_init__(self):
        if not all(1 <= n <= 2**24 for n in (self.entries, self.features)):
            raise ValueError("entries and features must be 1 to 16,777,216")
        if min(self.positions, self.types) < 0:
            raise ValueError("positions and types must not be negative")

    def output_shape(self, *shapes: Shape) -> Shape:
        read = one_shape(shapes)
        if len(read) != 1:
            raise NetworkError(f"reads the numbers of tokens, not {shape_text(read)}")
        if 0 < self.positions < read[0]:
            raise NetworkError(f"has {self.positions} positions, fewer than {read[0]} tokens")
        return (*read, self.features)

    def parameters(self, shape: Shape) -> dict[str, Shape]:
        tables = {"weight": self.entries, "positions": self.positions, "types": self.types}
        return {name: (rows, self.features) for name, rows in tables.items() if rows}


class Resize(FloatStep, tag="resize", frozen=True, kw_only=True):
    """An image at another ``size`` (height, width), by bilinear interpolation; the corners of both
    lie on one another where ``align_corners``, else the borders do."""

    size: Side
    align_corners: bool = False

    def __post_init__(self):
        if not all(1 <= side <= LARGEST_SIDE for side in pair(self.size)):
            raise ValueError(f"size must be 1 to {LARGEST_SIDE:,}")

    def output_shape(self, *shapes: Shape) -> Shape:
        return (image_shape(shapes)[0], *pair(self.size))


PointwiseRow = (
    LeakyRelu
    | Gelu
    | Silu
    | HardSwish
    | Multiply
    | Scale
    | LayerNorm
    | LocalResponseNorm
    | Offset
    | Embedding
    | Resize
)


def _broadcast(shapes: tuple[Shape, ...], verb: str) -> Shape:
    listed = " and ".join(shape_text(shape) for shape in shapes)
    if len({len(shape) for shape in shapes}) > 1:
        raise NetworkError(f"cannot {verb} tensors of different axes: {listed}")
    try:
        return np.broadcast_shapes(*shapes)
    except ValueError:
        raise NetworkError(f"cannot {verb} tensors of different shapes: {listed}") from None
