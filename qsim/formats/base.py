"""What every number format has: a table of integer levels, and the way from reals to them.

A quantized value is ``scale * level`` with an integer level. A *code* is the word of ``bits`` bits
that hardware stores for a level; several codes may stand for one level.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from math import fsum, inf
from typing import Literal

import numpy as np

BLOCK_VALUES = 2**15
FEW_MIDPOINTS = 16  # so few are found sooner by comparing with each than by a search
MOST_PLACES = 2**17  # of a table of all integers from the lowest to the highest level
INVALID = np.iinfo(np.int64).min  # entry of a code table that no level uses

CalibratedBy = Literal["threshold", "interval", "mean_magnitude", "nothing"]


@dataclass(frozen=True)
class Term:
    """Levels of some in-channels with a scale per row; a quantized weight is the sum of its terms.

    levels   int32 (rows, channels, ...)
    scale    float32 (rows,)
    inputs   first in-channel (index of axis 1) that they multiply, and the one after the last;
             None: all
    """

    levels: np.ndarray
    scale: np.ndarray
    inputs: tuple[int, int] | None = None


@dataclass(frozen=True)
class Quantized:
    """A tensor of integer levels with the scale that makes them real: ``scale * levels``.

    format   the number format of every value
    levels   int32, any shape
    scale    float32, broadcastable to ``levels``
    """

    format: "Format"
    levels: np.ndarray
    scale: np.ndarray

    @cached_property
    def codes(self) -> np.ndarray:
        """The stored word of each level, unsigned integers below ``2**bits``."""
        return self.format.encode(self.levels)

    @property
    def real(self) -> np.ndarray:
        """The float64 values that the levels stand for."""
        return self.levels * self.scale.astype(np.float64)

    @property
    def terms(self) -> tuple[Term, ...]:
        """The integer products that a layer with these weights is made of: one."""
        rows = len(self.levels)
        return (Term(self.levels, np.broadcast_to(self.scale.reshape(-1), (rows,))),)

    def row_format(self, row: int) -> "Format":
        """The format of one row (index of axis 0)."""
        return self.format


@dataclass(frozen=True)
class Found:
    """What calibration found of a tensor: what its format asks for (``calibrated_by``).

    low, high        the range that its levels shall reach, low <= 0 <= high
    mean_magnitude   of all its values
    """

    low: float = 0.0
    high: float = 0.0
    mean_magnitude: float = 0.0

    @property
    def threshold(self) -> float:
        """The magnitude that the levels shall reach."""
        return max(-self.low, self.high)


class Facts:
    """What a table of formats says of one, and what a network asks of it.

    bits           of a stored value
    roles          what may have it: "weights", "activations", "gradients"
    scheme         what its weights are to a processing element: "float", "fixed", "ternary" (-1, 0,
                   +1), "binary" (-1, +1), "sp2" or "power_of_two"
    datapath       how a processing element multiplies by such a weight
    granularities  what may have a scale of its own: "per_channel" (row), "per_tensor", "per_group";
                   the first is the default
    folds          whether a batch norm is folded into the real weights before they are quantized
                   (else they are quantized as trained, and it scales the sums)
    wraps          whether what is out of range wraps around, so that levels do not rise with values
    signed         whether there are negative levels
    scale_map      whether the sums of what reads it are multiplied by XNOR-Net's map of it
    refuses_negative   whether data that can be negative are a mistake (else they are clipped)
    calibrated_by      what activations of it ask calibration for: the magnitude that their levels
                   shall reach, the interval, the mean magnitude, or nothing
    rounds_half_even   whether levels are consecutive and rounded to the nearest, ties to even
    example        parameters to show it with, as ``describe`` writes them
    scale_text     where the scale comes from
    rounding_text  how a real becomes a level
    source         paper and equation
    """

    bits: int
    roles: tuple[str, ...] = ("weights",)
    scheme: str = "fixed"
    datapath: str = "multiply"
    granularities: tuple[str, ...] = ("per_channel", "per_tensor", "per_group")
    folds: bool = True
    signed: bool = True
    scale_map: bool = False
    refuses_negative: bool = False
    wraps: bool = False
    calibrated_by: CalibratedBy = "nothing"
    rounds_half_even: bool = False
    example: str = "bits=4"
    scale_text: str = "range rule"
    rounding_text: str = "nearest, a tie to the even level"
    source: str = ""

    def scale_words(self) -> str:
        """Where the scale of this very format comes from."""
        return self.scale_text

    def rounding_words(self) -> str:
        """How this very format rounds."""
        return self.rounding_text

    def rows_by_datapath(self, rows: int) -> dict[str, int]:
        """How many of ``rows`` rows of weights shift and add, and how many need a multiplier or
        less (which a multiplier can do as well)."""
        kind = "shift_add" if self.datapath == "shift_add" else "multiply"
        return {"multiply": 0, "shift_add": 0} | {kind: rows}


class Format(Facts, ABC):
    """A number format: its ``bits`` and the integer level of each code.

    Subclasses are frozen dataclasses of their parameters; they give ``code_table`` and the facts
    above where they differ.
    """

    calibrated_by = "threshold"

    @abstractmethod
    def code_table(self) -> np.ndarray:
        """The level of each code, int64 of shape ``(2**bits,)``, INVALID where a code is unused."""

    @cached_property
    def _levels(self) -> np.ndarray:
        table = self.code_table()
        return np.unique(table[table != INVALID])

    def levels(self) -> np.ndarray:
        """The distinct integer levels in rising order, int64, in steps of ``unit``."""
        return self._levels.copy()

    @property
    def scheme(self) -> str:
        """What its weights are to a processing element: ternary or binary where the levels are."""
        levels = tuple(self._levels)
        return {(-1, 0, 1): "ternary", (-1, 1): "binary"}.get(levels, "fixed")

    @property
    def max_level(self) -> int:
        """The largest level."""
        return int(self._levels[-1])

    @property
    def min_level(self) -> int:
        """The smallest level."""
        return int(self._levels[0])

    @property
    def max_magnitude(self) -> int:
        """The largest absolute level."""
        return max(self.max_level, -self.min_level)

    @property
    def signed(self) -> bool:
        """Whether there are negative levels."""
        return self.min_level < 0

    @property
    def alpha_level(self) -> int:
        """The level that stands for the largest magnitude: the largest one."""
        return self.max_level

    @property
    def unit(self) -> Fraction:
        """What one step of the levels is worth when ``alpha_level`` stands for 1."""
        return Fraction(1, self.alpha_level)

    def nearest(self, x: np.ndarray) -> np.ndarray:
        """The level nearest to each ``x`` (a real in steps of ``unit``, not NaN), int32.

        A tie goes to the level of smaller magnitude; what is out of range to the outermost level.
        """
        magnitudes = self._levels[self._levels >= 0].astype(np.int32)
        midpoints = (magnitudes[:-1].astype(np.int64) + magnitudes[1:]) / 2
        if len(midpoints) > FEW_MIDPOINTS:
            # side="left": a value on the midpoint takes the lower magnitude
            nearest = magnitudes[np.searchsorted(midpoints, np.abs(x), side="left")]
        else:
            kind = np.uint8 if magnitudes[-1] < 256 else np.int32
            nearest, distance = np.full(np.shape(x), magnitudes[0], kind), np.abs(x)
            for midpoint, step in zip(midpoints, np.diff(magnitudes).astype(kind), strict=True):
                nearest += (distance > midpoint).view(np.uint8) * step
        negative = np.signbit(x).astype(np.int32)
        return (nearest ^ -negative) + negative  # ~nearest + 1 is -nearest

    def quantize(
        self,
        real: np.ndarray,
        *,
        scale: "np.ndarray | ScaleRule | None" = None,
        axis: int | None = None,
    ) -> Quantized:
        """``real`` rounded to the nearest levels.

        The decision is exact when ``real`` and ``scale`` are float32: their float64 quotient falls
        on a midpoint only where the true quotient does.

        scale   float32 broadcastable to ``real``; or a rule that finds it; by default the largest
                magnitude is mapped to the largest level
        axis    the axis that gets a scale for each of its indices; None: one scale for the tensor

        Raises ValueError on NaN, infinity or a scale that is not positive.
        """
        real = finite(real)
        if scale is None:
            scale = largest_magnitude
        if callable(scale):
            scale = scale(real, self, axis)
        scale = positive(scale)
        return Quantized(self, self.at_scale(real, scale), scale)

    def at_scale(self, real: np.ndarray, scale: np.ndarray) -> np.ndarray:
        """The levels, int32, of finite ``real`` at a float32 ``scale`` that broadcasts to it."""
        # both as float64: numpy 1 divides float32 by a float64 without axes in float32
        scale = scale.astype(np.float64)
        if real.size <= BLOCK_VALUES:
            return self.nearest(real.astype(np.float64) / scale)
        levels, scale = np.empty(real.shape, np.int32), np.broadcast_to(scale, real.shape)
        for rows in row_blocks(real):
            levels[rows] = self.nearest(real[rows].astype(np.float64) / scale[rows])
        return levels

    def bind(
        self, found: Found, adjust: "Adjustment" = lambda scale: scale
    ) -> "tuple[Format, np.ndarray]":
        """This format for activations, and their scale, float32 of shape ().

        found    what calibration found of them
        adjust   what a scale that is found from data goes through, such as to a power of two

        Raises ValueError where there is no such scale.
        """
        return self, adjust(positive(scale_of(np.float64(found.threshold), self)))

    def before_rounding(self, real: np.ndarray) -> np.ndarray:
        """The function of ``real`` that such activations round, float32: the identity, unless the
        paper clips them to a range that is known without data."""
        return real

    def boundaries(self) -> list[tuple[Fraction, bool]]:
        """Where each level but the lowest begins, in rising order, in units of the scale; and
        whether the boundary itself belongs to it. It is what ``nearest`` does, exactly."""
        middles = (self._levels[:-1] + self._levels[1:]) / 2
        inside = self.nearest(middles) == self._levels[1:]
        pairs = zip(middles.tolist(), inside.tolist(), strict=True)
        return [(Fraction(middle), included) for middle, included in pairs]

    def encode(self, levels: np.ndarray) -> np.ndarray:
        """The code of each level; of several, the smallest. Raises ValueError on no level."""
        levels = np.asarray(levels)
        low, count = self.min_level, self.max_level - self.min_level + 1
        if count <= MOST_PLACES and levels.dtype.kind in "iu":
            places = levels.astype(np.int64) - low
            wrong = (places < 0) | (places >= count)
            index = self._index_of_place[places.clip(0, count - 1)]
            wrong |= index < 0
        else:
            index = np.searchsorted(self._levels, levels).clip(max=self._levels.size - 1)
            wrong = self._levels[index] != levels
        if wrong.any():
            raise ValueError(f"{int(levels[wrong].flat[0])} is not a level of {self}")
        return self._first_code[index]

    @cached_property
    def _index_of_place(self) -> np.ndarray:
        """The number of each level by its distance from the lowest, -1 where there is none."""
        index = np.full(self.max_level - self.min_level + 1, -1, np.int64)
        index[self._levels - self.min_level] = np.arange(self._levels.size)
        return index

    @cached_property
    def _first_code(self) -> np.ndarray:
        levels, first = np.unique(self.code_table(), return_index=True)
        return first[levels != INVALID].astype(np.uint8 if self.bits <= 8 else np.uint16)

    def decode(self, codes: np.ndarray) -> np.ndarray:
        """The level of each code, int64. Raises ValueError on a word that is no code."""
        codes = np.asarray(codes)
        if codes.dtype.kind not in "iu":
            raise ValueError(f"codes are integers, not {codes.dtype}")
        if codes.size and (codes.min() < 0 or codes.max() >= 2**self.bits):
            raise ValueError(f"{self} has codes 0 to {2**self.bits - 1}, not {_stray(codes, self)}")
        levels = self.code_table()[codes.astype(np.int64)]
        if (levels == INVALID).any():
            raise ValueError(f"{int(codes[levels == INVALID].flat[0])} is not a code of {self}")
        return levels

    def dequantize(self, codes: np.ndarray, scale: np.ndarray) -> np.ndarray:
        """The float64 values of ``codes``. Raises ValueError on a word that is no code."""
        return self.decode(codes) * positive(scale).astype(np.float64)


class UniformFormat(Format):
    """A format whose levels are consecutive integers, rounded to the nearest, ties to even."""

    rounds_half_even = True

    def nearest(self, x: np.ndarray) -> np.ndarray:
        """The nearest integer within the range, int32; a tie goes to the even one."""
        return np.clip(np.rint(x), self.min_level, self.max_level).astype(np.int32)


class TrainedFormat(Format):
    """A format of networks that are trained with it: its paper says the scale, no rule finds it,
    and its weights are quantized as they were trained, with batch norms scaling the sums."""

    folds = False
    calibrated_by = "nothing"

    @abstractmethod
    def scale_for(self, real: np.ndarray, axis: int | None) -> np.ndarray:
        """The scale of finite ``real``, as ``quantize`` returns it.

        Raises ValueError on data that has none.
        """

    def quantize(
        self, real: np.ndarray, *, scale: "ScaleRule | None" = None, axis: int | None = None
    ) -> Quantized:
        """``real`` at the paper's levels and scale; a rule for scales is not used.

        Raises ValueError on NaN or infinity, on data without a scale and on a scale given as an
        array.
        """
        if scale is not None and not callable(scale):
            raise ValueError(f"{type(self).__name__} has a scale of its own; none can be given")
        real = finite(real)
        scale = positive(self.scale_for(real, axis))
        return Quantized(self, self.at_scale(real, scale), scale)

    def bind(
        self, found: Found, adjust: "Adjustment" = lambda scale: scale
    ) -> tuple[Format, np.ndarray]:
        """This format and its own scale, float32 of shape (), for which no data are needed."""
        return self, positive(self.scale_for(np.zeros(0, np.float32), None))


Adjustment = Callable[[np.ndarray], np.ndarray]
ScaleRule = Callable[[np.ndarray, Format, int | None], np.ndarray]


def largest_magnitude(real: np.ndarray, number: Format, axis: int | None) -> np.ndarray:
    """The scale, float32, that maps the largest magnitude of ``real`` to the largest level.

    With an ``axis``, one for each of its indices, shaped to broadcast. All-zero data has scale 1.
    """
    return scale_of(alpha_of(real, axis), number)


def alpha_of(real: np.ndarray, axis: int | None) -> np.ndarray:
    """The largest magnitude of ``real``, float64; with an ``axis``, of each of its indices, shaped
    to broadcast."""
    others = None if axis is None else tuple(i for i in range(real.ndim) if i != axis % real.ndim)
    kept = axis is not None
    highest = np.max(real, axis=others, keepdims=kept, initial=0.0)
    lowest = np.min(real, axis=others, keepdims=kept, initial=0.0)
    return np.maximum(highest, -lowest, dtype=np.float64)


def mean_magnitude(real: np.ndarray, axis: int | None) -> np.ndarray:
    """The mean of ``|real|``, float32; with an ``axis``, of each of its indices, shaped to
    broadcast.

    The exact sum is rounded to float64, divided and rounded to float32. Raises ValueError where
    there is nothing, or nothing but zeros, to take it of.
    """
    if real.size == 0:
        raise ValueError("an empty tensor has no mean magnitude to be its scale")
    mean = as_float32(mean_of(np.abs(real), axis))
    if not mean.all():
        where = "all values are" if axis is None else f"all of index {mean.argmin()} are"
        raise ValueError(f"{where} 0 (or too small), so their mean magnitude is no scale")
    return mean


def mean_of(real: np.ndarray, axis: int | None) -> np.ndarray:
    """The mean of ``real``, which is not empty, float64; with an ``axis``, of each of its indices,
    shaped to broadcast. The exact sum is rounded once, so that no order of additions matters."""
    rows, shape = rows_of(real.astype(np.float64), axis)
    return np.array([_exact_sum(row) / row.size for row in rows]).reshape(shape)


def _exact_sum(row: np.ndarray) -> float:
    try:
        return fsum(row.data)
    except OverflowError:
        return inf


def rows_of(real: np.ndarray, axis: int | None) -> tuple[np.ndarray, tuple[int, ...]]:
    """The values that share a scale, as rows, and the shape in which the scales broadcast."""
    if axis is None:
        return real.reshape(1, real.size), ()
    first = np.moveaxis(real, axis, 0)
    shape = [1] * real.ndim
    shape[axis] = real.shape[axis]
    rows = first.reshape(len(first), int(np.prod(first.shape[1:])))
    return np.ascontiguousarray(rows), tuple(shape)


def row_blocks(real: np.ndarray) -> Iterator[slice]:
    """Slices of rows (axis 0) of about BLOCK_VALUES values: what is computed of so few on the way
    stays in a processor's cache."""
    size = max(1, BLOCK_VALUES * len(real) // max(real.size, 1))
    return (slice(start, start + size) for start in range(0, len(real), size))


def as_float32(scale: np.ndarray) -> np.ndarray:
    """``scale`` rounded to float32; what is too large becomes infinity, which ``positive``
    refuses."""
    with np.errstate(over="ignore"):
        return np.asarray(scale).astype(np.float32)


def scale_of(alpha: np.ndarray, number: Format) -> np.ndarray:
    """The scale, float32, at which ``alpha_level`` stands for ``alpha``; 1 where alpha is 0."""
    smallest = np.finfo(np.float32).tiny
    scale = np.where(alpha > 0, np.maximum(alpha / number.alpha_level, smallest), 1.0)
    return as_float32(scale)


def finite(real: np.ndarray) -> np.ndarray:
    """``real`` as a float array, integers as float64.

    Raises ValueError when it holds NaN or infinity, or no real numbers.
    """
    real = np.asarray(real)
    if real.dtype.kind not in "fiu":
        raise ValueError(f"values to quantize are real numbers, not {real.dtype}")
    if real.dtype.kind != "f":
        real = real.astype(np.float64)
    good = np.isfinite(real)
    if not good.all():
        raise ValueError(f"{int((~good).sum())} of {real.size} values are NaN or infinite")
    return real


def positive(scale: np.ndarray) -> np.ndarray:
    """``scale`` as float32; raises ValueError when an entry is not positive and finite."""
    scale = as_float32(scale)
    bad = ~(np.isfinite(scale) & (scale > 0))
    if bad.any():
        raise ValueError(f"a scale must be positive and finite, not {scale[bad].flat[0]}")
    return scale


def check_bits(bits: int, low: int, high: int, name: str) -> None:
    """Raises ValueError unless ``low <= bits <= high``."""
    if type(bits) is not int or not low <= bits <= high:
        raise ValueError(f"{name} has {low} to {high} bits, not {bits}")


def _stray(codes: np.ndarray, number: Format) -> int:
    outside = (codes < 0) | (codes >= 2**number.bits)
    return int(codes[outside].flat[0])
