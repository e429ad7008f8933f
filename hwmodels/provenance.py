"""Figures with their provenance, as device and calibration files hold them."""

from pathlib import Path
from typing import Literal

import msgspec

Status = Literal[
    "verified",
    "derived",
    "digitised",
    "measured",
    "synthesised",
    "recalled",
    "quoted",
    "blog",
    "text",
    "abstract",
    "code",
    "calibrated",
    "assumed",
    "unknown",
]
DECIDES_NOTHING = ("recalled", "unknown")  # printed with their mark; no test rests on them


class Figure(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A number, how far it is to be trusted, and where it is from; its unit is in its key.

    value   None: not known; what depends on it is absent, and ``source`` says why
    """

    value: float | None
    status: Status
    source: str

    def __post_init__(self):
        if (self.value is None) != (self.status == "unknown"):
            raise ValueError("a figure without a value has the status unknown, and no other has it")


class FittedFigure(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A constant of a model, how far it is to be trusted, where it is from, and the cells or
    measurements it was fitted to, if any."""

    value: float
    status: Status
    source: str
    fitted_to: tuple[str, ...] = ()


HERE = Path(__file__).parent


def shipped_names(folder: str) -> list[str]:
    """Names of the YAML files in a folder of this package."""
    return sorted(path.stem for path in (HERE / folder).glob("*.yaml"))
