"""The integer cells of recurrent layers: their formats, tables and products."""

from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache

import numpy as np

from qsim.kernels import real_functions
from qsim.kernels.accumulator import Accumulator
from qsim.kernels.datapath import Datapath
from qsim.kernels.gates import GateProduct, Gates, rescale
from qsim.kernels.gru import Gru, gru, make_gru
from qsim.kernels.level_grid import INT32_MAX, LevelGrid, fixed_point
from qsim.kernels.lstm import Lstm, lstm, make_lstm
from qsim.kernels.tables import Table, make_table
from qsim.network import recurrent
from qsim.table_layers import step_bits_of

FARTHEST = 2**30  # levels of a gate that a product may reach before it is clipped to its format


@dataclass(frozen=True)
class Operand:
    """A product of a cell.

    weights   the kernel that multiplies by them
    levels    of its weights, int32 (gates * hidden, depth)
    bias      int64 (gates * hidden,), in the scale of the sums
    scale     of the sums of each row, float64 (gates * hidden,), exact
    largest   the largest magnitude of the levels that meet the weights
    """

    weights: Datapath
    levels: np.ndarray
    bias: np.ndarray
    scale: np.ndarray
    largest: int


def make_cell(
    layer: recurrent.Recurrent, of_x: Operand, of_h: Operand, accumulator: Accumulator
) -> Lstm | Gru:
    """The integer cell of a layer.

    Raises OverflowError when its sums could leave 32 bits, or could be too large for the gates.
    """
    gate = fixed_point(layer.gate_bits, layer.gate_fraction_bits)
    unit = fixed_point(layer.unit_fraction_bits + 1, layer.unit_fraction_bits)
    h = fixed_point(layer.hidden_bits, layer.hidden_fraction_bits)
    products = [_gate_product(operand, gate, accumulator) for operand in (of_x, of_h)]
    gates = Gates(*products, _table("sigmoid", gate, unit), _table("tanh", gate, unit))
    if isinstance(layer, recurrent.Gru):
        return make_gru(gates, h)
    cell_state = fixed_point(layer.cell_bits, layer.cell_fraction_bits)
    return make_lstm(gates, _table("tanh", cell_state, unit), h)


def run_cell(cell: Lstm | Gru, x: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
    """The hidden states of levels ``x`` (images, steps, features) from states of 0, int64
    (images, steps, hidden), and the cell states likewise, None without."""
    zeros = np.zeros((len(x), cell.hidden), np.int64)
    by_step = x.swapaxes(0, 1)
    if isinstance(cell, Gru):
        return gru(cell, by_step, zeros).swapaxes(0, 1), None
    hidden, cells = lstm(cell, by_step, zeros, zeros)
    return hidden.swapaxes(0, 1), cells.swapaxes(0, 1)


def _gate_product(operand: Operand, gate: LevelGrid, accumulator: Accumulator) -> GateProduct:
    scales = [Fraction(float(scale)) for scale in operand.scale]
    worst = _largest_sums(operand, accumulator)
    if max(worst) > INT32_MAX:
        raise OverflowError(
            f"sums of up to {max(worst)} leave the 32 bits that its gates are computed from; give"
            " the accumulator 32 bits or fewer"
        )
    farthest = max(
        max(total, 1) * scale / gate.scale for total, scale in zip(worst, scales, strict=True)
    )
    if farthest >= FARTHEST:
        raise OverflowError(
            f"sums may reach {float(farthest):.3g} levels of its gates, and 2**30 is the most; give"
            " it fewer gate_fraction_bits"
        )
    to_gate = rescale(scales, gate.scale)
    return GateProduct(operand.weights, to_gate, operand.bias, accumulator)


def _largest_sums(operand: Operand, accumulator: Accumulator) -> list[int]:
    """The largest magnitude of each row's sums."""
    weights = np.abs(operand.levels.astype(np.int64)).sum(axis=1)
    totals = weights * operand.largest + np.abs(operand.bias)
    held = -accumulator.low
    return [min(int(total), held) for total in totals]


@lru_cache(maxsize=64)
def _table(name: str, x: LevelGrid, y: LevelGrid) -> Table:
    function = {"sigmoid": real_functions.sigmoid, "tanh": real_functions.tanh}[name]
    return make_table(function, x, y, step_bits_of(x.low, x.high))
