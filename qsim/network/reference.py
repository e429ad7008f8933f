"""The network in floating point: what quantization is measured against and calibrated on.

All of it is float32 in a stated order of additions, so that the ranges found on one machine, and
with them the integers, are those of every machine.
"""

from collections.abc import Callable, Mapping
from math import prod

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from qsim.errors import NetworkError
from qsim.kernels.float_product import matmul_in_order
from qsim.network import float_functions
from qsim.network.float_functions import sigmoid, tanh
from qsim.network.graph import INPUT, Network, Node
from qsim.network.layers import (
    Add,
    BatchNorm,
    Clip,
    Concat,
    Conv,
    Flatten,
    HardTanh,
    Linear,
    MatMul,
    Relu,
    Relu6,
    Sigmoid,
    Softmax,
    Tanh,
    border,
    pair,
)
from qsim.network.moves import Reshape, Slice, Transpose, Upsample
from qsim.network.pointwise import (
    Curve,
    Embedding,
    LayerNorm,
    LocalResponseNorm,
    Multiply,
    Offset,
    Resize,
    Scale,
)
from qsim.network.pools import AveragePool, MaxPool
from qsim.network.recurrent import Gru, Lstm, Recurrent
from qsim.network.roundings import Identity, MultiThreshold, Truncate, reached, truncated
from qsim.network.weights import Weights

BATCH_BYTES = 2**27


def float_layer(node: Node, weights: Weights, inputs: list[np.ndarray]) -> np.ndarray:
    """The float32 result of one layer for a batch; infinite or NaN where float32 overflows."""
    with np.errstate(over="ignore", invalid="ignore"):
        return _float_layer(node, weights, inputs)


TensorFunction = Callable[[np.ndarray], np.ndarray]
LayerFunction = Callable[[Node, Weights, list[np.ndarray]], np.ndarray]


def run_float(
    network: Network,
    weights: Weights,
    images: np.ndarray,
    functions: Mapping[str, TensorFunction] = {},
    layers: LayerFunction = float_layer,
) -> dict[str, np.ndarray]:
    """Every tensor of the network in float32, by name, for ``images`` (images, *input_shape).

    functions   by tensor, what it goes through once it is made
    layers      what computes a layer
    """
    tensors = {}
    for name in (INPUT, *network.nodes):
        if name == INPUT:
            tensor = images.astype(np.float32)
        else:
            node = network.nodes[name]
            tensor = layers(node, weights, [tensors[source] for source in node.inputs])
        tensors[name] = functions[name](tensor) if name in functions else tensor
    return tensors


def image_batches(network: Network, images: int) -> list[slice]:
    """Slices of ``images`` images, so few at once that their float32 tensors take about 128 MiB."""
    per_image = 4 * sum(prod(node.output_shape) for node in network.nodes.values())
    size = max(1, BATCH_BYTES // per_image)
    return [slice(start, start + size) for start in range(0, images, size)]


def _float_layer(node: Node, weights: Weights, inputs: list[np.ndarray]) -> np.ndarray:
    x, layer = inputs[0], node.layer
    parameters = {key.rsplit(".", 1)[1]: weights[key] for key in node.arrays}
    match layer:
        case Conv():
            return _convolution(x, layer, **parameters)
        case Linear():
            product = matmul_in_order(parameters["weight"], x.reshape(-1, x.shape[-1]).T).T
            product = product.reshape(*x.shape[:-1], -1)
            return product + parameters.get("bias", np.float32(0))
        case BatchNorm():
            return _batch_norm(x, layer.epsilon, **parameters)
        case Relu():
            return np.maximum(x, 0)
        case Clip() | Relu6() | HardTanh():
            return np.clip(x, *np.float32(layer.bounds))
        case Sigmoid():
            return sigmoid(x)
        case Tanh():
            return tanh(x)
        case Softmax():
            return float_functions.softmax(x)
        case Curve():
            return float_functions.curve(x, layer)
        case Multiply():
            return x * inputs[1]
        case Scale(factor=factor):
            return x * np.float32(factor)
        case Identity():
            return x
        case MultiThreshold(out_scale=out_scale, out_bias=out_bias):
            count = reached(x, parameters["thresholds"]).astype(np.float32)
            return np.float32(out_scale) * count + np.float32(out_bias)
        case Truncate(scale=scale, times=times, out_scale=out_scale):
            integers = np.rint(x * np.float32(times) / np.float32(scale)).astype(np.float64)
            return truncated(integers, layer).astype(np.float32) * np.float32(out_scale)
        case LayerNorm(epsilon=epsilon):
            return float_functions.layer_norm(x, epsilon, **parameters)
        case LocalResponseNorm():
            return float_functions.local_response_norm(x, layer)
        case Resize(size=size, align_corners=align_corners):
            return float_functions.resize(x, size, align_corners)
        case Offset():
            return x + parameters["bias"]
        case Embedding():
            return _embedded(node, x, **parameters)
        case Flatten() | Reshape() | Transpose() | Slice() | Upsample():
            return moved(x, node)
        case MatMul():
            return _matmul(x, inputs[1], layer.transposed)
        case Lstm() | Gru():
            return _recurrent(x, layer, **parameters)
        case Concat():
            return np.concatenate(inputs, axis=layer.axis + 1)
        case MaxPool():
            top, left, bottom, right = border(layer.padding)
            edges = ((0, 0), (0, 0), (top, bottom), (left, right))
            padded = np.pad(x, edges, constant_values=-np.inf)
            return _windows(padded, layer.kernel, layer.stride or layer.kernel).max((-2, -1))
        case AveragePool():
            return _average(x, layer, layer.window(node.input_shapes[0]))
        case Add():
            return sum(inputs[1:], start=x)
    raise TypeError(f"no float reference for a {type(layer).__name__} layer")


def _convolution(x: np.ndarray, layer: Conv, weight: np.ndarray, bias: np.ndarray | None = None):
    top, left, bottom, right = border(layer.padding)
    padded = np.pad(x, ((0, 0), (0, 0), (top, bottom), (left, right)))
    windows = _windows(padded, layer.kernel, layer.stride, layer.dilation)
    images, _, out_h, out_w, _, _ = windows.shape
    rows = weight.reshape(layer.groups, len(weight) // layer.groups, -1)
    out = np.empty((images, layer.groups, rows.shape[1], out_h * out_w), np.float32)
    for image in range(images):
        columns = windows[image].transpose(0, 3, 4, 1, 2).reshape(*rows.shape[::2], -1)
        for group in range(layer.groups):
            out[image, group] = matmul_in_order(rows[group], columns[group])
    out = out.reshape(images, len(weight), out_h, out_w)
    return out if bias is None else out + bias[:, None, None]


def moved(x: np.ndarray, node: Node) -> np.ndarray:
    """The values of ``x`` (images, ...), of any type, where a layer that moves them puts them."""
    match node.layer:
        case Flatten() | Reshape():
            return x.reshape(len(x), *node.output_shape)
        case Transpose(order=order):
            return np.ascontiguousarray(x.transpose(0, *(axis + 1 for axis in order)))
        case Slice(axis=axis, start=start, stop=stop, step=step):
            return x[(slice(None),) * (axis + 1) + (slice(start, stop, step),)]
        case Upsample(factor=factor):
            height, width = pair(factor)
            return x.repeat(height, axis=2).repeat(width, axis=3)
    raise TypeError(f"a {type(node.layer).__name__} layer does not only move values")


def _average(x: np.ndarray, layer: AveragePool, window: tuple[int, int]) -> np.ndarray:
    top, left, bottom, right = border(layer.padding)
    padded = np.pad(x, ((0, 0), (0, 0), (top, bottom), (left, right)))
    windows = _windows(padded, window, layer.stride or window)
    positions = [(i, j) for i in range(window[0]) for j in range(window[1])]
    total = sum((windows[..., i, j] for i, j in positions), start=np.float32(0))
    return total / layer.divisors(x.shape[1:]).astype(np.float32)


def _embedded(node: Node, x: np.ndarray, weight, positions=None, types=None) -> np.ndarray:
    """Rows of ``weight`` by the numbers in ``x`` (images, tokens)."""
    numbers = np.where(np.isfinite(x), x, -1).astype(np.int64)
    wrong = x[(numbers != x) | (numbers < 0) | (numbers >= len(weight))]
    if wrong.size:
        raise NetworkError(
            f"layer {node.name!r} reads the number {wrong[0]:g}, but has the rows 0 to"
            f" {len(weight) - 1}; the input must hold their whole numbers"
        )
    rows = weight[numbers]
    if positions is not None:
        rows = rows + positions[: x.shape[1]]
    return rows if types is None else rows + types[0]


def _matmul(x: np.ndarray, y: np.ndarray, transposed: bool) -> np.ndarray:
    """Matrix by matrix, in the order of the depth."""
    right = np.swapaxes(y, -1, -2) if transposed else y
    matrices = zip(x.reshape(-1, *x.shape[-2:]), right.reshape(-1, *right.shape[-2:]), strict=True)
    products = [
        matmul_in_order(np.ascontiguousarray(a), np.ascontiguousarray(b)) for a, b in matrices
    ]
    return np.array(products, np.float32).reshape(*x.shape[:-1], right.shape[-1])


def _recurrent(
    x: np.ndarray,
    layer: Recurrent,
    weight_ih: np.ndarray,
    weight_hh: np.ndarray,
    bias_ih: np.ndarray | None = None,
    bias_hh: np.ndarray | None = None,
) -> np.ndarray:
    """The hidden state after every step, (images, steps, hidden), as torch.nn documents it."""
    step = _lstm_step if isinstance(layer, Lstm) else _gru_step
    biases = [np.float32(0) if bias is None else bias for bias in (bias_ih, bias_hh)]
    h = c = np.zeros((len(x), layer.hidden), np.float32)
    hidden = np.empty((*x.shape[:2], layer.hidden), np.float32)
    for index in range(x.shape[1]):
        of_x = matmul_in_order(weight_ih, x[:, index].T).T + biases[0]
        of_h = matmul_in_order(weight_hh, h.T).T + biases[1]
        by_gate = [np.split(part, layer.gates, axis=1) for part in (of_x, of_h)]
        h, c = step(*by_gate, h, c)
        hidden[:, index] = h
    return hidden


def _lstm_step(of_x: list[np.ndarray], of_h: list[np.ndarray], h: np.ndarray, c: np.ndarray):
    sums_i, sums_f, sums_g, sums_o = (a + b for a, b in zip(of_x, of_h, strict=True))
    c = sigmoid(sums_f) * c + sigmoid(sums_i) * tanh(sums_g)
    return sigmoid(sums_o) * tanh(c), c


def _gru_step(of_x: list[np.ndarray], of_h: list[np.ndarray], h: np.ndarray, c: np.ndarray):
    r, z = (sigmoid(of_x[gate] + of_h[gate]) for gate in (0, 1))
    n = tanh(of_x[2] + r * of_h[2])
    return (1 - z) * n + z * h, c


def _windows(x: np.ndarray, kernel, stride, dilation=1) -> np.ndarray:
    """The view (N, C, OH, OW, KH, KW) of the values under each window position."""
    (kernel_h, kernel_w), (step_h, step_w) = pair(kernel), pair(dilation)
    span = (step_h * (kernel_h - 1) + 1, step_w * (kernel_w - 1) + 1)
    views = sliding_window_view(x, span, axis=(2, 3))
    stride_h, stride_w = pair(stride)
    return views[:, :, ::stride_h, ::stride_w, ::step_h, ::step_w]


def _batch_norm(x: np.ndarray, epsilon: float, weight, bias, running_mean, running_var):
    by_channel = (-1, *(1,) * (x.ndim - 2))
    factor = weight / np.sqrt(running_var + np.float32(epsilon))
    offset = bias - running_mean * factor
    return x * factor.reshape(by_channel) + offset.reshape(by_channel)
