"""EAGL and ALPS: what its knapsack is over, counted on our networks. Nothing of the paper's own
tables is known to compare it with."""

from dataclasses import dataclass
from functools import cache
from math import gcd

import numpy as np

from hwmodels import complexity
from hwmodels.published_tables import PublishedCell
from qsim.reproduce import networks
from qsim.reproduce.rows import Ours, not_reproducible, unpublished

MIB = 2**20
END_BITS = 8
NETWORKS = {
    "ResNet-50 v1.5": "resnet50-v1.5",
    "ResNet-50 v1": "resnet50-v1",
    "ResNet-101 v1.5": "resnet101-v1.5",
    "BERT-base": "bert-base",
    "PSPNet": "pspnet",
}
UNREAD = "the body of the paper was not read: its tables are not known"
COUNTED = "counted on our network; " + UNREAD
CLAIMS = "accuracies, training and times of the paper's networks; nothing that a count can show"


@dataclass(frozen=True)
class Knapsack:
    """The layers that a mix of precisions is chosen for, and the ends that stay at 8 bits.

    free    which of the layers with weights are chosen for
    items   how many sets of free layers read one tensor, and so have one precision
    """

    macs: np.ndarray
    weights: np.ndarray
    free: np.ndarray
    items: int

    @property
    def mac_unit(self) -> int:
        """The largest number of which the MACs of every free layer are a multiple."""
        return gcd(*(int(macs) for macs in self.macs[self.free]))


@cache
def knapsack(name: str) -> Knapsack:
    """The knapsack over a network: all layers with weights but the first and the last; where the
    first layers read a table of words, all but the last."""
    nodes = networks.network(name).product_nodes
    free = np.ones(len(nodes), bool)
    free[-1] = False
    free[0] = name == "bert-base"
    reads = {node.inputs[0] for node, is_free in zip(nodes, free, strict=True) if is_free}
    return Knapsack(networks.macs(name), networks.weights(name), free, len(reads))


def count(cell: PublishedCell) -> Ours:
    """A count of the layers, MACs or weights of a knapsack."""
    held = knapsack(NETWORKS[cell.at["network"]])
    macs, weights, free = held.macs, held.weights, held.free
    counted = {
        "layers": len(macs),
        "free": free.sum(),
        "items": held.items,
        "mac_unit": held.mac_unit,
        "units": macs[free].sum() / held.mac_unit,
        "free_macs": macs[free].sum(),
        "end_macs": macs[~free].sum(),
        "free_weights": weights[free].sum(),
        "end_weights": weights[~free].sum(),
    }
    return unpublished(counted[cell.column], COUNTED)


def uniform(cell: PublishedCell) -> Ours:
    """A figure of a network with all free layers at one width."""
    held = knapsack(NETWORKS[cell.at["network"]])
    bits = np.where(held.free, float(cell.at["width"][1]), END_BITS)
    bops = complexity.bops(complexity.layer_bops(held.macs, bits, bits))
    size = complexity.weight_bytes(held.weights, bits)
    counted = {
        "bops_G": bops / 1e9,
        "mac_bits_G": (held.macs * bits).sum() / 1e9,
        "MiB": size / MIB,
        "compression": complexity.weight_bytes(held.weights, 32) / size,
    }
    return unpublished(counted[cell.column], COUNTED)


def unread(cell: PublishedCell) -> Ours:
    """A result of the paper."""
    return unpublished(None, UNREAD)


def claim(cell: PublishedCell) -> Ours:
    """A claim of the abstract."""
    return not_reproducible(CLAIMS)


TABLES = {
    "networks": count,
    "uniform": uniform,
    "results": unread,
    "compute_time": unread,
    "hardware": unread,
    "claims": claim,
}
