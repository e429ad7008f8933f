"""Fixed point with a stated binary point, rounding and overflow, as hardware types have it."""

from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from typing import Literal

import numpy as np

from qsim.formats.base import (
    Quantized,
    ScaleRule,
    TrainedFormat,
    UniformFormat,
    check_bits,
    positive,
)

MOST_FRACTION_BITS = 64

Overflow = Literal["saturate", "wrap"]
Rounding = Literal["half_even", "half_up", "half_away", "floor", "ceil", "toward_zero"]


@dataclass(frozen=True)
class FixedPoint(UniformFormat, TrainedFormat):
    """``bits``-bit words whose last ``fraction_bits`` bits lie behind the binary point.

    The levels are -2**(bits-1) .. 2**(bits-1) - 1, two's complement to its last code, or
    0 .. 2**bits - 1 where not ``signed``: 2 to 16 bits signed, 1 to 16 unsigned. The scale is
    2**-fraction_bits, whatever the data; fraction_bits, -64 to 64, may be negative or more than
    bits.

    half_even     to the nearest level, a half to the even one: RND_CONV of ac_fixed
    half_up       a half to the larger: RND
    half_away     a half away from zero: RND_INF
    floor         to the level below: TRN
    ceil          to the level above
    toward_zero   to the level of smaller magnitude: TRN_ZERO

    saturate      what is rounded out of range becomes the outermost level: SAT
    wrap          only its last bits are kept, as two's complement has them: WRAP
    """

    bits: int
    fraction_bits: int
    signed: bool = True
    overflow: Overflow = "saturate"
    rounding: Rounding = "half_even"

    roles = ("weights", "activations")
    granularities = ("per_tensor",)
    example = "bits=8, fraction_bits=6"
    scale_text = "2**-fraction_bits"
    rounding_text = (
        "one of six, by default nearest, a tie to the even level; overflow saturates or wraps"
    )
    source = "ac_fixed and ap_fixed: their quantization and overflow modes"

    def __post_init__(self):
        name = f"{'signed' if self.signed else 'unsigned'} fixed point"
        check_bits(self.bits, 2 if self.signed else 1, 16, name)
        if type(self.fraction_bits) is not int or abs(self.fraction_bits) > MOST_FRACTION_BITS:
            raise ValueError(
                f"fraction_bits is {-MOST_FRACTION_BITS} to {MOST_FRACTION_BITS}, not"
                f" {self.fraction_bits}"
            )
        if self.overflow not in _OVERFLOWS:
            raise ValueError(f"overflow is one of {', '.join(_OVERFLOWS)}, not {self.overflow!r}")
        if self.rounding not in _ROUNDINGS:
            raise ValueError(f"rounding is one of {', '.join(_ROUNDINGS)}, not {self.rounding!r}")

    @property
    def refuses_negative(self) -> bool:
        """Whether there are no negative levels: whoever says unsigned knows the data."""
        return not self.signed

    @property
    def wraps(self) -> bool:
        """Whether what is out of range wraps around."""
        return self.overflow == "wrap"

    @property
    def rounds_half_even(self) -> bool:
        """Whether it rounds as integer kernels do: to the nearest, ties to even, and saturates."""
        return self.rounding == "half_even" and self.overflow == "saturate"

    def code_table(self) -> np.ndarray:
        codes = np.arange(2**self.bits, dtype=np.int64)
        half = 2 ** (self.bits - 1)
        return np.where(codes < half, codes, codes - 2 * half) if self.signed else codes

    def scale_for(self, real: np.ndarray, axis: int | None) -> np.ndarray:
        """2**-fraction_bits, float32 of shape ()."""
        return np.asarray(2.0**-self.fraction_bits, np.float32)

    def quantize(
        self,
        real: np.ndarray,
        *,
        scale: "np.ndarray | ScaleRule | None" = None,
        axis: int | None = None,
    ) -> Quantized:
        """``real`` at the format's scale; a rule for scales is not used.

        Raises ValueError on NaN, infinity, any other scale, and on a value of 2**1024 steps and
        more.
        """
        own = self.scale_for(real, axis)
        if scale is not None and not callable(scale):
            other = positive(scale)[positive(scale) != own]
            if other.size:
                raise ValueError(f"{self} has the scale {float(own)}, not {float(other.flat[0])}")
        return super().quantize(real, axis=axis)

    def at_scale(self, real: np.ndarray, scale: np.ndarray) -> np.ndarray:
        """The levels, int32."""
        with np.errstate(over="ignore", under="ignore"):
            steps = np.asarray(real.astype(np.float64) / scale.astype(np.float64))
        if not np.isfinite(steps).all():
            raise ValueError(f"a value is too large to count the steps of {self} in it")
        vanished = (steps == 0) & (real != 0)  # what underflows is above or below 0 all the same
        return self.nearest(np.where(vanished, np.copysign(np.finfo(float).tiny, real), steps))

    def scale_words(self) -> str:
        return f"2**{-self.fraction_bits} = {2.0**-self.fraction_bits:g}"

    def rounding_words(self) -> str:
        return f"{self.rounding}; overflow: {self.overflow}"

    def before_rounding(self, real: np.ndarray) -> np.ndarray:
        """``real`` clipped to the values of the levels, float32, where it saturates."""
        if self.overflow == "wrap":
            return real
        scale = 2.0**-self.fraction_bits
        return np.clip(real, self.min_level * scale, self.max_level * scale).astype(np.float32)

    def nearest(self, x: np.ndarray) -> np.ndarray:
        """The level, int32, of each finite ``x`` in steps of the scale: rounded, then held."""
        return _OVERFLOWS[self.overflow](_ROUNDINGS[self.rounding](x), self).astype(np.int32)

    def boundaries(self) -> list[tuple[Fraction, bool]]:
        """Where each level but the lowest begins, and whether the boundary belongs to it.

        Raises ValueError where the levels wrap around: then they do not rise with the value.
        """
        if self.overflow == "wrap":
            raise ValueError(f"levels of {self} wrap around and have no thresholds")
        return [_BEGINS[self.rounding](a, b) for a, b in pairwise(self.levels().tolist())]


def _half_up(x: np.ndarray) -> np.ndarray:
    floor = np.floor(x)
    return floor + (x - floor >= 0.5)  # x + 0.5 would be rounded


def _half_away(x: np.ndarray) -> np.ndarray:
    return np.copysign(_half_up(np.abs(x)), x)


def _saturate(integers: np.ndarray, number: FixedPoint) -> np.ndarray:
    return np.clip(integers, number.min_level, number.max_level)


def _wrap(integers: np.ndarray, number: FixedPoint) -> np.ndarray:
    codes = np.mod(integers, 2.0**number.bits)  # exact, whatever the magnitude
    return np.where(codes > number.max_level, codes - 2.0**number.bits, codes)


_ROUNDINGS = {
    "half_even": np.rint,
    "half_up": _half_up,
    "half_away": _half_away,
    "floor": np.floor,
    "ceil": np.ceil,
    "toward_zero": np.trunc,
}
_OVERFLOWS = {"saturate": _saturate, "wrap": _wrap}
# where level b, the one above a, begins, and whether it owns that place
_BEGINS = {
    "half_even": lambda a, b: (Fraction(a + b, 2), b % 2 == 0),
    "half_up": lambda a, b: (Fraction(a + b, 2), True),
    "half_away": lambda a, b: (Fraction(a + b, 2), b > 0),
    "floor": lambda a, b: (Fraction(b), True),
    "ceil": lambda a, b: (Fraction(a), False),
    "toward_zero": lambda a, b: (Fraction(b), True) if b > 0 else (Fraction(a), False),
}
