"""Pools: the largest value, or the mean, under each position of a window."""

from math import prod

import numpy as np

from qsim.network.layers import (
    Border,
    Layer,
    Shape,
    Side,
    border,
    check_positive,
    image_shape,
    pair,
    window_counts,
)


class MaxPool(Layer, tag="max_pool", frozen=True, kw_only=True):
    """The largest value under each window; the padding does not take part."""

    kernel: Side
    stride: Side | None = None
    padding: Border = 0

    def __post_init__(self):
        check_positive(self, "kernel", "stride")
        _check_pool_padding(self)

    def output_shape(self, *shapes: Shape) -> Shape:
        channels, height, width = image_shape(shapes)
        sides = window_counts(
            (height, width), self.kernel, self.stride or self.kernel, self.padding
        )
        return (channels, *sides)


class AveragePool(Layer, tag="average_pool", frozen=True, kw_only=True):
    """The mean under each window; without a kernel, over the whole image.

    padding          of zeros
    count_padding    whether these count: a window is divided by its whole area, else by the values
                     of the image that lie under it
    """

    kernel: Side | None = None
    stride: Side | None = None
    padding: Border = 0
    count_padding: bool = True

    def __post_init__(self):
        check_positive(self, "kernel", "stride")
        if self.kernel is None and (self.stride is not None or self.is_padded):
            raise ValueError("a stride or a padding needs a kernel")
        if self.kernel is not None:
            _check_pool_padding(self)

    @property
    def is_padded(self) -> bool:
        """Whether there is any padding."""
        return any(border(self.padding))

    def window(self, shape: Shape) -> tuple[int, int]:
        """Height and width of the window over an input of ``shape``."""
        return pair(self.kernel) if self.kernel is not None else tuple(shape[1:])

    def divisors(self, shape: Shape) -> np.ndarray:
        """What the sum under each window over an input of ``shape`` is divided by, int64, of shape
        () where it is one number, else (height, width)."""
        window = self.window(shape)
        if self.count_padding or not self.is_padded:
            return np.array(prod(window))
        counts = []
        for axis, side in enumerate(self.output_shape(shape)[1:]):
            first = np.arange(side) * pair(self.stride or window)[axis] - border(self.padding)[axis]
            last = np.minimum(first + window[axis], shape[1 + axis])
            counts.append(last - np.maximum(first, 0))
        return counts[0][:, None] * counts[1]

    def output_shape(self, *shapes: Shape) -> Shape:
        shape = image_shape(shapes)
        window = self.window(shape)
        return (shape[0], *window_counts(shape[1:], window, self.stride or window, self.padding))


Pool = MaxPool | AveragePool


def _check_pool_padding(layer: MaxPool | AveragePool) -> None:
    top, left, bottom, right = border(layer.padding)
    height, width = pair(layer.kernel)
    sides = ((top, height), (bottom, height), (left, width), (right, width))
    if any(not 0 <= amount < side for amount, side in sides):
        raise ValueError("padding must not be negative and must be less than the kernel")
