"""Work tables of networks for the tests of cost models."""

from qsim import zoo
from qsim.formats import Fixed
from qsim.network.fold import fold_network
from qsim.precision import Granularity, Precision
from qsim.rounded_tensors import rounded_tensors
from qsim.work import work_table


def table_of(network, weights=None, activations=None):
    """The work of a network with one format for all weights and one for all activations."""
    names = [node.name for node in network.product_nodes]
    weights, activations = weights or Fixed(4), activations or Fixed(4, signed=False)
    return work_table(
        network,
        Precision(
            dict.fromkeys(names, weights),
            dict.fromkeys(names, Granularity("per_channel")),
            dict.fromkeys(rounded_tensors(network), activations),
        ),
    )


def zoo_table(name, weights=None, activations=None):
    """The work of a network of the zoo, batch norms folded."""
    return table_of(fold_network(zoo.find_network(name, where="network")), weights, activations)
