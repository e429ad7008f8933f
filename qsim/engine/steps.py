"""The steps of a compiled program, before they are tables: what each reads, makes and how.

A tensor is a ``Buffer`` of (channels, height, width); a vector of features is an image of one
pixel, or of the shape that it was flattened from.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from qsim.kernels.affine_code import AffineCode
from qsim.kernels.simd.bit_panels import words_of
from qsim.kernels.simd.windows import Windows, with_border
from qsim.network.layers import Shape
from qsim.network.pools import MaxPool
from qsim.values import Sums

INT32_MAX = 2**31 - 1
Codes = tuple[AffineCode | None, AffineCode]  # of weights, and of inputs


@dataclass(eq=False)
class Buffer:
    """A tensor in memory: levels as bytes or as planes of bits, or sums of 32 bits.

    name      of the rounded tensor it is; None: of none
    zero      the byte of level 0; None: it holds sums
    border    rows and columns of level 0 at top, left, bottom and right; of planes, of zeros
    code      of levels that are a few bits; None: they are not
    planes    whether it holds planes, [plane][row][column][word of a pixel]
    """

    shape: tuple[int, int, int]
    zero: int | None
    name: str | None = None
    border: tuple[int, int, int, int] = (0, 0, 0, 0)
    code: AffineCode | None = None
    planes: bool = False

    def widen(self, padding: tuple[int, int, int, int]) -> None:
        """Give it a border that a reader with this padding needs."""
        self.border = tuple(max(sides) for sides in zip(self.border, padding, strict=True))

    @property
    def padded(self) -> tuple[int, int]:
        """Height and width with the border."""
        return with_border(self.shape[1:], self.border)

    @property
    def pixel(self) -> int:
        """Bytes, sums, or words of a plane, of a pixel."""
        return words_of(self.shape[0]) if self.planes else self.shape[0]

    @property
    def plane(self) -> int:
        """Those of all pixels, the border's included."""
        return self.pixel * self.padded[0] * self.padded[1]

    @property
    def size(self) -> int:
        """Bytes, sums, or words of all planes, that it takes."""
        return self.plane * (self.code.bits if self.planes else 1)

    @property
    def is_bytes(self) -> bool:
        """Whether it holds levels as bytes."""
        return self.zero is not None and not self.planes

    @property
    def memory(self) -> str:
        """Which memory it lies in."""
        if self.planes:
            return "planes"
        return "sums" if self.zero is None else "bytes"

    @property
    def first_pixel(self) -> int:
        """Where the first pixel within the border lies, from the beginning."""
        return (self.border[0] * self.padded[1] + self.border[1]) * self.pixel

    def border_runs(self) -> np.ndarray:
        """The border (of a plane) as runs, int64 (runs, 2): where each begins, and its length."""
        _, height, width = self.shape
        top, left, bottom, right = self.border
        row = self.padded[1] * self.pixel
        ends = [(top + y) * row + (left + width) * self.pixel for y in range(height)]
        runs = [(0, top * row + left * self.pixel)]
        runs += [(end, (right + left) * self.pixel) for end in ends[:-1]]
        runs.append((ends[-1], right * self.pixel + bottom * row))
        return np.array([run for run in runs if run[1]], np.int64).reshape(-1, 2)


@dataclass(frozen=True, eq=False)
class Product:
    """Sums of the products of a window of ``source`` with weights.

    passes    int8 arrays (out_channels, in_channels // groups, kernel_h, kernel_w), see
              ``ByteLevels``
    bias      int64 (out_channels,), the offset of the bytes not yet taken off
    largest   the largest magnitude that a sum, its bias included, can have
    wrap      the bits of the accumulator, if a sum may wrap around in it; else 0
    codes     of the weights and of the inputs, where their bits are counted; see ``BitProduct``
    """

    source: Buffer
    windows: Windows
    passes: tuple[tuple[np.ndarray, ...], ...]
    bias: np.ndarray
    groups: int
    shape: tuple[int, int, int]
    largest: int
    wrap: int = 0
    codes: Codes | None = None

    @property
    def is_wide(self) -> bool:
        """Whether a sum may need more than 32 bits."""
        return self.largest > INT32_MAX and not self.wrap


@dataclass(frozen=True, eq=False)
class Read:
    """The levels, or sums, of a tensor as they are."""

    source: Buffer
    largest: int

    @property
    def shape(self) -> tuple[int, int, int]:
        """Of the tensor."""
        return self.source.shape


Source = Product | Read


@dataclass(frozen=True, eq=False)
class Term:
    """Sums and their scale, float64 (channels,)."""

    source: Source
    scale: np.ndarray


@dataclass(frozen=True, eq=False)
class Epilogue:
    """How sums become levels.

    mode         how they are rounded, of ``step_table``
    low, high    the lowest and the highest level
    columns      its parameters by channel, by their name in ``step_table.Columns``
    thresholds   int64 (channels, levels - 1), rising, and the levels
    """

    mode: int
    low: int
    high: int
    columns: dict[str, np.ndarray] = field(default_factory=dict)
    thresholds: tuple[np.ndarray, np.ndarray] | None = None


@dataclass(frozen=True, eq=False)
class Addition:
    """How levels of one tensor are added to those of another.

    kind        of ``step_table``
    low, high   the lowest and the highest level of the result
    ratios, zeros, fixed   its parameters, of the two and the result: see ``additions``
    """

    kind: int
    low: int
    high: int
    ratios: tuple = (0, 0, 0)
    zeros: tuple = (0, 0, 0)
    fixed: tuple = (True, (0, 0), (0, 0), False, False)


@dataclass(frozen=True, eq=False)
class ReadImage:
    """The image's levels, found from its values or given.

    exact   whether a value over the scale is float64 and not float32; None: levels are given
    """

    out: Buffer
    low: int
    high: int
    exact: bool | None


@dataclass(frozen=True, eq=False)
class MakeTensor:
    """The levels of ``source`` by an epilogue, or, without one, its sums.

    other      a tensor whose sums or levels the epilogue, or the addition, adds
    addition   how; None: the epilogue does it
    swapped    whether ``other`` is the first of the two that are added
    channel    the first of the channels of ``out`` that are made
    """

    out: Buffer
    source: Source
    epilogue: Epilogue | None
    other: Buffer | None = None
    addition: Addition | None = None
    swapped: bool = False
    channel: int = 0


@dataclass(frozen=True, eq=False)
class LookUp:
    """What a table makes of each byte of ``source``.

    table     int64 (256,)
    channel   the first of the channels of ``out`` that are made
    """

    out: Buffer
    source: Buffer
    table: np.ndarray
    channel: int = 0


@dataclass(frozen=True, eq=False)
class CountBits:
    """Levels of the sums of a product in planes, or, without thresholds, its sums.

    source       its inputs in planes
    thresholds   int64 (channels, 1 or 3), rising: level ``out.code`` has of as many as are reached
    """

    out: Buffer
    source: Buffer
    product: Product
    thresholds: np.ndarray | None


@dataclass(frozen=True, eq=False)
class PackBits:
    """The planes of a tensor of bytes."""

    out: Buffer
    source: Buffer


@dataclass(frozen=True, eq=False)
class UnpackBits:
    """The bytes of a tensor of planes."""

    out: Buffer
    source: Buffer


@dataclass(frozen=True, eq=False)
class PoolLargest:
    """The largest level under each window, of bytes, or of one plane."""

    out: Buffer
    source: Buffer
    layer: MaxPool


Step = ReadImage | MakeTensor | LookUp | CountBits | PackBits | UnpackBits | PoolLargest


@dataclass(frozen=True)
class Pending:
    """A tensor that is not rounded yet.

    terms    what is added
    sums     the same without its integers: scales, offset and bounds, as ``Sums`` has them
    shape    (channels, height, width)
    pools    max pools that follow when it is rounded, which come to the same
    mean     what becomes of the only term's integers first, where they are divided and rounded
    """

    terms: tuple[Term, ...]
    sums: Sums
    shape: tuple[int, int, int]
    pools: tuple[MaxPool, ...] = ()
    mean: Callable[[np.ndarray], np.ndarray] | None = None


@dataclass(frozen=True, eq=False)
class Plan:
    """All steps in order.

    named    the rounded tensors: where they are, and the shape of one image's
    result   the network's output, its terms being tensors
    """

    steps: list[Step]
    named: dict[str, tuple[Buffer, Shape]]
    result: Pending


def without_integers(by_term: tuple[np.ndarray, ...], offset: np.ndarray | None, **known) -> Sums:
    """Sums of terms of these scales, float64 (channels,), of which the integers are not known."""
    nothing = np.zeros((0, len(by_term[0])), np.int64)
    return Sums(tuple((nothing, scale) for scale in by_term), offset, **known)


class Uncompilable(Exception):
    """Why something has no step."""


def reads(step: Step) -> list[Buffer]:
    """The tensors that a step reads."""
    match step:
        case MakeTensor(source=source, other=other):
            return [source.source] if other is None else [source.source, other]
        case ReadImage():
            return []
    return [step.source]
