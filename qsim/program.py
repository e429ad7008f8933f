"""The integer program: a network whose weights are levels and whose scales are settled.

A tensor is either *rounded* to the levels of an activation format, or stays in the accumulator as
sums with a scale per channel. Biases are integers in the accumulator's scale.
"""

from dataclasses import dataclass
from math import prod
from typing import Literal

import msgspec
import numpy as np

from qsim.calibrate import RANGE_RULES, next_power_of_two, observe, power_of_two
from qsim.errors import WeightsError, WorkloadError
from qsim.formats import AffineGrid, Fixed, Float, Quantized
from qsim.formats.base import ScaleRule
from qsim.kernels.accumulator import Accumulator, magnitude
from qsim.network.graph import INPUT, Network, Node
from qsim.network.layers import Add, AveragePool, Flatten, MaxPool, Relu
from qsim.network.weights import Weights
from qsim.precision import ActivationFormat, Precision, keeps_levels

LARGEST_BIAS = 2**24  # levels, so that float32 holds them


class Arithmetic(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How the integer program computes.

    accumulator   the register of every product
    requantize    onnx: by a float32 multiplier, a half to the even level (as ONNX Runtime does);
                  shift: all scales are powers of two, by an exact shift, a half to the even level
    range         how scales are found: max maps the largest magnitude to the largest level,
                  mse is the scale of least mean squared error
    """

    accumulator: Accumulator = Accumulator()
    requantize: Literal["onnx", "shift"] = "onnx"
    range: Literal["max", "mse"] = "max"

    @property
    def scale_rule(self):
        """The rule that finds scales."""
        rule = RANGE_RULES[self.range]
        return power_of_two(rule) if self.requantize == "shift" else rule


@dataclass(frozen=True)
class Program:
    """An integer program.

    network     with batch norms folded
    real        its float32 weights and biases
    weights     by layer with products: levels and scales, or None where they are float
    biases      by layer with integer products: int64 (rows,), in the accumulator's scale; other
                layers with products are computed in floating point, with the values that their
                weights stand for
    formats     by rounded tensor, an affine one with its zero point
    scales      by rounded tensor that is not float: float32, of shape ()
    """

    network: Network
    real: Weights
    weights: dict[str, Quantized | None]
    biases: dict[str, np.ndarray]
    formats: dict[str, Fixed | AffineGrid | Float]
    scales: dict[str, np.ndarray]
    arithmetic: Arithmetic

    def rounds(self, tensor: str) -> bool:
        """Whether the tensor is rounded when it is made."""
        node = self.network.nodes.get(tensor)
        return tensor in self.formats and not (node and keeps_levels(node, set(self.formats)))

    def accumulator_scale(self, node: Node) -> np.ndarray:
        """The scale of a product layer's sums: float32 (rows,)."""
        return _sum_scale(node, self.weights[node.name], self.scales)


def build(
    network: Network,
    weights: Weights,
    precision: Precision,
    images: np.ndarray,
    arithmetic: Arithmetic,
) -> Program:
    """The integer program of a network (batch norms folded), its ranges set by real ``images``.

    Raises WorkloadError when a tensor with negative values is read as unsigned, or the accumulator
    could overflow and is exact; WeightsError when the float network overflows.
    """
    seen = observe(network, weights, images)
    _check_finite(network, seen)
    formats, scales = _activations(network, precision.activations, seen, arithmetic.scale_rule)
    quantized = {
        node.name: _quantize_weights(node, weights, precision, (formats, scales), arithmetic)
        for node in network.product_nodes
    }
    biases = {
        node.name: _bias_levels(node, weights, quantized[node.name], scales)
        for node in network.product_nodes
        if quantized[node.name] is not None and node.inputs[0] in scales
    }
    program = Program(network, weights, quantized, biases, formats, scales, arithmetic)
    for name in biases:
        _check_accumulator(program, network.nodes[name])
    return program


def _activations(
    network: Network,
    asked: dict[str, ActivationFormat],
    tensors: dict[str, np.ndarray],
    rule: ScaleRule,
) -> tuple[dict[str, Fixed | AffineGrid | Float], dict[str, np.ndarray]]:
    """The format of every rounded tensor, and the scale of those that are not float; one that keeps
    its source's levels keeps both."""
    formats, scales = {}, {}
    for name, number in asked.items():
        _check_sign(network, name, number, tensors[name])
        kept = name != INPUT and keeps_levels(network.nodes[name], set(asked))
        source = network.nodes[name].inputs[0] if kept else name
        if isinstance(number, Float):
            formats[name] = number
        elif kept:
            formats[name], scales[name] = formats[source], scales[source]
        else:
            formats[name], scales[name] = number.bind(tensors[name], rule)
    return formats, scales


def _check_finite(network: Network, tensors: dict[str, np.ndarray]) -> None:
    for name, real in tensors.items():
        if not np.isfinite(real).all():
            raise WeightsError(
                f"network {network.name}: tensor {name!r} overflows in floating point on the"
                " calibration images; the weights are too large"
            )


def _check_sign(network: Network, name: str, number: ActivationFormat, real: np.ndarray) -> None:
    unsigned = isinstance(number, Fixed) and not number.signed
    if unsigned and (not _never_negative(network, name) or real.min(initial=0) < 0):
        readers = ", ".join(node.name for node in network.readers[name])
        raise WorkloadError(
            f"precision: tensor {name!r} of network {network.name} can be negative but is read as"
            f" unsigned; under precision.layers give each layer that reads it ({readers})"
            f" activations: {{fixed: {{bits: {max(number.bits, 2)}}}}}"
        )


def _never_negative(network: Network, name: str) -> bool:
    """Whether a tensor cannot be negative; the input is taken at its word where it is read."""
    if name == INPUT or isinstance(network.nodes[name].layer, Relu):
        return True
    node = network.nodes[name]
    passes_on = isinstance(node.layer, MaxPool | AveragePool | Flatten | Add)
    return passes_on and all(_never_negative(network, source) for source in node.inputs)


def _quantize_weights(
    node: Node,
    weights: Weights,
    precision: Precision,
    activations: tuple[dict, dict],
    arithmetic: Arithmetic,
) -> Quantized | None:
    formats, scales = activations
    number = precision.weights[node.name]
    if isinstance(number, Float):
        return None
    axis = 0 if precision.scale_per_channel[node.name] else None
    weight = weights[f"{node.name}.weight"]
    quantized = number.quantize(weight, scale=arithmetic.scale_rule, axis=axis)
    if node.inputs[0] not in scales:
        return quantized
    room = _bias_room(node, quantized, formats[node.inputs[0]], arithmetic.accumulator)
    lowest = _lowest_scale(node, weights, scales[node.inputs[0]], quantized, room)
    if (quantized.scale >= lowest).all():
        return quantized
    raised = np.maximum(quantized.scale, lowest)
    if arithmetic.requantize == "shift":
        raised = next_power_of_two(raised)
    return number.quantize(weight, scale=raised, axis=axis)


def _bias_room(node: Node, weights: Quantized, x_format, accumulator: Accumulator) -> int:
    """The most levels of a bias: LARGEST_BIAS, or what the products leave of an exact register."""
    products = (
        prod(weights.levels.shape[1:]) * x_format.max_magnitude * weights.format.max_magnitude
    )
    left = accumulator.high - products
    return min(LARGEST_BIAS, left) if accumulator.mode == "exact" and left > 0 else LARGEST_BIAS


def _lowest_scale(
    node: Node, weights: Weights, in_scale: np.ndarray, quantized: Quantized, room: int
) -> np.ndarray:
    """The scale, shaped as that of ``quantized``, that a row of next to nothing takes (a pruned
    channel): 2**-24 of the layer's largest, or that at which its bias is ``room`` levels."""
    rows = len(quantized.levels)
    bias = np.abs(weights.get(f"{node.name}.bias", np.zeros(rows)).astype(np.float64))
    per_row = np.broadcast_to(quantized.scale.reshape(-1), (rows,)).astype(np.float64)
    is_zero = ~quantized.levels.reshape(rows, -1).any(axis=1)
    largest = np.where(is_zero, 0.0, per_row).max(initial=0.0)
    with np.errstate(over="ignore"):
        by_bias = bias / (in_scale.astype(np.float64) * room)
        by_bias = (by_bias * (1 + 2.0**-22)).astype(np.float32)  # more than two roundings take
    lowest = np.maximum(by_bias, np.float32(largest * 2.0**-24))
    return lowest.max() if quantized.scale.ndim == 0 else lowest.reshape(quantized.scale.shape)


def _sum_scale(node: Node, weights: Quantized, scales: dict[str, np.ndarray]) -> np.ndarray:
    """The scale of a product layer's sums: float32 (rows,)."""
    rows = np.broadcast_to(weights.scale.reshape(-1), node.output_shape[:1])
    return scales[node.inputs[0]] * rows


def _bias_levels(node: Node, real: Weights, weights: Quantized, scales: dict) -> np.ndarray:
    """The bias in the scale of the sums, the nearest integer, a half to the even one."""
    with np.errstate(over="ignore", under="ignore"):
        scale = _sum_scale(node, weights, scales)
    if not ((scale >= np.finfo(np.float32).tiny) & (scale < np.inf)).all():
        raise WeightsError(
            f"layer {node.name!r}: the scale of its sums leaves the range of float32; its weights"
            " or inputs are too small or too large"
        )
    bias = real.get(f"{node.name}.bias", np.zeros(len(scale), np.float32))
    return np.rint(bias / scale.astype(np.float64)).astype(np.int64)


def _check_accumulator(program: Program, node: Node) -> None:
    accumulator = program.arithmetic.accumulator
    weights = program.weights[node.name]
    depth = int(np.prod(weights.levels.shape[1:]))
    max_x = program.formats[node.inputs[0]].max_magnitude
    try:
        accumulator.check(
            depth, max_x, weights.format.max_magnitude, magnitude(program.biases[node.name])
        )
    except OverflowError as error:
        raise WorkloadError(
            f"execute.accumulator: layer {node.name!r}: {error}; give it more bits, or mode wrap or"
            " saturate"
        ) from None
