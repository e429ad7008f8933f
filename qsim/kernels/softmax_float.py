"""Softmax of codes by a table of exponentials in float32, as ONNX Runtime's QLinearSoftmax."""

from decimal import Context, Decimal, localcontext
from fractions import Fraction
from functools import lru_cache

import numpy as np

from qsim.kernels.accumulator import as_integers
from qsim.kernels.add_float import ScaledCode
from qsim.kernels.real_functions import DIGITS, exp

CODES = 256  # of 8 bits
HEADROOM = 5.0  # natural logarithm of what the largest exponential stays below the largest float32


def softmax_float(
    x: np.ndarray, x_scale: np.float32, code_y: ScaledCode, low: int, high: int
) -> np.ndarray:
    """The codes of the softmax of codes ``x`` along the last axis, clipped to ``low .. high``.

    Of a row whose largest code is m, the code c has the entry 255 - m + c of ``exponential_table``;
    the entries are added in order. The result is the entry times floor(1 / y_scale), over the sum,
    each step in float32, to the nearest integer, a half to the even one, plus the zero point. So
    scales of the result count as 1 over a whole number, and the zero point of x does not count.

    x         (..., length) integer codes that differ by 255 at most
    low, high -128 and 127, or 0 and 255
    returns   int32 codes of the same shape

    Raises ValueError on shapes or codes outside these, and where 1 / y_scale is so large for the
    length that a product leaves float32, as the runtime's result is then not defined.
    """
    terms, total = exponentials_of(x, x_scale)
    return share_codes(terms, total, code_y, low, high)


def exponentials_of(x: np.ndarray, x_scale: np.float32) -> tuple[np.ndarray, np.ndarray]:
    """The exponentials of codes, float32 of their shape, and their sums along the last axis, in
    order, of that shape but 1 for it.

    Raises ValueError on shapes without values in a row, or codes that differ by more than 255.
    """
    if x.ndim == 0 or x.shape[-1] == 0:
        raise ValueError(f"a softmax needs a last axis with values, not the shape {x.shape}")
    x = as_integers(x, np.int64).reshape(x.shape)
    below = x.max(axis=-1, keepdims=True) - x
    if below.max(initial=0) >= CODES:
        raise ValueError(f"codes of 8 bits differ by up to 255, not {below.max()}")
    terms = exponential_table(float(x_scale), x.shape[-1])[CODES - 1 - below]
    total = np.zeros((*x.shape[:-1], 1), np.float32)
    for i in range(x.shape[-1]):
        total = total + terms[..., i : i + 1]
    return terms, total


def share_codes(
    terms: np.ndarray, total: np.ndarray, code_y: ScaledCode, low: int, high: int
) -> np.ndarray:
    """The codes of ``terms / total``, float32 that broadcast, each row having its largest term
    there; as ``softmax_float``, which says what is refused."""
    steps = np.floor(np.float32(1) / code_y.scale)
    if float(terms.max(initial=0)) * float(steps) > float(np.finfo(np.float32).max):
        raise ValueError(f"an exponential over {code_y.scale} is too large for float32")
    codes = np.rint(terms * steps / total) + code_y.zero_point
    return np.clip(codes, low, high).astype(np.int32)


@lru_cache(maxsize=64)
def exponential_table(x_scale: float, length: int) -> np.ndarray:
    """exp((i - 255 + above) * x_scale) for i = 0 .. 255, float32: rounded to float64, then to it.

    ``above`` lets the sum of ``length`` of the largest fill float32 nearly: the float32 logarithm
    of the largest float32 over the length, less HEADROOM, over the scale; in float64, not below 0.
    """
    ratio = np.finfo(np.float32).max / np.float32(length)
    with localcontext(Context(prec=DIGITS)):
        logarithm = np.float32(float(Decimal(float(ratio)).ln()))
    above = max(0.0, float(logarithm) - HEADROOM) / x_scale
    exponents = [(i - (CODES - 1) + above) * x_scale for i in range(CODES)]
    with np.errstate(under="ignore"):
        return np.array([np.float32(float(exp(Fraction(e)))) for e in exponents])
