"""What the tables are computed from: the zoo's networks, and what the papers publish."""

from functools import cache

import numpy as np

from hwmodels.published import PublishedTable, read_published
from hwmodels.published_tables import PublishedTables, read_tables
from hwmodels.work import WorkTable
from qsim import shipped
from qsim.network.fold import fold_network
from qsim.network.graph import INPUT, Network, Node
from qsim.network.widen import widen
from qsim.precision import resolve
from qsim.precision_text import precision_of
from qsim.work import work_table
from qsim.zoo import find_network


@cache
def published(paper: str) -> PublishedTables:
    """The published tables of a paper."""
    path = shipped.WORKLOADS / "published" / f"{paper}.yaml"
    return msq_designs().as_tables() if paper == "msq" else read_tables(path)


@cache
def msq_designs() -> PublishedTable:
    """MSQ's designs and their published figures."""
    return read_published(shipped.WORKLOADS / "published" / "msq.yaml")


@cache
def network(text: str, width: float = 1) -> Network:
    """A network of the zoo, ``width`` times as wide."""
    return widen(find_network(text, where="network"), width)


@cache
def work(text: str, precision: str = "w32a32") -> WorkTable:
    """The work of a network at a precision, as ``w4a8`` says it or two formats do."""
    folded = fold_network(network(text))
    return work_table(folded, resolve(precision_of(precision), folded, where="precision"))


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
