"""The calibrated constants of MSQ's design, and what they were fitted to."""

from functools import cache

import msgspec
import numpy as np

from hwmodels.documents import read_document
from hwmodels.explain import read_figure
from hwmodels.provenance import HERE, Figure, FittedFigure


class GemmConstants(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The calibrated constants of this model."""

    paper: str
    compute_efficiency: FittedFigure
    lut_core_bits: tuple[int, int]
    lut_base: FittedFigure
    lut_per_fixed_mac: FittedFigure
    lut_per_sp2_mac: dict[str, FittedFigure]
    shell_lut: FittedFigure


@cache
def load_constants() -> GemmConstants:
    """The calibrated constants, from ``calibrated/msq_gemm.yaml``."""
    return read_document(HERE / "calibrated" / "msq_gemm.yaml", GemmConstants)


def fitted_cells() -> set[str]:
    """The published cells (network/design/quantity) that any constant was fitted to."""
    constants = load_constants()
    figures = [
        constants.compute_efficiency,
        constants.lut_base,
        constants.lut_per_fixed_mac,
        *constants.lut_per_sp2_mac.values(),
        constants.shell_lut,
    ]
    return {cell for figure in figures for cell in figure.fitted_to}


def constant(figure: FittedFigure | Figure, name: str) -> np.ndarray:
    """The value of one of them, in float64, explained by its ``name``."""
    return read_figure(figure, name, where="hwmodels/calibrated/msq_gemm.yaml")
