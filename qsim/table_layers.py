"""The tables by which sigmoid, tanh, softmax and other curves are computed from levels."""

from fractions import Fraction
from functools import lru_cache

from qsim.kernels import real_functions
from qsim.kernels.level_grid import LevelGrid
from qsim.kernels.softmax import exponentials
from qsim.kernels.tables import Table, make_table
from qsim.network.kinds import ByTable
from qsim.network.layers import Sigmoid, Softmax
from qsim.network.pointwise import Curve, Gelu, HardSwish, LeakyRelu


def highest_result(layer: Curve, low: int, high: int) -> int:
    """The largest magnitude that the table of a curve over levels ``low .. high`` can give."""
    step_bits = step_bits_of(low, high)
    entries = -(-(high - low) >> step_bits)
    last = low + (entries << step_bits)  # at high or beyond
    return max(last, -low) << layer.extra_bits


@lru_cache(maxsize=64)
def table_of(layer: ByTable, low: int, high: int, scale: float) -> Table:
    """The table of a layer that reads levels ``low .. high`` at ``scale``.

    Every entry is the correctly rounded level of the result. Beyond 2**10 levels an entry stands
    for a power of two of them, with lines between, so that a table has 2**10 steps or less.
    """
    levels = LevelGrid(low, high, Fraction(scale))
    step_bits = step_bits_of(low, high)
    match layer:
        case Softmax():
            return exponentials(levels, layer.fraction_bits, step_bits)
        case Curve():
            farthest = highest_result(layer, low, high)
            results = LevelGrid(-farthest, farthest, levels.scale / 2**layer.extra_bits)
            return make_table(_function(layer), levels, results, step_bits)
        case Sigmoid():
            function, lowest = real_functions.sigmoid, 0
        case _:
            function, lowest = real_functions.tanh, -(2**layer.fraction_bits)
    results = LevelGrid(lowest, 2**layer.fraction_bits, Fraction(1, 2**layer.fraction_bits))
    return make_table(function, levels, results, step_bits)


def _function(layer: Curve) -> real_functions.RealFunction:
    match layer:
        case LeakyRelu(slope=slope):
            return real_functions.leaky_relu(Fraction(slope))
        case Gelu(approximation="tanh"):
            return real_functions.gelu_by_tanh
        case Gelu():
            return real_functions.gelu
        case HardSwish():
            return real_functions.hard_swish
    return real_functions.silu


def step_bits_of(low: int, high: int) -> int:
    """How far apart, in powers of two, the entries of a table over levels ``low .. high`` lie."""
    return max((high - low).bit_length() - 10, 0)
