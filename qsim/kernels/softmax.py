"""Softmax of levels by a table of exponentials, in integers.

The terms e**-d, d being how far a level lies below its row's largest, come from a table; their
exact sum divides each of them once. The largest term is 1, so neither can overflow a known width.
"""

from fractions import Fraction

import numpy as np

from qsim.kernels.accumulator import as_integers
from qsim.kernels.level_grid import LevelGrid, fixed_point
from qsim.kernels.pool import divide_half_even
from qsim.kernels.real_functions import falling_exp
from qsim.kernels.tables import Table, make_table

MAX_BITS = 30
SUM_BITS = 32  # of the register of a sum, where nothing else is said


def exponentials(levels: LevelGrid, fraction_bits: int, step_bits: int = 0) -> Table:
    """The table of e**-d for every distance d between two of ``levels``, for ``softmax``.

    Its entries are correctly rounded to ``fraction_bits``, 1 to 30; that of 0 is exact. With
    ``step_bits`` only each 2**step_bits-th is held, and lines lie between them.
    """
    if not 1 <= fraction_bits <= MAX_BITS:
        raise ValueError(f"an exponential has 1 to {MAX_BITS} fraction bits, not {fraction_bits}")
    distances = LevelGrid(0, levels.high - levels.low, levels.scale)
    to_one = fixed_point(fraction_bits + 1, fraction_bits, signed=False)
    return make_table(falling_exp, distances, to_one, step_bits)


def softmax(levels: np.ndarray, table: Table, bits: int, *, sum_bits: int = SUM_BITS) -> np.ndarray:
    """The softmax along the last axis, as unsigned levels of ``bits`` bits and scale 2**-bits.

    A term is the table's at the row's largest level minus the level. A level of the result is
    term * 2**bits / sum of the row's terms, rounded once to the nearest integer, a half to the
    even one, and clipped to 2**bits - 1.

    levels     (..., length) integers
    table      of ``exponentials``
    bits       1 to 30
    sum_bits   of the unsigned register of the sum, 2 to 62
    returns    int64 of the shape of ``levels``

    ``softmax_error`` says how far it may be from the real one.

    Raises OverflowError when the sum of a row could exceed its register, ValueError on bits outside
    these, on another table, on levels farther apart than its own; TypeError on anything but
    integers.
    """
    if not 1 <= bits <= MAX_BITS or not 2 <= sum_bits <= 62:
        raise ValueError(f"no softmax has {bits} bits of its result and {sum_bits} of its sum")
    one = int(table.entries[0])
    if table.x.low != 0 or one * table.y.scale != 1 or not _lies_within(table.entries, 0, one):
        raise ValueError("the table of a softmax falls from the exponential of 0, which is 1, to 0")
    if levels.ndim == 0:
        raise ValueError("a softmax needs an axis")
    levels = as_integers(levels, np.int64)
    if levels.size == 0:
        return levels.copy()
    _check_sum(levels.shape[-1], one, sum_bits)
    terms = table(levels.max(axis=-1, keepdims=True) - levels)
    sums = terms.sum(axis=-1, keepdims=True)
    return np.minimum(divide_half_even(terms << bits, sums), 2**bits - 1)


def softmax_error(length: int, fraction_bits: int, bits: int) -> Fraction:
    """A bound of the difference between ``softmax`` by a full table and the real softmax.

    length          of a row, at least 1
    fraction_bits   of the table's entries, each off by up to u = 2**-fraction_bits / 2
    returns         length * u + 2**-bits

    With terms e, their sum S >= 1, and e', S' those of the table: e'/S' - e/S is
    ((e' - e) * S + e * (S - S')) / (S * S'). The largest term is 1 in both, so S' is at least 1 and
    off by up to (length - 1) * u; with e <= S the difference is at most u + (length - 1) * u. The
    rounding adds half a level, or a whole one where the result is clipped.
    """
    return Fraction(length, 2 ** (fraction_bits + 1)) + Fraction(1, 2**bits)


def _lies_within(entries: np.ndarray, low: int, high: int) -> bool:
    return low <= entries.min() <= entries.max() <= high


def _check_sum(length: int, one: int, sum_bits: int) -> None:
    safe = (2**sum_bits - 1) // one
    if length > safe:
        raise OverflowError(
            f"{length} terms of up to {one} can overflow a sum of {sum_bits} bits; the longest safe"
            f" row is {safe}"
        )
