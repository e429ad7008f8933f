"""The tables by which sigmoid, tanh and softmax are computed from levels."""

from fractions import Fraction
from functools import lru_cache

from qsim.kernels import real_functions
from qsim.kernels.level_grid import LevelGrid
from qsim.kernels.softmax import exponentials
from qsim.kernels.tables import Table, make_table
from qsim.network.layers import Sigmoid, Softmax, Tabled


@lru_cache(maxsize=64)
def table_of(layer: Tabled, low: int, high: int, scale: float) -> Table:
    """The table of a layer that reads levels ``low .. high`` at ``scale``.

    Every entry is the correctly rounded level of the result. Beyond 2**10 levels an entry stands
    for a power of two of them, with lines between, so that a table has 2**10 steps or less.
    """
    levels = LevelGrid(low, high, Fraction(scale))
    step_bits = step_bits_of(low, high)
    match layer:
        case Softmax():
            return exponentials(levels, layer.fraction_bits, step_bits)
        case Sigmoid():
            function, lowest = real_functions.sigmoid, 0
        case _:
            function, lowest = real_functions.tanh, -(2**layer.fraction_bits)
    results = LevelGrid(lowest, 2**layer.fraction_bits, Fraction(1, 2**layer.fraction_bits))
    return make_table(function, levels, results, step_bits)


def step_bits_of(low: int, high: int) -> int:
    """How far apart, in powers of two, the entries of a table over levels ``low .. high`` lie."""
    return max((high - low).bit_length() - 10, 0)
