"""WRPN's Figure 1: shares of memory, counted as its bars must have been."""

from functools import cache

from hwmodels.memory.footprint import footprint
from hwmodels.memory.maps import FIGURE_1_OF
from hwmodels.published_tables import PublishedCell
from hwmodels.work import Step
from qsim.network.fold import fold_network
from qsim.precision import resolve
from qsim.precision_text import precision_of
from qsim.reproduce import networks
from qsim.reproduce.rows import Ours, at_least, exact
from qsim.work import training_steps, work_table

# Of each bar: its account in FIGURE_1_OF, and the network that it was drawn of
NETWORKS = {
    "AlexNet": ("alexnet", "alexnet-wrpn"),
    "Inception-ResNet-v2": ("inception-resnet-v2", "inception-resnet-v2-paper"),
    "ResNet-50": ("resnet50", "resnet50-v1.5"),
    "ResNet-101": ("resnet101", "resnet101-v1.5"),
}
UNEXPLAINED = "the account of its bars of inference does not give those of training"


def share(cell: PublishedCell) -> Ours:
    """A label of a bar, in percent."""
    of_activations = activation_percent(cell.at["network"], cell.at["phase"], cell.number("batch"))
    ours = of_activations if cell.column == "activations" else 100 - of_activations
    return exact(ours, miss=UNEXPLAINED)


def least_share(cell: PublishedCell) -> Ours:
    """What activations take at least in training at a batch of 128."""
    shares = {
        name: activation_percent(name, "training", 128)
        for name in NETWORKS
        if name != "Inception-ResNet-v2"
    }
    least = min(shares, key=shares.get)
    return at_least(shares[least], cell.value, f"of {least}")


def activation_percent(network: str, phase: str, batch: float) -> float:
    """Share of activations in the memory of a phase, as Figure 1 counts it."""
    account, name = NETWORKS[network]
    rule = FIGURE_1_OF[account]
    steps = _steps(name, phase)
    cost = footprint(steps, phase=phase, batch=batch, rule="wrpn_fig1", **rule)
    return 100 * float(cost.activation_share)


@cache
def _steps(name: str, phase: str) -> tuple[Step, ...]:
    """The steps of a network in fp32: in training with its batch norms apart."""
    network = networks.network(name)
    held = network if phase == "training" else fold_network(network)
    precision = resolve(precision_of("w32a32"), held, where="precision")
    if phase == "training":
        return training_steps(held, precision)
    return work_table(held, precision).steps


TABLES = {"figure_1": share, "claims_memory": least_share}
