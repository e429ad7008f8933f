"""One step of one unit of a recurrent layer computed again, by decimals and Python integers."""

from fractions import Fraction
from functools import cache

import numpy as np

from qsim.network.graph import Node
from qsim.network.layers import Sigmoid, Tanh
from qsim.network.recurrent import Gru, Lstm, Recurrent
from qsim.program import Program
from qsim.values import Levels, Step
from qsim.verify.products import layer_product
from qsim.verify.roundings import fixed_point_product
from qsim.verify.tables import function_level, on_a_line


def recurrent_states(
    program: Program, node: Node, steps: dict[str, Step], at: tuple[int, ...]
) -> tuple[int, int]:
    """The hidden level of a unit after a step, and of an LSTM the cell level (else 0): from what
    the step read, and the states that are stored of the step before."""
    (image, step, unit), layer = at, node.layer
    products = program.recurrences[node.name].products
    made = steps[node.name].unrounded
    hidden = np.zeros(layer.hidden, np.int64)
    cell = 0
    if step > 0:
        hidden = made.terms[0][0][image, step - 1]
        cell = int(made.cells[image, step - 1, unit]) if isinstance(layer, Lstm) else 0
    read = (steps[node.inputs[0]].value.levels[image, step], hidden)
    of_x, of_h = (
        [_gate(products, layer, product, levels, gate * layer.hidden + unit)
         for gate in range(layer.gates)]
        for product, levels in zip(node.step_products, read, strict=True)
    )  # fmt: skip
    if isinstance(layer, Lstm):
        return lstm_unit(layer, of_x, of_h, cell)
    return gru_unit(layer, of_x, of_h, int(hidden[unit])), 0


def _gate(products: Program, layer: Lstm | Gru, product: Node, levels: np.ndarray, row: int) -> int:
    """A row of a product of a step's ``levels``, in the format of the gates."""
    one_step = Levels(levels[None], products.scales[product.inputs[0]])
    read = {product.inputs[0]: Step(one_step, one_step)}
    [(total, scale)] = layer_product(products, product, read, (0, row)).terms
    return gate_part(layer, total, scale)


def gate_part(layer: Recurrent, total: int, scale: float) -> int:
    """A product's sum at ``scale``, in the format of the gates."""
    level = fixed_point_product(total, scale * 2.0**layer.gate_fraction_bits, "tflite")
    return _held(level, layer.gate_bits)


def lstm_unit(layer: Lstm, of_x: list[int], of_h: list[int], cell: int) -> tuple[int, int]:
    """The hidden and the cell level of a unit, from the parts of its four gates and its cell level
    before."""
    sums = [_held(x + h, layer.gate_bits) for x, h in zip(of_x, of_h, strict=True)]
    unit, format_of_gates = layer.unit_fraction_bits, (layer.gate_bits, layer.gate_fraction_bits)
    i, f, o = (_unit("sigmoid", unit, *format_of_gates, sums[gate]) for gate in (0, 1, 3))
    g = _unit("tanh", unit, *format_of_gates, sums[2])
    kept = round(Fraction(f * cell, 2**unit))
    new = round(Fraction(i * g, 2 ** (2 * unit - layer.cell_fraction_bits)))
    cell = _held(kept + new, layer.cell_bits)
    squashed = _unit("tanh", unit, layer.cell_bits, layer.cell_fraction_bits, cell)
    return _hidden(layer, o * squashed), cell


def gru_unit(layer: Gru, of_x: list[int], of_h: list[int], hidden: int) -> int:
    """The hidden level of a unit, from the parts of its three gates and its hidden level before."""
    unit, format_of_gates = layer.unit_fraction_bits, (layer.gate_bits, layer.gate_fraction_bits)
    sums = [_held(x + h, layer.gate_bits) for x, h in zip(of_x, of_h, strict=True)]
    r, z = (_unit("sigmoid", unit, *format_of_gates, total) for total in sums[:2])
    reset = of_x[2] + round(Fraction(r * of_h[2], 2**unit))
    n = _unit("tanh", unit, *format_of_gates, _held(reset, layer.gate_bits))
    factor = 2.0 ** (unit - layer.hidden_fraction_bits)
    before = _held(fixed_point_product(hidden, factor, "tflite"), unit + 1)
    return _hidden(layer, (2**unit - z) * n + z * before)


@cache
def _unit(name: str, unit_bits: int, bits: int, fraction_bits: int, level: int) -> int:
    """A gate's or a cell state's level after its sigmoid or tanh by table."""
    kind = {"sigmoid": Sigmoid, "tanh": Tanh}[name](name=name, fraction_bits=unit_bits)

    def entry(at: int) -> int:
        return _held(function_level(kind, Fraction(at, 2**fraction_bits)), unit_bits + 1)

    return on_a_line(entry, level, -(2 ** (bits - 1)), 2 ** (bits - 1) - 1)


def _hidden(layer: Recurrent, product: int) -> int:
    """A product of two unit values, as a level of the hidden state."""
    factor = 2.0 ** (layer.hidden_fraction_bits - 2 * layer.unit_fraction_bits)
    return _held(fixed_point_product(product, factor, "tflite"), layer.hidden_bits)


def _held(level: int, bits: int) -> int:
    """``level`` clipped to a signed format."""
    return min(max(level, -(2 ** (bits - 1))), 2 ** (bits - 1) - 1)
