"""A GRU cell in integers: levels in, levels out, no float between.

With the products p = W x + b_x and q = R h + b_h, rows in the order r, z, n:

    r = sigmoid(p_r + q_r)   z = sigmoid(p_z + q_z)   n = tanh(p_n + r * q_n)
    h' = (1 - z) * n + z * h

The reset gate is applied after the recurrent product and its bias, as in torch and in ONNX with
linear_before_reset = 1. In integers, with unit values of k fraction bits (see qsim.kernels.gates):

    r * q_n   divided by 2**k and rounded, then added to p_n and clipped to the gate's levels
    h         rescaled to the unit format, and clipped to it, before it meets z
    h'        (2**k - z) * n + z * h, exact at 2k fraction bits, rescaled to the levels of h

How far a step is from the real cell on the same levels of x and h, where nothing is clipped: the
sums of r and z by up to d = 1 + 2**-15 of the gate's levels, a sigmoid by s = d / 4 + its table's
error, the sum of n by 1.5 * d + s * |q_n|, n by that and its table's error, together t, h' by
t + s * |n - h|, half a level of h and 2**-30, and a level of the unit format. Over several steps
the error of h adds to the operand's.

Source: the documentation of torch.nn.GRU, whose order of rows this is (ONNX orders z, r, h).
"""

from dataclasses import dataclass

import numpy as np

from qsim.kernels.gates import Gates, Rescale, check_state, rescale, shift_half_even
from qsim.kernels.level_grid import LevelGrid


@dataclass(frozen=True)
class Gru:
    """The parameters of a cell.

    gates    of weights (3 * hidden, ...)
    h        the levels of the hidden state
    to_unit  from h to the unit format, (hidden,)
    to_h     from the product of two unit values to h, (hidden,)

    Raises ValueError on weights of other than three gates.
    """

    gates: Gates
    h: LevelGrid
    to_unit: Rescale
    to_h: Rescale

    def __post_init__(self):
        self.gates.hidden(3)

    @property
    def hidden(self) -> int:
        """The size of the hidden state."""
        return self.gates.hidden(3)


def make_gru(gates: Gates, h: LevelGrid) -> Gru:
    """The cell whose multipliers of the hidden state follow from its formats."""
    hidden, unit = gates.hidden(3), gates.unit.scale
    return Gru(gates, h, rescale([h.scale] * hidden, unit), rescale([unit**2] * hidden, h.scale))


def gru_step(cell: Gru, x: np.ndarray, h: np.ndarray) -> np.ndarray:
    """The next hidden state, (images, hidden) int64.

    x   (images, inputs) levels
    h   (images, hidden) levels of the cell's format

    Raises ValueError on shapes or a state that do not fit, and what ``GateProduct`` raises.
    """
    h = check_state(h, cell.h, len(x), cell.hidden)
    gates, unit_bits = cell.gates, cell.gates.unit.fraction_bits
    by_gate = (len(x), 3, cell.hidden)
    p_r, p_z, p_n = gates.of_x(x, gates.gate).reshape(by_gate).swapaxes(0, 1)
    q_r, q_z, q_n = gates.of_h(h, gates.gate).reshape(by_gate).swapaxes(0, 1)
    r, z = (gates.sigmoid(gates.gate.clip(p + q)) for p, q in ((p_r, q_r), (p_z, q_z)))
    n = gates.tanh(gates.gate.clip(p_n + shift_half_even(r * q_n, unit_bits)))
    mixed = (2**unit_bits - z) * n + z * cell.to_unit(h, gates.unit)
    return cell.to_h(mixed, cell.h)


def gru(cell: Gru, x: np.ndarray, h: np.ndarray) -> np.ndarray:
    """The hidden states after every step, (steps, images, hidden) int64.

    x   (steps, images, inputs) levels
    h   the state before the first step, as for ``gru_step``
    """
    states = np.zeros((len(x), *h.shape), np.int64)
    for step, levels in enumerate(x):
        states[step] = h = gru_step(cell, levels, h)
    return states
