"""The quantization whitepaper's tables: parameters, sizes, latencies."""

from math import prod

import numpy as np

from hwmodels import complexity
from hwmodels.published_tables import PublishedCell
from qsim.reproduce import networks, whitepaper_speed
from qsim.reproduce.rows import Ours, exact, not_reproducible

ACCURACY = "an accuracy: needs ImageNet, its checkpoints and the training"
SCALE_BYTES = 4 + 1  # of a scale in fp32 and a zero point in 8 bits

TRAINED, WEIGHTS = "trainable parameters", "weights alone"
STORED = "trainable parameters and running statistics"
STORED_1001 = STORED + ", of 1001 classes"
# Which network each row means, and which of the four counts has its printed digits: the table does
# not say what it counts, and no one of them gives all rows.
MODELS = {
    "Mobilenet_V1_0.25_128": ("mobilenet-v1(width=0.25, size=128)", TRAINED),
    "Mobilenet_V2_1_224": ("mobilenet-v2", STORED_1001),
    "Mobilenet_V1_1_224": ("mobilenet-v1", STORED_1001),
    "Nasnet_Mobile": ("nasnet-a-mobile", TRAINED),
    "Mobilenet_V2_1.4_224": ("mobilenet-v2(width=1.4)", WEIGHTS),
    "Inception_V3": ("inception-v3", STORED),
    "Resnet_v1_50": ("resnet50-slim", TRAINED),
    "Resnet_v2_50": ("resnet50-v2-slim", TRAINED),
    "Resnet_v1_152": ("resnet152-slim", STORED),
    "Resnet_v2_152": ("resnet152-v2-slim", STORED),
}


def parameters(cell: PublishedCell) -> Ours:
    """A cell of Table 1."""
    if cell.column == "top1":
        return not_reproducible(ACCURACY)
    name, rule = MODELS[cell.at["model"]]
    return exact(count(name, rule) / 1e6, f"counts {rule}", miss="no count of ours gives it")


def accuracy(cell: PublishedCell) -> Ours:
    """A cell of Tables 2 to 6."""
    return not_reproducible(ACCURACY)


def size_claim(cell: PublishedCell) -> Ours:
    """How many times smaller 8 bits are than fp32."""
    shares = [100 * scale_share(name) for name in ("resnet50-slim", "mobilenet-v2")]
    weights = networks.weights("resnet50-slim")
    ratio = complexity.weight_bytes(weights, 32) / complexity.weight_bytes(weights, 8)
    note = (
        "of the weights; a scale and a zero point per channel add"
        f" {shares[0]:.1f} % (ResNet-50) to {shares[1]:.1f} % (MobileNet v2)"
    )
    return exact(ratio, note)


def accuracy_claim(cell: PublishedCell) -> Ours:
    """A claim of the text on accuracy."""
    return not_reproducible(ACCURACY)


def count(name: str, rule: str) -> int:
    """Parameters of a network as ``rule`` counts them."""
    held = networks.network(name)
    if rule == WEIGHTS:
        return int(networks.weights(name).sum())
    if rule == TRAINED:
        return held.parameter_count
    statistics = [
        prod(shape)
        for node in held.nodes.values()
        for shape in node.layer.statistics(node.input_shapes[0]).values()
    ]
    classifier = held.product_nodes[-1]
    one_class = sum(prod(shape[1:]) for shape in classifier.parameters.values())
    more = one_class if rule == STORED_1001 else 0
    return held.parameter_count + sum(statistics) + more


def scale_share(name: str) -> float:
    """Bytes of a scale and a zero point for each output channel, over those of 8-bit weights."""
    rows = np.array([node.parameters["weight"][0] for node in networks.network(name).product_nodes])
    weights = networks.weights(name)
    return complexity.scale_bytes(rows, SCALE_BYTES) / complexity.weight_bytes(weights, 8)


TABLES = {
    "table_1": parameters,
    "table_2": accuracy,
    "table_3": accuracy,
    "table_4": accuracy,
    "table_5": accuracy,
    "table_6": accuracy,
    **whitepaper_speed.TABLES,
    "claims_size": size_claim,
    "claims_accuracy": accuracy_claim,
}
