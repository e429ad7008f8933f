"""The work of a network of the zoo at a width and a precision, each in a few words."""

from functools import cache

from hwmodels.work import Step, WorkTable
from qsim.network.fold import fold_network
from qsim.network.graph import Network
from qsim.network.widen import widen
from qsim.precision import resolve
from qsim.precision_text import precision_of
from qsim.work import training_steps, work_table
from qsim.zoo import find_network


@cache
def network(name: str, width: float = 1) -> Network:
    """A network as the command line calls it, ``width`` times as wide.

    Raises NetworkError or another InputError on an unknown network or one that cannot be widened.
    """
    return widen(find_network(name, where="network"), width)


@cache
def work(name: str, precision: str = "w32a32", width: float = 1) -> WorkTable:
    """The work of a network, batch norms folded, at a ``precision`` as ``precision_of`` reads it:
    ``w4a8``, or two formats.

    Raises QsimError or another InputError on what is unknown or does not fit together.
    """
    folded = fold_network(network(name, width))
    return work_table(folded, resolve(precision_of(precision), folded, where="precision"))


@cache
def trained(name: str, precision: str = "w32a32", width: float = 1) -> tuple[Step, ...]:
    """The steps of a network as it is trained, batch norms apart. Raises as ``work`` does."""
    plain = network(name, width)
    return training_steps(plain, resolve(precision_of(precision), plain, where="precision"))
