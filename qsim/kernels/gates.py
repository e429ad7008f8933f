"""What recurrent cells share: products brought to the format of the gates, and arithmetic in it.

A gate's sum is that of two products, of the input and of the hidden state, each in scales of its
own. Both are brought to one fixed-point format, row by row, and added there. All is integer:

rescale      value * multiplier / 2**(31 - shift), rounded once, a half up ("tflite" of
             qsim.kernels.fixed_multiplier), clipped to the target's levels
gate         rescaled product of x + rescaled product of h, clipped to the gate's levels
activation   a table from the gate's levels to those of a unit format, at most 16 bits
product      of two unit values, or of one and a gate or a state: divided by a power of two, rounded
             to the nearest integer, a half to the even one
"""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from qsim.kernels.accumulator import Accumulator
from qsim.kernels.datapath import Datapath
from qsim.kernels.fixed_multiplier import apply_multiplier, quantize_multiplier
from qsim.kernels.layers import linear
from qsim.kernels.level_grid import LevelGrid
from qsim.kernels.pool import divide_half_even
from qsim.kernels.tables import Table

MAX_UNIT_BITS = 15  # so that a product of two unit values fits 32 bits


@dataclass(frozen=True)
class Rescale:
    """Integer multipliers ``multiplier / 2**31 * 2**shift``, as ``quantize_multiplier`` makes them.

    multiplier   (rows,) integers 0 .. 2**31 - 1
    shift        (rows,) integers -31 .. 30
    """

    multiplier: np.ndarray
    shift: np.ndarray

    def __call__(self, values: np.ndarray, target: LevelGrid) -> np.ndarray:
        """``values`` (images, rows) within int32, rescaled and clipped to ``target``, int64.

        Raises ValueError on other rows, OverflowError where ``apply_multiplier`` does.
        """
        limits = target.low, target.high
        factors = self.multiplier, self.shift
        return apply_multiplier(values, *factors, limits, rounding="tflite").astype(np.int64)


def rescale(source: Sequence[Fraction], target: Fraction) -> Rescale:
    """From scales of ``source``, one for each row, to that of ``target``.

    Raises ValueError on a ratio that ``quantize_multiplier`` refuses.
    """
    ratios = np.array([float(scale / target) for scale in source], np.float64)
    return Rescale(*quantize_multiplier(ratios))


@dataclass(frozen=True)
class GateProduct:
    """The product of one operand, brought to the gates' format.

    weights       a datapath of shape (gates * hidden, depth)
    to_gate       from the scale of each row's sums to that of the gates
    bias          (gates * hidden,) integers in the scale of the sums, or None
    accumulator   of the sums, which must stay within int32
    """

    weights: Datapath
    to_gate: Rescale
    bias: np.ndarray | None = None
    accumulator: Accumulator = Accumulator()  # noqa: RUF009 (immutable)

    def __call__(self, x: np.ndarray, gate: LevelGrid) -> np.ndarray:
        """The gates' part of levels ``x`` (images, depth): (images, gates * hidden) int64.

        Raises what ``linear`` and ``Rescale`` do.
        """
        sums = linear(x, self.weights, self.bias, accumulator=self.accumulator)
        return self.to_gate(sums, gate)


@dataclass(frozen=True)
class Gates:
    """The two products of a cell and the tables of its gates.

    of_x, of_h      products of the input and of the hidden state
    sigmoid, tanh   from the gate's format to the unit format, both of scale 2**-n

    Raises ValueError on tables of different formats or of more than 15 unit fraction bits, and on
    products of different rows.
    """

    of_x: GateProduct
    of_h: GateProduct
    sigmoid: Table
    tanh: Table

    def __post_init__(self):
        if (self.sigmoid.x, self.sigmoid.y) != (self.tanh.x, self.tanh.y):
            raise ValueError("sigmoid and tanh of a cell read one format and give one")
        within = -(2**MAX_UNIT_BITS) <= self.unit.low <= self.unit.high <= 2**MAX_UNIT_BITS
        if self.unit.fraction_bits > MAX_UNIT_BITS or not within:
            raise ValueError(f"a unit format has up to {MAX_UNIT_BITS} fraction bits and a sign")
        if len(self.of_x.weights.shape) != 2 or len(self.of_h.weights.shape) != 2:
            raise ValueError("the weights of a cell are matrices")
        if self.of_x.weights.shape[0] != self.of_h.weights.shape[0]:
            raise ValueError(
                f"{self.of_x.weights.shape} and {self.of_h.weights.shape} are not of the same gates"
            )

    @property
    def gate(self) -> LevelGrid:
        """The format of the gates before their activation."""
        return self.sigmoid.x

    @property
    def unit(self) -> LevelGrid:
        """The format of the gates after it."""
        return self.sigmoid.y

    def hidden(self, gates: int) -> int:
        """The size of the hidden state of a cell of so many gates.

        Raises ValueError when the weights are of another number of gates.
        """
        rows, hidden = self.of_h.weights.shape
        if rows != gates * hidden:
            raise ValueError(f"recurrent weights {(rows, hidden)} are not of {gates} gates")
        return hidden


def shift_half_even(values: np.ndarray, bits: int) -> np.ndarray:
    """``values / 2**bits`` to the nearest integer, a half to the even one; bits 0 .. 62."""
    return divide_half_even(values, 2**bits)


def check_state(levels: np.ndarray, grid: LevelGrid, images: int, hidden: int) -> np.ndarray:
    """``levels`` as int64. Raises ValueError unless they are (images, hidden) within ``grid``."""
    if levels.shape != (images, hidden):
        raise ValueError(f"a state of {levels.shape} is not {(images, hidden)}")
    return grid.check(levels)
