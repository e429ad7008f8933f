"""Bytes of weights, other parameters, their gradients and the optimizer's state."""

from collections.abc import Sequence

import numpy as np

from hwmodels.explain import formula, read
from hwmodels.memory.design import MemoryDesign
from hwmodels.memory.maps import counted_steps, has_counted_weights
from hwmodels.work import Step

FLOAT_BYTES = 4  # biases, norms and optimizer state are in 32 bits
STATES = {"none": 0, "sgd": 0, "momentum": 1, "adam": 2}  # values for each parameter


def layers_with_weights(steps: Sequence[Step], design: MemoryDesign) -> list[Step]:
    """The layers whose weights the rule counts."""
    account = design.account
    if account is None:
        return [step for step in steps if step.weights]
    return [step for step in counted_steps(steps, account) if has_counted_weights(step, account)]


def weight_bits(steps: Sequence[Step], design: MemoryDesign) -> np.ndarray:
    """Bits of the weights of each layer, the layers as last axis."""
    if design.weight_bits is not None:
        return read(design, "weight_bits")[..., None] + np.zeros(len(steps))
    if design.rule == "framework":
        return np.full(len(steps), 32.0)
    return np.array([step.weight_bits for step in steps], np.float64)


@formula
def layer_weights_bytes(steps: Sequence[Step], design: MemoryDesign) -> np.ndarray:
    """Weights x bits / 8 of each layer, with the scales and zero points of quantized ones."""
    bits = weight_bits(steps, design)
    weights = np.array([step.weights for step in steps], np.float64)
    return weights * bits / 8 + layer_scales_bytes(steps, design)


@formula
def layer_scales_bytes(steps: Sequence[Step], design: MemoryDesign) -> np.ndarray:
    """Output channels (or tensors) x bytes of a scale and a zero point, of quantized weights: those
    of fewer than 32 bits."""
    each = (read(design, "scale_bytes") + read(design, "zero_point_bytes"))[..., None]
    single = design.scale_granularity == "per_tensor"
    scales = np.array([1 if single else step.rows for step in steps], np.float64)
    return np.where(weight_bits(steps, design) < 32, scales * each, 0)


@formula
def weights_bytes(by_layer_bytes):
    """Sum over the layers whose weights are counted."""
    return by_layer_bytes.sum(axis=-1)


def layer_parameters_bytes(steps: Sequence[Step], design: MemoryDesign) -> np.ndarray:
    """Bytes of what else each layer has: biases and norms, and in training the running mean and
    variance of batch norms."""
    others = np.array([step.parameters - step.weights for step in steps], np.float64)
    running = np.array([step.parameters * (step.kind == "batch_norm") for step in steps])
    return (others + running * (design.phase == "training")) * FLOAT_BYTES


@formula
def parameters_bytes(by_layer_bytes):
    """Sum over the layers of their biases, norms and running statistics, 4 bytes each."""
    return np.asarray(by_layer_bytes, np.float64).sum(axis=-1)


def layer_states(steps: Sequence[Step], design: MemoryDesign) -> np.ndarray:
    """Bytes of optimizer state and master weights of each layer."""
    if design.phase == "inference":
        return np.zeros(len(steps))
    trained = np.array([step.parameters for step in steps], np.float64)
    weights = np.array([step.weights for step in steps], np.float64)
    return (trained * STATES[design.optimizer] + weights * design.master_weights) * FLOAT_BYTES


@formula
def optimizer_bytes(by_layer_bytes):
    """4 bytes x parameters x (momentum 1, Adam 2), and 4 bytes x weights where master weights are
    held."""
    return by_layer_bytes.sum(axis=-1)
