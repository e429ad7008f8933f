"""HAWQ-V3's tables: bit operations and sizes of uniform networks and of its published mixes."""

from functools import cache

import numpy as np

from hwmodels import complexity
from hwmodels.published_tables import PublishedCell
from qsim.reproduce import networks
from qsim.reproduce.rows import Ours, exact, not_reproducible, predicted

MIB = 2**20
FP32 = 32
END_BITS = 8  # of the first and the last layer of a quantized network
UNIFORM = {"fp32": FP32, "w8a8": 8, "w4a4": 4}
NETWORKS = {"resnet18": "resnet18", "resnet50": "resnet50-v1"}
OTHERS = {
    "ResNet-101": "resnet101-v1",
    "ResNet-101b": "resnet101-v1.5",
    "Inception-v3": "inception-v3",
}
ACCURACY = "an accuracy: needs ImageNet and the training"
MIXED = (
    "the published bits of every layer; the size column is 1 to 3 % above ours and that of bit"
    " operations 1 to 3 % below, cause not known"
)
WHOLE = "the published figure is larger; it may count other operations too"
LARGER = "the published figure is larger; it may count what a file stores beside parameters"
SPEEDUP = "measured on a T4 with kernels tuned for it, which no rate of the device gives"


def quantized(cell: PublishedCell) -> Ours:
    """A cell of the tables of ResNet-18 and ResNet-50."""
    if cell.column == "top1":
        return not_reproducible(ACCURACY)
    if cell.column == "speedup":
        return not_reproducible(SPEEDUP)
    name, scheme = NETWORKS[cell.table], cell.at["scheme"]
    if scheme not in UNIFORM:
        return predicted(_figure(cell.column, name, mixed_bits(cell.table, scheme)), MIXED)
    ours = _figure(cell.column, name, uniform_bits(name, UNIFORM[scheme]))
    return exact(ours, miss=MISSES.get((cell.table, scheme, cell.column), "cause not known"))


def in_fp32(cell: PublishedCell) -> Ours:
    """A cell of the other networks."""
    if cell.column == "top1":
        return not_reproducible(ACCURACY)
    name = OTHERS[cell.at["network"]]
    ours = _figure(cell.column, name, uniform_bits(name, FP32))
    return exact(ours, miss=LARGER if cell.column == "size_MB" else WHOLE)


def claim(cell: PublishedCell) -> Ours:
    """A claim of the abstract."""
    return not_reproducible(ACCURACY)


MISSES = {
    ("resnet18", "w4a4", "bops_G"): "the table cuts the digits off",
    ("resnet50", "fp32", "size_MB"): LARGER,
    ("resnet50", "w8a8", "size_MB"): "the table's is a quarter of its size in fp32",
}


def uniform_bits(name: str, bits: int) -> np.ndarray:
    """Bits of every layer of a uniform network, whose ends have 8 where it is quantized."""
    held = np.full(len(networks.macs(name)), float(bits))
    if bits < FP32:
        held[[0, -1]] = END_BITS
    return held


@cache
def mixed_bits(table: str, scheme: str) -> np.ndarray:
    """Bits of every layer in a published mix."""
    given = networks.published("hawq").given[table]
    column = given.columns.index(scheme)
    between = [int(bit) for row in given.rows for bit in row[column]]
    return np.array([END_BITS, *between, END_BITS], np.float64)


def _figure(column: str, name: str, bits: np.ndarray):
    """Bit operations in 10^9; or MiB: of all parameters in fp32, else of the weights."""
    if column == "bops_G":
        return complexity.bops(complexity.layer_bops(networks.macs(name), bits, bits)) / 1e9
    if (bits == FP32).all():
        return complexity.weight_bytes([networks.network(name).parameter_count], FP32) / MIB
    return complexity.weight_bytes(networks.weights(name), bits) / MIB


TABLES = {"resnet18": quantized, "resnet50": quantized, "other": in_fp32, "claims": claim}
