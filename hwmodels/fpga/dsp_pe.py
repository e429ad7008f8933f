"""What a processing element takes besides its DSPs: LUTs and flip-flops.

With one product for each DSP the sum runs along the DSPs' own adders; a lone DSP also keeps the
accumulator. With several products for each DSP their sums have to be told apart again, and each
has a tree and an accumulator of its own in LUTs.

Source: rows ``fixed`` with DSPs and ``fixed_two_per_dsp`` of ``synthesis/xc7.csv``.
"""

from functools import cache

import numpy as np

from hwmodels.explain import formula, read_figure
from hwmodels.fpga.adders import accumulator_lut, tree_lut
from hwmodels.fpga.synthesis import TOOL, WHERE, load_rows
from hwmodels.provenance import Figure

PACKED = 2  # products for each DSP of the rows that were synthesised packed


@formula
def dsp_pe_lut(
    weight_bits, activation_bits, dsps, accumulator_bits=32, *, products_per_dsp: int = 1
):
    """LUTs of a processing element of so many DSPs, of either kind of it: see ``cascade_lut`` and
    ``packed_lut``.

    dsps   in one sum; it has dsps x products_per_dsp products
    """
    if products_per_dsp < 1 or (np.asarray(dsps) < 1).any():
        raise ValueError("DSPs and products for each DSP are 1 or more")
    if products_per_dsp == 1:
        return cascade_lut(dsps, accumulator_bits) + 0 * (weight_bits + np.asarray(activation_bits))
    return packed_lut(weight_bits, activation_bits, dsps, accumulator_bits, products_per_dsp)


@formula
def cascade_lut(dsps, accumulator_bits):
    """LUTs beside a chain of DSPs with one product each: 2 for each accumulator bit, none of a lone
    DSP.

    On 7 series; where a tool does not chain the DSPs (yosys for UltraScale), the tree goes to LUTs.
    """
    lengths, counts = _cascades()
    per_bit = read_figure(
        Figure(counts[-1] / 32, "synthesised", f"{TOOL}; fixed with DSPs, 4 and 16 products"),
        "cascade_lut_per_accumulator_bit",
        where=WHERE,
    )
    return np.where(np.asarray(dsps) > lengths[0], per_bit * accumulator_bits, 0)


@formula
def packed_lut(weight_bits, activation_bits, dsps, accumulator_bits, products_per_dsp):
    """LUTs beside packed DSPs: products of each x (accumulator + tree) + DSPs x (products of each -
    1) x splitting.

    Synthesised with two products for each DSP; that a third costs as the second does is assumed.
    """
    width = np.asarray(weight_bits, np.float64) + activation_bits
    sums = accumulator_lut(accumulator_bits) + tree_lut(dsps, width)
    split = split_lut(width)
    return products_per_dsp * sums + np.asarray(dsps) * (products_per_dsp - 1) * split


@formula
def split_lut(width):
    """LUTs that tell two packed products of this width apart, interpolated by it; below 8 bits as
    at 8, above 16 not known."""
    widths, counts = _splits()
    value = np.interp(width, widths, counts, right=np.nan)
    figure = Figure(value, "synthesised", f"{TOOL}; fixed_two_per_dsp, 8 to 16 product bits")
    return read_figure(figure, "split_lut", where=WHERE)


@formula
def dsp_pe_flip_flops(dsps, accumulator_bits=32, *, products_per_dsp: int = 1):
    """Flip-flops outside the DSPs: an accumulator for each of the packed products, none of a lone
    DSP with one."""
    outside = (np.asarray(dsps) > 1) | (products_per_dsp > 1)
    return np.where(outside, products_per_dsp * np.asarray(accumulator_bits, np.float64), 0)


@cache
def _cascades():
    """Dot lengths, and LUTs beside as many DSPs: the mean, since they do not go by the widths."""
    rows = load_rows().where(scheme="fixed", dsp_allowed=1)
    rows = rows.only(rows["dsp"] > 0)
    lengths = np.unique(rows["dot_length"])
    return lengths, np.array([rows.where(dot_length=n)["lut"].mean() for n in lengths])


@cache
def _splits():
    """Product bits, ascending, and LUTs of splitting for each DSP, at the longest sums."""
    rows = load_rows().where(scheme="fixed_two_per_dsp", dot_length=16)
    width = rows["w_bits"] + rows["a_bits"]
    sums = PACKED * (rows["acc_bits"] + tree_lut(rows["dot_length"], width))
    split = (rows["lut"] - sums) / rows["dot_length"]
    widths = np.unique(width)
    return widths, np.array([split[width == each].mean() for each in widths])
