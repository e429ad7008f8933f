"""LUTs of one lane of a dot product: a product and what brings it to the adder tree.

A lane is interpolated between the widths that were synthesised (``lane_tables``), in three ways to
count it:

merged   cells when the sum is written as one expression, which synthesis merges with the products
kept     cells when the adders are kept apart as carry chains, as a careful designer writes them
packed   as kept, after two small cells share one LUT site, as place and route does
"""

from functools import cache

import numpy as np

from hwmodels.explain import formula, read_figure
from hwmodels.fpga.lane_tables import estimate_lane, estimate_short_sum, lane_of, lane_table
from hwmodels.fpga.schemes import SIGNED, Cells
from hwmodels.fpga.synthesis import TOOL, WHERE, load_rows
from hwmodels.provenance import Figure


@formula
def lane_lut(scheme: str, weight_bits, activation_bits, cells: Cells):
    """LUTs of a lane, interpolated between the widths that were synthesised.

    Below the narrowest of them it is the narrowest. Above 8 bits it grows as the closed form of
    the scheme does: with weight bits x activation bits where it multiplies, with the activation
    bits where it shifts or selects; beyond 16 bits, and for wider shifted weights than were
    synthesised, it is not known (NaN).
    """
    if scheme == SIGNED:
        lane = lane_lut("fixed", weight_bits, activation_bits, cells)
        return lane * signed_factor(weight_bits, activation_bits, cells)
    value = estimate_lane(lane_table(scheme), scheme, weight_bits, activation_bits, cells)
    source = f"{TOOL}; interpolated lane of {scheme}, cells {cells}"
    if np.isnan(value).any():
        source = f"no closed form holds for lanes of {scheme} as wide as these"
    return read_figure(Figure(value, "synthesised", source), "lane_lut", where=WHERE)


@formula
def short_sum_lut(scheme: str, dot_length, cells: Cells):
    """LUTs that a PE of few products takes beyond accumulator, tree and lanes; 0 from 16 on.

    Where signs are counted, a lone product is negated over the whole accumulator.
    """
    table = lane_table("fixed" if scheme == SIGNED else scheme)
    value = estimate_short_sum(table, dot_length, cells)
    figure = Figure(value, "synthesised", f"{TOOL}; mean over the widths at this dot length")
    return read_figure(figure, "short_sum_lut", where=WHERE)


@formula
def signed_factor(weight_bits, activation_bits, cells: Cells):
    """A multiplier's lane with signed activations / the same with unsigned ones of as many bits.

    Of merged lanes the mean of the synthesised ratios, which go up and down with the widths; of
    kept and packed ones the ratio of bare multipliers, interpolated by the partial products.
    """
    size = np.asarray(weight_bits, np.float64) * activation_bits
    sizes, ratios = _signed_ratios(cells == "merged")
    value = np.interp(size, sizes, ratios)
    figure = Figure(value, "synthesised", f"{TOOL}; signed against unsigned activations")
    return read_figure(figure, "signed_factor", where=WHERE)


@cache
def _signed_ratios(merged):
    """Partial products, ascending, and the ratio of signed to unsigned counts at each."""
    rows = load_rows()
    if merged:
        signed = rows.where(scheme="fixed_signed_act")
        size, ours = signed["w_bits"] * signed["a_bits"], lane_of("fixed", signed, "lut")
        whole = lane_lut("fixed", signed["w_bits"], signed["a_bits"], "merged")
        return size, np.full(len(size), (ours / whole).mean())
    signed = rows.where(scheme="multiply_ss")
    unsigned = [
        rows.where(scheme="multiply_su", w_bits=w, a_bits=a, dsp_allowed=0)["lut"][0]
        for w, a in zip(signed["w_bits"], signed["a_bits"], strict=True)
    ]
    return signed["w_bits"] * signed["a_bits"], signed["lut"] / unsigned
