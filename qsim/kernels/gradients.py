"""The two products of a backward pass, of levels and on any datapath of the layers.

An output gradient reaches an input through every weight that read it, and a weight through every
input that it read. Both are sums of products of levels, so a datapath forms them as it does the
layer's own. It is given as a function of the levels that it holds: ``LevelWeights`` or, say,
``partial(BitSerialWeights, code=..., x_code=...)``.

Source: DoReFa-Net (arXiv 1606.06160v3) Algorithm 1, backward_input and backward_weight. Gradients
have a scale per image there (Eq. 12), so those of weights stay apart per image here.
"""

from collections.abc import Callable
from math import gcd

import numpy as np

from qsim.kernels.accumulator import Accumulator, as_integers, magnitude
from qsim.kernels.layers import gather_patches, linear
from qsim.kernels.level_product import LevelWeights
from qsim.kernels.simd.windows import out_size

INT16_MAX = 2**15 - 1
WIDE = Accumulator(64)  # for partial sums of a total that was checked


def input_gradient(
    g: np.ndarray,
    weights: np.ndarray,
    x_shape: tuple[int, int, int, int],
    *,
    stride: tuple[int, int] = (1, 1),
    padding: tuple[int, int, int, int] = (0, 0, 0, 0),
    dilation: tuple[int, int] = (1, 1),
    groups: int = 1,
    accumulator: Accumulator = Accumulator(),  # noqa: B008 (immutable)
    datapath: Callable = LevelWeights,
) -> np.ndarray:
    """The gradient of the input of ``conv2d``, of levels ``g`` of the gradient of its output.

    g          (images, out_channels, out_height, out_width) integers within 32 bits signed
    weights    (out_channels, in_channels // groups, kernel_h, kernel_w) integers
    x_shape    (images, in_channels, height, width)
    datapath   holds the weights, and multiplies g; neither meets a level of padding
    returns    int64 of x_shape; an input that no weight reads has gradient 0

    Raises ValueError on shapes that do not fit and on an accumulator that saturates or has a
    partial register, because the sums have no stated order; OverflowError where
    ``Accumulator.check`` does.
    """
    if accumulator.mode == "saturate":
        raise ValueError("an input gradient adds in no order that an accumulator could saturate in")
    if accumulator.partial is not None:
        raise ValueError("an input gradient adds in no order that a partial register could take")
    _check_images(x_shape, g.shape, groups)
    if weights.shape[:-2] != (g.shape[1], x_shape[1] // groups):
        raise ValueError(f"weights {weights.shape} do not lead from {x_shape} to {g.shape}")
    geometry = _geometry(x_shape, g.shape, weights.shape[2:], (stride, padding, dilation))
    taps, depth = int(np.prod(weights.shape[1:])), weights.shape[0] // groups
    terms = depth * _most_readers(weights.shape[2:], stride, dilation)
    accumulator.check(terms, magnitude(g), magnitude(weights))
    by_tap = weights.reshape(groups, depth, taps).transpose(0, 2, 1)
    held = datapath(by_tap.reshape(groups * taps, depth))
    positions, size = g.shape[2] * g.shape[3], int(np.prod(x_shape[1:]))
    # which input each tap reads, counted from 1; 0 is the padding, whose gradient is dropped
    reads = np.zeros((groups, positions, taps), np.int64)
    gather_patches(np.arange(1, size + 1).reshape(x_shape[1:]), reads, geometry)
    totals = np.zeros((len(g), size + 1), np.int64)
    for image in range(len(g)):
        columns = g[image].reshape(groups, depth, positions).transpose(0, 2, 1)
        np.add.at(totals[image], reads.transpose(0, 2, 1), held.dot(columns, WIDE))
    return accumulator.add_bias(totals[:, 1:].reshape(x_shape), None)


def weight_gradient(
    x: np.ndarray,
    g: np.ndarray,
    kernel: tuple[int, int],
    *,
    stride: tuple[int, int] = (1, 1),
    padding: tuple[int, int, int, int] = (0, 0, 0, 0),
    dilation: tuple[int, int] = (1, 1),
    groups: int = 1,
    accumulator: Accumulator = Accumulator(),  # noqa: B008 (immutable)
    datapath: Callable = LevelWeights,
) -> np.ndarray:
    """The gradient of the weights of ``conv2d`` from each image, not summed over the images.

    x          (images, in_channels, height, width) integers within 32 bits signed
    g          (images, out_channels, out_height, out_width) integers
    kernel     height and width of the weights
    datapath   holds g of an image, and multiplies x and its padding, which is level 0
    returns    (images, out_channels, in_channels // groups, kernel_h, kernel_w) int64

    The order of the products is output row, output column; those of padding count as products of 0
    in a partial register. Raises ValueError on shapes that do not
    fit, OverflowError where ``Accumulator.check`` does.
    """
    _check_images(x.shape, g.shape, groups)
    geometry = _geometry(x.shape, g.shape, kernel, (stride, padding, dilation))
    accumulator.check(g.shape[2] * g.shape[3], magnitude(x), magnitude(g))
    channels, positions = x.shape[1] // groups, g.shape[2] * g.shape[3]
    x = as_integers(x, np.int16 if magnitude(x) <= INT16_MAX else np.int32)
    patches = np.empty((groups, positions, channels * kernel[0] * kernel[1]), x.dtype)
    out = np.empty((*g.shape[:2], channels, *kernel), np.int64)
    for image in range(len(g)):
        gather_patches(x[image], patches, geometry)
        held = datapath(g[image].reshape(g.shape[1], positions))
        out[image] = held.dot(patches.transpose(0, 2, 1), accumulator).reshape(out.shape[1:])
    return out


def linear_input_gradient(
    g: np.ndarray,
    weights: np.ndarray,
    *,
    accumulator: Accumulator = Accumulator(),  # noqa: B008 (immutable)
    datapath: Callable = LevelWeights,
) -> np.ndarray:
    """The gradient (images, features) of the input of ``linear``, of levels g (images, rows).

    The weights are (rows, features); the order of the products is that of the rows. Returns int64,
    raises as ``linear`` does.
    """
    return linear(g, datapath(weights.T), accumulator=accumulator)


def linear_weight_gradient(
    x: np.ndarray,
    g: np.ndarray,
    *,
    accumulator: Accumulator = Accumulator(),  # noqa: B008 (immutable)
    datapath: Callable = LevelWeights,
) -> np.ndarray:
    """The gradient (images, rows, features) of the weights of ``linear`` from each image.

    x is (images, features) and g (images, rows). Returns int64, raises as ``weight_gradient``,
    whose case of one pixel it is.
    """
    pixels = (x[..., None, None], g[..., None, None])
    return weight_gradient(*pixels, (1, 1), accumulator=accumulator, datapath=datapath)[..., 0, 0]


def _check_images(x_shape: tuple[int, ...], g_shape: tuple[int, ...], groups: int) -> None:
    if len(x_shape) != 4 or len(g_shape) != 4 or x_shape[0] != g_shape[0]:
        raise ValueError(f"{g_shape} is no output of as many images as {x_shape}")
    if groups < 1 or x_shape[1] % groups or g_shape[1] % groups:
        raise ValueError(f"{x_shape[1]} and {g_shape[1]} channels are not in {groups} groups")


def _geometry(x_shape, g_shape, kernel, window) -> tuple[int, ...]:
    stride, padding, dilation = window
    out_h = out_size(x_shape[2] + padding[0] + padding[2], kernel[0], stride[0], dilation[0])
    out_w = out_size(x_shape[3] + padding[1] + padding[3], kernel[1], stride[1], dilation[1])
    if g_shape[2:] != (out_h, out_w):
        raise ValueError(f"the output has sides {out_h} x {out_w}, its gradient {g_shape[2:]}")
    return (*kernel, *stride, *padding[:2], *dilation, out_h, out_w)


def _most_readers(kernel: tuple[int, int], stride, dilation) -> int:
    """The most outputs of a channel that read one input: its taps a whole stride apart."""
    apart = [stride[i] // gcd(stride[i], dilation[i]) for i in (0, 1)]
    return -(-kernel[0] // apart[0]) * -(-kernel[1] // apart[1])
