"""What the tables are computed from: the zoo's networks, and what the papers publish."""

from functools import cache

import numpy as np

from hwmodels.published import PublishedTable, read_published
from hwmodels.published_tables import PublishedTables, read_tables
from qsim import shipped
from qsim.explore.networks import network, work
from qsim.network.graph import INPUT, Network, Node

__all__ = [
    "macs", "macs_beside_a_plain_first_layer", "msq_designs", "network", "published", "weights",
    "work",
]  # fmt: skip


@cache
def published(paper: str) -> PublishedTables:
    """The published tables of a paper."""
    path = shipped.WORKLOADS / "published" / f"{paper}.yaml"
    return msq_designs().as_tables() if paper == "msq" else read_tables(path)


@cache
def msq_designs() -> PublishedTable:
    """MSQ's designs and their published figures."""
    return read_published(shipped.WORKLOADS / "published" / "msq.yaml")


def macs(text: str, width: float = 1) -> np.ndarray:
    """Multiply-accumulates of the layers with weights, in order, float64."""
    return np.array([node.macs for node in network(text, width).product_nodes], np.float64)


def weights(text: str) -> np.ndarray:
    """Weights of these layers, without biases, float64."""
    sizes = [np.prod(node.parameters["weight"]) for node in network(text).product_nodes]
    return np.array(sizes, np.float64)


def macs_beside_a_plain_first_layer(text: str, width: float) -> np.ndarray:
    """Multiply-accumulates of the layers where all but the first layer are ``width`` times as wide:
    the layers that read its channels read as many as before."""
    wide = network(text, width)
    counted = []
    first = wide.product_nodes[0].name
    for node in wide.product_nodes:
        if node.name == first:
            counted.append(network(text).nodes[first].macs)
        else:
            reads_first = first in _products_read(wide, node)
            counted.append(node.macs / width if reads_first else node.macs)
    return np.array(counted, np.float64)


def _products_read(whole: Network, node: Node) -> set[str]:
    """The layers with weights that ``node`` reads through no addition and no other of them."""
    found, waiting = set(), list(node.inputs)
    while waiting:
        name = waiting.pop()
        if name == INPUT:
            continue
        source = whole.nodes[name]
        if source.has_products:
            found.add(name)
        elif len(source.inputs) == 1:
            waiting += source.inputs
    return found
