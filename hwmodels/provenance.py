"""Figures with their provenance, as device and calibration files hold them."""

from pathlib import Path
from typing import Literal

import msgspec

Status = Literal[
    "verified", "derived", "recalled", "quoted", "blog", "abstract", "code", "calibrated", "assumed"
]


class Figure(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A number, how far it is to be trusted, and where it is from; its unit is in its key."""

    value: float
    status: Status
    source: str


HERE = Path(__file__).parent


def shipped_names(folder: str) -> list[str]:
    """Names of the YAML files in a folder of this package."""
    return sorted(path.stem for path in (HERE / folder).glob("*.yaml"))
