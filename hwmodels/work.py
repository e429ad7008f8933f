"""The table of work: all that a cost model knows of a network."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class LayerWork:
    """The work of one convolution or linear layer for one image; a linear layer is a convolution
    of 1 x 1 over 1 x 1.

    rows_multiply      output channels whose weights are multiplied
    rows_shift_add     output channels whose weights are shifted and added
    weight_bits, activation_bits   stored width of the operands
    stored_values, stored_bits     of its result, once pooled and rounded
    added_values                   of the other operands of an addition into its result, read at
                                   ``stored_bits``
    in_float           whether it is computed in floating point
    """

    name: str
    kind: str
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
    in_float: bool = False

    @property
    def weights(self) -> int:
        """Weights, without biases."""
        return self.out_channels * self.in_channels // self.groups * self.kernel_h * self.kernel_w

    @property
    def macs(self) -> int:
        """Multiply-accumulates."""
        return self.weights * self.out_h * self.out_w

    @property
    def weight_bytes(self) -> float:
        """Bytes of the packed weights, without scales and biases."""
        return self.weights * self.weight_bits / 8

    @property
    def input_bytes(self) -> float:
        """Bytes of the packed activations read, each once, with those that are added."""
        read = self.in_channels * self.in_h * self.in_w * self.activation_bits
        return (read + self.added_values * self.stored_bits) / 8

    @property
    def output_bytes(self) -> float:
        """Bytes of the packed activations written, each once."""
        return self.stored_values * self.stored_bits / 8


@dataclass(frozen=True)
class WorkTable:
    """The work of a network: its layers with products, in order."""

    layers: tuple[LayerWork, ...]

    def __iter__(self) -> Iterator[LayerWork]:
        return iter(self.layers)

    def column(self, name: str) -> np.ndarray:
        """One field or property of every layer, shape (layers,)."""
        return np.array([getattr(layer, name) for layer in self.layers])

    @property
    def macs(self) -> int:
        """Multiply-accumulates of all layers."""
        return sum(layer.macs for layer in self.layers)

    @property
    def weight_bytes(self) -> float:
        """Bytes of all packed weights."""
        return sum(layer.weight_bytes for layer in self.layers)
