"""DoReFa-Net's tables: the complexity columns by its rules; accuracies need the data sets."""

from hwmodels import complexity
from hwmodels.published_tables import PublishedCell
from qsim.reproduce import networks
from qsim.reproduce.rows import Ours, exact, not_reproducible, predicted, unpublished

ACCURACY = "an accuracy: needs the data set and the training"
CLAIMS = {
    "FPGA resources of B-bit arithmetic": "an order of growth, not a figure",
    "sensitivity to few bits": "an order found by training",
    "narrowest gradients without a loss on AlexNet, bits": ACCURACY,
}


def table(cell: PublishedCell) -> Ours | None:
    """A cell of Table 1 or 2; of a blank one, what the rule gives, and none for an accuracy."""
    weight_bits, activation_bits, gradient_bits = (cell.number(name) for name in "WAG")
    match cell.column:
        case "training":
            ours = complexity.training_complexity(weight_bits, activation_bits, gradient_bits)
        case "inference":
            ours = complexity.inference_complexity(weight_bits, activation_bits)
        case "storage":
            ours = complexity.relative_storage(weight_bits)
        case _:
            return None if cell.value is None else not_reproducible(ACCURACY)
    if cell.value is None:
        return unpublished(ours, "a dash in print; this is what the column's rule gives")
    return exact(ours, miss="a misprint: 2-bit weights take 2 bits in the table's other rows")


def accuracy(cell: PublishedCell) -> Ours:
    """A cell of Table 3."""
    return not_reproducible(ACCURACY)


def xnor_net(cell: PublishedCell) -> Ours:
    """The speedup of a binary convolution."""
    if cell.column == "measured":
        return not_reproducible("a measurement on a CPU that the paper does not describe")
    ours = complexity.binary_convolution_speedup(
        cell.number("channels"), cell.number("kernel area")
    )
    return exact(ours)


def claim(cell: PublishedCell) -> Ours:
    """A claim of the text."""
    name = cell.at["claim"]
    if name.startswith("model A, operations"):
        millions = 2 * networks.network("svhn-a").macs / 1e6
        return predicted(millions, "the unit is missing in print; taken as millions of operations")
    return not_reproducible(CLAIMS.get(name, ACCURACY))


TABLES = {
    "table_1": table,
    "table_2": table,
    "table_3": accuracy,
    "xnor_net": xnor_net,
    "claims": claim,
}
