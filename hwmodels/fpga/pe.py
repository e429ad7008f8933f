"""LUTs, carries and flip-flops of a processing element: a dot product with one accumulator.

    LUT = accumulator + adder tree + dot length x lane + what a short sum takes besides

The accumulator and the tree are exact counts, the lane is interpolated from synthesis (``lanes``).
Counts of XNOR and AND products are interpolated whole, by the dot length. The band of an estimate
goes from packed to merged cells (see ``lanes``): low "packed", nominal "kept", high "merged".

Multiplexers, buffers, control and what high-level synthesis adds are not in it.
"""

import numpy as np

from hwmodels.explain import formula, read_figure
from hwmodels.fpga.adders import (
    accumulator_carry4,
    accumulator_lut,
    tree_carry4,
    tree_lut,
)
from hwmodels.fpga.lane_tables import kept_rows
from hwmodels.fpga.lanes import lane_lut, short_sum_lut
from hwmodels.fpga.schemes import (
    PE_SCHEMES,
    POPCOUNT_SCHEMES,
    Cells,
    product_bits,
    product_size,
)
from hwmodels.fpga.synthesis import TOOL, WHERE, load_rows
from hwmodels.provenance import Figure

VALIDATION = (  # of the nominal LUTs of a datapath, in words; tests/hwmodels/test_lanes.py holds it
    "synthesised rows that were held out are met to 1.9 % in the median and 21 % at worst; BISMO's"
    " placed and routed elements to 9 %, FINN's estimates to -12 to +30 %, MSQ's LUTs for each SP2"
    " MAC, with an output ALU, to +1 and -16 %"
)
BAND: dict[str, Cells] = {"low": "packed", "nominal": "kept", "high": "merged"}
ACCUMULATOR_BITS = 32  # of every PE that was synthesised


@formula
def pe_lut(
    scheme: str,
    weight_bits,
    activation_bits,
    dot_length,
    accumulator_bits=ACCUMULATOR_BITS,
    *,
    cells: Cells = "kept",
):
    """LUTs of a processing element, the least of what its way to count and those above it give.

    scheme   one of ``PE_SCHEMES``; "fixed" has unsigned activations, "fixed_signed" signed ones;
             "binary" is a binary weight by activations of any width, "xnor" a binary weight by +-1,
             "bit_serial" one binary pass of operands of any width (see ``passes``), with a shifter
             before its accumulator
    cells    which cells are counted, see ``BAND``

    Raises ValueError on another scheme, and on widths or lengths below 1.
    """
    _check(scheme, weight_bits, activation_bits, dot_length, accumulator_bits)
    design = (scheme, weight_bits, activation_bits, dot_length, accumulator_bits)
    upwards = ("merged", "kept", "packed")
    counted = upwards[: upwards.index(cells) + 1]
    return np.minimum.reduce([counted_lut(*design, each) for each in counted])


@formula
def counted_lut(
    scheme: str, weight_bits, activation_bits, dot_length, accumulator_bits, cells: Cells
):
    """Accumulator + adder tree + dot length x lane + what a short sum takes besides; of popcounts,
    accumulator + count."""
    accumulator = accumulator_lut(accumulator_bits)
    length = np.asarray(dot_length, np.float64)
    if scheme in POPCOUNT_SCHEMES:
        return accumulator + popcount_lut(scheme, weight_bits, activation_bits, length, cells)
    lanes = length * lane_lut(scheme, weight_bits, activation_bits, cells)
    tree = tree_lut(length, product_bits(scheme, weight_bits, activation_bits))
    return accumulator + tree + lanes + short_sum_lut(scheme, length, cells)


@formula
def popcount_lut(scheme: str, weight_bits, activation_bits, dot_length, cells: Cells):
    """LUTs of binary products, their count and, bit-serial, its shifter, without the accumulator:
    interpolated by the dot length.

    Above 256 it goes on as from 128 to 256, which is the slope of the closed form (2.2 and 2.3 LUT
    for each product). An XNOR multiplies 1 bit by 1 bit; of wider ones it is not known (NaN).
    Compressors laid out by hand take about half (BISMO's later version, ACM TRETS 2019).
    """
    lengths, counts = _popcounts(scheme, "lut_packed" if cells == "packed" else "lut")
    value = np.interp(dot_length, lengths, counts - ACCUMULATOR_BITS)
    slope = (counts[-1] - counts[-2]) / (lengths[-1] - lengths[-2])
    value = value + slope * np.maximum(np.asarray(dot_length, np.float64) - lengths[-1], 0)
    too_wide = (scheme == "xnor") & (np.asarray(weight_bits) * np.asarray(activation_bits) > 1)
    value = np.where(too_wide, np.nan, value)
    source = f"{TOOL}; rows of {scheme}, interpolated by the dot length"
    if np.isnan(value).any():
        source = "an XNOR multiplies 1 bit by 1 bit, not wider operands"
    return read_figure(Figure(value, "synthesised", source), "popcount_lut", where=WHERE)


@formula
def passes(scheme: str, weight_bits, activation_bits):
    """Cycles that a lane takes for one product: weight bits x activation bits when it is
    bit-serial (DoReFa, arXiv 1606.06160, section 2.1), else 1."""
    product = np.asarray(weight_bits, np.float64) * activation_bits
    return product if scheme == "bit_serial" else np.ones(np.shape(product))


@formula
def pe_carry4(
    scheme: str, weight_bits, activation_bits, dot_length, accumulator_bits=ACCUMULATOR_BITS
):
    """CARRY4 of a processing element with kept adders: of accumulator, tree and lanes; not known
    (NaN) where no PE of the scheme was synthesised so."""
    _check(scheme, weight_bits, activation_bits, dot_length, accumulator_bits)
    tree = tree_carry4(dot_length, product_bits(scheme, weight_bits, activation_bits))
    lane = lane_carry4(scheme, weight_bits, activation_bits)
    return accumulator_carry4(accumulator_bits) + tree + np.asarray(dot_length) * lane


@formula
def lane_carry4(scheme: str, weight_bits, activation_bits):
    """CARRY4 of a lane with kept adders, interpolated by the size of the product."""
    size = product_size(scheme, np.asarray(weight_bits, np.float64), activation_bits)
    rows = kept_rows(scheme, load_rows())
    if not len(rows):
        none = Figure(None, "unknown", f"no PE of {scheme} was synthesised with kept adders")
        return read_figure(none, "lane_carry4", where=WHERE) + 0 * size
    sizes, counts = _lane_carries(scheme, rows)
    figure = Figure(np.interp(size, sizes, counts), "synthesised", f"{TOOL}; lane of {scheme}")
    return read_figure(figure, "lane_carry4", where=WHERE)


@formula
def pe_flip_flops(
    scheme: str,
    weight_bits,
    activation_bits,
    dot_length,
    accumulator_bits=ACCUMULATOR_BITS,
    *,
    pipelined: bool = False,
):
    """Flip-flops of a processing element: those of its accumulator and, where every level of the
    tree is pipelined, about one for each LUT of the tree."""
    width = product_bits(scheme, weight_bits, activation_bits)
    if scheme in POPCOUNT_SCHEMES:
        width = np.ones(np.shape(width))
    registers = tree_lut(dot_length, width) if pipelined else 0
    return np.asarray(accumulator_bits, np.float64) + registers


def _check(scheme, *least_one):
    if scheme not in PE_SCHEMES:
        raise ValueError(f"unknown scheme {scheme!r}; known are: {', '.join(PE_SCHEMES)}")
    if any((np.asarray(each) < 1).any() for each in least_one):
        raise ValueError("operand widths, dot length and accumulator bits are 1 or more")


def _popcounts(scheme, column):
    rows = load_rows().where(scheme=scheme, tree=0)
    order = np.argsort(rows["dot_length"])
    return rows["dot_length"][order], rows[column][order]


def _lane_carries(scheme, rows):
    """Sizes of products, ascending, and the mean CARRY4 of their lanes."""
    tree = tree_carry4(rows["dot_length"], product_bits(scheme, rows["w_bits"], rows["a_bits"]))
    lanes = (rows["carry4"] - accumulator_carry4(rows["acc_bits"]) - tree) / rows["dot_length"]
    size = product_size(scheme, rows["w_bits"], rows["a_bits"])
    sizes = np.unique(size)
    return sizes, np.array([lanes[size == each].mean() for each in sizes])
