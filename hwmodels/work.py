"""The table of work: all that a cost model knows of a network."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

Kind = Literal["conv", "linear", "matmul", "recurrent"]
MultiplyScheme = Literal["fixed", "ternary", "binary", "float"]
ShiftScheme = Literal["sp2", "power_of_two"]
ActivationScheme = Literal["unsigned", "signed", "plus_minus_one", "float"]


@dataclass(frozen=True)
class LayerWork:
    """The products of one layer for one image, as a convolution; a linear layer is a convolution of
    1 x 1 over 1 x 1, or over as many positions as it has rows to multiply.

    kind               of a "matmul" the second operand is a tensor, not weights: groups are its
                       batch, positions the rows of the first operand; of a "recurrent" layer there
                       are two entries, of its input and of its own state
    rows_multiply      output channels whose weights are multiplied, selected or counted
    rows_shift_add     output channels whose weights are shifted and added
    multiplied_as, shifted_as   what the weights of either kind are
    weight_bits, activation_bits   stored width of the operands
    activation_scheme  what the activations are
    stored_values, stored_bits     of its result, once pooled and rounded
    added_values                   of the other operands of an addition into its result, read at
                                   ``stored_bits``
    sequential         how many of its positions must follow one another: steps of a state, else 1
    """

    name: str
    kind: Kind
    in_channels: int
    out_channels: int
    kernel_h: int
    kernel_w: int
    groups: int
    in_h: int
    in_w: int
    out_h: int
    out_w: int
    rows_multiply: int
    rows_shift_add: int
    weight_bits: int
    activation_bits: int
    stored_values: int
    stored_bits: int
    added_values: int = 0
    multiplied_as: MultiplyScheme = "fixed"
    shifted_as: ShiftScheme = "sp2"
    activation_scheme: ActivationScheme = "unsigned"
    sequential: int = 1

    @property
    def in_float(self) -> bool:
        """Whether it is computed in floating point."""
        return "float" in (self.multiplied_as, self.activation_scheme)

    @property
    def depth(self) -> int:
        """Products of one sum: in-channels of a group times the kernel's area."""
        return self.in_channels // self.groups * self.kernel_h * self.kernel_w

    @property
    def positions(self) -> int:
        """Output positions: height times width."""
        return self.out_h * self.out_w

    @property
    def operand_values(self) -> int:
        """Values of the second operand: weights, or a tensor's."""
        return self.out_channels * self.depth

    @property
    def weights(self) -> int:
        """Weights, without biases; none of a product of two tensors."""
        return 0 if self.kind == "matmul" else self.operand_values

    @property
    def macs(self) -> int:
        """Multiply-accumulates."""
        return self.operand_values * self.positions

    @property
    def weight_bytes(self) -> float:
        """Bytes of the packed weights, without scales and biases."""
        return self.weights * self.weight_bits / 8

    @property
    def input_bytes(self) -> float:
        """Bytes of the packed activations read, each once, with those that are added."""
        read = self.in_channels * self.in_h * self.in_w * self.activation_bits
        second = (self.operand_values - self.weights) * self.weight_bits
        return (read + second + self.added_values * self.stored_bits) / 8

    @property
    def output_bytes(self) -> float:
        """Bytes of the packed activations written, each once."""
        return self.stored_values * self.stored_bits / 8


@dataclass(frozen=True)
class Step:
    """One layer of any kind, in the order in which a network is computed, and the tensor that it
    makes, which has its name.

    kind           the layer's type: "conv", "relu", "add", ..., "input" of the network's input
    reads          the tensors it reads
    values, bits   of its tensor for one image, and of each value as it is stored
    is_stored      whether its tensor goes to memory; else what reads it goes on with it at once
    parameters     trainable values, with the weights
    weights, weight_bits   that it multiplies by, and the bits of each as they are stored
    rows           output channels of its weights: as many scales as a scale per channel needs
    macs           multiply-accumulates for one image
    """

    name: str
    kind: str
    reads: tuple[str, ...]
    values: int
    bits: int
    is_stored: bool = True
    parameters: int = 0
    weights: int = 0
    weight_bits: int = 32
    rows: int = 0
    macs: int = 0


@dataclass(frozen=True)
class WorkTable:
    """The work of a network: its layers with products, in order, and all its steps, in order.

    layers   what products cost
    steps    batch norms folded, as it is executed: what is stored and when it is last read
    """

    layers: tuple[LayerWork, ...]
    steps: tuple[Step, ...] = ()
    _columns: dict[str, np.ndarray] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    def __iter__(self) -> Iterator[LayerWork]:
        return iter(self.layers)

    def column(self, name: str) -> np.ndarray:
        """One field or property of every layer, shape (layers,); read-only, made once."""
        if name not in self._columns:
            made = np.array([getattr(layer, name) for layer in self.layers])
            made.flags.writeable = False
            self._columns[name] = made
        return self._columns[name]

    @property
    def macs(self) -> int:
        """Multiply-accumulates of all layers."""
        return sum(layer.macs for layer in self.layers)

    @property
    def weight_bytes(self) -> float:
        """Bytes of all packed weights."""
        return sum(layer.weight_bytes for layer in self.layers)
