"""The parameters of a layer with products as integers: levels of its weights, and of its bias."""

from math import prod

import numpy as np

from qsim.calibrate.weight_scales import next_power_of_two
from qsim.errors import WeightsError
from qsim.formats import Facts, Quantized, quantize_groups
from qsim.formats.base import ScaleRule
from qsim.network.graph import Node
from qsim.precision import Precision
from qsim.program import Program, effective_terms, sum_scales

LARGEST_BIAS = 2**24  # levels of a pruned row's, so that float32 holds them
FARTHEST_BIAS = 2**62  # levels


def quantize_weights(
    name: str,
    number: Facts,
    precision: Precision,
    weight: np.ndarray,
    scale: ScaleRule | np.ndarray | None,
) -> Quantized:
    """The weights of a layer in their format. Raises WeightsError naming the layer."""
    granularity = precision.granularity[name]
    try:
        if granularity.kind == "per_group":
            return quantize_groups(number, weight, granularity.group_size, scale=scale)
        axis = 0 if granularity.kind == "per_channel" else None
        return number.quantize(weight, scale=scale, axis=axis)
    except ValueError as error:
        raise WeightsError(f"layer {name!r}: its weights cannot be quantized: {error}") from None


def raise_low_scales(draft: Program, node: Node, precision: Precision) -> None:
    """Give rows of next to nothing (a pruned channel) a scale at which their bias fits, in place:
    2**-24 of the layer's largest, or that at which the bias is as large as it may be."""
    name = node.name
    lowest = _lowest_scale(draft, node)
    factor, quantized = draft.factors.get(name), draft.weights[name]
    if factor is not None:
        least = np.min([term.scale for term in quantized.terms], axis=0)
        raised = np.maximum(np.abs(factor), lowest / least).astype(np.float32)
        draft.factors[name] = np.sign(factor) * raised
        return
    if quantized.scale.ndim == 0:
        lowest = lowest.max()
    else:
        lowest = lowest.reshape(-1, *(1,) * (quantized.scale.ndim - 1))
    if (quantized.scale >= lowest).all():
        return
    raised = np.maximum(quantized.scale, lowest)
    if draft.arithmetic.requantizer.powers_of_two:
        raised = next_power_of_two(raised)
    weight = draft.real[f"{name}.weight"]
    draft.weights[name] = quantize_weights(name, precision.weights[name], precision, weight, raised)


def bias_levels(draft: Program, node: Node) -> np.ndarray:
    """The bias in the scale of the first sums, the nearest integer, a half to the even one; zeros
    where it is not added to sums.

    Raises WeightsError where the sums have no float32 scale, or the bias is beyond any register.
    """
    terms = effective_terms(draft.weights[node.name], draft.factors.get(node.name))
    scales = sum_scales(node, terms, draft.scales)
    info = np.finfo(np.float32)
    if not all(((scale >= info.tiny) & (scale <= info.max)).all() for scale in scales):
        raise WeightsError(
            f"layer {node.name!r}: the scale of its sums leaves the range of float32; its weights"
            " or inputs are too small or too large"
        )
    if draft.has_real_bias(node):
        return np.zeros(len(scales[0]), np.int64)
    steps = np.rint(_bias(draft, node) / scales[0])
    if np.abs(steps).max(initial=0) > FARTHEST_BIAS:
        raise WeightsError(
            f"layer {node.name!r}: its bias is {np.abs(steps).max():.3g} steps of its sums, beyond"
            f" any register; the scale {float(draft.scales[node.inputs[0]]):g} of its input is too"
            " small for it"
        )
    return steps.astype(np.int64)


def _lowest_scale(draft: Program, node: Node) -> np.ndarray:
    """The least scale that each row may have, float32 (rows,): 0 of those that are not next to
    nothing beside the layer's largest."""
    factor = draft.factors.get(node.name)
    terms = effective_terms(draft.weights[node.name], factor)
    scale = np.max([term.scale for term in terms], axis=0)
    is_zero = np.all([~term.levels.reshape(len(scale), -1).any(axis=1) for term in terms], axis=0)
    if factor is not None:
        is_zero |= factor == 0
    largest = np.where(is_zero, np.float32(0), scale).max(initial=np.float32(0))
    low = np.float32(largest * 2.0**-24)
    if draft.has_real_bias(node):
        return np.where(is_zero, np.float32(0), low)
    with np.errstate(over="ignore"):
        in_scale = draft.scales[node.inputs[0]].astype(np.float64)
        by_bias = np.abs(_bias(draft, node)) / (in_scale * _bias_room(draft, node))
        by_bias = (by_bias * (1 + 2.0**-22)).astype(np.float32)  # more than two roundings take
    return np.where(is_zero | (scale < low), np.maximum(by_bias, low), np.float32(0))


def _bias(draft: Program, node: Node) -> np.ndarray:
    """The real bias, float64 (rows,)."""
    rows = np.zeros(len(draft.weights[node.name].levels), np.float32)
    return draft.real.get(f"{node.name}.bias", rows).astype(np.float64)


def _bias_room(draft: Program, node: Node) -> int:
    """The most levels of a bias: LARGEST_BIAS, or what the products leave of an exact register."""
    weights, accumulator = draft.weights[node.name], draft.arithmetic.accumulator
    max_x = draft.formats[node.inputs[0]].max_magnitude
    products = prod(weights.terms[0].levels.shape[1:]) * max_x * weights.format.max_magnitude
    left = accumulator.high - products
    return min(LARGEST_BIAS, left) if accumulator.mode == "exact" and left > 0 else LARGEST_BIAS
