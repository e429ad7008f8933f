"""WRPN's bars of the Arria 10: a device filled with processing elements of each precision."""

from hwmodels.fpga import wrpn_peaks
from hwmodels.published_tables import PublishedCell
from qsim.reproduce.rows import Ours, at_least, calibrated, exact, predicted

PRECISIONS = {"FP32": "fp32", "INT4": "int4", "INT4 x TER2": "int4_ter2", "BIN1": "bin1"}
FITTED = "a constant was fitted to this bar"
ELEMENTS = "the elements are not described; here of 16 products, counted as merged cells"
POWER = "at the power that FP32's bar implies"


def speedup(cell: PublishedCell) -> Ours:
    """A bar of Figure 3(d)."""
    precision = PRECISIONS[cell.at["precision"]]
    ours = speedup_of(precision)
    if precision == "fp32":
        return exact(ours)
    if wrpn_peaks.is_fitted(precision):
        return calibrated(ours, FITTED)
    return predicted(ours, ELEMENTS)


def performance(cell: PublishedCell) -> Ours:
    """A bar of Figure 3(e), performance."""
    precision = PRECISIONS[cell.at["precision"]]
    ours = wrpn_peaks.tops(precision)
    return (
        calibrated(ours, FITTED) if wrpn_peaks.is_fitted(precision) else predicted(ours, ELEMENTS)
    )


def efficiency(cell: PublishedCell) -> Ours:
    """A bar of Figure 3(e), efficiency."""
    precision = PRECISIONS[cell.at["precision"]]
    ours = wrpn_peaks.gops_per_w(precision)
    if wrpn_peaks.is_fitted(precision, "gops_per_w"):
        return calibrated(ours, FITTED)
    return predicted(ours, POWER)


def least_gain(cell: PublishedCell) -> Ours:
    """The claim on INT4 and narrower."""
    gains = {name: speedup_of(PRECISIONS[name]) for name in PRECISIONS if name != "FP32"}
    least = min(gains, key=gains.get)
    return at_least(gains[least], cell.value, f"of {least}")


def speedup_of(precision: str) -> float:
    """Peak rate over that of FP32."""
    return float(wrpn_peaks.tops(precision) / wrpn_peaks.tops("fp32"))


TABLES = {
    "figure_3d": speedup,
    "figure_3e_fpga_performance": performance,
    "figure_3e_fpga_efficiency": efficiency,
    "claims_fpga": least_gain,
}
