"""Batch norm folded into the layer before it, or kept as a factor on that layer's result."""

from dataclasses import dataclass

import msgspec
import numpy as np

from qsim.errors import NetworkError, WeightsError
from qsim.network.graph import Network, Node, replaced
from qsim.network.layers import BatchNorm, Layer
from qsim.network.weights import Weights


def fold_network(network: Network) -> Network:
    """The same network without batch norms; the layers before them have biases.

    Raises NetworkError when a batch norm follows no convolution or linear layer, or when that
    layer's own result is read elsewhere too.
    """
    norms = _norms(network)
    for before, norm in norms.items():
        _check_foldable(network, before, norm)
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


def _norms(network: Network) -> dict[str, Node]:
    """The batch norms by the name of the tensor that they read."""
    return {n.inputs[0]: n for n in network.nodes.values() if isinstance(n.layer, BatchNorm)}


def _check_foldable(network: Network, before: str, norm: Node) -> None:
    node = network.nodes.get(before)
    if node is None or not node.has_products or len(network.readers[before]) > 1:
        raise NetworkError(
            f"network {network.name}: batch_norm {norm.name!r} cannot be folded: it must directly"
            " follow a convolution or linear layer whose result nothing else reads"
        )


def _without_norm(node: Node, norm: Node | None, renamed: dict[str, str]) -> Layer:
    inputs = tuple(renamed.get(name, name) for name in node.inputs)
    layer = msgspec.structs.replace(node.layer, inputs=inputs)
    return msgspec.structs.replace(layer, bias=True) if norm else layer


def _folded(before: str, norm: Node, weights: Weights) -> Weights:
    beta, mean = (
        weights[f"{norm.name}.{key}"].astype(np.float64) for key in ("bias", "running_mean")
    )
    weight = weights[f"{before}.weight"]
    with np.errstate(all="ignore"):
        factor = _factor(norm, weights)
        bias = beta + (weights.get(f"{before}.bias", 0.0) - mean) * factor
        by_row = factor.reshape(-1, *(1,) * (weight.ndim - 1))
        folded = {
            f"{before}.weight": (weight * by_row).astype(np.float32),
            f"{before}.bias": bias.astype(np.float32),
        }
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
