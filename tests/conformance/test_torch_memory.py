"""What torch holds for the backward pass of whole networks, to the byte."""

import pytest
from conformance.peers import RECORD, TORCH, load
from conformance.torch_training import modelled_saved_bytes, saved_bytes

from hwmodels.memory.settings import Settings
from qsim.formats import Float
from qsim.network.fold import fold_network
from qsim.precision import LayerPrecision, PrecisionDocument, resolve
from qsim.work import training_steps
from qsim.zoo import find_network

SMALL = {
    "resnet18": {"size": 64, "classes": 10},
    "resnet50-v1.5": {"size": 64, "classes": 10},
    "alexnet-torchvision": {"size": 64, "classes": 10},
    "mobilenet-v2": {"size": 64, "classes": 10},
    "inception-v3": {"size": 75, "classes": 10},
    "bert-base": {"tokens": 6, "layers": 1, "hidden": 128, "vocabulary": 50},
    "alexnet-wrpn": {"size": 60, "classes": 10},
    "yolo-v3": {"size": 32, "classes": 2},
}


def trained(name):
    network = find_network({name: SMALL[name]}, where="network")
    document = PrecisionDocument(LayerPrecision(weights="float", activations="float"))
    precision = resolve(document, fold_network(network), where="precision")
    assert isinstance(next(iter(precision.weights.values())), Float)
    return network, training_steps(network, precision)


@pytest.mark.parametrize("in_place", [False, True])
@pytest.mark.parametrize("low_precision", [False, True])
@pytest.mark.parametrize("name", list(SMALL))
def test_a_network_holds_what_torch_holds(name, in_place, low_precision):
    load(TORCH)
    network, steps = trained(name)
    if name == "bert-base" and (in_place or low_precision):
        pytest.skip(
            "torch's linear layer of tokens makes a view, and its CPU normalizes in 16 bits"
        )
    bits = 16 if low_precision else 32
    settings = Settings(framework=True, in_place=in_place, compute_bits=bits)
    batch = 2
    theirs = saved_bytes(network, settings, steps, batch, low_precision)
    ours = modelled_saved_bytes(steps, settings, batch)
    RECORD.compare(TORCH, "bytes held for a backward pass", ours, theirs)
