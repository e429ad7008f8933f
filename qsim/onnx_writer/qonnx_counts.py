"""Where integers pass from level to level: the thresholds of what a program rounds.

Scale, bias, batch norm, bounds and rounding together are one function from an integer sum to a
level, found by running the program's own arithmetic on sums (``qsim.thresholds``).
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from qsim.formats import Float, Format
from qsim.network.graph import INPUT
from qsim.program import Program
from qsim.thresholds import thresholds_of
from qsim.values import Levels, Step, Sums

MOST_THRESHOLDS = 2**22  # of one tensor
LARGEST_FLOAT = 0x7F7FFFFF  # its bits, which order floats as integers do

Function = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Whole:
    """A tensor of integers in a file.

    lowest, highest   int64 (channels,), what they can be
    average           what makes levels of them, where they are sums under a window
    """

    name: str
    lowest: np.ndarray
    highest: np.ndarray
    average: Function | None = None

    def named(self, name: str) -> "Whole":
        """The same integers under another name."""
        return replace(self, name=name)


def input_thresholds(program: Program) -> np.ndarray:
    """The least float32 value of each level of the input but the lowest: (1, levels - 1).

    Raises ValueError where levels do not rise with the value, or the input is float.
    """
    number, scale = format_of(program, INPUT), program.scales[INPUT]
    levels_of = program.arithmetic.requantizer.levels_of_real

    def level(places: np.ndarray) -> np.ndarray:
        return _index(number, levels_of(_float(places), number, scale))

    ends = np.array([-LARGEST_FLOAT]), np.array([LARGEST_FLOAT])
    return _float(thresholds_of(level, *ends, 0, len(number.levels()) - 1).values)


def sum_thresholds(program: Program, tensor: str, step: Step, whole: Whole) -> np.ndarray:
    """The least integer of each level of a rounded tensor but the lowest, float32 (channels,
    levels - 1); ``step`` is of any run.

    Raises ValueError or OverflowError where there is none: levels that do not rise with one
    integer, or too many of them.
    """
    number, scale = format_of(program, tensor), program.scales[tensor]
    template, requantizer = as_one_term(step), program.arithmetic.requantizer
    [(_, by_channel)] = template.terms

    def level(sums: np.ndarray) -> np.ndarray:
        sums = whole.average(sums) if whole.average else sums
        probed = replace(template, terms=((sums, by_channel),))
        return _index(number, requantizer.levels(probed, number, scale))

    count = len(number.levels()) - 1
    if count * len(whole.lowest) > MOST_THRESHOLDS:
        raise ValueError(f"it has {count:,} thresholds in each of {len(whole.lowest)} channels")
    found = thresholds_of(level, whole.lowest, whole.highest, 0, count)
    return found.values.astype(np.float32)


def as_one_term(step: Step) -> Sums:
    """The sums of a tensor before it is rounded, as one term with a scale per channel: of several
    the least, to which the others are brought."""
    value = step.unrounded
    if isinstance(value, Levels):
        return Sums(((value.levels, np.full(value.levels.shape[1], value.scale, np.float64)),))
    if len(value.terms) > 1:
        least = np.min([scale for _, scale in value.terms], axis=0)
        value = replace(value, terms=((value.terms[0][0], least),))
    [(_, scale)] = value.terms
    if scale.ndim > 1 or value.axis != 1 or np.ndim(value.divisor):
        raise ValueError("its sums have a scale for each place")
    return value


def format_of(program: Program, tensor: str) -> Format:
    """The format of a rounded tensor. Raises ValueError where it is float."""
    number = program.formats[tensor]
    if isinstance(number, Float):
        raise ValueError("it is float; give it a format")
    return number


def _index(number: Format, levels: np.ndarray) -> np.ndarray:
    """The place of each level among the format's, int64."""
    return np.searchsorted(number.levels(), levels)


def _float(places: np.ndarray) -> np.ndarray:
    """The float32 values whose bits, as signed magnitudes, are ``places``: in the same order."""
    magnitudes = np.abs(places).astype(np.uint32).view(np.float32)
    return np.where(places < 0, -magnitudes, magnitudes)
