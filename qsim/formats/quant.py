"""Consecutive integers as QONNX has them: signed or not, narrow, a zero point, a rounding."""

from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

import numpy as np

from qsim.formats.base import INVALID, UniformFormat, check_bits

FARTHEST_ZERO = 2**20

QuantRounding = Literal[
    "half_even", "half_away", "half_toward", "floor", "ceil", "toward_zero", "away"
]


@dataclass(frozen=True)
class Quant(UniformFormat):
    """Words of ``bits`` bits (2 to 16 signed, 1 to 16 unsigned) less a ``zero_point``.

    signed   words -2**(bits-1) .. 2**(bits-1) - 1, else 0 .. 2**bits - 1
    narrow   one word less: the least of the signed ones, the largest of the unsigned ones

    A value over the scale, plus the zero point, is rounded to a word and clipped:

    half_even     to the nearest, a half to the even word: ROUND, HALF_EVEN
    half_away     a half away from word 0: HALF_UP
    half_toward   a half toward word 0: HALF_DOWN
    floor         to the word below: FLOOR
    ceil          to the word above: CEIL
    toward_zero   to the word of smaller magnitude: DOWN
    away          to the word of larger magnitude: UP
    """

    bits: int
    signed: bool = True
    narrow: bool = False
    zero_point: int = 0
    rounding: QuantRounding = "half_even"

    roles = ("weights", "activations")
    rounding_text = "one of seven, by default nearest, a tie to the even word"
    source = "QONNX (arXiv 2206.07527), Quant"

    def __post_init__(self):
        least = 2 if self.signed or self.narrow else 1
        check_bits(self.bits, least, 16, f"{'a signed' if self.signed else 'an unsigned'} quant")
        if type(self.zero_point) is not int or abs(self.zero_point) > FARTHEST_ZERO:
            raise ValueError(
                f"a zero point lies within {FARTHEST_ZERO:,} of 0, which {self.zero_point} does not"
            )
        if self.rounding not in _ROUNDINGS:
            raise ValueError(f"rounding is one of {', '.join(_ROUNDINGS)}, not {self.rounding!r}")

    @property
    def rounds_half_even(self) -> bool:
        """Whether a tie goes to the even level: where the zero point is even, to the even word."""
        return self.rounding == "half_even" and self.zero_point % 2 == 0

    @property
    def alpha_level(self) -> int:
        """The level that stands for the largest magnitude: the one farthest from 0."""
        return self.max_magnitude

    def rounding_words(self) -> str:
        return f"{self.rounding} of the words"

    def code_table(self) -> np.ndarray:
        codes = np.arange(2**self.bits, dtype=np.int64)
        half = 2 ** (self.bits - 1)
        words = np.where(codes < half, codes, codes - 2 * half) if self.signed else codes
        unused = half if self.signed else 2 * half - 1
        levels = words - self.zero_point
        return np.where(codes == unused, INVALID, levels) if self.narrow else levels

    def nearest(self, x: np.ndarray) -> np.ndarray:
        """The level, int32, of each finite ``x`` in steps of the scale."""
        # within the levels and half a step: what is farther has the outermost level all the same
        x = np.clip(x, self.min_level - 0.5, self.max_level + 0.5)
        below = np.floor(x)
        up = _ROUNDINGS[self.rounding](x, below, below + self.zero_point)
        return np.clip(below + up, self.min_level, self.max_level).astype(np.int32)

    def boundaries(self) -> list[tuple[Fraction, bool]]:
        """Where each level but the lowest begins, and whether the boundary belongs to it."""
        below = self.levels()[:-1]
        # between two words, which is where a half belongs: up or down
        up = _ROUNDINGS[self.rounding](below + 0.5, below, below + self.zero_point)
        if self.rounding in ("half_even", "half_away", "half_toward"):
            begins = 2 * below + 1
        else:
            begins = np.where(up, 2 * below, 2 * below + 2)
            up = ~up
        pairs = zip(begins.tolist(), up.tolist(), strict=True)
        return [(Fraction(twice, 2), owned) for twice, owned in pairs]


# whether ``x`` goes up from the integer ``below`` it, which has the word ``word``
_ROUNDINGS = {
    "half_even": lambda x, below, word: (x > below + 0.5) | ((x == below + 0.5) & (word % 2 == 1)),
    "half_away": lambda x, below, word: (x > below + 0.5) | ((x == below + 0.5) & (word >= 0)),
    "half_toward": lambda x, below, word: (x > below + 0.5) | ((x == below + 0.5) & (word < 0)),
    "floor": lambda x, below, word: np.zeros(np.shape(x), bool),
    "ceil": lambda x, below, word: x > below,
    "toward_zero": lambda x, below, word: (x > below) & (word < 0),
    "away": lambda x, below, word: (x > below) & (word >= 0),
}
