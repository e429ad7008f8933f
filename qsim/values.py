"""What a tensor of a running program is: levels, sums that are not rounded yet, or real numbers."""

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np


@dataclass(frozen=True)
class Levels:
    """A rounded tensor: integer levels (images, ...) and one float32 scale."""

    levels: np.ndarray
    scale: np.ndarray


Source = Literal[
    "conv", "depthwise", "linear", "matmul", "add", "multiply", "average", "global_average",
    "softmax", "",
]  # fmt: skip


@dataclass(frozen=True)
class Sums:
    """A tensor still in the accumulator: the sum of its terms, then clipped.

    terms    each int64 levels (images, channels, ...) and their float64 scale, (channels,) or as
             many as levels where every position has its own
    offset   float32 (channels,) or as many as levels, added to the total; None: nothing
    axis     of the levels along which the channels lie
    low      what is less counts as ``low``: 0 after a relu
    high     what is more counts as ``high``
    source   the kind of layer that made it, as runtimes scale the sums of each in their way; ""
             any other. An "average" has a term for each place of a window, a "global_average" one
    scales   how many weight scales that layer has
    divisor  what the total is divided by: the values under the window of an average pool, where
             windows differ (height, width) of them; or what broadcasts to the levels, float32
    zero_points   of the tensors that are the terms of an addition, where all are rounded
    """

    terms: tuple[tuple[np.ndarray, np.ndarray], ...]
    offset: np.ndarray | None = None
    low: float = -np.inf
    high: float = np.inf
    source: Source = ""
    scales: int = 0
    divisor: int | np.ndarray = 1
    axis: int = 1
    zero_points: tuple[int, ...] = ()

    def clipped(self, low: float, high: float) -> "Sums":
        """These sums, within ``low .. high`` after the bounds they have."""
        return replace(
            self,
            low=min(max(self.low, low), high),
            high=min(max(self.high, low), high),
        )

    def with_channels_on(self, axis: int) -> "Sums":
        """The same sums with their channels along another axis: what differs by channel is then as
        many as levels."""
        if axis == self.axis:
            return self

        def spread(values: np.ndarray, levels: np.ndarray) -> np.ndarray:
            if values.ndim == 1 and (values == values[:1]).all():
                return np.broadcast_to(values[:1], levels.shape[axis : axis + 1])
            return np.broadcast_to(by_channel(values, levels, self.axis), levels.shape)

        terms = tuple((levels, spread(scale, levels)) for levels, scale in self.terms)
        offset = None if self.offset is None else spread(self.offset, terms[0][0])
        return replace(self, terms=terms, offset=offset, axis=axis)

    @property
    def channels_first(self) -> "Sums":
        """The same sums with the axis of their channels moved to 1."""
        if self.axis == 1:
            return self

        def moved(values: np.ndarray | None) -> np.ndarray | None:
            spread = values is not None and values.ndim > 1
            return np.moveaxis(values, self.axis, 1) if spread else values

        terms = tuple((moved(levels), moved(scale)) for levels, scale in self.terms)
        return replace(self, terms=terms, offset=moved(self.offset), axis=1)

    @property
    def is_bounded(self) -> bool:
        """Whether a value can count as another."""
        return self.low > -np.inf or self.high < np.inf

    @property
    def uniform(self) -> bool:
        """Whether the value rises with one integer: one term with a scale per channel."""
        return len(self.terms) == 1 and self.terms[0][1].ndim == 1


@dataclass(frozen=True)
class HiddenStates(Sums):
    """The hidden states of an LSTM after every step, as sums of one term, with its cell states:
    ``cells`` are their levels (images, steps, hidden)."""

    cells: np.ndarray | None = None


Value = Levels | Sums | np.ndarray  # an array is a float32 tensor that is not quantized


@dataclass(frozen=True)
class Step:
    """What one layer made: its value before rounding, and after (the same if it is not rounded)."""

    unrounded: Value
    value: Value


@dataclass(frozen=True)
class Element:
    """One value of a tensor: integers and the scale of each, whose sum over ``divisor`` it is, plus
    ``offset``; less than ``low`` counts as that, more than ``high`` too; as ``Sums`` has them."""

    terms: tuple[tuple[int, float], ...]
    offset: float = 0.0
    low: float = -np.inf
    high: float = np.inf
    source: str = ""
    divisor: float = 1
    zero_points: tuple[int, ...] = ()


def shape_of(value: Value) -> tuple[int, ...]:
    """The shape of a tensor, the images first."""
    match value:
        case Levels(levels):
            return levels.shape
        case Sums(terms):
            return terms[0][0].shape
    return value.shape


def element(value: Value, at: tuple[int, ...]) -> Element | None:
    """The value at a position; None where the tensor is not quantized."""
    match value:
        case Levels(levels, scale):
            return Element(((int(levels[at]), float(scale)),))
        case Sums(terms, offset, low, high):
            channel = at[value.axis]
            pairs = tuple(
                (int(sums[at]), float(scale[channel] if scale.ndim == 1 else scale[at]))
                for sums, scale in terms
            )
            bias = 0.0
            if offset is not None:
                bias = float(offset[channel] if offset.ndim == 1 else offset[at])
            divisor = value.divisor
            if isinstance(divisor, np.ndarray):
                divisor = np.broadcast_to(divisor, terms[0][0].shape)[at].item()
            return Element(pairs, bias, low, high, value.source, divisor, value.zero_points)
    return None


def real(value: Value) -> np.ndarray:
    """The float64 values that a tensor stands for."""
    match value:
        case Levels(levels, scale):
            return levels * scale.astype(np.float64)
        case Sums(terms, offset, low, high):
            axis = value.axis
            total = sum(levels * by_channel(scale, levels, axis) for levels, scale in terms)
            total = total / value.divisor
            if offset is not None:
                total = total + by_channel(offset.astype(np.float64), total, axis)
            return np.clip(total, low, high)
    return value.astype(np.float64)


def by_channel(values: np.ndarray, levels: np.ndarray, axis: int = 1) -> np.ndarray:
    """``values`` (channels,) shaped to broadcast to ``levels``, whose channels lie along ``axis``;
    others are returned as they are."""
    return values.reshape(-1, *(1,) * (levels.ndim - 1 - axis)) if values.ndim == 1 else values
