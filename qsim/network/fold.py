"""Batch norm folded into the layer before it, or kept as a factor on that layer's result.

One that does not directly follow a convolution or linear layer, or follows one whose own result is
read elsewhere too, stays a layer of its own.
"""

from dataclasses import dataclass

import msgspec
import numpy as np

from qsim.errors import WeightsError
from qsim.network.graph import Network, Node, replaced
from qsim.network.layers import BatchNorm, Conv, Layer
from qsim.network.weights import Weights


def fold_network(network: Network) -> Network:
    """The same network without the batch norms that can be folded; the layers before them have
    biases."""
    norms = _norms(network)
    renamed = {norm.name: before for before, norm in norms.items()}
    layers = [
        _without_norm(node, norms.get(node.name), renamed)
        for node in network.nodes.values()
        if node.name not in renamed
    ]
    return replaced(network, layers)


@dataclass(frozen=True)
class Unfolded:
    """The weights of a layer as they were trained, and what its batch norm multiplies them by.

    weight   float32 (rows, ...)
    factor   float32 (rows,), of either sign
    """

    weight: np.ndarray
    factor: np.ndarray


def fold_weights(network: Network, weights: Weights) -> Weights:
    """The weights of ``fold_network(network)`` that keep the function of ``weights``:
    W' = W * gamma / s, b' = beta + (b - mean) * gamma / s with s = sqrt(variance + epsilon),
    computed in float64 and rounded to float32.

    Raises WeightsError when a result is no finite float32.
    """
    norms = _norms(network)
    removed = {norm.name for norm in norms.values()}
    folded = {k: v for k, v in weights.items() if k.rsplit(".", 1)[0] not in removed}
    for before, norm in norms.items():
        folded |= _folded(before, norm, weights)
    return folded


def unfolded_weights(network: Network, weights: Weights) -> dict[str, Unfolded]:
    """The trained weights of each layer with products and its factor gamma / s, 1 without a batch
    norm, by the layer's name; it is ``fold_weights`` undone: W' = W * factor."""
    norms = _norms(network)
    layers = {}
    for node in network.product_nodes:
        weight = weights[f"{node.name}.weight"]
        factor = np.ones(len(weight))
        if node.name in norms:
            factor = _factor(norms[node.name], weights)
        layers[node.name] = Unfolded(weight, factor.astype(np.float32))
    return layers


def normalisation(norm: Node, weights: Weights) -> tuple[np.ndarray, np.ndarray]:
    """What a batch norm multiplies each channel by, gamma / s, and then adds,
    beta - mean * gamma / s: float32 (channels,) both, computed in float64.

    Raises WeightsError when one is no finite float32.
    """
    factor = _factor(norm, weights)
    with np.errstate(all="ignore"):
        offset = _offset(norm, weights, 0.0, factor).astype(np.float32)
        factor = factor.astype(np.float32)
    if not (np.isfinite(factor).all() and np.isfinite(offset).all()):
        raise WeightsError(
            f"batch_norm {norm.name!r}: its factors are no finite float32; its variances are too"
            " small or its weights too large"
        )
    return factor, offset


def _norms(network: Network) -> dict[str, Node]:
    """The batch norms that can be folded, by the name of the tensor that they read."""
    norms = {}
    for node in network.nodes.values():
        if isinstance(node.layer, BatchNorm):
            before = network.nodes.get(node.inputs[0])
            if before is None or not before.has_products:
                continue
            by_rows = isinstance(before.layer, Conv) or len(before.output_shape) == 1
            if by_rows and len(network.readers[before.name]) == 1:
                norms[before.name] = node
    return norms


def _without_norm(node: Node, norm: Node | None, renamed: dict[str, str]) -> Layer:
    inputs = tuple(renamed.get(name, name) for name in node.inputs)
    layer = msgspec.structs.replace(node.layer, inputs=inputs)
    return msgspec.structs.replace(layer, bias=True) if norm else layer


def _folded(before: str, norm: Node, weights: Weights) -> Weights:
    weight = weights[f"{before}.weight"]
    with np.errstate(all="ignore"):
        factor = _factor(norm, weights)
        bias = _offset(norm, weights, weights.get(f"{before}.bias", 0.0), factor)
        by_row = factor.reshape(-1, *(1,) * (weight.ndim - 1))
        scaled = np.empty(weight.shape, np.float32)  # each product rounded once, from float64
        np.multiply(weight, by_row, out=scaled, dtype=np.float64, casting="same_kind")
        folded = {f"{before}.weight": scaled, f"{before}.bias": bias.astype(np.float32)}
    if not all(np.isfinite(array).all() for array in folded.values()):
        raise WeightsError(
            f"batch_norm {norm.name!r}: folded into {before!r} it makes weights that are no finite"
            " float32; its variances are too small or its weights too large"
        )
    return folded


def _factor(norm: Node, weights: Weights) -> np.ndarray:
    """gamma / sqrt(variance + epsilon), float64; not finite where the variance is too small."""
    gamma, variance = (
        weights[f"{norm.name}.{key}"].astype(np.float64) for key in ("weight", "running_var")
    )
    with np.errstate(all="ignore"):
        return gamma / np.sqrt(variance + norm.layer.epsilon)


def _offset(norm: Node, weights: Weights, bias, factor: np.ndarray) -> np.ndarray:
    """beta + (bias - mean) * factor, float64."""
    beta, mean = (
        weights[f"{norm.name}.{key}"].astype(np.float64) for key in ("bias", "running_mean")
    )
    return beta + (bias - mean) * factor
