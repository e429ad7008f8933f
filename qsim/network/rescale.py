"""Channels rescaled so that the network's function stays the same.

What a layer makes of a channel is multiplied by a positive number, and what the next layers with
products multiply that channel by is divided by it. Relus and pools in between commute with that;
nothing else is allowed there. It changes nothing in exact arithmetic, but how far the weights of
channels lie apart, which is what quantization per layer does not bear (whitepaper, arXiv
1806.08342, appendix A).
"""

from collections.abc import Mapping

import numpy as np

from qsim.errors import NetworkError, WeightsError
from qsim.network.graph import Network, Node
from qsim.network.layers import Conv, Flatten, Relu
from qsim.network.pools import AveragePool, MaxPool
from qsim.network.weights import Weights

PASSED = Relu | MaxPool | AveragePool | Flatten  # f(s * x) = s * f(x) for s > 0, by channel


def rescaled(network: Network, weights: Weights, scales: Mapping[str, np.ndarray]) -> Weights:
    """The weights of a network (batch norms folded) with rescaled channels, float32.

    scales   by layer with products: what each of its channels is multiplied by, (channels,)

    With powers of two the network computes the same bits, unless float32 overflows or underflows.

    Raises NetworkError when a layer cannot be rescaled (``readers_of``), ValueError on scales that
    are not positive and finite or not one for each channel, WeightsError when a weight is no
    finite float32.
    """
    changed = dict(weights)
    for name, scale in scales.items():
        readers = readers_of(network, name)
        node, scale = network.nodes[name], np.asarray(scale, np.float64)
        if scale.shape != node.output_shape[:1]:
            raise ValueError(f"{name!r} has {node.output_shape[0]} channels, not {scale.shape}")
        if not ((scale > 0) & np.isfinite(scale)).all():
            raise ValueError(f"scales of {name!r} must be positive and finite")
        for key in node.parameters:
            array = changed[f"{name}.{key}"]
            by_row = scale.reshape(-1, *(1,) * (array.ndim - 1))
            changed[f"{name}.{key}"] = _float32(name, array * by_row)
        for reader in readers:
            weight = changed[f"{reader.name}.weight"]
            divided = weight / _by_input(reader, scale)
            changed[f"{reader.name}.weight"] = _float32(reader.name, divided)
    return changed


def spread(network: Network, weights: Weights, factor: float, seed: int) -> Weights:
    """The weights with one channel, drawn from ``seed``, of every layer that can be rescaled
    multiplied by ``factor``, as ``rescaled`` does it.

    Raises NetworkError when there is no such layer, or as ``rescaled`` does.
    """
    rng = np.random.default_rng(seed)
    scales = {}
    for node in network.product_nodes:
        if not _obstacle(network, node.name):
            scales[node.name] = np.ones(node.output_shape[0])
            scales[node.name][rng.integers(node.output_shape[0])] = factor
    if not scales:
        raise NetworkError(
            f"network {network.name}: has no layer whose channels can be rescaled: one that other"
            " layers with products read through nothing but relus, pools and flattens"
        )
    return rescaled(network, weights, scales)


def readers_of(network: Network, name: str) -> list[Node]:
    """The layers with products that read what ``name`` makes, through relus, pools and flattens.

    Raises NetworkError when ``name`` is no layer with products, or when anything else reads it: a
    relu6 or an addition, say, or the network's result.
    """
    if name not in network.nodes or not network.nodes[name].has_products:
        raise NetworkError(f"network {network.name}: {name!r} is no layer with products to rescale")
    obstacle = _obstacle(network, name)
    if obstacle:
        raise NetworkError(
            f"network {network.name}: the channels of {name!r} cannot be rescaled, as {obstacle};"
            " that takes a relu, a pool, a flatten or a layer with products"
        )
    return list(_product_readers(network, name).values())


def _obstacle(network: Network, name: str) -> str:
    """Why the channels of a tensor cannot be rescaled; empty if they can."""
    if name == network.output:
        return f"{name!r} is the network's result"
    for reader in network.readers[name]:
        if isinstance(reader.layer, PASSED):
            deeper = _obstacle(network, reader.name)
            if deeper:
                return deeper
        elif not reader.has_products:
            return f"{reader.name!r} reads them"
    return ""


def _product_readers(network: Network, name: str) -> dict[str, Node]:
    found = {}
    for reader in network.readers[name]:
        if reader.has_products:
            found[reader.name] = reader
        else:
            found |= _product_readers(network, reader.name)
    return found


def _by_input(reader: Node, scale: np.ndarray) -> np.ndarray:
    """The scale of what each weight of a layer multiplies, broadcastable to the weights."""
    channels = np.repeat(scale, reader.input_shapes[0][0] // len(scale))  # flattened: in blocks
    if not isinstance(reader.layer, Conv):
        return channels
    rows, depth, *kernel = reader.parameters["weight"]
    group = np.arange(rows) // (rows // reader.layer.groups)
    inputs = group[:, None] * depth + np.arange(depth)
    return channels[inputs].reshape(rows, depth, *(1,) * len(kernel))


def _float32(name: str, values: np.ndarray) -> np.ndarray:
    with np.errstate(over="ignore"):
        rounded = values.astype(np.float32)
    if not np.isfinite(rounded).all():
        raise WeightsError(f"layer {name!r}: rescaled it has weights that are no finite float32")
    return rounded
