"""The datapaths that products are computed by, and what their cost goes by."""

from typing import Literal

import numpy as np

from hwmodels.explain import formula

# packed: LUT sites once two small cells share one; kept: cells with adders kept apart as carry
# chains; merged: cells when synthesis merges the sum with the products
Cells = Literal["packed", "kept", "merged"]

SCHEMES = ("fixed", "sp2", "power_of_two", "ternary", "binary")
SIGNED = "fixed_signed"  # fixed with signed activations: its lanes are those of fixed x a factor
POPCOUNT_SCHEMES = ("xnor", "bit_serial")
PE_SCHEMES = (*SCHEMES, SIGNED, *POPCOUNT_SCHEMES)


@formula
def product_bits(scheme: str, weight_bits, activation_bits):
    """Bits of one signed product: weight + activation bits where it is multiplied, activation bits
    + the largest shift + a sign where it is shifted."""
    weight_bits = np.asarray(weight_bits, np.float64)
    if scheme in ("fixed", SIGNED):
        more = weight_bits
    elif scheme == "sp2":
        more = 2 ** np.floor(weight_bits / 2)
    elif scheme == "power_of_two":
        more = 2 ** (weight_bits - 1) - 1
    else:
        more = np.ones(weight_bits.shape)
    return np.asarray(activation_bits, np.float64) + more


def weight_choices(scheme, weight_bits):
    """What a lane grows with along its weights: bits of a multiplier, shifts to choose from of a
    shifter: those of a w-bit power of two, those of both terms of SP2."""
    weight_bits = np.asarray(weight_bits, np.float64)
    if scheme == "sp2":
        return 2 ** np.ceil((weight_bits - 1) / 2) + 2 ** np.floor((weight_bits - 1) / 2)
    return 2 ** (weight_bits - 1) if scheme == "power_of_two" else weight_bits


def product_size(scheme, weight_bits, activation_bits):
    """What the kept and packed shares go by: the partial products of a multiplier, or the bits of a
    shifted or selected product."""
    if scheme == "fixed":
        return weight_bits * activation_bits
    return product_bits(scheme, weight_bits, activation_bits)
