"""A QONNX graph on its way to a program: layers, and what is known of them and of their tensors."""

from dataclasses import dataclass, field, replace

import numpy as np

from qsim.formats import Facts
from qsim.network.layers import Layer, Shape
from qsim.onnx_reader.qonnx_quantizers import Constant


@dataclass(frozen=True)
class Product:
    """What a layer with products computes: sums of products with ``weight`` (rows, ...), times
    ``factor``, plus ``bias``, float64 (rows,), where they are not None.

    integer_bias   the bias as a quantizer made it, where nothing was done to it since
    """

    weight: Constant
    factor: np.ndarray | None = None
    bias: np.ndarray | None = None
    integer_bias: Constant | None = None

    @property
    def rows(self) -> int:
        """The output channels."""
        return len(self.weight.real)

    def times(self, factor: np.ndarray) -> "Product":
        """The products and the bias times a number of each row."""
        factor = np.broadcast_to(np.asarray(factor, np.float64), (self.rows,))
        before = 1.0 if self.factor is None else self.factor
        bias = None if self.bias is None else self.bias * factor
        return replace(self, factor=before * factor, bias=bias, integer_bias=None)

    def plus(self, bias: np.ndarray, constant: Constant | None = None) -> "Product":
        """With a number added to each row; ``constant``: that was quantized."""
        bias = np.broadcast_to(np.asarray(bias, np.float64), (self.rows,))
        first = self.bias is None and self.factor is None
        total = bias if self.bias is None else self.bias + bias
        return replace(self, bias=total, integer_bias=constant if first else None)


@dataclass
class Draft:
    """Layers in order, and what is known of their tensors, by name.

    formats    of tensors that are rounded, with their ``scales``
    products   of layers with products
    arrays     of others, as ``Weights`` names them
    layer_of   by tensor of the file that is quantized, the layer that rounds it
    """

    layers: dict[str, Layer]
    shapes: dict[str, Shape]
    arrays: dict[str, np.ndarray]
    output: str
    formats: dict[str, Facts] = field(default_factory=dict)
    scales: dict[str, np.ndarray] = field(default_factory=dict)
    products: dict[str, Product] = field(default_factory=dict)
    layer_of: dict[str, str] = field(default_factory=dict)
