"""Functions of float32 arrays that layers are made of, each in float64 and rounded to float32 once;
sums go in order, so that they are the same on every machine."""

from collections.abc import Callable

import numpy as np

from qsim.kernels.error_function import erf
from qsim.network.layers import Side, pair
from qsim.network.pointwise import Gelu, HardSwish, LeakyRelu, LocalResponseNorm, Silu

ROOT_HALF = np.sqrt(0.5)
ROOT_TWO_OVER_PI = np.sqrt(2 / np.pi)


def _in_float64(function: Callable) -> Callable:
    def rounded(x: np.ndarray, *arguments, **options) -> np.ndarray:
        return function(x.astype(np.float64), *arguments, **options).astype(np.float32)

    return rounded


@_in_float64
def sigmoid(x: np.ndarray) -> np.ndarray:
    """1 / (1 + e**-x)."""
    return _sigmoid(x)


@_in_float64
def tanh(x: np.ndarray) -> np.ndarray:
    """The hyperbolic tangent."""
    return np.tanh(x)


@_in_float64
def softmax(x: np.ndarray) -> np.ndarray:
    """Along the last axis."""
    terms = np.exp(x - x.max(axis=-1, keepdims=True))
    return terms / terms.sum(axis=-1, keepdims=True)


@_in_float64
def curve(x: np.ndarray, layer: LeakyRelu | Gelu | Silu | HardSwish) -> np.ndarray:
    """The function of a ``Curve`` layer."""
    match layer:
        case LeakyRelu(slope=slope):
            return np.where(x < 0, x * slope, x)
        case Gelu(approximation="tanh"):
            return x * (1 + np.tanh(ROOT_TWO_OVER_PI * (x + 0.044715 * x**3))) / 2
        case Gelu():
            return x * (1 + erf(x * ROOT_HALF)) / 2
        case Silu():
            return x * _sigmoid(x)
        case HardSwish():
            return x * np.clip(x + 3, 0, 6) / 6
    raise TypeError(f"no float function of a {type(layer).__name__} layer")


@_in_float64
def layer_norm(x: np.ndarray, epsilon: float, weight, bias) -> np.ndarray:
    """Over the last axis."""
    centred = x - _last_sum(x) / x.shape[-1]
    variance = _last_sum(centred**2) / x.shape[-1]
    return centred / np.sqrt(variance + epsilon) * weight + bias


@_in_float64
def local_response_norm(x: np.ndarray, layer: LocalResponseNorm) -> np.ndarray:
    """Over neighbouring channels of (images, channels, ...); half of ``size`` lie before each."""
    before, channels = layer.size // 2, x.shape[1]
    total = np.zeros(x.shape)
    for channel in range(channels):
        first, last = channel - before, channel - before + layer.size
        for other in range(max(first, 0), min(last, channels)):
            total[:, channel] += x[:, other] ** 2
    return x / (layer.bias + layer.alpha / layer.size * total) ** layer.beta


@_in_float64
def resize(x: np.ndarray, size: Side, align_corners: bool) -> np.ndarray:
    """Bilinear, of (images, channels, height, width)."""
    for axis, side in zip((2, 3), pair(size), strict=True):
        places = _places(x.shape[axis], side, align_corners)
        low = np.floor(places).astype(int)
        high = np.minimum(low + 1, x.shape[axis] - 1)
        shape = [-1 if i == axis else 1 for i in range(4)]
        share = (places - low).reshape(shape)
        x = x.take(low, axis) * (1 - share) + x.take(high, axis) * share
    return x


def _places(read: int, made: int, align_corners: bool) -> np.ndarray:
    """Where along an axis of ``read`` values each of ``made`` values lies."""
    if align_corners:
        return np.arange(made) * ((read - 1) / (made - 1) if made > 1 else 0.0)
    return np.clip((np.arange(made) + 0.5) * (read / made) - 0.5, 0, read - 1)


def _sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def _last_sum(x: np.ndarray) -> np.ndarray:
    """The sum over the last axis, value by value."""
    return np.cumsum(x, axis=-1)[..., -1:]
