"""What torch holds for the backward pass of whole networks, to the byte, and the most that it
allocates in a training step."""

import pytest
from conformance.peers import RECORD, TORCH, load
from conformance.torch_training import (
    allocated_at_most,
    modelled_allocation,
    modelled_saved_bytes,
    saved_bytes,
)

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


def trained(document):
    network = find_network(document, where="network")
    in_float = PrecisionDocument(LayerPrecision(weights="float", activations="float"))
    precision = resolve(in_float, fold_network(network), where="precision")
    assert isinstance(next(iter(precision.weights.values())), Float)
    return network, training_steps(network, precision)


@pytest.fixture(autouse=True)
def one_thread():
    """As fast for what is small, also beside other programs."""
    torch = load(TORCH)
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


CASES = [
    (name, in_place, low_precision)
    for name in SMALL
    for in_place in (False, True)
    for low_precision in (False, True)
    # torch's linear layer of tokens makes a view, and its CPU normalizes in 16 bits
    if name != "bert-base" or not (in_place or low_precision)
]


@pytest.mark.parametrize(("name", "in_place", "low_precision"), CASES)
def test_a_network_holds_what_torch_holds(name, in_place, low_precision):
    load(TORCH)
    network, steps = trained({name: SMALL[name]})
    bits = 16 if low_precision else 32
    settings = Settings(framework=True, in_place=in_place, compute_bits=bits)
    batch = 2
    theirs = saved_bytes(network, settings, steps, batch, low_precision)
    ours = modelled_saved_bytes(steps, settings, batch)
    RECORD.compare(TORCH, "bytes held for a backward pass", ours, theirs)


@pytest.mark.parametrize(
    ("document", "checkpointing", "tolerance"),
    [
        ("resnet18", "none", 0.04),
        ("mobilenet-v2", "none", 0.04),
        ("inception-v3", "none", 0.04),
        ("resnet18", "per_block", 0.04),
        (
            "mobilenet-v2",
            "sqrt",
            0.15,
        ),  # depthwise layers have a workspace, which is a larger share
        ("resnet50-v1.5", "sqrt", 0.06),
    ],
)
def test_a_training_step_allocates_about_what_the_schedule_says(document, checkpointing, tolerance):
    """The model was not fitted to these; it leaves out workspaces."""
    load(TORCH)
    network, steps = trained(document)
    theirs = allocated_at_most(network, steps, 2, checkpointing)
    ours = modelled_allocation(steps, 2, checkpointing)
    assert abs(ours / theirs - 1) <= tolerance
