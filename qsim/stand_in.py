"""The float network that stands in for a quantized one: what calibrates it and is compared with it.

It computes with what quantized weights stand for, clips activations where their format does so
without data, and takes signs where these are multiplied by XNOR-Net's map; it rounds nothing else.
"""

from collections.abc import Mapping

import numpy as np

from qsim.formats import Facts
from qsim.kernels.scale_map import scale_map
from qsim.network.graph import Network, Node
from qsim.network.layers import Linear, border, pair
from qsim.network.reference import LayerFunction, TensorFunction, float_layer
from qsim.network.weights import Weights


def stand_in(
    network: Network, activations: Mapping[str, Facts]
) -> tuple[dict[str, TensorFunction], LayerFunction]:
    """What every tensor goes through, and what computes a layer, as ``run_float`` takes them.

    activations   the format of every rounded tensor
    """
    functions = {name: number.before_rounding for name, number in activations.items()}
    mapped = {node.name for node in network.product_nodes if activations[node.inputs[0]].scale_map}

    def layers(node: Node, weights: Weights, inputs: list[np.ndarray]) -> np.ndarray:
        if node.name in mapped:
            return _signs_by_map(node, weights, inputs[0])
        return float_layer(node, weights, inputs)

    return functions, layers


def map_of(node: Node, x: np.ndarray) -> np.ndarray:
    """XNOR-Net's map of a layer's real input, float32, broadcastable to the layer's sums."""
    if isinstance(node.layer, Linear):
        return scale_map(x[..., None, None], (1, 1))[..., 0, 0]
    layer = node.layer
    return scale_map(
        x,
        pair(layer.kernel),
        stride=pair(layer.stride),
        padding=border(layer.padding),
        dilation=pair(layer.dilation),
    )


def _signs_by_map(node: Node, weights: Weights, x: np.ndarray) -> np.ndarray:
    key = f"{node.name}.bias"
    bias = weights.get(key, np.zeros(node.output_shape[0], np.float32))
    signs = np.where(x >= 0, np.float32(1), np.float32(-1))
    products = float_layer(node, weights | {key: np.zeros_like(bias)}, [signs])
    return products * map_of(node, x) + bias.reshape(-1, *(1,) * (products.ndim - 2))
