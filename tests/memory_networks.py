"""Steps of networks of the zoo, as they are trained and as they are executed."""

from functools import cache

from qsim.network.fold import fold_network
from qsim.precision import LayerPrecision, PrecisionDocument, resolve
from qsim.work import training_steps, work_table
from qsim.zoo import find_network


@cache
def steps_of(name, weights="float", activations="float"):
    """The steps of training and those of inference."""
    network = find_network(name, where="network")
    folded = fold_network(network)
    document = PrecisionDocument(LayerPrecision(weights=weights, activations=activations))
    precision = resolve(document, folded, where="precision")
    return training_steps(network, precision), work_table(folded, precision).steps
