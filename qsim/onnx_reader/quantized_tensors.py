"""What the tensors of a quantized ONNX graph are, and the program that is made of them."""

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from qsim.errors import NetworkError, QsimError
from qsim.formats import Affine, AffineGrid, Fixed, Float, Format, Quantized, QuantizedAffine
from qsim.network.graph import INPUT
from qsim.network.kinds import KeepsLevels
from qsim.network.layers import Clip, Layer, Shape
from qsim.network.weights import Weights

WIDEST = 1e29  # bounds of a layer that leaves values as they are
SUFFIXES = ("_QuantizeLinear_Output", "_quantized", "_real", "_rows", "_output_0")


@dataclass(frozen=True)
class Grid:
    """How integers stand for reals: (code - ``zero_point``) * ``scale``; ``dtype`` uint8, int8."""

    scale: np.float32
    zero_point: int
    dtype: np.dtype

    @property
    def number(self) -> Format:
        """The format of the levels, code - zero point."""
        if self.dtype == np.int8 and self.zero_point == 0:
            return Fixed(8, full_range=True)
        signed = self.dtype == np.int8
        return AffineGrid(8, self.zero_point + 128 * signed, signed_codes=bool(signed))

    def narrowed(self, low: int, high: int) -> Format | None:
        """The format of codes ``low .. high``, if they are all of fewer bits."""
        bits = int(high + 1).bit_length() - 1
        is_power = self.dtype == np.uint8 and low == 0 and high + 1 == 2**bits
        return AffineGrid(bits, self.zero_point) if is_power and self.zero_point <= high else None


@dataclass(frozen=True)
class Activation:
    """A tensor that a layer makes.

    layer    its name, or ``input``
    grid     of integers, or of the reals that were integers; None: of reals alone
    coded    whether the tensor is the integers themselves
    exact    of reals without a grid: whether they are sums of integers that are not rounded yet
    merged   whether the steps of all images follow one another along the first axis
    """

    layer: str
    grid: Grid | None = None
    coded: bool = False
    exact: bool = False
    merged: bool = False


@dataclass(frozen=True)
class Parameter:
    """A constant: real, or the reals that integers stand for.

    codes        integers, or reals where there is no scale
    scale        float32 (1,) or (n,) along ``axis``; None: none
    zero_point   integers of its shape
    """

    codes: np.ndarray
    scale: np.ndarray | None = None
    zero_point: np.ndarray | None = None
    axis: int = 1

    @property
    def real(self) -> np.ndarray:
        """The float32 values."""
        if self.scale is None:
            return self.codes.astype(np.float32)
        sides = [1] * self.codes.ndim
        if self.scale.size > 1:
            sides[self.axis] = self.scale.size
        levels = self.codes.astype(np.int64) - self.zero_point.astype(np.int64).reshape(sides)
        with np.errstate(over="ignore"):  # what is infinite is refused where it is used
            return levels.astype(np.float32) * self.scale.reshape(sides)

    def rows_first(self, turned: bool) -> "Parameter":
        """A matrix with its rows, the outputs, first; ``turned``: they are its columns."""
        if not turned:
            return self
        return replace(self, codes=self.codes.T, axis=1 - self.axis)


@dataclass
class Draft:
    """The program in the making.

    shapes   of one image's tensor, by layer
    notes    a sentence for each thing that ONNX Runtime may compute otherwise
    real_input   whether the network's input is computed with as it is, in real numbers
    """

    path: str
    layers: list[Layer] = field(default_factory=list)
    shapes: dict[str, Shape] = field(default_factory=dict)
    weights: dict[str, Quantized | None] = field(default_factory=dict)
    biases: dict[str, np.ndarray] = field(default_factory=dict)
    real: Weights = field(default_factory=dict)
    formats: dict[str, Format | Float] = field(default_factory=dict)
    scales: dict[str, np.ndarray] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    real_input: bool = False

    def add(self, kind: type[Layer], name: str, sources: list[str], **fields: Any) -> str:
        """Add a layer; its name, which is ``name`` or, where that is taken, a longer one.

        Raises QsimError naming it where shapes or sides do not fit.
        """
        name = self._free(name)
        try:
            layer = kind(name=name, inputs=tuple(sources), **fields)
            self.shapes[name] = layer.output_shape(*(self.shapes[source] for source in sources))
        except (NetworkError, ValueError) as error:
            raise self.refusal(name, str(error)) from None
        self.layers.append(layer)
        return name

    def identity(self, name: str, source: str) -> str:
        """Add a layer that leaves values as they are, to be rounded in another way."""
        return self.add(Clip, name, [source], low=-WIDEST, high=WIDEST)

    def round(self, layer: str, grid: Grid) -> None:
        """Round what a layer makes."""
        self.formats[layer] = grid.number
        self.scales[layer] = np.float32(grid.scale)

    def keeps_levels(self, layer: str) -> bool:
        """Whether a layer makes the very levels that it reads, where it reads some."""
        return any(each.name == layer and isinstance(each, KeepsLevels) for each in self.layers)

    def hold(self, layer: str, weight: Parameter, bias: np.ndarray, grid: Grid) -> None:
        """Give the last layer, of integer products, which reads a tensor of ``grid``, its weights
        (rows first) and its bias, int64 (rows,)."""
        self.weights[layer] = quantized = as_quantized(weight)
        self.biases[layer] = bias
        by_row = weight.scale.astype(np.float64) * np.float64(grid.scale)
        self.real[f"{layer}.weight"] = finite32(quantized.real)
        if self.layers[-1].bias:
            self.real[f"{layer}.bias"] = finite32(bias * by_row)

    def hold_real(self, layer: str, weight: Parameter, bias: Parameter | None) -> None:
        """Give a layer in floating point its weights and bias."""
        self.weights[layer] = None
        self.real[f"{layer}.weight"] = finite32(weight.real)
        if bias is not None:
            self.real[f"{layer}.bias"] = finite32(bias.real.reshape(-1))

    def note(self, sentence: str) -> None:
        """Add a note, once."""
        if sentence not in self.notes:
            self.notes.append(sentence)

    def refusal(self, node: str, reason: str) -> QsimError:
        """What is raised on a node that cannot be read."""
        return QsimError(f"{self.path}: node {node!r}: {reason}")

    def _free(self, name: str) -> str:
        taken, number, free = {INPUT, *self.shapes}, 2, name
        while free in taken:
            free, number = f"{name}_{number}", number + 1
        return free


def as_quantized(weight: Parameter) -> Quantized:
    """Weights with their rows first as levels of 8 bits, with a scale for each row or one."""
    ones = (1,) * (weight.codes.ndim - 1)
    scale = weight.scale.reshape(-1, *ones) if weight.scale.size > 1 else weight.scale.reshape(())
    zero_point = weight.zero_point.astype(np.int32).reshape(scale.shape)
    levels = weight.codes.astype(np.int32) - zero_point
    if weight.codes.dtype == np.int8 and not zero_point.any():
        return Quantized(Fixed(8, full_range=True), levels, scale)
    shift = np.int32(np.iinfo(weight.codes.dtype).min)
    return QuantizedAffine(Affine(8), levels, scale, zero_point - shift)


def finite32(real: np.ndarray) -> np.ndarray:
    """``real`` as float32. Raises ValueError where a value is infinite or none."""
    with np.errstate(over="ignore"):
        real = real.astype(np.float32)
    if not np.isfinite(real).all():
        raise ValueError("its weights or its bias are no finite float32")
    return real


def base_name(tensor: str) -> str:
    """The name of a tensor without what writers of quantized graphs add to it."""
    while True:
        for suffix in SUFFIXES:
            if tensor.endswith(suffix) and tensor != suffix:
                tensor = tensor[: -len(suffix)]
                break
        else:
            return layer_name(tensor)


def layer_name(tensor: str) -> str:
    """A name that a layer may have: printable, without spaces, of up to 100 characters."""
    name = "".join(c if c.isprintable() and not c.isspace() else "_" for c in tensor)
    return name[-90:] or "layer"
