"""Which type a layer runs as, and how fast a GPU is in it.

A requested width runs as the fastest type of the device that holds it: 2 and 3 bits round up to
4 where there is an engine for that, else to 8, and where there is none for 8 either, to 16 or 32.
An engine whose rate is not known is never chosen unasked.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from hwmodels.errors import DesignError
from hwmodels.explain import formula, read, read_figure
from hwmodels.gpu.constants import constant
from hwmodels.gpu.device import Gpu
from hwmodels.work import LayerWork


@dataclass(frozen=True)
class NumberType:
    """A type of operands.

    bits            that an operand is stored in
    integer_bits    of the widest integers that it holds exactly; 0: none
    engines         that compute it, the first one that a device has. The tensor cores' FP16 is
                    that with sums in FP32, where a device has another rate for it
    """

    name: str
    bits: int
    integer_bits: int
    is_float: bool
    engines: tuple[str, ...]


TYPES = {
    each.name: each
    for each in (
        NumberType("int4", 4, 4, False, ("int4_tensor",)),
        NumberType("int8", 8, 8, False, ("int8_tensor", "int8_dp4a")),
        NumberType("fp8", 8, 4, True, ("fp8_tensor",)),
        NumberType("fp16", 16, 11, True, ("fp16_tensor_fp32_acc", "fp16_tensor", "fp16")),
        NumberType("bf16", 16, 8, True, ("bf16_tensor",)),
        NumberType("tf32", 32, 11, True, ("tf32_tensor",)),
        NumberType("fp32", 32, 24, True, ("fp32",)),
    )
}
UNASKED = ("int4", "int8", "fp16", "fp32")  # by width; what automatic choice is made of


def integer_bits(layer: LayerWork) -> int:
    """The bits of the widest operand of a layer as an integer in two's complement.

    Levels of shifted weights are wider than their codes. SP2's reach 2**(2**m1 - 1), with
    m1 = bits // 2; those of powers of two 2**(2**(bits - 1) - 2).
    Source: MSQ (arXiv 2012.04240), Eq. 8.
    """
    bits = max(layer.weight_bits, layer.activation_bits)
    if layer.rows_shift_add == 0:
        return bits
    codes = layer.weight_bits
    levels = 2 ** (codes // 2) + 1 if layer.shifted_as == "sp2" else 2 ** (codes - 1)
    return max(bits, levels)


def type_of_layer(device: Gpu, layer: LayerWork, precision: str) -> NumberType:
    """The type that a layer runs as. Raises DesignError on one that does not hold its operands."""
    bits = integer_bits(layer) if not layer.in_float else 32
    share = share_of_convolutions if layer.kind == "conv" else None
    return type_of(device, bits, layer.in_float, precision, name=layer.name, share=share)


def share_of_convolutions(engine: str) -> float:
    """The share of an engine's rate that convolutions reach."""
    name = "convolution_fraction" if "_tensor" in engine else "plain_convolution_fraction"
    return float(constant(name))


def type_of(
    device: Gpu,
    bits: int,
    in_float: bool,
    precision: str = "auto",
    *,
    name: str = "",
    share: Callable[[str], float] | None = None,
) -> NumberType:
    """The type in which values of so many ``bits`` run on a device.

    Asked for by name, floating point may be narrowed to another floating type, but integers must
    fit; a type that the device has no engine for is rounded up to the next that it has. Of several
    the fastest is taken.

    share   of an engine's rate that is reached; absent: all of it

    Raises DesignError naming the layer called ``name``.
    """
    if precision == "auto":
        held = [TYPES[each] for each in UNASKED if _holds(TYPES[each], bits, in_float)]
    else:
        asked = TYPES[precision]
        if in_float and not asked.is_float:
            raise DesignError(
                "precision",
                f"layer {name!r} is computed in floating point, which {precision} is not; choose a"
                " floating type or auto",
            )
        if not in_float and asked.integer_bits < bits:
            raise DesignError(
                "precision",
                f"layer {name!r} has operands of {bits} bits as integers, which {precision} does"
                " not hold; choose a wider type or auto",
            )
        if engine_of(device, asked):
            return asked
        held = [
            each
            for each in TYPES.values()
            if each.bits >= asked.bits and _wide_enough(each, bits, in_float)
        ]
    if not held:
        raise DesignError(
            "precision", f"layer {name!r} has operands of {bits} bits, which no type of a GPU holds"
        )
    known = {each: _rate(device, each, share) for each in held}
    known = {each: rate for each, rate in known.items() if rate > 0}
    return max(known, key=lambda each: (known[each], -each.bits)) if known else held[-1]


def _holds(number: NumberType, bits: int, in_float: bool) -> bool:
    if in_float:
        return number.is_float and number.bits >= bits
    return number.integer_bits >= bits


def _wide_enough(number: NumberType, bits: int, in_float: bool) -> bool:
    return number.is_float if in_float else number.integer_bits >= bits


def engine_of(device: Gpu, number: NumberType) -> str | None:
    """The engine of a device that computes a type; None where it has none."""
    return next((each for each in number.engines if each in device.fma_per_sm_cycle), None)


def _rate(device: Gpu, number: NumberType, share: Callable[[str], float] | None = None) -> float:
    """Multiply-adds per second of a type, 0 where the device has none or it is not known."""
    engine = engine_of(device, number)
    if engine is None:
        return 0.0
    rate = float(fma_per_s(device, engine))
    return 0.0 if np.isnan(rate) else rate * (share(engine) if share else 1.0)


@formula
def clock_hz(device: Gpu, engine: str):
    """The clock of the engine's cores: the boost clock, unless the published peak needs another."""
    own = "tensor_clock_mhz" if "_tensor" in engine else "plain_clock_mhz"
    name = own if getattr(device, own) is not None else "boost_clock_mhz"
    return read(device, name) * 1e6


@formula
def fma_per_sm_s(device: Gpu, engine: str):
    """Multiply-adds per SM and clock x clock."""
    rate = device.fma_per_sm_cycle[engine]
    per_cycle = read_figure(rate, f"fma_per_sm_cycle.{engine}", where=device.name)
    return per_cycle * clock_hz(device, engine)


@formula
def fma_per_s(device: Gpu, engine: str):
    """SMs x multiply-adds per SM and clock x clock."""
    return read(device, "sms") * fma_per_sm_s(device, engine)


@formula
def peak_tops(device: Gpu, engine: str):
    """2 operations per multiply-add x multiply-adds per second, in 1e12 per second."""
    return 2 * fma_per_s(device, engine) / 1e12


@formula
def peak_tops_per_w(device: Gpu, engine: str):
    """Peak rate / TDP."""
    return peak_tops(device, engine) / read(device, "tdp_w")
