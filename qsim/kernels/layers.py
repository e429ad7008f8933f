"""Convolution and linear layers over levels, for any datapath of the weights.

A datapath has what ``Datapath`` says: LevelWeights multiplies, ShiftAddWeights shifts and adds,
SelectNegateWeights adds and subtracts, XnorPopcountWeights and BitSerialWeights count bits. The
order of the products, which matters to an accumulator that saturates or has a partial register, is
in-channel, kernel row, kernel column; the bias is added last. Bits are counted in no order, and
refuse to saturate; the sums of a partial register have one, and may.
"""

import numpy as np
from numba import njit

from qsim.kernels.accumulator import Accumulator, as_integers, magnitude
from qsim.kernels.simd.windows import Windows

INT16_MAX = 2**15 - 1


def conv2d(
    x: np.ndarray,
    weights,
    bias: np.ndarray | None = None,
    *,
    stride: tuple[int, int] = (1, 1),
    padding: tuple[int, int, int, int] = (0, 0, 0, 0),
    dilation: tuple[int, int] = (1, 1),
    groups: int = 1,
    accumulator: Accumulator = Accumulator(),  # noqa: B008 (immutable)
) -> np.ndarray:
    """The 2-D convolution (cross-correlation) of levels ``x`` with ``weights``.

    x         (images, in_channels, height, width) integers within 32 bits signed
    weights   a datapath of shape (out_channels, in_channels // groups, kernel_h, kernel_w)
    bias      (out_channels,) integers, or None
    padding   rows and columns of level 0 at top, left, bottom, right
    returns   (images, out_channels, out_height, out_width) int64

    Raises ValueError on shapes that do not fit, OverflowError where ``Accumulator.check`` does.
    """
    _check_conv(x, weights.shape, bias, groups)
    if min(*stride, *dilation, *weights.shape[2:]) < 1 or min(padding) < 0:
        raise ValueError(f"stride {stride}, dilation {dilation} or padding {padding} is impossible")
    windows = Windows(x.shape[2:], weights.shape[2:], stride, padding, dilation)
    depth, sides = int(np.prod(weights.shape[1:])), windows.out
    accumulator.check(depth, magnitude(x), weights.max_magnitude, _largest(bias))
    out = np.zeros((len(x), weights.shape[0], *sides), np.int64)
    if x.size and out.size:
        out = weights.convolve(x, windows, groups, accumulator)
    if out is None:
        out = _from_patches(x, weights, windows, groups, accumulator)
    return accumulator.add_bias(
        out, None if bias is None else as_integers(bias[:, None, None], np.int64)
    )


def _from_patches(
    x: np.ndarray, weights, windows: Windows, groups: int, accumulator: Accumulator
) -> np.ndarray:
    """The sums of a convolution, image after image, of a row of levels for each window."""
    out = np.empty((len(x), weights.shape[0], *windows.out), np.int64)
    x = as_integers(x, np.int16 if magnitude(x) <= INT16_MAX else np.int32)
    depth = int(np.prod(weights.shape[1:]))
    patches = np.empty((groups, int(np.prod(windows.out)), depth), x.dtype)
    geometry = (
        *windows.kernel, *windows.stride, *windows.padding[:2], *windows.dilation, *windows.out
    )  # fmt: skip
    for image, levels in enumerate(x):
        gather_patches(levels, patches, geometry)
        out[image] = weights.dot(patches, accumulator).reshape(out.shape[1:])
    return out


def linear(
    x: np.ndarray,
    weights,
    bias: np.ndarray | None = None,
    *,
    accumulator: Accumulator = Accumulator(),  # noqa: B008 (immutable)
) -> np.ndarray:
    """The product of rows of levels ``x`` (images, features) with ``weights`` (rows, features).

    Returns (images, rows) int64. Raises as ``conv2d`` does.
    """
    if x.ndim != 2 or len(weights.shape) != 2 or x.shape[1] != weights.shape[1]:
        raise ValueError(f"a linear layer of weights {weights.shape} cannot read {x.shape}")
    if bias is not None and bias.shape != weights.shape[:1]:
        raise ValueError(f"bias {bias.shape} does not fit weights {weights.shape}")
    accumulator.check(x.shape[1], magnitude(x), weights.max_magnitude, _largest(bias))
    sums = weights.dot(x[None], accumulator)[0].T
    return accumulator.add_bias(sums, None if bias is None else as_integers(bias, np.int64))


def _check_conv(
    x: np.ndarray, shape: tuple[int, ...], bias: np.ndarray | None, groups: int
) -> None:
    if x.ndim != 4 or len(shape) != 4:
        raise ValueError(f"a convolution needs 4-D input and weights, not {x.shape} and {shape}")
    if groups < 1 or shape[0] % groups or shape[1] * groups != x.shape[1]:
        raise ValueError(f"weights {shape} in {groups} groups cannot read {x.shape[1]} channels")
    if bias is not None and bias.shape != shape[:1]:
        raise ValueError(f"bias {bias.shape} does not fit weights {shape}")


def _largest(bias: np.ndarray | None) -> int:
    return 0 if bias is None else magnitude(bias)


@njit(cache=True, nogil=True)
def gather_patches(x, patches, geometry):
    """Write the window under each output position as one row: in-channel, kernel row, column.

    x         (C, H, W)
    patches   (groups, out_h * out_w, C // groups * kernel_h * kernel_w), overwritten
    """
    kernel_h, kernel_w, stride_h, stride_w, top, left, step_h, step_w, out_h, out_w = geometry
    groups, _, depth = patches.shape
    channels = depth // (kernel_h * kernel_w) if depth else 0
    height = (out_h - 1) * stride_h + (kernel_h - 1) * step_h + 1
    width = (out_w - 1) * stride_w + (kernel_w - 1) * step_w + 1
    read = _padded(x, top, left, height, width, patches).reshape(-1)
    taps = np.empty(depth, np.int64)
    k = 0
    for c in range(channels):
        for ky in range(kernel_h):
            for kx in range(kernel_w):
                taps[k] = (c * height + ky * step_h) * width + kx * step_w
                k += 1
    for g in range(groups):
        for oy in range(out_h):
            for ox in range(out_w):
                first = (g * channels * height + oy * stride_h) * width + ox * stride_w
                window = read[first:]
                row = patches[g, oy * out_w + ox]
                for k in range(depth):
                    row[k] = window[taps[k]]


@njit(cache=True, nogil=True)
def _padded(x, top, left, height, width, patches):
    """What the windows read of ``x``, rows and columns of 0 around it, as ``patches`` hold it."""
    read = np.zeros((x.shape[0], height, width), patches.dtype)
    for c in range(x.shape[0]):
        for y in range(top, min(top + x.shape[1], height)):
            for z in range(left, min(left + x.shape[2], width)):
                read[c, y, z] = x[c, y - top, z - left]
    return read
