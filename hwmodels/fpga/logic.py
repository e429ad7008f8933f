"""LUTs of a processing element in the kind of logic that a device has, as a band.

Synthesis gave 6-input LUTs. ALMs and 4-input LUTs are converted from them by stated ratios that
were not measured, in ``calibrated/lut_conversions.yaml``; their bands are wide.
"""

from functools import cache
from typing import Literal

import msgspec
import numpy as np

from hwmodels.documents import read_document
from hwmodels.explain import formula, read_figure
from hwmodels.fpga.device import LutKind
from hwmodels.fpga.pe import BAND, pe_lut
from hwmodels.fpga.schemes import Cells
from hwmodels.provenance import HERE, Figure

Bound = Literal["low", "nominal", "high"]
FILE = "lut_conversions.yaml"


class Conversion(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """LUTs of one kind for each 6-input LUT."""

    low: Figure
    nominal: Figure
    high: Figure


class Conversions(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Of the kinds that are not 6-input LUTs."""

    alm: Conversion
    lut4: Conversion


@cache
def load_conversions() -> Conversions:
    """The conversions, from ``calibrated/lut_conversions.yaml``."""
    return read_document(HERE / "calibrated" / FILE, Conversions)


@formula
def luts_per_lut6(kind: LutKind, bound: Bound = "nominal"):
    """LUTs of a device's kind for each 6-input LUT: 1 of that kind itself."""
    if kind == "lut6":
        return np.ones(())
    figure = getattr(getattr(load_conversions(), kind), bound)
    return read_figure(figure, f"{kind}.{bound}", where=f"hwmodels/calibrated/{FILE}")


def cells_of(kind: LutKind, bound: Bound) -> Cells:
    """Which cells a bound counts: packed ones are of 6-input LUTs alone, since the low conversion
    of another kind packs them already."""
    return "kept" if bound == "low" and kind != "lut6" else BAND[bound]


@formula
def pe_luts(
    kind: LutKind,
    scheme: str,
    weight_bits,
    activation_bits,
    dot_length,
    accumulator_bits=32,
    *,
    bound: Bound = "nominal",
):
    """LUTs of a device's kind in a processing element: 6-input LUTs x conversion.

    scheme   and what follows as of ``pe.pe_lut``
    bound    "low", "nominal" or "high", each with its own way to count cells
    """
    cells = cells_of(kind, bound)
    widths = (weight_bits, activation_bits, dot_length, accumulator_bits)
    return pe_lut(scheme, *widths, cells=cells) * luts_per_lut6(kind, bound)
