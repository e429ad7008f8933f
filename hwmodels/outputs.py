"""What is said of every figure that a model gives: its unit, and how far it is to be believed."""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

Nature = Literal["count", "peak", "ceiling", "estimate"]


@dataclass(frozen=True)
class Output:
    """A figure of a model, by the name of its field.

    label       as it is printed
    unit        in which the field holds it: "s", "J", "B", "LUT", ...; "" of a pure number
    nature      a count is exact for the modelled design; a peak is what the hardware could do at
                best; a ceiling is a bound that nothing modelled can beat; an estimate may err
                either way
    ignores     what is left out
    validation  its error against published or measured figures, where one is known
    of_device   the device's figure that it is a share of

    A model whose estimate has a band gives two more fields, ``NAME_low`` and ``NAME_high``.
    """

    label: str
    unit: str
    nature: Nature
    ignores: str = ""
    validation: str = ""
    of_device: str = ""


def known(value: Any) -> bool:
    """Whether a figure has a value: a figure that rests on an unknown one is NaN."""
    return not bool(np.isnan(np.asarray(value, np.float64)).any())
