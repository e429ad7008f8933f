"""An LSTM cell in integers: levels in, levels out, no float between.

With the gates' sums a = W x + b_x + R h + b_h, rows in the order i, f, g, o:

    i = sigmoid(a_i)   f = sigmoid(a_f)   g = tanh(a_g)   o = sigmoid(a_o)
    c' = f * c + i * g
    h' = o * tanh(c')

In integers, with unit values of n fraction bits and a cell state of m (see qsim.kernels.gates):

    c' = clip(f * c / 2**n, rounded, + i * g / 2**(2n - m), rounded)    to the cell's levels
    h' = o * tanh(c'), exact at 2n fraction bits, rescaled to the levels of h

How far a step is from the real cell on the same levels of x, h and c, where nothing is clipped: a
gate's sum by up to d = 1 + 2**-15 of its levels (two roundings, and multipliers of 31 bits), a
sigmoid by s = d / 4 + its table's error, a tanh by t = d + its table's error, c' by
s * |c| + s + t + s * t and one level (two roundings), h' by s + (1 + s) * (that of c', and its
table's error), half a level of h and 2**-30. Over several steps the errors of h and c add to the
operands'.

Source: the documentation of torch.nn.LSTM, whose order of rows this is (ONNX orders i, o, f, c).
"""

from dataclasses import dataclass

import numpy as np

from qsim.kernels.gates import Gates, Rescale, check_state, rescale, shift_half_even
from qsim.kernels.level_grid import LevelGrid
from qsim.kernels.tables import Table


@dataclass(frozen=True)
class Lstm:
    """The parameters of a cell.

    gates       of weights (4 * hidden, ...)
    cell_tanh   from the levels of the cell state, of scale 2**-m, to the unit format
    h           the levels of the hidden state
    to_h        from the product of two unit values to h, (hidden,)

    Raises ValueError on weights of other than four gates, on a table of another unit format and on
    more than twice its fraction bits in the cell state.
    """

    gates: Gates
    cell_tanh: Table
    h: LevelGrid
    to_h: Rescale

    def __post_init__(self):
        self.gates.hidden(4)
        if self.cell_tanh.y != self.gates.unit:
            raise ValueError("the tanh of the cell state gives the unit format of the gates")
        if self.c.fraction_bits > 2 * self.gates.unit.fraction_bits:
            raise ValueError("a cell state has at most the fraction bits of a product of gates")

    @property
    def hidden(self) -> int:
        """The size of the hidden state."""
        return self.gates.hidden(4)

    @property
    def c(self) -> LevelGrid:
        """The levels of the cell state."""
        return self.cell_tanh.x


def make_lstm(gates: Gates, cell_tanh: Table, h: LevelGrid) -> Lstm:
    """The cell whose last multiplier follows from its formats."""
    to_h = rescale([gates.unit.scale**2] * gates.hidden(4), h.scale)
    return Lstm(gates, cell_tanh, h, to_h)


def lstm_step(
    cell: Lstm, x: np.ndarray, h: np.ndarray, c: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The next hidden and cell state, each (images, hidden) int64.

    x      (images, inputs) levels
    h, c   (images, hidden) levels of the cell's formats

    Raises ValueError on shapes or states that do not fit, and what ``GateProduct`` raises.
    """
    h = check_state(h, cell.h, len(x), cell.hidden)
    c = check_state(c, cell.c, len(x), cell.hidden)
    gates, unit_bits = cell.gates, cell.gates.unit.fraction_bits
    sums = gates.gate.clip(gates.of_x(x, gates.gate) + gates.of_h(h, gates.gate))
    sums_i, sums_f, sums_g, sums_o = sums.reshape(len(x), 4, cell.hidden).swapaxes(0, 1)
    kept = shift_half_even(gates.sigmoid(sums_f) * c, unit_bits)
    new = gates.sigmoid(sums_i) * gates.tanh(sums_g)
    c = cell.c.clip(kept + shift_half_even(new, 2 * unit_bits - cell.c.fraction_bits))
    return cell.to_h(gates.sigmoid(sums_o) * cell.cell_tanh(c), cell.h), c


def lstm(cell: Lstm, x: np.ndarray, h: np.ndarray, c: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The hidden and the cell states after every step, each (steps, images, hidden) int64.

    x      (steps, images, inputs) levels
    h, c   the states before the first step, as for ``lstm_step``
    """
    states = np.zeros((2, len(x), *h.shape), np.int64)
    for step, levels in enumerate(x):
        h, c = lstm_step(cell, levels, h, c)
        states[:, step] = h, c
    return states[0], states[1]
