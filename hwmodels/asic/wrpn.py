"""WRPN's processing elements of few bits beside one of single precision: area and energy.

The one constant of either figure, the element of single precision, is fitted to the bar of 8 bits;
the other three bars then follow from gates and from energies of operations. What drops out are the
node and its voltage, which scale both elements alike. What does not is how many products an element
adds up, which the paper does not say; all elements here have 16, as they were synthesised.

Source: WRPN, arXiv 1709.01134, section 5.1 and Figure 3(f), 3(g).
"""

from functools import cache
from typing import Literal

import msgspec
import numpy as np

from hwmodels.asic.energy import Element, Point, product_pj
from hwmodels.asic.gates import pe_gates
from hwmodels.asic.technology import load_device
from hwmodels.documents import read_document
from hwmodels.explain import formula, read, read_figure
from hwmodels.provenance import HERE, Figure, FittedFigure

FILE = "calibrated/wrpn_asic.yaml"
Precision = Literal["int8", "int4", "int4_ter2", "bin1"]
ELEMENTS = {  # scheme, weight bits, activation bits
    "int8": ("fixed", 8, 8),
    "int4": ("fixed", 4, 4),
    "int4_ter2": ("ternary", 2, 4),
    "bin1": ("xnor", 1, 1),
}


class WrpnAsicConstants(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The constants of both figures."""

    paper: str
    fp32_gates: FittedFigure
    fp32_pj: FittedFigure
    dot_length: Figure
    accumulator_bits: Figure


@cache
def load_wrpn_asic() -> WrpnAsicConstants:
    """The constants, from ``calibrated/wrpn_asic.yaml``."""
    return read_document(HERE / FILE, WrpnAsicConstants)


@formula
def performance(precision: Precision):
    """Gates of the element of single precision / gates of this one for each product: the rate of
    the same area at the same clock."""
    element = _element(precision)
    gates = pe_gates(
        element.scheme,
        element.weight_bits,
        element.activation_bits,
        element.dot_length,
        element.accumulator_bits,
    )
    return _constant("fp32_gates") / (gates / element.dot_length)


@formula
def energy(precision: Precision):
    """Energy of a multiply-accumulate of single precision / energy of one product of this element,
    both without registers."""
    device = load_device("standard_cells")
    table = device.tables["reference"]
    point = Point(np.asarray(table.node_nm), read(table, "voltage_v"), "hp")
    return _constant("fp32_pj") / product_pj(device, _element(precision), point, "reference")


def is_fitted(precision: str, quantity: str) -> bool:
    """Whether a constant was fitted to that bar; quantity is "performance" or "energy"."""
    constants = load_wrpn_asic()
    fitted = (*constants.fp32_gates.fitted_to, *constants.fp32_pj.fitted_to)
    return f"asic/{precision}/{quantity}" in fitted


def _element(precision: str) -> Element:
    constants = load_wrpn_asic()
    sizes = read(constants, "dot_length"), read(constants, "accumulator_bits")
    return Element(*ELEMENTS[precision], *sizes)


def _constant(name):
    return read_figure(getattr(load_wrpn_asic(), name), name, where=f"hwmodels/{FILE}")
