"""Layers that move values and change none: reshape, transpose, slice, upsample.

Axes and shapes are those of one image's tensor, without the batch.
"""

from math import prod

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


class Reshape(Layer, tag="reshape", frozen=True, kw_only=True):
    """The same values in the same order, in another ``shape``; one side may be -1, which is what
    the others leave."""

    shape: Shape

    def __post_init__(self):
        if not self.shape or not all(-1 <= s <= LARGEST_SIDE and s != 0 for s in self.shape):
            raise ValueError(f"shape must have sides of 1 to {LARGEST_SIDE:,}, or one of -1")
        if self.shape.count(-1) > 1:
            raise ValueError("shape may leave one side open by -1, not more")

    def output_shape(self, *shapes: Shape) -> Shape:
        read = one_shape(shapes)
        known = prod(side for side in self.shape if side != -1)
        made = tuple(prod(read) // known if side == -1 else side for side in self.shape)
        if prod(made) != prod(read):
            raise NetworkError(f"cannot shape {shape_text(read)} as {shape_text(self.shape)}")
        return made


class Transpose(Layer, tag="transpose", frozen=True, kw_only=True):
    """The axes in another ``order``: axis i of the result is axis order[i] of what it reads."""

    order: tuple[int, ...]

    def __post_init__(self):
        if sorted(self.order) != list(range(len(self.order))):
            raise ValueError("order must name each axis once, from 0 on")

    def output_shape(self, *shapes: Shape) -> Shape:
        read = one_shape(shapes)
        if len(read) != len(self.order):
            raise NetworkError(f"orders {len(self.order)} axes, but reads {shape_text(read)}")
        return tuple(read[axis] for axis in self.order)


class Slice(Layer, tag="slice", frozen=True, kw_only=True):
    """The values from ``start`` up to ``stop`` (not included), each ``step``-th, along ``axis``."""

    axis: int = 0
    start: int = 0
    stop: int
    step: int = 1

    def __post_init__(self):
        fits = 0 <= self.start < self.stop <= LARGEST_SIDE
        if not fits or self.step < 1 or self.axis < 0:
            raise ValueError(
                "a slice goes from start (0 or more) up to stop, by steps of 1 or more"
            )

    def output_shape(self, *shapes: Shape) -> Shape:
        read = one_shape(shapes)
        if self.axis >= len(read) or self.stop > read[self.axis]:
            raise NetworkError(
                f"takes {self.start} up to {self.stop} of axis {self.axis}, which"
                f" {shape_text(read)} does not have"
            )
        taken = len(range(self.start, self.stop, self.step))
        return (*read[: self.axis], taken, *read[self.axis + 1 :])


class Upsample(Layer, tag="upsample", frozen=True, kw_only=True):
    """Every value ``factor`` times, along height and along width (nearest neighbour)."""

    factor: Side

    def __post_init__(self):
        if not all(1 <= side <= LARGEST_SIDE for side in pair(self.factor)):
            raise ValueError(f"factor must be 1 to {LARGEST_SIDE:,}")

    def output_shape(self, *shapes: Shape) -> Shape:
        read = image_shape(shapes)
        height, width = pair(self.factor)
        return (read[0], read[1] * height, read[2] * width)


Move = Reshape | Transpose | Slice | Upsample
