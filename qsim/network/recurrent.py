"""Recurrent layers: an LSTM or a GRU over the steps of a sequence, from states of 0.

Each reads (steps, features) and makes the hidden state after every step, (steps, hidden). Its
arrays have the names, shapes and order of rows of torch.nn.LSTM and torch.nn.GRU.
"""

from typing import ClassVar

from qsim.errors import NetworkError
from qsim.network.layers import LARGEST_SIDE, Layer, Shape, shape_text


class Recurrent(Layer, frozen=True, kw_only=True):
    """What both have: the size of the hidden state, and the fixed-point formats of its integers.

    gate_bits, gate_fraction_bits       the sums of the gates, signed; 4 to 16 bits
    unit_fraction_bits                  the gates after sigmoid or tanh, signed, of one bit more;
                                        3 to 15
    hidden_bits, hidden_fraction_bits   the hidden state, signed, 2 to 16 bits

    What does not fit is clipped. Fraction bits are less than bits.
    """

    gates: ClassVar[int]
    operands: ClassVar[tuple[str, str]] = ("ih", "hh")  # the input, and the hidden state

    hidden: int
    bias: bool = True
    gate_bits: int = 16
    gate_fraction_bits: int = 11
    unit_fraction_bits: int = 15
    hidden_bits: int = 8
    hidden_fraction_bits: int = 7

    def __post_init__(self):
        _check_range("hidden", self.hidden, 1, LARGEST_SIDE)
        _check_range("unit_fraction_bits", self.unit_fraction_bits, 3, 15)
        self._check_format("gate", 4)
        self._check_format("hidden", 2)

    def output_shape(self, *shapes: Shape) -> Shape:
        if len(shapes) != 1 or len(shapes[0]) != 2:
            read = " and ".join(shape_text(shape) for shape in shapes)
            raise NetworkError(f"reads one tensor of steps and features, not {read}")
        return (shapes[0][0], self.hidden)

    def parameters(self, shape: Shape) -> dict[str, Shape]:
        rows, depths = self.gates * self.hidden, (shape[-1], self.hidden)
        named = list(zip(self.operands, depths, strict=True))
        weights = {f"weight_{operand}": (rows, depth) for operand, depth in named}
        biases = {f"bias_{operand}": (rows,) for operand in self.operands}
        return weights | (biases if self.bias else {})

    def _check_format(self, name: str, fewest_bits: int) -> None:
        bits = getattr(self, f"{name}_bits")
        _check_range(f"{name}_bits", bits, fewest_bits, 16)
        key = f"{name}_fraction_bits"
        _check_range(key, getattr(self, key), 0, bits - 1)


class Lstm(Recurrent, tag="lstm", frozen=True, kw_only=True):
    """A long short-term memory; rows in the order input, forget, candidate, output gate.

    cell_bits, cell_fraction_bits   the cell state, signed, 4 to 16 bits; no more fraction bits than
                                    a product of two gates has
    """

    gates: ClassVar[int] = 4

    cell_bits: int = 16
    cell_fraction_bits: int = 11

    def __post_init__(self):
        super().__post_init__()
        self._check_format("cell", 4)
        if self.cell_fraction_bits > 2 * self.unit_fraction_bits:
            raise ValueError("cell_fraction_bits must be at most twice unit_fraction_bits")


class Gru(Recurrent, tag="gru", frozen=True, kw_only=True):
    """A gated recurrent unit; rows in the order reset gate, update gate, candidate. The reset gate
    is applied after the recurrent product and its bias."""

    gates: ClassVar[int] = 3


def _check_range(key: str, value: int, low: int, high: int) -> None:
    if not low <= value <= high:
        raise ValueError(f"{key} must be {low:,} to {high:,}")
