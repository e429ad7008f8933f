"""From sums to levels, by the arithmetic of a named authority. Adding one is a class and a line.

A requantizer takes sums that are not rounded yet, the format and the scale of the tensor that they
become, and gives its levels. Where the format's levels are consecutive integers that round half to
even, the kernels do all of it; other formats decide on the scaled total themselves.
"""

from abc import ABC, abstractmethod
from functools import lru_cache
from math import isinf
from typing import Literal

import numpy as np

from qsim.formats import Format
from qsim.kernels.accumulator import magnitude
from qsim.kernels.add_fixed import add_fixed
from qsim.kernels.fixed_multiplier import requantize_fixed
from qsim.kernels.requantize import (
    LARGEST_SCALED,
    add_aligned,
    requantize_float,
    requantize_shift,
    total_float,
)
from qsim.kernels.requantize_double import requantize_double
from qsim.kernels.thresholds import apply_thresholds
from qsim.onnx_runtime import runtime_levels
from qsim.values import Sums, by_channel

Name = Literal[
    "onnx", "shift", "tflite", "tflite-reference", "tflite-builtin", "thresholds", "onnxruntime"
]  # as in REQUANTIZERS
BUILTIN_LANES = 8  # channels that TFLite's builtin depthwise kernel takes at a time
EXACT_FLOOR = 2**50  # up to it float64 holds every quarter
FARTHEST = 2**62  # no sum is as large


class Requantizer(ABC):
    """An arithmetic that rounds sums to levels.

    integer_only     whether it is made of integer operations alone
    powers_of_two    whether all scales are powers of two
    at_once          whether sums are rounded as soon as they are bounded, as runtimes do that keep
                     tensors in few bits, and not after an addition
    mean             how an average pool rounds its mean before it is rescaled; None: it is not;
                     float32: its values are added in float32, but for that of a whole image
    float_curves     whether curves are those of ONNX Runtime in float32, where they are known, and
                     not by tables of correctly rounded entries
    real_bias        which biases are added to the scaled sum as real numbers, not to the sum as
                     integers: of all layers, of those that are quantized as they were trained
                     (what their batch norm adds), or of none
    """

    integer_only = True
    powers_of_two = False
    at_once = False
    mean: Literal["half_even", "half_away", "float32"] | None = None
    float_curves = False
    real_bias: Literal["all", "trained", "none"] = "none"

    @abstractmethod
    def levels(self, sums: Sums, number: Format, scale: np.ndarray) -> np.ndarray:
        """The levels, int32, of ``sums`` in a tensor of format ``number`` at float32 ``scale``.

        Raises ValueError or OverflowError on what this arithmetic does not define.
        """

    def levels_of_real(self, real: np.ndarray, number: Format, scale: np.ndarray) -> np.ndarray:
        """The levels, int32, of finite real numbers: those of the format at float32 ``scale``."""
        return number.at_scale(real, scale)


class Onnx(Requantizer):
    """float32, each step rounded: each sum times its multiplier, which is its scale over that of
    the result times the divisor; terms added in order, an offset over the scale last."""

    integer_only = False
    real_bias = "trained"

    def levels(self, sums: Sums, number: Format, scale: np.ndarray) -> np.ndarray:
        per_step = np.float32(scale) * np.float32(sums.divisor)
        with np.errstate(over="ignore"):  # an infinite multiplier is refused where it is used
            terms = [(levels, multipliers(by_term, per_step)) for levels, by_term in sums.terms]
        per_channel = all(by_term.ndim == 1 for _, by_term in terms)
        if number.rounds_half_even and per_channel and sums.offset is None:
            return requantize_float(terms, *limits(sums, number, scale))
        total = total_float([(levels, by_channel(by_term, levels)) for levels, by_term in terms])
        if sums.offset is not None:
            with np.errstate(over="ignore"):
                offset = sums.offset / np.float32(scale)
            if not (np.abs(offset) <= LARGEST_SCALED).all():
                raise OverflowError("a bias over the scale of the result is too large for float32")
            total = total + by_channel(offset, total)
        return number.nearest(_bounded(total.astype(np.float64), sums, scale))


class Shift(Requantizer):
    """Powers of two: an exact shift, rounded once."""

    powers_of_two = True
    mean = "half_even"

    def levels(self, sums: Sums, number: Format, scale: np.ndarray) -> np.ndarray:
        terms = [(levels, shifts(by_term, scale)) for levels, by_term in _per_channel(sums)]
        total, shift = add_aligned(terms)
        if number.rounds_half_even:
            return requantize_shift(total, shift, *limits(sums, number, scale))
        exact = _quarters(total, by_channel(shift, total), number.wraps)
        return number.nearest(_bounded(exact, sums, scale))


class Tflite(Requantizer):
    """A 31-bit integer multiplier and a shift, rounded as one of TFLite's families does.

    The families are not of one piece: the reference kernel of dense layers multiplies in float64
    and rounds a half away from zero; the builtin kernel of dense layers with one weight scale forms
    x_scale * weight_scale in float32; the builtin kernel of depthwise convolutions takes eight
    channels at a time, and those that are left as the reference kernel. An addition is
    ``add_fixed``.
    """

    at_once = True
    mean = "half_away"

    def __init__(self, rounding: str):
        self.rounding = rounding

    def levels(self, sums: Sums, number: Format, scale: np.ndarray) -> np.ndarray:
        if not number.rounds_half_even:
            raise ValueError(
                "it gives the nearest of consecutive levels, and the tensor's format has others"
            )
        low, high = limits(sums, number, scale)
        if sums.source == "add":
            return self._sum(sums, scale, low, high)
        if not sums.uniform:
            raise ValueError(
                f"it scales one sum, not the {len(sums.terms)} terms of these weights; use onnx"
            )
        [(levels, by_row)] = sums.terms
        if sums.source == "linear" and sums.scales == 1 and self.rounding == "tflite-builtin":
            by_row = by_row.astype(np.float32).astype(np.float64)
        multiplier = by_row / np.float64(scale)
        if sums.source == "linear" and self.rounding == "tflite-reference":
            return requantize_double(levels, multiplier, low, high)
        if sums.source == "depthwise" and self.rounding == "tflite-builtin":
            whole = levels.shape[1] - levels.shape[1] % BUILTIN_LANES
            parts = ((slice(whole), self.rounding), (slice(whole, None), "tflite-reference"))
            return np.concatenate(
                [
                    requantize_fixed(
                        levels[:, rows], multiplier[rows], low, high, rounding=rounding
                    )
                    for rows, rounding in parts
                ],
                axis=1,
            )
        return requantize_fixed(levels, multiplier, low, high, rounding=self.rounding)

    def _sum(self, sums: Sums, scale: np.ndarray, low: int, high: int) -> np.ndarray:
        if len(sums.terms) != 2:
            raise ValueError(f"it adds two tensors at a time, not {len(sums.terms)}")
        (a, a_scale), (b, b_scale) = sums.terms
        scales = (np.float32(a_scale[0]), np.float32(b_scale[0]), np.float32(scale))
        return add_fixed(a, b, scales, low, high, addition=self.rounding)


class Thresholds(Requantizer):
    """Comparisons alone: where the exact value scale * sum + bias crosses from level to level."""

    at_once = True
    real_bias = "all"

    def levels(self, sums: Sums, number: Format, scale: np.ndarray) -> np.ndarray:
        levels, by_channel_scale = _one_integer(sums)
        offset = np.zeros(levels.shape[1]) if sums.offset is None else sums.offset
        if offset.shape != by_channel_scale.shape:
            raise ValueError("an offset and a scale must be per channel")
        low, high = limits(sums, number, scale)
        values = channel_thresholds(
            number,
            float(scale) * sums.divisor,
            low,
            high,
            tuple(by_channel_scale.tolist()),
            tuple(offset.tolist()),
        )
        falling = np.zeros(len(values), bool)
        reached = apply_thresholds(levels, values, falling, 0)
        grid = number.levels()
        return grid[(grid >= low) & (grid <= high)][reached].astype(np.int32)


class OnnxRuntime(Requantizer):
    """ONNX Runtime's quantized kernels: float32, every tensor rounded as it is made.

    What they share with ``Onnx`` is how the sums of products are rounded; how they add, multiply,
    average and join tensors is their own, ``runtime_levels`` says it; sigmoid, tanh, leaky relu,
    hard swish and softmax are those of ``runtime_curve``. Not the runtime's are the tables of gelu,
    silu and of softmax beyond 8 bits, a batch norm that stands alone and recurrent layers; their
    results are dequantized and quantized as any tensor is.
    """

    integer_only = False
    at_once = True
    mean = "float32"
    float_curves = True

    def levels(self, sums: Sums, number: Format, scale: np.ndarray) -> np.ndarray:
        return runtime_levels(sums, number, scale)

    def levels_of_real(self, real: np.ndarray, number: Format, scale: np.ndarray) -> np.ndarray:
        """As QuantizeLinear: the quotient is rounded to float32 first."""
        with np.errstate(over="ignore"):  # what is infinite is clipped
            return number.nearest(real.astype(np.float32) / np.float32(scale))


REQUANTIZERS: dict[str, Requantizer] = {
    "onnx": Onnx(),
    "shift": Shift(),
    "tflite": Tflite("tflite"),
    "tflite-reference": Tflite("tflite-reference"),
    "tflite-builtin": Tflite("tflite-builtin"),
    "thresholds": Thresholds(),
    "onnxruntime": OnnxRuntime(),
}


def multipliers(scale: np.ndarray, out_scale: np.ndarray) -> np.ndarray:
    """The float32 factors from sums at float64 ``scale`` to levels at ``out_scale``: both rounded
    to float32, then divided in float32."""
    return scale.astype(np.float32) / np.float32(out_scale)


def shifts(scale: np.ndarray, out_scale: np.ndarray) -> np.ndarray:
    """The right shifts, int64, from sums at ``scale`` to levels at ``out_scale``, powers of two."""
    mantissa, exponent = np.frexp(out_scale.astype(np.float64) / scale)
    if not (mantissa == 0.5).all():
        raise ValueError("scales must be powers of two to requantize by shift")
    return exponent.astype(np.int64) - 1


@lru_cache(maxsize=256)
def channel_thresholds(
    number: Format,
    out_scale: float,
    low: int,
    high: int,
    scales: tuple[float, ...],
    offsets: tuple[float, ...],
) -> np.ndarray:
    """The least integer sum of each channel whose value ``scale * sum + offset`` belongs to each
    level above ``low``, up to ``high``: int64 (channels, levels - 1), exact."""
    begins = zip(number.levels().tolist()[1:], number.boundaries(), strict=True)
    halves = [(int(2 * at), inside) for level, (at, inside) in begins if low < level <= high]
    rows = [
        _least_sums(halves, *_integers(out_scale / 2, scale, offset))
        for scale, offset in zip(scales, offsets, strict=True)
    ]
    return np.array(rows, np.int64).reshape(len(rows), len(halves))


def _integers(*values: float) -> tuple[int, ...]:
    """The values times the least power of two that makes all of them integers."""
    ratios = [value.as_integer_ratio() for value in values]
    common = max(denominator for _, denominator in ratios)
    return tuple(numerator * (common // denominator) for numerator, denominator in ratios)


def _least_sums(
    halves: list[tuple[int, bool]], half_step: int, scale: int, offset: int
) -> list[int]:
    """The least sum with ``scale * sum + offset`` at or (not inside) above each boundary, which is
    given in half steps."""
    above = [(half * half_step - offset, inside) for half, inside in halves]
    least = [-(-each // scale) if inside else each // scale + 1 for each, inside in above]
    return [min(max(each, -FARTHEST), FARTHEST) for each in least]


def limits(sums: Sums, number: Format, scale: np.ndarray) -> tuple[int, int]:
    """The lowest and the highest level that the bounds of ``sums`` leave: those of the bounds."""

    def level(bound: float, unbounded: int) -> int:
        return unbounded if isinf(bound) else int(number.nearest(bound / np.float64(scale)))

    low = max(level(sums.low, number.min_level), number.min_level)
    high = min(level(sums.high, number.max_level), number.max_level)
    return low, high


def _bounded(total: np.ndarray, sums: Sums, scale: np.ndarray) -> np.ndarray:
    """``total``, float64 in units of ``scale``, within the bounds of ``sums``."""
    return np.clip(total, sums.low / np.float64(scale), sums.high / np.float64(scale))


def _quarters(total: np.ndarray, shift: np.ndarray, wraps: bool) -> np.ndarray:
    """``total / 2**shift``, float64, with a fraction of 0, 1/4, 1/2 or 3/4: 0 and 1/2 where it is
    just that, else between. So it lies on the same side of every whole and half number, of those
    within 2**50, beyond which no level is.

    Raises OverflowError where it is farther and levels wrap around.
    """
    floor = total >> shift
    if wraps and magnitude(floor) > EXACT_FLOOR:
        raise OverflowError("a sum is too many levels for float64 to wrap it around exactly")
    rest = total - (floor << shift)
    floor = np.clip(floor, -EXACT_FLOOR, EXACT_FLOOR)
    half = (np.int64(1) << shift) >> 1
    quarters = np.where(rest == 0, 0, np.where(rest < half, 1, np.where(rest == half, 2, 3)))
    return floor + quarters / 4


def _per_channel(sums: Sums) -> tuple[tuple[np.ndarray, np.ndarray], ...]:
    if any(by_term.ndim != 1 for _, by_term in sums.terms):
        raise ValueError("a scale for each position is a real number, which integers cannot apply")
    return sums.terms


def _one_integer(sums: Sums) -> tuple[np.ndarray, np.ndarray]:
    """The total of terms of one scale, as one term."""
    (first, scale), *others = _per_channel(sums)
    for levels, other in others:
        if not np.array_equal(other, scale):
            raise ValueError(
                "thresholds compare one integer, and this sum has terms of different scales;"
                " use onnx"
            )
        first = first + levels
    return first, scale
