"""Post-training quantization of the shipped digits network: what bits, granularity and mode cost.

``python -m qsim.trends`` prints accuracies on the 450 test images (with an ONNX file after it, of
that float network): of weights of 8 to 3 bits, per layer and per channel, asymmetric and symmetric;
of activations of 8 to 3 bits; and of weights whose channels are driven apart without a change of
the function (whitepaper, arXiv 1806.08342, tables 2 to 6 and appendix A).
"""

import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hwmodels.documents import convert
from qsim import shipped
from qsim.build import build
from qsim.datasets import Dataset, digits
from qsim.errors import QsimError
from qsim.execute import execute
from qsim.model import load_model
from qsim.network.fold import fold_network, fold_weights
from qsim.network.graph import Network
from qsim.network.reference import run_float
from qsim.network.rescale import spread
from qsim.network.table import read_network
from qsim.network.weights import Weights, read_weights
from qsim.precision import PrecisionDocument, resolve
from qsim.program import Arithmetic
from qsim.values import real

BITS = (8, 6, 5, 4, 3)
SPREADS = (1, 10, 100, 1000, 10000)
CALIBRATION_IMAGES = 256


@dataclass(frozen=True)
class Scheme:
    """How weights are quantized: what has a scale, and the mode of ``affine``."""

    granularity: str
    mode: str


SCHEMES = tuple(
    Scheme(granularity, mode)
    for granularity in ("per_tensor", "per_channel")
    for mode in ("asymmetric", "symmetric")
)


@dataclass(frozen=True)
class Trained:
    """A float network with batch norms folded, its weights, and images with labels."""

    network: Network
    weights: Weights
    images: Dataset


def digits_cnn() -> Trained:
    """The shipped digits network."""
    network = read_network(shipped.WORKLOADS / "networks" / "digits-cnn.yaml")
    weights = read_weights(shipped.DATA / "digits-cnn.npz", network)
    return Trained(fold_network(network), fold_weights(network, weights), digits())


def of_onnx(path: Path) -> Trained:
    """A float network for the digits in an ONNX file. Raises QsimError where it cannot be read."""
    model = load_model(str(path), Path(), where="trends")
    if model.weights is None or model.program is not None:
        raise QsimError(f"{path}: expected a float network with its weights, an ONNX file")
    weights = fold_weights(model.network, model.weights)
    return Trained(fold_network(model.network), weights, digits())


def float_accuracy(trained: Trained) -> float:
    """The share of test images that the float network gets right."""
    tensors = run_float(trained.network, trained.weights, trained.images.images)
    return _share(tensors[trained.network.output], trained.images.labels)


def quantized_accuracy(
    trained: Trained, scheme: Scheme, weight_bits: int, activation_bits: int | None
) -> float:
    """The share that the integer program gets right; activations are asymmetric, per tensor, over
    the range of 256 training images; None: they are float."""
    activations = {"affine": {"bits": activation_bits}} if activation_bits else "float"
    default = {
        "weights": {"affine": {"bits": weight_bits, "mode": scheme.mode}},
        "weight_scale": scheme.granularity,
        "activations": activations,
    }
    document = convert({"default": default}, PrecisionDocument, where="trends")
    precision = resolve(document, trained.network, where="trends")
    calibration = trained.images.calibration[:CALIBRATION_IMAGES]
    program = build(trained.network, trained.weights, precision, calibration, Arithmetic())
    result = execute(program, trained.images.images)[trained.network.output]
    return _share(real(result.value), trained.images.labels)


def by_weight_bits(trained: Trained) -> dict[int, dict[Scheme, float]]:
    """Accuracies by bits of the weights and their scheme, with 8-bit activations."""
    return {
        bits: {scheme: quantized_accuracy(trained, scheme, bits, 8) for scheme in SCHEMES}
        for bits in BITS
    }


def by_activation_bits(trained: Trained) -> dict[int, dict[Scheme, float]]:
    """Accuracies by bits of the activations, with 8-bit weights."""
    return {
        bits: {scheme: quantized_accuracy(trained, scheme, 8, bits) for scheme in SCHEMES}
        for bits in BITS
    }


def by_spread(trained: Trained, seed: int = 0) -> dict[int, dict[Scheme, float]]:
    """Accuracies of 8-bit weights with float activations, by what one channel of every layer that
    allows it was multiplied by."""
    accuracies = {}
    for factor in SPREADS:
        weights = spread(trained.network, trained.weights, factor, seed)
        apart = Trained(trained.network, weights, trained.images)
        accuracies[factor] = {s: quantized_accuracy(apart, s, 8, None) for s in SCHEMES}
    return accuracies


def tables(trained: Trained) -> Iterator[str]:
    """The printed lines."""
    yield f"in floating point: {float_accuracy(trained):.2%}"
    parts: Sequence[tuple[str, Callable, Callable]] = (
        ("weights / activations", by_weight_bits, lambda bits: f"{bits} / 8 bits"),
        ("weights / activations", by_activation_bits, lambda bits: f"8 / {bits} bits"),
        ("8 / float, one channel", by_spread, lambda factor: f"times {factor:,}"),
    )
    for title, measured, label in parts:
        yield ""
        heads = (f"{s.granularity.removeprefix('per_')} {s.mode}" for s in SCHEMES)
        yield f"{title:23s}" + "".join(f"{head:>20s}" for head in heads)
        for key, row in measured(trained).items():
            yield f"{label(key):23s}" + "".join(f"{row[s]:20.2%}" for s in SCHEMES)


def _share(outputs: np.ndarray, labels: np.ndarray) -> float:
    return float((outputs.argmax(axis=1) == labels).mean())


if __name__ == "__main__":
    try:
        for line in tables(of_onnx(Path(sys.argv[1])) if sys.argv[1:] else digits_cnn()):
            print(line)
    except QsimError as error:
        sys.exit(f"trends: {error}")
