"""WRPN's tables: the compute cost of wide networks at low precision, and what follows from it."""

import numpy as np

from hwmodels import complexity
from hwmodels.published_tables import PublishedCell
from qsim.reproduce import networks, wrpn_asic, wrpn_fpga, wrpn_gpu, wrpn_memory
from qsim.reproduce.rows import Ours, exact, not_reproducible, predicted

ALEXNET, RESNET34, BN_INCEPTION = "alexnet-wrpn", "resnet34", "bn-inception"
ACCURACY = "an accuracy: needs ImageNet and the training"
OPERANDS = {  # weight and activation bits of the bars
    "FP32": (32, 32),
    "INT8": (8, 8),
    "INT4": (4, 4),
    "INT4 x TER2": (2, 4),
    "BIN1": (1, 1),
}


def accuracy(cell: PublishedCell) -> Ours | None:
    """A cell of Table 1 or 2."""
    return None if cell.value is None else not_reproducible(ACCURACY)


def alexnet_cost(cell: PublishedCell) -> Ours:
    """A cell of Table 3: every layer, the first too, at the row's and column's widths."""
    activation_bits = float(cell.column.removeprefix("A"))
    return exact(_alexnet_cost(cell.number("weight bits"), activation_bits))


def resnet34_cost(cell: PublishedCell) -> Ours:
    """A cell of Table 4: wide networks keep a first layer in fp32 that is not widened."""
    if cell.column == "top1":
        return not_reproducible(ACCURACY)
    weight_bits, activation_bits = cell.number("weight bits"), cell.number("activation bits")
    if cell.number("width") == 1:
        ours = complexity.compute_cost_of_growth(1.0, weight_bits, activation_bits)
        beside = float(_resnet34_cost(1, weight_bits, activation_bits))
        return exact(ours, f"all layers at these widths; {beside:.3f} with the first in fp32")
    ours = _resnet34_cost(cell.number("width"), weight_bits, activation_bits)
    return predicted(ours, f"within {abs(ours - cell.value):.3f}; first layer in fp32, not widened")


def bn_inception_cost(cell: PublishedCell) -> Ours:
    """A cell of Table 5: every layer grows by the square of the width."""
    if cell.column == "top1":
        return not_reproducible(ACCURACY)
    widths = cell.number("weight bits"), cell.number("activation bits")
    width = cell.number("width")
    own = float(complexity.compute_cost_of_growth(_growth(BN_INCEPTION, width), *widths))
    note = f"growth of width x width; {own:.3f} by the network's own growth" if width > 1 else ""
    return exact(complexity.compute_cost_of_growth(width**2, *widths), note)


def first_order(cell: PublishedCell) -> Ours:
    """A bar of Figure 3(b)."""
    return exact(complexity.first_order_speedup(*OPERANDS[cell.at["precision"]]))


def cost_claim(cell: PublishedCell) -> Ours:
    """A claim of the text on compute cost."""
    return COST_CLAIMS[cell.at["claim"]]()


def accuracy_claim(cell: PublishedCell) -> Ours:
    """A claim of the text on accuracy."""
    own_table = "; its own Table 2 gives 58.6 - 57.2 = 1.4" if cell.value == 1.44 else ""
    return not_reproducible(ACCURACY + own_table)


def _growth(name: str, width: float):
    """Growth of a network's multiply-accumulates when it is widened."""
    return complexity.growth(networks.macs(name, width), networks.macs(name))


def _alexnet_cost(weight_bits: float, activation_bits: float):
    grown = _growth(ALEXNET, 2)
    return complexity.compute_cost_of_growth(grown, weight_bits, activation_bits)


def _resnet34_cost(width: float, weight_bits: float, activation_bits: float):
    macs = networks.macs_beside_a_plain_first_layer(RESNET34, width)
    is_first = np.arange(len(macs)) == 0
    widths = [np.where(is_first, 32, bits) for bits in (weight_bits, activation_bits)]
    return complexity.compute_cost(macs, *widths, networks.macs(RESNET34).sum())


def _widest_at_no_more_cost() -> int:
    """The widest equal operands at which AlexNet of twice the width costs no more than in fp32."""
    bits = np.arange(1, 33)
    return int(bits[_alexnet_cost(bits, bits) <= 1].max())


def _bandwidth_saving():
    weights = networks.weights(ALEXNET)
    return complexity.weight_bytes(weights, 32) / complexity.weight_bytes(weights, 1)


COST_CLAIMS = {
    "AlexNet 2x wide, compute growth": lambda: exact(_growth(ALEXNET, 2)),
    "AlexNet 2x wide, compute growth, introduction": lambda: exact(_growth(ALEXNET, 2)),
    "AlexNet 2x wide, 4-bit, cost in percent": lambda: exact(100 * _alexnet_cost(4, 4)),
    "AlexNet 2x wide, widest operands of equal width at no more cost": lambda: exact(
        _widest_at_no_more_cost()
    ),
    "ResNet-34 2x wide, binary, cost in percent": lambda: exact(100 * _resnet34_cost(2, 1, 1)),
    "ResNet-34 3x wide, binary, cost in percent": lambda: exact(100 * _resnet34_cost(3, 1, 1)),
    "2-bit weights and 4-bit activations, cost in percent": lambda: predicted(
        100 * _resnet34_cost(2, 2, 4), "ResNet-34 of twice the width; stated as about"
    ),
    "bandwidth saving of binary operands": lambda: exact(_bandwidth_saving()),
}
TABLES = {
    "table_1": accuracy,
    "table_2": accuracy,
    "table_3": alexnet_cost,
    "table_4": resnet34_cost,
    "table_5": bn_inception_cost,
    "figure_3b": first_order,
    **wrpn_fpga.TABLES,
    **wrpn_gpu.TABLES,
    **wrpn_asic.TABLES,
    **wrpn_memory.TABLES,
    "claims_cost": cost_claim,
    "claims_accuracy": accuracy_claim,
}
