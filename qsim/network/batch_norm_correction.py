"""Batch norms in quantization-aware training: folded, yet the same function as unfolded ones.

Folded with the statistics of each batch, weights would jitter from batch to batch as they are
quantized. Folded with the long-term statistics they do not, and a correction makes the output that
of the batch's statistics; once these are frozen, the correction is of the bias alone, and the
output is that of inference. Source: R. Krishnamoorthi, arXiv 1806.08342, section 3.2.2, Eq. 18-31.

Everything here is made of additions, multiplications and divisions of arrays, which may hold
fractions; deviations are sigma = sqrt(variance + epsilon). Products are (images, channels, ...),
weights (channels, ...), all else (channels,).
"""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Statistics:
    """The mean and the deviation, which is positive, of each channel of a layer's products."""

    mean: np.ndarray
    deviation: np.ndarray


@dataclass(frozen=True)
class TrainedNorm:
    """What a batch norm multiplies by (gamma) and adds (beta), and its long-term statistics."""

    gamma: np.ndarray
    beta: np.ndarray
    long_term: Statistics


def statistics_of(products: np.ndarray, epsilon: float) -> Statistics:
    """The statistics of a batch of products, float64: mean and variance (of all its values, not of
    a sample of them) over images and positions."""
    axes = (0, *range(2, products.ndim))
    mean = products.mean(axis=axes, dtype=np.float64)
    variance = products.var(axis=axes, dtype=np.float64)
    return Statistics(mean, np.sqrt(variance + epsilon))


def normalized(products: np.ndarray, norm: TrainedNorm, by: Statistics) -> np.ndarray:
    """The plain batch norm of the products of unfolded weights: Eq. 18 by the statistics of the
    batch, Eq. 19 by the long-term ones."""
    centred = products - _by_channel(by.mean, products)
    scaled = _by_channel(norm.gamma, products) * centred / _by_channel(by.deviation, products)
    return scaled + _by_channel(norm.beta, products)


def correction(norm: TrainedNorm, batch: Statistics) -> np.ndarray:
    """c, the batch's deviation over the long-term one (Eq. 22)."""
    return batch.deviation / norm.long_term.deviation


def corrected_weights(weight: np.ndarray, norm: TrainedNorm) -> np.ndarray:
    """The weights that are quantized: gamma * W / sigma, c times those folded with the batch's
    statistics, so that they do not depend on the batch (Eq. 20, 23)."""
    factor = norm.gamma / norm.long_term.deviation
    return weight * factor.reshape(-1, *(1,) * (weight.ndim - 1))


def inference_bias(norm: TrainedNorm) -> np.ndarray:
    """The folded bias, beta - gamma * mean / sigma (Eq. 21)."""
    return norm.beta - norm.gamma * norm.long_term.mean / norm.long_term.deviation


def before_freeze(products: np.ndarray, norm: TrainedNorm, batch: Statistics) -> np.ndarray:
    """The layer's output in training while statistics follow the batch (Eq. 24-27): the products of
    the quantized corrected weights over c, plus beta - gamma * mean / sigma of the batch.

    Where quantization changes nothing, it is the plain batch norm by the batch's statistics, for
    any batch.
    """
    uncorrected = products / _by_channel(correction(norm, batch), products)
    return uncorrected + _by_channel(_batch_bias(norm, batch), products)


def after_freeze(products: np.ndarray, norm: TrainedNorm, batch: Statistics) -> np.ndarray:
    """The layer's output in training once the statistics are frozen (Eq. 28-31): the products of
    the quantized corrected weights, plus the batch's bias and its correction gamma * (mean / sigma
    of the batch - mean / sigma of the long term).

    It is the folded inference layer, whatever the batch.
    """
    bias_correction = norm.gamma * (
        batch.mean / batch.deviation - norm.long_term.mean / norm.long_term.deviation
    )
    return products + _by_channel(_batch_bias(norm, batch) + bias_correction, products)


def _batch_bias(norm: TrainedNorm, batch: Statistics) -> np.ndarray:
    return norm.beta - norm.gamma * batch.mean / batch.deviation


def _by_channel(values: np.ndarray, products: np.ndarray) -> np.ndarray:
    return values.reshape(-1, *(1,) * (products.ndim - 2))
