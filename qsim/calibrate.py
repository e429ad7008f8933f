"""Scales from data: which real value the largest level stands for."""

from collections.abc import Mapping
from typing import Literal

import numpy as np

from qsim.formats import Format
from qsim.formats.base import ScaleRule, alpha_of, largest_magnitude, scale_of
from qsim.network.graph import Network
from qsim.network.reference import (
    LayerFunction,
    TensorFunction,
    float_layer,
    image_batches,
    run_float,
)
from qsim.network.weights import Weights

MSE_CANDIDATES = np.linspace(0.2, 1.0, 81)  # shares of the largest magnitude
MSE_SAMPLE = 2**14  # values of a whole tensor that the search looks at


def least_square_error(real: np.ndarray, number: Format, axis: int | None) -> np.ndarray:
    """The scale, float32, of least mean squared rounding error, of 81 that map 20 % to 100 % of the
    largest magnitude to the largest level; of equal ones the smallest.

    With an ``axis``, one for each of its indices, shaped to broadcast. Without one, of a tensor of
    more than 16,384 values every n-th is looked at, so that about that many are.
    """
    alpha = alpha_of(real, axis)
    sample, others = real, tuple(i for i in range(real.ndim) if i != axis)
    if axis is None:
        sample = real.reshape(-1)[:: -(-real.size // MSE_SAMPLE) or 1]
        others = (0,)
    best = np.full(alpha.shape, np.inf)
    scale = scale_of(alpha, number)
    for share in MSE_CANDIDATES:
        candidate = scale_of(share * alpha, number)
        exact = sample.astype(np.float64) / candidate.astype(np.float64)
        rounded = number.nearest(exact) * candidate
        error = ((sample - rounded) ** 2).sum(axis=others, keepdims=axis is not None)
        scale = np.where(error < best, candidate, scale)
        best = np.minimum(error, best)
    return scale.astype(np.float32)


def power_of_two(rule: ScaleRule) -> ScaleRule:
    """A rule that raises the scales of ``rule`` to the next power of two."""
    return lambda real, number, axis: next_power_of_two(rule(real, number, axis))


def next_power_of_two(scale: np.ndarray) -> np.ndarray:
    """The smallest power of two, float32, that is not less than each ``scale``."""
    mantissa, exponent = np.frexp(scale)
    exponent = np.where(mantissa == 0.5, exponent - 1, exponent)  # it is a power already
    return np.ldexp(np.float32(1), exponent).astype(np.float32)


def observe(
    network: Network,
    weights: Weights,
    images: np.ndarray,
    functions: Mapping[str, TensorFunction] = {},
    layers: LayerFunction = float_layer,
) -> dict[str, np.ndarray]:
    """Values of every tensor of the float network for ``images``, by name, float32 of shape (n,).

    functions, layers   as of ``run_float``

    The images are run in batches. Of each batch every n-th value of a tensor is kept, so that no
    more than 16,384 are, and always its smallest and its largest.
    """
    seen: dict[str, list[np.ndarray]] = {}
    for batch in image_batches(network, len(images)):
        for name, real in run_float(network, weights, images[batch], functions, layers).items():
            values = real.reshape(-1)
            kept = values[:: max(1, -(-values.size // MSE_SAMPLE))]
            seen.setdefault(name, []).append(np.append(kept, (values.min(), values.max())))
    return {name: np.concatenate(parts) for name, parts in seen.items()}


RangeRule = Literal["max", "mse"]  # as in RANGE_RULES
RANGE_RULES: dict[str, ScaleRule] = {"max": largest_magnitude, "mse": least_square_error}
