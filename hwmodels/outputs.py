"""What is said of every figure that a model gives: its unit, and how far it is to be believed."""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

Nature = Literal["count", "peak", "ceiling", "estimate"]


@dataclass(frozen=True)
class Output:
    """A figure of a model, by the name of its field.

    label       as it is printed
    unit        in which the field holds it: "s", "J", "B", "LUT", ...; "%" of a share of 1; "" of a
                pure number
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


def is_known(value: Any) -> bool:
    """Whether a figure has a value: a figure that rests on an unknown one is NaN."""
    return not bool(np.isnan(np.asarray(value, np.float64)).any())


def excess(cost: Any, outputs: dict[str, Output], device: Any) -> dict[str, float]:
    """By how much the ``cost`` of a single design exceeds what the device has, by the device's
    field, as far as it is known."""
    over = {}
    for name, output in outputs.items():
        if output.of_device:
            have = getattr(device, output.of_device).value
            amount = float(getattr(cost, name)) - (np.nan if have is None else have)
            if amount > 0:  # not where it is NaN
                over[output.of_device] = amount
    return over


def fits(cost: Any, outputs: dict[str, Output], device: Any) -> bool | None:
    """Whether a single design fits the device; None where that is not known, or nothing is asked of
    the device."""
    asked = {name: output.of_device for name, output in outputs.items() if output.of_device}
    if excess(cost, outputs, device):
        return False
    known = all(
        is_known(getattr(cost, name)) and getattr(device, field).value is not None
        for name, field in asked.items()
    )
    return True if asked and known else None
