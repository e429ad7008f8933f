"""Bytes under WRPN's rules: the counted maps, whatever a schedule would do with them."""

from collections.abc import Sequence

import numpy as np

from hwmodels.explain import formula, read
from hwmodels.memory.design import MemoryDesign
from hwmodels.memory.maps import CountedMap, gradient_maps, inference_maps, training_maps
from hwmodels.memory.peak import formatted
from hwmodels.work import Step


def activation_maps(steps: Sequence[Step], design: MemoryDesign) -> list[CountedMap]:
    """The maps counted as activations, at the bits of their formats."""
    if design.phase == "inference":
        return inference_maps(steps, design.account)
    return training_maps(steps, design.account)


def counted_gradients(steps: Sequence[Step], design: MemoryDesign) -> list[CountedMap]:
    """The maps counted as gradients."""
    if design.phase == "inference":
        return []
    return gradient_maps(steps, design.account, design.gradient_bits)


def layer_weight_gradients(steps: Sequence[Step], design: MemoryDesign) -> np.ndarray:
    """Bytes of the gradients of each layer's parameters, where there is an optimizer."""
    held = design.phase == "training" and design.optimizer != "none"
    parameters = np.array([step.parameters for step in steps], np.float64)
    return parameters * (held * design.weight_gradient_bits) / 8


@formula
def activations_bytes(steps: Sequence[Step], design: MemoryDesign):
    """Training: sum of the counted maps of one image; inference: largest input map + largest output
    map; x batch."""
    if design.activation_bits is None:
        image_bits = sum(each.image_bits for each in activation_maps(steps, design))
        return image_bits / 8 * read(design, "batch")
    values = sum(each.values for each in activation_maps(formatted(steps, 1), design))
    return values * read(design, "activation_bits") / 8 * read(design, "batch")


@formula
def gradients_bytes(steps: Sequence[Step], design: MemoryDesign):
    """Training: largest output map, as dZ, + largest input map, as dX; x batch."""
    maps = counted_gradients(steps, design)
    return sum(each.image_bits for each in maps) / 8 * read(design, "batch")


@formula
def weight_gradients_bytes(by_layer_bytes):
    """Parameters x bits of their gradients / 8, where there is an optimizer."""
    return by_layer_bytes.sum(axis=-1)


@formula
def total_bytes(*held_bytes):
    """Sum of what the rule counts."""
    return sum(held_bytes)


@formula
def no_parameters_bytes():
    """WRPN counts weights alone: no biases and norms."""
    return np.float64(0)
