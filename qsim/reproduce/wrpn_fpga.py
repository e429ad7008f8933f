"""WRPN's bars of the Arria 10: a device filled with processing elements of each precision."""

from hwmodels.fpga import filled
from hwmodels.fpga.device import load_device
from hwmodels.fpga.schemes import Cells
from hwmodels.published_tables import PublishedCell
from qsim.reproduce.rows import Ours, at_least, calibrated, exact, predicted

DEVICE = "arria10_gx1150"
SCHEMES = {"INT4": ("fixed", 4, 4), "INT4 x TER2": ("ternary", 2, 4), "BIN1": ("xnor", 1, 1)}
FITTED = "a constant was fitted to this bar"


def speedup(cell: PublishedCell) -> Ours:
    """A bar of Figure 3(d)."""
    name = cell.at["precision"]
    ours = tops(name) / tops("FP32")
    if name == "FP32":
        return exact(ours)
    if name == "BIN1":
        return calibrated(ours, FITTED)
    return predicted(ours, _band(name))


def performance(cell: PublishedCell) -> Ours:
    """A bar of Figure 3(e), performance, of the FPGA."""
    name = cell.at["precision"]
    if _is_fitted(cell):
        return calibrated(tops(name), FITTED)
    return predicted(tops(name), _band(name))


def efficiency(cell: PublishedCell) -> Ours:
    """A bar of Figure 3(e), efficiency, of the FPGA."""
    ours = filled.gops_per_w(tops(cell.at["precision"]))
    if _is_fitted(cell):
        return calibrated(ours, FITTED)
    return predicted(ours, "at the power that FP32's bar implies")


def least_gain(cell: PublishedCell) -> Ours:
    """The claim on INT4 and narrower."""
    return at_least(min(tops(name) for name in SCHEMES) / tops("FP32"), cell.value, "of INT4")


def tops(name: str, cells: Cells = "merged") -> float:
    """Peak rate at a precision, in TOP/s; with other ``cells`` the logic is fitted to BIN1 anew."""
    device = load_device(DEVICE)
    if name == "FP32":
        return float(filled.tops(filled.float_products(device)))
    scheme, weight_bits, activation_bits = SCHEMES[name]
    binary = SCHEMES["BIN1"]
    again = filled.luts_per_product(device, *binary, cells) / filled.luts_per_product(
        device, *binary
    )
    products = again * filled.logic_products(device, scheme, weight_bits, activation_bits, cells)
    if scheme == "fixed":
        products = products + filled.multiplier_products(device, weight_bits, activation_bits)
    return float(filled.tops(products))


def _band(name: str) -> str:
    """What other ways to count cells give."""
    found = [tops(name, cells) / tops("FP32") for cells in ("kept", "packed")]
    return f"{min(found):.3g} to {max(found):.3g} with adders kept apart from the products"


def _is_fitted(cell: PublishedCell) -> bool:
    return f"{cell.table}/{cell.at['precision']}" in filled.fitted_bars()


TABLES = {
    "figure_3d": speedup,
    "figure_3e_fpga_performance": performance,
    "figure_3e_fpga_efficiency": efficiency,
    "claims_fpga": least_gain,
}
