"""WRPN's bars of the ASIC: processing elements of few bits beside one of single precision."""

from collections.abc import Callable
from math import log10

from hwmodels.asic import wrpn
from hwmodels.published_tables import PublishedCell
from qsim.reproduce.rows import Ours, calibrated, exact, not_reproducible, predicted

PRECISIONS = {"INT8": "int8", "INT4": "int4", "INT4 x TER2": "int4_ter2", "BIN1": "bin1"}
FITTED = "the element of single precision was fitted to this bar"
ELEMENTS = "the elements are not described; here of 16 products"


def performance(cell: PublishedCell) -> Ours:
    """A bar of Figure 3(f)."""
    return _bar(cell, "performance", wrpn.performance)


def energy(cell: PublishedCell) -> Ours:
    """A bar of Figure 3(g)."""
    return _bar(cell, "energy", wrpn.energy)


def gain(cell: PublishedCell) -> Ours:
    """A claim of the text on FPGA and ASIC."""
    if cell.value == 100:
        return not_reproducible("a range over both platforms; its own bars reach 428 and 880")
    if cell.value == 6.5:
        return not_reproducible("of the FPGA's bar of INT4, which is a row of figure_3d")
    ours = [log10(float(wrpn.performance(p))) for p in ("int4_ter2", "bin1")]
    return predicted(max(ours), f"{ours[0]:.1f} to {ours[1]:.1f}, performance of TER2 and BIN1")


def _bar(cell: PublishedCell, quantity: str, of: Callable) -> Ours:
    if cell.at["precision"] == "FP32":
        return exact(1.0)
    precision = PRECISIONS[cell.at["precision"]]
    fitted = wrpn.is_fitted(precision, quantity)
    return calibrated(of(precision), FITTED) if fitted else predicted(of(precision), ELEMENTS)


TABLES = {"figure_3f": performance, "figure_3g": energy, "claims_asic": gain}
