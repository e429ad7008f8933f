"""DSP blocks: what their multipliers take, and how many products fit in one.

A product goes to one multiplier; or several products that share an operand are packed into one,
their other operands side by side in its wide port, far enough apart that the products do not
overlap. Every formula takes scalars or arrays of operand widths that broadcast. Weights are signed;
activations are unsigned unless said otherwise, and take one bit more in a port, which is signed.
"""

from functools import cache
from typing import Literal

import msgspec
import numpy as np

from hwmodels.documents import nearest, read_document
from hwmodels.errors import InputError
from hwmodels.explain import formula
from hwmodels.provenance import HERE, Figure, Status, shipped_names

FOLDER = "devices/dsp"
LEAST_RESULT_BITS = 9  # of a product that synthesis puts in a DSP; narrower ones go to LUTs

Packing = Literal["one", "shared_operand", "overlapped", "published"]


class DspMode(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One way to use a block: so many multipliers of signed operands, with these ports, the wider
    first. ``sums_its_products``: they only leave as one sum, that of a dot product."""

    multipliers: int
    port_bits: tuple[int, int]
    status: Status
    source: str
    sums_its_products: bool = False


class PublishedProducts(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How many products of operands no wider than these a vendor packs into one block."""

    weight_bits: int
    activation_bits: int
    products: int
    status: Status
    source: str


class DspType(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A type of DSP block. ``float_macs`` are single-precision multiply-adds per cycle of one."""

    name: str
    family: str
    modes: tuple[DspMode, ...]
    accumulator_bits: Figure
    float_macs: Figure
    published_products: tuple[PublishedProducts, ...] = ()


def dsp_type_names() -> list[str]:
    """The shipped types of DSP block."""
    return shipped_names(FOLDER)


@cache
def load_dsp_type(name: str) -> DspType:
    """The shipped type of that name. Raises InputError on an unknown one."""
    if name not in dsp_type_names():
        raise InputError(f"unknown type of DSP {name!r}; {nearest(name, dsp_type_names())}")
    return read_document(HERE / FOLDER / f"{name}.yaml", DspType)


@formula
def goes_to_dsp(weight_bits, activation_bits):
    """1 where synthesis puts a product in a DSP by itself: from 9 result bits on, else 0.

    Source: yosys 0.70, synth_xilinx; every product of ``synthesis/xc7.csv`` for which
    DSPs were allowed.
    """
    result_bits = np.asarray(weight_bits, np.float64) + activation_bits
    return np.where(result_bits >= LEAST_RESULT_BITS, 1.0, 0.0)


@formula
def dsp_per_product(weight_bits, activation_bits, dsp: DspType, *, signed_activations=False):
    """DSPs of one product: either operand cut into parts that fit its port, of the two ways round
    the smaller number.

    All parts but the highest are unsigned, so that they use one bit less than the port has.
    """
    wide, narrow = max((mode.port_bits for mode in dsp.modes), key=sum)
    weight, activation = _port_widths(weight_bits, activation_bits, signed_activations)
    one_way = _parts(weight, wide) * _parts(activation, narrow)
    return np.minimum(one_way, _parts(weight, narrow) * _parts(activation, wide))


@formula
def packed_bits(products, weight_bits, activation_bits, guard_bits=0):
    """Bits that packed weights take in the wide port: (products - 1) x (weight + activation + guard
    bits) + weight bits, and a sign bit where there is more than one.

    The sign bit is there because the lowest negative weight, with a negative one below it, borrows
    one from it.
    """
    products, weight_bits = np.asarray(products, np.float64), np.asarray(weight_bits, np.float64)
    apart = weight_bits + activation_bits + guard_bits
    return (products - 1) * apart + weight_bits + (products > 1)


@formula
def products_per_dsp(
    weight_bits,
    activation_bits,
    dsp: DspType,
    *,
    packing: Packing = "one",
    guard_bits=0,
    signed_activations: bool = False,
):
    """Products per cycle of one DSP, in the best of its modes; 0 where not even one fits.

    packing      "one": a product for each multiplier, all that synthesis infers;
                 "shared_operand": as many as ``packed_bits`` allows in each multiplier;
                 "overlapped": the same a bit closer, so that a product reaches into the next and
                 is told apart by the next one's lowest bit, computed besides (as FINN does,
                 finn-rtllib/mvu);
                 "published": as many as the vendor shows, else as "one"
    guard_bits   between packed products: 2**guard_bits of them can be summed before they are split
    """
    widths = np.broadcast_arrays(
        *(np.asarray(each, np.float64) for each in (weight_bits, activation_bits, guard_bits))
    )
    if any((each < least).any() for each, least in zip(widths, (1, 1, 0), strict=True)):
        raise ValueError("operands have 1 bit or more, guard bits are 0 or more")
    best = np.zeros(widths[0].shape)
    for mode in dsp.modes:
        best = np.maximum(best, _of_mode(*widths, mode, packing, signed_activations))
    if packing == "published":
        for shown in dsp.published_products:
            holds = (widths[0] <= shown.weight_bits) & (widths[1] <= shown.activation_bits)
            best = np.where(holds, np.maximum(best, shown.products), best)
    return best


def _of_mode(weight_bits, activation_bits, guard_bits, mode, packing, signed_activations):
    """Products of one mode."""
    wide, narrow = mode.port_bits
    weight, activation = _port_widths(weight_bits, activation_bits, signed_activations)
    one_way = (weight <= wide) & (activation <= narrow)
    fits_one = one_way | ((weight <= narrow) & (activation <= wide))
    products = np.where(fits_one, 1.0, 0.0)
    if packing in ("shared_operand", "overlapped") and not mode.sums_its_products:
        apart = weight_bits + activation_bits + guard_bits - (packing == "overlapped")
        more = 1 + np.floor((wide - 1 - weight_bits) / apart)  # packed_bits solved for products
        products = np.where(one_way, np.maximum(products, more), products)
    return mode.multipliers * products


def _port_widths(weight_bits, activation_bits, signed_activations):
    """Bits that the operands take in signed ports."""
    sign = 0.0 if signed_activations else 1.0
    return np.asarray(weight_bits, np.float64), np.asarray(activation_bits, np.float64) + sign


def _parts(bits, port_bits):
    """Parts of a signed operand in signed ports."""
    return 1 + np.maximum(np.ceil((bits - port_bits) / (port_bits - 1)), 0)
