"""What a layer moves to and from DRAM, and what a network keeps there.

A tensor is stored at the bits of the type that reads it. Weights come from DRAM in every pass; the
activations of a layer stay in the L2 where they, and the weights, fit it.
"""

import numpy as np

from hwmodels.explain import formula, read
from hwmodels.gpu.constants import constant
from hwmodels.gpu.device import Gpu
from hwmodels.work import WorkTable


@formula
def layer_weight_bytes(weights, weight_bits):
    """Weights x stored bits / 8, of each layer."""
    return weights * weight_bits / 8


@formula
def layer_activation_bytes(read_bytes, written_bytes, batch):
    """Images at a time x bytes that a layer reads, adds and writes."""
    return batch * (read_bytes + written_bytes)


@formula
def layer_dram_bytes(weight_bytes, activation_bytes, sequential, device: Gpu):
    """Weights, and activations unless both fit the L2; of steps that follow one another the weights
    again in each, unless they fit."""
    l2_bytes = read(device, "l2_kib") * 1024
    fits = weight_bytes + activation_bytes <= l2_bytes
    weights = weight_bytes * np.where(weight_bytes <= l2_bytes, 1, sequential)
    moved = weights + np.where(fits, 0, activation_bytes)
    return np.where(np.isnan(l2_bytes), np.nan, moved)


@formula
def dram_bytes_per_s(device: Gpu):
    """Published bandwidth x the share of it that kernels reach."""
    return read(device, "dram_gb_per_s") * 1e9 * constant("dram_fraction")


@formula
def dram_s(moved_bytes, bytes_per_s):
    """Bytes / bandwidth."""
    return moved_bytes / bytes_per_s


@formula
def other_parameters_bytes(work: WorkTable):
    """4 bytes x parameters that nothing is multiplied by: biases, norms, tables of embeddings."""
    return np.float64(4 * sum(step.parameters - step.weights for step in work.steps))


@formula
def memory_bytes(weight_bytes, other_bytes, activation_bytes):
    """All weights and other parameters, and the activations of the layer that has most of them."""
    return weight_bytes.sum(axis=-1) + other_bytes + activation_bytes.max(axis=-1)
