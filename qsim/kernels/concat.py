"""Concatenation of levels of several scales, brought to one."""

from collections.abc import Sequence

import numpy as np

from qsim.kernels.requantize import add_aligned, requantize_float, requantize_shift


def concat_float(
    parts: Sequence[tuple[np.ndarray, np.ndarray]], low: int, high: int, *, axis: int = 1
) -> np.ndarray:
    """Levels of several inputs, each requantized by ``requantize_float``, one after another.

    parts     (levels (images, channels, ...), multiplier float32 ()) of each input, the multiplier
              being its scale / the output's, both float32
    low, high of the output's levels, within 24 bits
    returns   int32 levels

    A level becomes the same level where the multiplier is 1, if it is within float32's 24 bits.
    Raises ValueError when there are no parts or they do not fit along ``axis``, and what
    ``requantize_float`` raises.
    """
    return _joined(
        [
            requantize_float([(levels, _per_channel(levels, multiplier))], low, high)
            for levels, multiplier in parts
        ],
        axis,
    )


def concat_shift(
    parts: Sequence[tuple[np.ndarray, int]], low: int, high: int, *, axis: int = 1
) -> np.ndarray:
    """As ``concat_float``, with a right shift for each input, in integers alone.

    parts   (levels, shift), its scale being 2**-shift of the output's; a negative shift is one to
            the left

    Raises as ``requantize_shift`` and ``add_aligned`` do.
    """
    aligned = (add_aligned([(levels, _per_channel(levels, np.int64(s)))]) for levels, s in parts)
    return _joined([requantize_shift(*term, low, high) for term in aligned], axis)


def _per_channel(levels: np.ndarray, value: np.ndarray) -> np.ndarray:
    if levels.ndim < 2 or np.ndim(value) != 0:
        raise ValueError(f"levels {levels.shape} need channels, and one factor for all of them")
    return np.full(levels.shape[1], value)


def _joined(parts: list[np.ndarray], axis: int) -> np.ndarray:
    if not parts:
        raise ValueError("there is nothing to concatenate")
    return np.concatenate(parts, axis=axis)
