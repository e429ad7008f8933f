"""Functions of one level by a table: integers in, integers out, with a stated error."""

from dataclasses import dataclass
from decimal import Context, Decimal, localcontext
from fractions import Fraction

import numpy as np

from qsim.kernels.level_grid import LevelGrid
from qsim.kernels.pool import divide_half_even
from qsim.kernels.real_functions import DIGITS, RealFunction, decimal

MAX_ENTRIES = 2**16 + 1
PROMISED = Decimal("1e-50")  # the error of a RealFunction


@dataclass(frozen=True)
class Table:
    """A function of one level: an entry for each, or for each 2**step_bits-th and lines between.

    x           the levels it reads
    y           the levels it gives
    entries     int64, the levels at x.low, x.low + 2**step_bits, ...; the last at x.high or beyond
    step_bits   0: a full table

    Raises ValueError on another number of entries, or on entries outside ``y``.
    """

    x: LevelGrid
    y: LevelGrid
    entries: np.ndarray
    step_bits: int = 0

    def __post_init__(self):
        count = entry_count(self.x, self.step_bits)
        if self.entries.shape != (count,):
            raise ValueError(f"a table of {count} entries, not {self.entries.shape}")
        self.y.check(self.entries)

    def __call__(self, levels: np.ndarray) -> np.ndarray:
        """The levels that the function gives, int64 of the shape of ``levels``.

        Between two entries, the nearest integer to the line through them, a half to the even one.

        Raises ValueError on a level outside ``x``, TypeError on anything but integers.
        """
        above = self.x.check(levels) - self.x.low
        at = above >> self.step_bits
        if self.step_bits == 0:
            return self.entries[at]
        step = 2**self.step_bits
        beyond = above & (step - 1)
        left, right = self.entries[at], self.entries[np.minimum(at + 1, len(self.entries) - 1)]
        return divide_half_even(left * (step - beyond) + right * beyond, step)


def make_table(function: RealFunction, x: LevelGrid, y: LevelGrid, step_bits: int = 0) -> Table:
    """The table of ``function``, every entry the correctly rounded level, clipped to ``y``.

    An entry is the nearest integer to ``function(level * x.scale) / y.scale``, a half to the even
    one. A last entry beyond x.high is the function's there.

    Raises ValueError on more than MAX_ENTRIES entries, and where the digits of ``function`` do not
    decide a rounding.
    """
    count = entry_count(x, step_bits)
    if not 0 < count <= MAX_ENTRIES:
        raise ValueError(f"a table has up to {MAX_ENTRIES} entries, not {count}")
    nodes = (x.low + (i << step_bits) for i in range(count))
    entries = [_rounded(function(level * x.scale), y.scale) for level in nodes]
    clipped = [min(max(entry, y.low), y.high) for entry in entries]
    return Table(x, y, np.array(clipped, np.int64), step_bits)


def entry_count(x: LevelGrid, step_bits: int) -> int:
    """How many entries a table over ``x`` has: of 16 bits, 257 with 8 step bits.

    Raises ValueError on step bits that are not 0 .. 16.
    """
    if not 0 <= step_bits <= 16:
        raise ValueError(f"the entries lie 2**0 to 2**16 levels apart, not 2**{step_bits}")
    return -(-(x.high - x.low) >> step_bits) + 1


def table_error(table: Table, function: RealFunction) -> Decimal:
    """The largest difference between ``table`` and ``function`` over all of its inputs, in levels
    of ``table.y``. All inputs are tried; the result is correct to 30 digits.

    Of a full table it is at most a half, if no entry is clipped. Entries that lie h apart, in the
    reals, add at most h**2 / 8 * max|function''| for the line and a half for its rounding.
    """
    levels = np.arange(table.x.low, table.x.high + 1)
    with localcontext(Context(prec=DIGITS)):
        return max(
            abs(_in_levels(function(int(level) * table.x.scale), table.y.scale) - int(got))
            for level, got in zip(levels, table(levels), strict=True)
        )


def _rounded(value: Fraction | Decimal, scale: Fraction) -> int:
    """The nearest integer to value / scale, a half to the even one."""
    if isinstance(value, Fraction):
        return round(value / scale)
    with localcontext(Context(prec=DIGITS)):
        in_levels = _in_levels(value, scale)
        error = PROMISED * max(abs(value), 1) / decimal(scale)
        below, above = round(in_levels - error), round(in_levels + error)
    if below != above:
        raise ValueError(f"{in_levels} lies too near a half to be rounded")
    return below


def _in_levels(value: Fraction | Decimal, scale: Fraction) -> Decimal:
    return decimal(value / scale) if isinstance(value, Fraction) else value / decimal(scale)
