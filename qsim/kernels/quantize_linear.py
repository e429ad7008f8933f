"""Reals to codes by a scale and a zero point, and back: ONNX's QuantizeLinear and its inverse.

A code stands for ``(code - zero_point) * scale``. Scales lie along a tensor in one of three ways:

scale ()                          one for the whole tensor
scale (n,), axis                  one for each index of the axis, which has n of them
scale (..., blocks, ...), axis    one for each ``block`` neighbours along the axis; the other sides
  and block                       are those of the tensor, the last block may be shorter

Source: ONNX operators QuantizeLinear-25, DequantizeLinear-25 and DynamicQuantizeLinear-11; every
step rounds to float32, as in ONNX Runtime.
"""

import numpy as np
from numba import njit

from qsim.kernels.accumulator import as_integers
from qsim.kernels.channels import check_limits

INT32_MIN, INT32_MAX = -(2**31), 2**31 - 1


def quantize_linear(
    real: np.ndarray,
    scale: np.ndarray,
    zero_point: np.ndarray,
    low: int,
    high: int,
    *,
    axis: int | None = None,
    block: int | None = None,
) -> np.ndarray:
    """``round(real / scale) + zero_point`` clipped to ``low .. high``.

    The quotient is rounded to float32, then to the nearest integer, a half to the even one. What
    is out of range, an infinity too, becomes ``low`` or ``high``.

    real         float32 of any shape
    scale        float32, positive and finite, shaped as said above
    zero_point   integers within ``low .. high``, of the shape of ``scale``
    low, high    within 24 bits
    returns      int32 codes of the shape of ``real``

    Raises TypeError on other types, ValueError on NaN and on values or shapes outside these.
    """
    check_limits(low, high)
    if real.dtype != np.float32:
        raise TypeError(f"values are float32, not {real.dtype}")
    if np.isnan(real).any():
        raise ValueError("NaN has no code")
    zero_point = _int32(zero_point)
    if zero_point.size and not low <= zero_point.min() <= zero_point.max() <= high:
        raise ValueError(f"a zero point lies within {low} .. {high}")
    runs = _Runs(real.shape, axis, block)
    scales, zeros = runs.per_run(_checked(scale)), runs.per_run(zero_point)
    codes = np.empty(runs.shape, np.int32)
    with np.errstate(over="ignore"):  # an infinite quotient is clipped
        _quantize(runs.split(real), scales, zeros, codes, low, high)
    return runs.join(codes)


def quantize_bias(real: np.ndarray, x_scale: np.float32, weight_scale: np.ndarray) -> np.ndarray:
    """A float32 bias as integers in the scale of the sums, int32: ``real / (x_scale *
    weight_scale)``, product and quotient rounded to float32, then to the nearest integer, a half to
    the even one. ONNX Runtime does so where a convolution or Gemm between quantized tensors has a
    bias that is not quantized.

    weight_scale   float32 that broadcasts to the bias

    Raises TypeError on other types, ValueError on NaN and scales that are not positive and finite,
    OverflowError on what leaves 32 bits.
    """
    if real.dtype != np.float32:
        raise TypeError(f"a bias is float32, not {real.dtype}")
    if np.isnan(real).any():
        raise ValueError("NaN is no bias")
    scale = _checked(np.asarray(x_scale)) * _checked(np.asarray(weight_scale))
    with np.errstate(over="ignore"):  # an infinite quotient is refused
        levels = np.rint(real / _checked(scale))
    if not (np.abs(levels) < 2.0**31).all():
        raise OverflowError("a bias over the scale of its sums does not fit 32 bits")
    return levels.astype(np.int32)


def dequantize_linear(
    codes: np.ndarray,
    scale: np.ndarray,
    zero_point: np.ndarray,
    *,
    axis: int | None = None,
    block: int | None = None,
) -> np.ndarray:
    """``(codes - zero_point) * scale`` in float32: the difference, an integer, and the product are
    each rounded to float32.

    codes, zero_point   integers, and their difference, within 32 bits signed
    scale               float32, positive and finite, shaped as said above; so is ``zero_point``
    returns             float32 of the shape of ``codes``

    Raises TypeError on other types, ValueError on values or shapes outside these, OverflowError
    on a difference beyond 32 bits or a product beyond float32.
    """
    codes, zero_point = _int32(codes), _int32(zero_point)
    runs = _Runs(codes.shape, axis, block)
    scales, zeros = runs.per_run(_checked(scale)), runs.per_run(zero_point)
    real = np.empty(runs.shape, np.float32)
    with np.errstate(over="ignore"):  # an infinite product is refused below
        lowest, highest = _dequantize(runs.split(codes), scales, zeros, real)
    if lowest < INT32_MIN or highest > INT32_MAX:
        raise OverflowError(f"codes {lowest} .. {highest} from their zero point do not fit 32 bits")
    if not np.isfinite(real).all():
        raise OverflowError("a code times its scale is too large for float32")
    return runs.join(real)


def range_to_code(real: np.ndarray, low: int = 0, high: int = 255) -> tuple[np.float32, int]:
    """The scale and the zero point that spread the range of ``real``, and 0, over ``low .. high``.

    The scale is (largest - smallest) / (high - low), 1 where the two are equal; the zero point
    low - smallest / scale, to the nearest integer, a half to the even one, clipped to
    ``low .. high``. Every step rounds to float32. An empty tensor has the range of 0 alone.

    Raises TypeError on anything but float32; ValueError on NaN, infinity or a range that is empty
    or beyond 24 bits; OverflowError when the scale leaves the range of float32.
    """
    check_limits(low, high)
    if real.dtype != np.float32:
        raise TypeError(f"values are float32, not {real.dtype}")
    if low == high:
        raise ValueError(f"{low} .. {high} is one code, over which no range can be spread")
    if not np.isfinite(real).all():
        raise ValueError("a range of values is finite")
    smallest = min(real.min(initial=0), np.float32(0))
    largest = max(real.max(initial=0), np.float32(0))
    if smallest == largest:
        return np.float32(1), min(max(0, low), high)
    with np.errstate(over="ignore"):  # an overflow to infinity is refused below
        scale = (largest - smallest) / np.float32(high - low)
    if not 0 < scale < np.inf:
        raise OverflowError(f"{smallest} .. {largest} has no scale in float32")
    zero_point = np.float32(low) - smallest / scale
    return scale, int(np.rint(min(max(zero_point, np.float32(low)), np.float32(high))))


class _Runs:
    """A tensor as rows that have one scale each, in any of the three ways scales can lie."""

    def __init__(self, shape: tuple[int, ...], axis: int | None, block: int | None):
        if axis is None and block is not None:
            raise ValueError("blocks lie along an axis; give one")
        if axis is not None and not -len(shape) <= axis < len(shape):
            raise ValueError(f"a tensor of shape {shape} has no axis {axis}")
        if block is not None and block < 1:
            raise ValueError(f"a block has at least 1 value, not {block}")
        self._tensor, self._block = shape, block
        self._axis = axis if axis is None else axis % len(shape)
        if axis is None:
            self._scales: tuple[int, ...] = ()
            self.shape = (1, int(np.prod(shape)))
        elif block is None:
            self._scales = shape[self._axis : self._axis + 1]
            outer = int(np.prod(shape[: self._axis]))
            inner = int(np.prod(shape[self._axis + 1 :]))
            self.shape = (outer * shape[self._axis], inner)
        else:
            blocks = -(-shape[self._axis] // block)
            self._scales = (*shape[: self._axis], blocks, *shape[self._axis + 1 :])
            self.shape = (int(np.prod(self._scales)), block)

    def per_run(self, values: np.ndarray) -> np.ndarray:
        """Scales or zero points, one for each row."""
        if values.shape != self._scales:
            raise ValueError(
                f"scales or zero points of shape {values.shape} do not fit a tensor of shape"
                f" {self._tensor}; {self._scales} would"
            )
        if self._axis is None:
            return values.reshape(1)
        if self._block is None:
            return np.tile(values, int(np.prod(self._tensor[: self._axis])))
        return np.ascontiguousarray(np.moveaxis(values, self._axis, -1)).reshape(-1)

    def split(self, tensor: np.ndarray) -> np.ndarray:
        """The rows of ``tensor``; short blocks are filled up with 0."""
        if self._block is None:
            return np.ascontiguousarray(tensor).reshape(self.shape)
        last = np.moveaxis(tensor, self._axis, -1)
        missing = -last.shape[-1] % self._block
        padded = np.pad(last, [(0, 0)] * (last.ndim - 1) + [(0, missing)])
        return padded.reshape(self.shape)

    def join(self, rows: np.ndarray) -> np.ndarray:
        """The tensor whose rows these are."""
        if self._block is None:
            return rows.reshape(self._tensor)
        length = self._tensor[self._axis]
        others = self._tensor[: self._axis] + self._tensor[self._axis + 1 :]
        padded = rows.reshape(*others, length + -length % self._block)
        return np.ascontiguousarray(np.moveaxis(padded[..., :length], -1, self._axis))


def _int32(integers: np.ndarray) -> np.ndarray:
    wide = as_integers(integers, np.int64).reshape(integers.shape)  # of no dimension too
    if wide.size and not INT32_MIN <= wide.min() <= wide.max() <= INT32_MAX:
        raise OverflowError(f"codes {wide.min()} .. {wide.max()} do not fit 32 bits")
    return wide.astype(np.int32)


def _checked(scale: np.ndarray) -> np.ndarray:
    if scale.dtype != np.float32:
        raise TypeError(f"a scale is float32, not {scale.dtype}")
    if not ((scale > 0) & (scale < np.inf)).all():
        raise ValueError("a scale must be positive and finite")
    return scale


@njit(cache=True, nogil=True, error_model="numpy")
def _quantize(real, scale, zero_point, codes, low, high):
    """real (R, L) float32, scale (R,) float32, zero_point (R,) int32, codes (R, L) int32."""
    for r in range(real.shape[0]):
        lowest, highest = np.float32(low - zero_point[r]), np.float32(high - zero_point[r])
        for i in range(real.shape[1]):
            clipped = min(max(real[r, i] / scale[r], lowest), highest)
            codes[r, i] = np.int32(np.rint(clipped)) + zero_point[r]  # a half to the even integer


@njit(cache=True, nogil=True)
def _dequantize(codes, scale, zero_point, real):
    """codes (R, L) int32, scale (R,) float32, zero_point (R,) int32, real (R, L) float32.

    Returns the smallest and the largest difference, and 0 if it lies beyond them.
    """
    lowest, highest = np.int64(0), np.int64(0)
    for r in range(codes.shape[0]):
        for i in range(codes.shape[1]):
            difference = np.int64(codes[r, i]) - np.int64(zero_point[r])
            lowest, highest = min(lowest, difference), max(highest, difference)
            real[r, i] = np.float32(difference) * scale[r]
    return lowest, highest
