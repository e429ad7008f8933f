"""What a compiled program does to bring sums to levels, for each requantizer.

The usual requantizers of consecutive levels have a form of their own. Whatever else takes one sum
of each channel to a level, and rises with it, is a number of thresholds, which are found by asking
the requantizer itself.
"""

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from qsim.engine.steps import Addition, Epilogue, Uncompilable
from qsim.formats import Format
from qsim.kernels.add_float import ScaledCode, ratios_and_rest
from qsim.kernels.fixed_multiplier import quantize_multiplier
from qsim.kernels.requantize import LARGEST_SCALED, MAX_RIGHT_SHIFT
from qsim.kernels.simd import step_table as codes
from qsim.kernels.simd.additions import tflite_constants
from qsim.onnx_runtime import limits as runtime_limits
from qsim.onnx_runtime import zero_point_of
from qsim.requantize import (
    BUILTIN_LANES,
    Onnx,
    OnnxRuntime,
    Requantizer,
    Shift,
    Tflite,
    limits,
    multipliers,
    shifts,
)
from qsim.values import Sums

INT32_MAX = 2**31 - 1
EXACT_FLOAT = 2**24  # up to it float32 holds every integer
SCALED_BY_RUNTIME = ("conv", "depthwise", "linear", "matmul", "global_average")
OF_PRODUCTS = ("conv", "depthwise", "linear", "matmul", "")


def epilogue_of(
    requantizer: Requantizer, sums: Sums, number: Format, scale: np.ndarray, largest: list[int]
) -> Epilogue:
    """The epilogue of sums, given without their integers, whose magnitudes may be ``largest``.

    Raises Uncompilable where there is none.
    """
    if number.wraps:
        raise Uncompilable("its levels wrap around")
    if number.rounds_half_even and all(by_channel.ndim == 1 for _, by_channel in sums.terms):
        match requantizer:
            case Onnx():
                return _float(sums, number, scale, largest)
            case OnnxRuntime() if sums.source in SCALED_BY_RUNTIME and sums.uniform:
                return _float_of_runtime(sums, number, scale, largest)
            case Shift():
                return _shift(sums, number, scale, largest)
            case Tflite() if _scales_alike(requantizer, sums):
                return _fixed(requantizer, sums, number, scale, largest)
    if not sums.uniform:
        raise Uncompilable("it adds terms of different scales")

    return thresholds_of(requantizer, sums, number, scale, largest[0])


def _scales_alike(requantizer: Tflite, sums: Sums) -> bool:
    """Whether sums are those of one product whose channels are all rounded in one way."""
    builtin = requantizer.rounding == "tflite-builtin" and sums.source == "depthwise"
    whole = not builtin or len(sums.terms[0][1]) % BUILTIN_LANES == 0
    return sums.source in OF_PRODUCTS and sums.uniform and whole


def _float(sums: Sums, number: Format, scale: np.ndarray, largest: list[int]) -> Epilogue:
    per_step = np.float32(scale) * np.float32(sums.divisor)
    with np.errstate(over="ignore"):  # an infinite multiplier is refused below
        by_term = [multipliers(by_channel, per_step) for _, by_channel in sums.terms]
        offset = None if sums.offset is None else sums.offset / np.float32(scale)
    _check_size(by_term, largest)
    columns = {"factor": by_term[0]}
    if len(by_term) == 2:
        columns["other_factor"] = by_term[1]
    if offset is not None:
        if not (np.abs(offset) <= LARGEST_SCALED).all():
            raise Uncompilable("a bias over the scale of the result is too large for float32")
        columns["offset"] = offset
    mode = codes.FLOAT if len(by_term) == 1 else codes.FLOAT_SUM
    return Epilogue(mode, *limits(sums, number, scale), columns)


def _float_of_runtime(
    sums: Sums, number: Format, scale: np.ndarray, largest: list[int]
) -> Epilogue:
    if sums.offset is not None:
        raise Uncompilable("the runtime adds biases to sums as integers")
    [(_, by_channel)] = sums.terms
    with np.errstate(over="ignore"):  # an infinite multiplier is refused below
        factor = by_channel.astype(np.float32) / (np.float32(scale) * np.float32(sums.divisor))
    _check_size([factor], largest)
    return Epilogue(codes.FLOAT, *runtime_limits(sums, number, scale), {"factor": factor})


def _check_size(factors: list[np.ndarray], largest: list[int]) -> None:
    for factor, magnitude in zip(factors, largest, strict=True):
        if not (np.abs(factor) * np.float64(magnitude) <= LARGEST_SCALED).all():
            raise Uncompilable("a sum times its multiplier is too large for float32")


def _shift(sums: Sums, number: Format, scale: np.ndarray, largest: list[int]) -> Epilogue:
    by_term = [shifts(by_channel, scale) for _, by_channel in sums.terms]
    common = np.maximum(np.maximum.reduce(by_term), 0)
    ups = [common - shift for shift in by_term]
    if common.max(initial=0) > MAX_RIGHT_SHIFT or max(up.max(initial=0) for up in ups) > 63:
        raise Uncompilable("its scales lie too far apart")
    totals = [
        sum(each << int(up) for each, up in zip(largest, row, strict=True))
        for row in zip(*ups, strict=True)
    ]
    if max(totals, default=0) >= 2**62:
        raise Uncompilable("its scales lie too far apart for 64 bits")
    bounds = limits(sums, number, scale)
    if max(totals, default=0) <= EXACT_FLOAT:  # then every step in float32 is exact, and as fast
        factors = [np.ldexp(np.float32(1), -shift).astype(np.float32) for shift in by_term]
        names = ("factor", "other_factor")[: len(factors)]
        mode = codes.FLOAT if len(factors) == 1 else codes.FLOAT_SUM
        return Epilogue(mode, *bounds, dict(zip(names, factors, strict=True)))
    columns = {"shift": common, "up": ups[0]}
    columns["other_up"] = ups[1] if len(ups) == 2 else np.zeros_like(ups[0])
    return Epilogue(codes.SHIFT_SUM, *bounds, columns)


def _fixed(
    requantizer: Tflite, sums: Sums, number: Format, scale: np.ndarray, largest: list[int]
) -> Epilogue:
    [(_, by_row)] = sums.terms
    bounds = limits(sums, number, scale)
    if sums.source == "linear" and sums.scales == 1 and requantizer.rounding == "tflite-builtin":
        by_row = by_row.astype(np.float32).astype(np.float64)
    real = by_row / np.float64(scale)
    if sums.source == "linear" and requantizer.rounding == "tflite-reference":
        return Epilogue(codes.DOUBLE, *bounds, {"double": real})
    multiplier, shift = quantize_multiplier(real)
    worst = largest[0] << max(int(shift.max(initial=0)), 0)
    if requantizer.rounding == "tflite":
        worst = int(largest[0] * float(real.max(initial=0))) + 1
    if max(worst, largest[0]) > INT32_MAX:
        raise Uncompilable("a sum times its multiplier may not fit 32 bits")
    mode = {
        "tflite": codes.ROUND_ONCE,
        "tflite-reference": codes.ROUND_TWICE_AWAY,
        "tflite-builtin": codes.ROUND_TWICE,
    }[requantizer.rounding]
    return Epilogue(mode, *bounds, {"multiplier": multiplier, "shift": shift})


def thresholds_of(
    requantizer: Requantizer,
    sums: Sums,
    number: Format,
    scale: np.ndarray,
    largest: int,
    before: Callable[[np.ndarray], np.ndarray] = lambda integers: integers,
) -> Epilogue:
    """The least sum of each channel that the requantizer takes to each level, found by halving the
    range of the sums, whose magnitude is ``largest`` at most, for all at once.

    before   what becomes of the sums first, rising with them

    Raises Uncompilable where the requantizer refuses a sum.
    """
    [(_, by_channel)] = sums.terms

    def levels(integers: np.ndarray) -> np.ndarray:
        try:
            terms = ((before(integers), by_channel),)
            return requantizer.levels(replace(sums, terms=terms), number, scale)
        except (ValueError, OverflowError) as error:
            raise Uncompilable(str(error)) from None

    channels, grid = len(by_channel), number.levels()
    ends = levels(np.array([[-largest] * channels, [largest] * channels], np.int64))
    grid = grid[(grid >= ends.min()) & (grid <= ends.max())]
    below = np.full((len(grid) - 1, channels), -largest - 1, np.int64)  # reaches no level
    least = np.full_like(below, largest + 1)  # what reaches a level, or more than any sum
    while (least - below > 1).any():
        middle = (below + least) // 2
        inside = np.clip(middle, -largest, largest)
        reached = (levels(inside) >= grid[1:, None]) & (middle >= -largest) | (middle > largest)
        below, least = np.where(reached, below, middle), np.where(reached, middle, least)
    return Epilogue(codes.THRESHOLDS, int(grid[0]), int(grid[-1]), thresholds=(least.T, grid))


def addition_of(
    requantizer: Requantizer, sums: Sums, number: Format, scale: np.ndarray
) -> Addition:
    """The addition of two rounded tensors, the first of which is that of the tile.

    Raises Uncompilable where there is none.
    """
    if not number.rounds_half_even or number.wraps or len(sums.terms) != 2:
        raise Uncompilable("it adds two tensors to the nearest of consecutive levels alone")
    scales = tuple(np.float32(by_channel[0]) for _, by_channel in sums.terms)
    match requantizer:
        case OnnxRuntime():
            zeros = (*sums.zero_points, zero_point_of(number))
            operands = zip((*scales, np.float32(scale)), zeros, strict=True)
            try:
                ratios = ratios_and_rest(tuple(ScaledCode(s, z) for s, z in operands))
            except (ValueError, OverflowError) as error:
                raise Uncompilable(str(error)) from None
            bounds = runtime_limits(sums, number, scale)
            return Addition(codes.ADD_FLOAT, *bounds, ratios=ratios, zeros=zeros)
        case Tflite():
            try:
                fixed = tflite_constants((*scales, np.float32(scale)), requantizer.rounding)
            except ValueError as error:
                raise Uncompilable(str(error)) from None
            return Addition(codes.ADD_TFLITE, *limits(sums, number, scale), fixed=fixed)
    raise Uncompilable("it adds rounded tensors")
