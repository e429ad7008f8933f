"""QONNX's quantizers: what a Quant, BipolarQuant or Trunc says, and what it makes of constants."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from qsim.errors import QsimError
from qsim.formats import BinaryActivations, BinaryWeights, Format, Quant, Quantized
from qsim.onnx_reader.graph import OnnxNode
from qsim.onnx_writer.qonnx_grids import weight_grid

DOMAINS = ("qonnx.custom_op.general", "finn.custom_op.general", "onnx.brevitas")
QUANTIZERS = ("Quant", "IntQuant", "BipolarQuant")
ROUNDINGS = {
    "ROUND": "half_even",
    "HALF_EVEN": "half_even",
    "HALF_UP": "half_away",
    "HALF_DOWN": "half_toward",
    "FLOOR": "floor",
    "CEIL": "ceil",
    "DOWN": "toward_zero",
    "ROUND_TO_ZERO": "toward_zero",
    "UP": "away",
}
MOST_BITS = 16  # of a format; of a bias, MOST_BIAS_BITS
MOST_BIAS_BITS = 32
FARTHEST_ZERO = 2**20


class Reason(QsimError):
    """Why a node is not read; whoever knows the node says its place."""


@dataclass(frozen=True)
class Quantizer:
    """What a node rounds to.

    scale        float32, as the file has it
    zero_point   float32 whole numbers, as the file has them
    bits         of a word; 1 and signed stands for the signs
    """

    scale: np.ndarray
    zero_point: np.ndarray
    bits: int
    signed: bool
    narrow: bool
    rounding: str

    @property
    def is_bipolar(self) -> bool:
        """Whether the levels are the signs."""
        return self.bits == 1 and self.signed

    @property
    def words(self) -> tuple[int, int]:
        """The least and the largest word."""
        if self.signed:
            return self.narrow - 2 ** (self.bits - 1), 2 ** (self.bits - 1) - 1
        return 0, 2**self.bits - 1 - self.narrow

    def activations(self) -> Format:
        """The format of a tensor that is rounded so. Raises Reason where there is none."""
        if self.scale.size != 1 or self.zero_point.size != 1:
            raise Reason(
                "it has a scale or a zero point per channel, and a tensor that layers read has one"
            )
        if self.is_bipolar:
            if self.zero_point.any():
                raise Reason("the signs have no zero point")
            return BinaryActivations()
        return self._format(int(self.zero_point.reshape(-1)[0]))

    def _format(self, zero_point: int) -> Quant:
        if self.bits > MOST_BITS:
            raise Reason(f"it has {self.bits} bits, and a format {MOST_BITS} at most")
        try:
            return Quant(self.bits, self.signed, self.narrow, zero_point, self.rounding)
        except ValueError as error:
            raise Reason(str(error)) from None


@dataclass(frozen=True)
class Constant:
    """A constant tensor of a file; of one that was quantized also its integers.

    real         as the file, or the quantizer, has it
    levels       int64, of its shape, or None
    scale        float32, of its shape
    quantizer    what made the levels
    """

    real: np.ndarray
    levels: np.ndarray | None = None
    scale: np.ndarray | None = None
    quantizer: Quantizer | None = None

    def moved(self, move) -> "Constant":
        """The constant after values were moved, by a function of an array."""
        if self.levels is None:
            return Constant(move(self.real))
        arrays = {"levels": move(self.levels), "scale": move(self.scale)}
        return replace(self, real=move(self.real), **arrays)

    def weights(self) -> Quantized:
        """Quantized weights (rows, ...). Raises Reason where there is no such format."""
        quantizer = self.quantizer
        rows = self.scale.reshape(len(self.scale), -1)
        if rows.size and (rows != rows[:, :1]).any():
            raise Reason("the scale of its weights changes within an output channel")
        scale = np.ascontiguousarray(rows[:, :1]).reshape(-1, *(1,) * (self.levels.ndim - 1))
        if quantizer.scale.size == 1:
            scale = scale[:1].reshape(())
        levels = self.levels.astype(np.int32)
        if quantizer.is_bipolar and not quantizer.zero_point.any():
            return Quantized(BinaryWeights(), levels, scale)
        return Quantized(self._number(quantizer), levels, scale)

    def _number(self, quantizer: Quantizer) -> Quant:
        """The format of weights: the quantizer's, or the narrowest that has all levels where its
        zero points differ."""
        zero_points = np.unique(quantizer.zero_point)
        if len(zero_points) == 1 and not quantizer.is_bipolar:
            return quantizer._format(int(zero_points[0]))
        return weight_grid(int(self.levels.min()), int(self.levels.max()))


def quantizer_of(node: OnnxNode, arrays: Sequence[np.ndarray | None]) -> Quantizer:
    """What a Quant, IntQuant or BipolarQuant says; ``arrays`` are its inputs, None where one is no
    constant.

    Raises Reason where it is no quantizer of integers.
    """
    names = ("scale",) if node.kind == "BipolarQuant" else ("scale", "zero point", "bit width")
    given = [*arrays[1:], *[None] * len(names)][: len(names)]
    for name, value in zip(names, given, strict=True):
        if value is None or not value.size:
            raise Reason(f"its {name} is no constant")
    scale, *others = (value.astype(np.float32) for value in given)
    if not (np.isfinite(scale) & (scale >= np.finfo(np.float32).tiny)).all():
        raise Reason("its scale is not positive and finite")
    if node.kind == "BipolarQuant":
        return Quantizer(scale, np.zeros((), np.float32), 1, True, False, "half_even")
    zero_point, bits = others
    width = float(bits.reshape(-1)[0])
    if bits.size != 1 or width != np.rint(width) or not 1 <= width <= MOST_BIAS_BITS:
        raise Reason(
            f"its bit width {bits.reshape(-1)[:3].tolist()} is not one whole number of 1 to"
            f" {MOST_BIAS_BITS}"
        )
    if not (np.rint(zero_point) == zero_point).all() or np.abs(zero_point).max() > FARTHEST_ZERO:
        raise Reason(f"its zero point is no whole number within {FARTHEST_ZERO:,} of 0")
    words, mode = _words(node.attributes), rounding_of(node.attributes, "ROUND")
    return Quantizer(scale, zero_point, int(width), *words, mode)


def _words(attributes: dict[str, Any]) -> tuple[bool, bool]:
    """Whether the words are signed, and narrow."""
    for key in ("signed", "narrow"):
        if type(attributes.get(key)) is not int or attributes[key] not in (0, 1):
            raise Reason(f"its attribute {key!r} is {attributes.get(key)!r}, and must be 0 or 1")
    return bool(attributes["signed"]), bool(attributes["narrow"])


def rounding_of(attributes: dict[str, Any], default: str) -> str:
    """Our name of a node's rounding mode."""
    mode = str(attributes.get("rounding_mode", default)).upper()
    if mode not in ROUNDINGS:
        raise Reason(f"its rounding mode {mode!r} is none of {', '.join(ROUNDINGS)}")
    return ROUNDINGS[mode]


def quantize_constant(quantizer: Quantizer, real: np.ndarray) -> Constant:
    """The constant that a quantizer makes of ``real``, float32, by the steps of QONNX's executor:
    each rounded to float32, HALF_UP and HALF_DOWN by adding and subtracting a half.

    Raises Reason where a scale or zero point does not fit the tensor.
    """
    real = np.asarray(real, np.float32)
    try:
        scale, zero_point = (
            np.broadcast_to(array, real.shape) for array in (quantizer.scale, quantizer.zero_point)
        )
    except ValueError:
        raise Reason(
            f"its scale or zero point of shape {quantizer.scale.shape} and"
            f" {quantizer.zero_point.shape} does not fit a tensor of shape {real.shape}"
        ) from None
    if not np.isfinite(real).all():
        raise Reason("it quantizes a constant that is NaN or infinite")
    with np.errstate(over="ignore"):  # an infinite quotient is clipped
        words = real / scale + zero_point
    if quantizer.is_bipolar:
        words = np.where(words >= 0, np.float32(1), np.float32(-1))
    else:
        words = _ROUNDED[quantizer.rounding](np.clip(words, *np.float32(quantizer.words)))
    levels = words - zero_point
    return Constant(levels * scale, levels.astype(np.int64), scale, quantizer)


_HALF = np.float32(0.5)
_ROUNDED = {
    "half_even": np.rint,
    "half_away": lambda x: np.sign(x) * np.floor(np.abs(x) + _HALF),
    "half_toward": lambda x: np.sign(x) * np.ceil(np.abs(x) - _HALF),
    "floor": np.floor,
    "ceil": np.ceil,
    "toward_zero": np.trunc,
    "away": lambda x: np.sign(x) * np.ceil(np.abs(x)),
}
