"""Gate equivalents of processing elements, requantizers and registers.

An element is a dot product of ``dot_length`` products with one accumulator. It was synthesised at
dot lengths of 16 for a grid of operand widths, and at other lengths for a few widths: the grid is
interpolated between widths (never falling), the length by the mean course of those few. A gate
equivalent is a NAND gate of two inputs; a flip-flop is 4.0 of them.

Source: ``synthesis/gates.csv``; the errors of what is interpolated are held in
``tests/hwmodels/test_asic_gates.py``.
"""

from dataclasses import dataclass
from functools import cache

import numpy as np

from hwmodels.asic.gate_table import TOOL, WHERE, GateRows, elements, parts
from hwmodels.explain import formula, read_figure
from hwmodels.fpga.schemes import POPCOUNT_SCHEMES, SCHEMES, SIGNED, weight_choices
from hwmodels.provenance import Figure

SYNTHESISED_SUM_BITS = 32  # of the accumulators of all elements
LENGTH = 16  # of the dot products that the grids of widths were synthesised at
WIDEST = 32  # bits to which multipliers are continued, by the closed form of their rows
GATES_PER_FLIP_FLOP = 4.0  # DFFPOSX1 / NAND2X1


@dataclass(frozen=True)
class GateGrid:
    """Gates of 16 products without their accumulator.

    weight_bits, activation_bits   ascending, as synthesised
    gates                          (weights, activations), never falling
    length, share                  at these dot lengths, this part of the gates of 16 products
    """

    weight_bits: np.ndarray
    activation_bits: np.ndarray
    gates: np.ndarray
    length: np.ndarray
    share: np.ndarray


@formula
def pe_gates(scheme: str, weight_bits, activation_bits, dot_length, accumulator_bits):
    """Accumulator + products with their sum, in NAND gates.

    scheme   fixed, fixed_signed (signed activations), sp2, power_of_two, ternary, binary, xnor or
             bit_serial; the operands of the last two are bits

    Narrower operands than were synthesised cost as the narrowest. Wider than 8 bits, fixed products
    grow by the closed form of their rows up to 32 bits and the others are not known (NaN).
    """
    if scheme in POPCOUNT_SCHEMES:
        return popcount_gates(scheme, dot_length, accumulator_bits)
    return accumulator_gates(accumulator_bits) + product_gates(
        scheme, weight_bits, activation_bits, dot_length
    )


@formula
def product_gates(scheme: str, weight_bits, activation_bits, dot_length):
    """Gates of so many products and their sum, interpolated between the widths and lengths that
    were synthesised."""
    if scheme == SIGNED:
        unsigned = product_gates("fixed", weight_bits, activation_bits, dot_length)
        return unsigned * signed_factor(weight_bits, activation_bits)
    grid = gate_grid(scheme)
    weights, activations = np.broadcast_arrays(
        np.asarray(weight_bits, np.float64), np.asarray(activation_bits, np.float64)
    )
    value = estimate_products(grid, scheme, weights, activations) * _share(grid, dot_length)
    return _figure(value, "gates of 16 products and their share", f"{scheme}, interpolated")


@formula
def popcount_gates(scheme: str, dot_length, accumulator_bits):
    """Gates of the shortest element that was synthesised, as many times as its accumulator takes
    gates of one of 32 bits, + what a longer one adds, interpolated."""
    rows = elements(scheme)
    order = np.argsort(rows["dot_length"])
    lengths, gates = rows["dot_length"][order], np.maximum.accumulate(rows["gates"][order])
    more = _extended(dot_length, lengths, gates) - gates[0]
    shortest = _figure(gates[0], "gates of the shortest element", scheme)
    sums = accumulator_gates(accumulator_bits) / accumulator_gates(SYNTHESISED_SUM_BITS)
    return shortest * sums + _figure(more, "gates of a longer element", f"{scheme}, interpolated")


@formula
def accumulator_gates(accumulator_bits):
    """Gates of an adder and its register, interpolated: about 14.3 for each bit."""
    return _figure(_accumulator(accumulator_bits), "gates of an accumulator", "accumulators")


@formula
def register_gates(bits):
    """4.0 x bits: flip-flops."""
    return GATES_PER_FLIP_FLOP * np.asarray(bits, np.float64)


@formula
def requantizer_gates(accumulator_bits):
    """Gates of a multiplier of 16 bits, a shift and a clip to 8 bits, interpolated between sums of
    24 and 32 bits and continued in proportion; results of 1 bit save 3 %."""
    rows = parts("requantise", w_bits=16, a_bits=8)
    bits, gates = np.insert(rows["acc_bits"], 0, 0.0), np.insert(rows["gates"], 0, 0.0)
    value = _extended(accumulator_bits, bits, gates)
    return _figure(value, "gates of a requantizer", "requantizers")


@formula
def threshold_gates(accumulator_bits, activation_bits):
    """(2^bits - 1) comparators x gates of one for each bit of the sum; the thresholds are held
    elsewhere."""
    rows = parts("threshold")
    each = rows["gates"] / ((2 ** rows["a_bits"] - 1) * rows["acc_bits"])
    per_bit = _figure(
        each.mean(), "gates of a comparator, per bit", "mean of 8 circuits, -5 to +6 %"
    )
    comparators = 2 ** np.asarray(activation_bits, np.float64) - 1
    return comparators * np.asarray(accumulator_bits, np.float64) * per_bit


@formula
def signed_factor(weight_bits, activation_bits):
    """A multiplier with signed activations / the same with unsigned ones, interpolated by the
    partial products."""
    signed = parts("multiply_ss")
    unsigned = [
        parts("multiply_su", w_bits=w, a_bits=a)["gates"][0]
        for w, a in zip(signed["w_bits"], signed["a_bits"], strict=True)
    ]
    sizes, ratios = signed["w_bits"] * signed["a_bits"], signed["gates"] / unsigned
    value = np.interp(np.asarray(weight_bits, np.float64) * activation_bits, sizes, ratios)
    return _figure(value, "ratio of multipliers", "bare multipliers")


@cache
def gate_grid(scheme: str) -> GateGrid:
    """The grid of one of ``SCHEMES``, from all its rows."""
    if scheme not in SCHEMES:
        raise ValueError(f"unknown scheme {scheme!r}; known are: {', '.join(SCHEMES)}")
    return build_grid(scheme, elements(scheme))


def build_grid(scheme: str, rows: GateRows) -> GateGrid:
    """The grid of a scheme from these rows, which have every pair of their widths at 16 products;
    other lengths by the mean of their rows."""
    at_length = rows.where(dot_length=LENGTH)
    accumulator = float(_accumulator(SYNTHESISED_SUM_BITS))
    weights, activations = np.unique(at_length["w_bits"]), np.unique(at_length["a_bits"])
    grid = np.array(
        [
            [at_length.where(w_bits=w, a_bits=a)["gates"][0] - accumulator for a in activations]
            for w in weights
        ]
    )
    grid = np.maximum.accumulate(np.maximum.accumulate(grid, axis=0), axis=1)
    bare = GateGrid(weights, activations, grid, np.array([LENGTH]), np.array([1.0]))
    lengths = np.unique(rows["dot_length"])
    shares = []
    for length in lengths:
        here = rows.where(dot_length=length)
        whole = estimate_products(bare, scheme, here["w_bits"], here["a_bits"])
        shares.append(((here["gates"] - accumulator) / whole).mean())
    shares[list(lengths).index(LENGTH)] = 1.0
    return GateGrid(weights, activations, grid, lengths, np.maximum.accumulate(shares))


def _accumulator(bits):
    rows = parts("accumulator")
    same = rows["a_bits"] == rows["acc_bits"]
    known, gates = rows["acc_bits"][same], rows["gates"][same]
    return _extended(bits, np.insert(known, 0, 0.0), np.insert(gates, 0, 0.0))


def estimate_products(grid, scheme, weights, activations):
    """Gates of 16 products of a given grid: bilinear between its widths; above them continued where
    that is known."""
    w = np.clip(weights, grid.weight_bits[0], grid.weight_bits[-1])
    a = np.clip(activations, grid.activation_bits[0], grid.activation_bits[-1])
    inside = _bilinear(grid, scheme, w, a)
    more_w, more_a = np.maximum(weights - w, 0), np.maximum(activations - a, 0)
    beyond = (more_w > 0) | (more_a > 0)
    if scheme != "fixed":
        return np.where(beyond & (weights > grid.weight_bits[-1]) | (more_a > 0), np.nan, inside)
    of_product, of_width = _slopes()
    extra = of_product * ((w + more_w) * (a + more_a) - w * a) + of_width * (more_w + more_a)
    known = (weights <= WIDEST) & (activations <= WIDEST)
    return np.where(known, inside + np.where(beyond, extra, 0), np.nan)


def _bilinear(grid, scheme, w, a):
    along_a = np.array([np.interp(a, grid.activation_bits, row) for row in grid.gates])
    if len(along_a) == 1:
        return along_a[0]
    axis, at = weight_choices(scheme, grid.weight_bits), weight_choices(scheme, w)
    low = np.clip(np.searchsorted(axis, at, side="right") - 1, 0, len(axis) - 2)
    part = (at - axis[low]) / (axis[low + 1] - axis[low])
    lower = np.take_along_axis(along_a, low[None], axis=0)[0]
    upper = np.take_along_axis(along_a, low[None] + 1, axis=0)[0]
    return lower + part * (upper - lower)


@cache
def _slopes():
    """Gates of 16 fixed products for each partial product and for each bit of either operand: least
    squares of the rows, each by its relative error."""
    rows = elements("fixed").where(dot_length=LENGTH)
    w, a = rows["w_bits"], rows["a_bits"]
    columns = np.stack([w * a, w + a, np.ones(len(w))], axis=1) / rows["gates"][:, None]
    return np.linalg.lstsq(columns, np.ones(len(w)), rcond=None)[0][:2]


def _share(grid, dot_length):
    return _extended(dot_length, grid.length, grid.share)


def _extended(at, known, values):
    """Linear between known points, and beyond the last as between the last two; below the first, it
    is the first."""
    at = np.asarray(at, np.float64)
    slope = (values[-1] - values[-2]) / (known[-1] - known[-2])
    return np.interp(at, known, values) + slope * np.maximum(at - known[-1], 0)


def _figure(value, name, what):
    source = f"{TOOL}; {what}"
    if np.isnan(value).any():
        source = f"no circuit of {what.split(',')[0]} as wide as this was synthesised"
    return read_figure(Figure(value, "synthesised", source), name, where=WHERE)
