"""What a compiled program does to bring sums to levels, for each requantizer."""

import numpy as np

from qsim.engine.steps import Epilogue, Uncompilable
from qsim.formats import Format
from qsim.kernels.requantize import LARGEST_SCALED
from qsim.onnx_runtime import limits as runtime_limits
from qsim.requantize import Onnx, OnnxRuntime, Requantizer, limits, multipliers
from qsim.values import Sums


def epilogue_of(
    requantizer: Requantizer, sums: Sums, number: Format, scale: np.ndarray, largest: list[int]
) -> Epilogue:
    """The epilogue of sums, given without their integers, whose magnitudes may be ``largest``.

    Raises Uncompilable where there is none.
    """
    if not number.rounds_half_even or number.wraps:
        raise Uncompilable("its levels are not the nearest of consecutive integers")
    match requantizer:
        case Onnx():
            return _float(sums, number, scale, largest)
        case OnnxRuntime() if sums.source in ("conv", "depthwise", "linear", "global_average"):
            return _float_of_runtime(sums, number, scale, largest)
    raise Uncompilable(f"there is no compiled form of its requantization ({sums.source})")


def _float(sums: Sums, number: Format, scale: np.ndarray, largest: list[int]) -> Epilogue:
    per_step = np.float32(scale) * np.float32(sums.divisor)
    with np.errstate(over="ignore"):  # an infinite multiplier is refused below
        by_term = tuple(multipliers(by_channel, per_step) for _, by_channel in sums.terms)
        addend = None if sums.offset is None else sums.offset / np.float32(scale)
    _check_size(by_term, largest)
    if addend is not None and not (np.abs(addend) <= LARGEST_SCALED).all():
        raise Uncompilable("a bias over the scale of the result is too large for float32")
    low, high = limits(sums, number, scale)
    return Epilogue(low, high, by_term, addend)


def _float_of_runtime(
    sums: Sums, number: Format, scale: np.ndarray, largest: list[int]
) -> Epilogue:
    if sums.offset is not None or not sums.uniform:
        raise Uncompilable("the runtime scales one sum of each channel by one factor")
    [(_, by_channel)] = sums.terms
    with np.errstate(over="ignore"):
        multiplier = by_channel.astype(np.float32) / (np.float32(scale) * np.float32(sums.divisor))
    _check_size((multiplier,), largest)
    low, high = runtime_limits(sums, number, scale)
    return Epilogue(low, high, (multiplier,))


def _check_size(multipliers: tuple[np.ndarray, ...], largest: list[int]) -> None:
    for multiplier, magnitude in zip(multipliers, largest, strict=True):
        if not (np.abs(multiplier) * np.float64(magnitude) <= LARGEST_SCALED).all():
            raise Uncompilable("a sum times its multiplier is too large for float32")
