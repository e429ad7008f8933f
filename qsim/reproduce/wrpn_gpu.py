"""WRPN's bars of the Titan X: the peak rate of the narrowest type that holds the operands."""

from functools import cache

from hwmodels.gpu import binary, precision
from hwmodels.gpu.device import Gpu, load_device
from hwmodels.published_tables import PublishedCell
from qsim.reproduce.rows import Ours, calibrated, exact, predicted

WIDEST = {"FP32": 32, "INT8": 8, "INT4": 4, "INT4 x TER2": 4, "BIN1": 1}  # operand, in bits
BINARY = "BIN1"
FITTED = "the share of the issue rate that binary products reach was fitted to this bar"
IN_WATTS = "at the TDP; the bar implies 155 W"


def speedup(cell: PublishedCell) -> Ours:
    """A bar of Figure 3(c)."""
    name = cell.at["precision"]
    if name == "FP32":
        return exact(1.0)
    ours = tops(name) / tops("FP32")
    return calibrated(ours, FITTED) if name == BINARY else predicted(ours, runs_as(name))


def performance(cell: PublishedCell) -> Ours:
    """A bar of Figure 3(e), performance."""
    name = cell.at["precision"]
    ours = tops(name)
    return calibrated(ours, FITTED) if name == BINARY else predicted(ours, runs_as(name))


def efficiency(cell: PublishedCell) -> Ours:
    """A bar of Figure 3(e), efficiency."""
    name = cell.at["precision"]
    ours = 1e3 * tops(name) / titan_x().tdp_w.value
    return predicted(ours, IN_WATTS if name == BINARY else "peak rate over TDP")


def most_gain(cell: PublishedCell) -> Ours:
    """The claim of the text."""
    most = max(tops(name) for name in WIDEST if name != BINARY)
    return predicted(most / tops("FP32"), "of INT8, as which all but BIN1 run")


def tops(name: str) -> float:
    """Rate of a precision of the figures, in 1e12 operations per second."""
    if name == BINARY:
        return float(binary.calibrated_binary_tops(titan_x()))
    return float(precision.peak_tops(titan_x(), _engine(name)))


def runs_as(name: str) -> str:
    """What a precision runs as."""
    return f"peak rate of {_engine(name)}"


def _engine(name: str) -> str:
    bits = WIDEST[name]
    return precision.engine_of(titan_x(), precision.type_of(titan_x(), bits, in_float=bits == 32))


@cache
def titan_x() -> Gpu:
    """The GPU of the figures."""
    return load_device("titan_x_pascal")


TABLES = {
    "figure_3c": speedup,
    "figure_3e_gpu_performance": performance,
    "figure_3e_gpu_efficiency": efficiency,
    "claims_gpu": most_gain,
}
