"""LUTs of one lane of a dot product: a product and what brings it to the adder tree.

A lane is what is left of a synthesised processing element after its accumulator and its adder tree
(``adders``) are taken off, for each of its products. It is tabled against the operand widths and
interpolated between them, for three ways to count:

merged   cells when the sum is written as one expression, which synthesis merges with the products
kept     cells when the adders are kept apart as carry chains, as a careful designer writes them
packed   as kept, after two small cells share one LUT site, as place and route does

Kept and packed lanes were synthesised at few widths: there they are a share of the merged lane, and
that share is interpolated. Source: ``calibrated/synthesis_xc7.csv``.
"""

from dataclasses import dataclass
from functools import cache
from typing import Literal

import numpy as np

from hwmodels.explain import formula, read_figure
from hwmodels.fpga.adders import tree_lut
from hwmodels.fpga.synthesis import TOOL, WHERE, SynthesisRows, load_rows
from hwmodels.provenance import Figure

Cells = Literal["packed", "kept", "merged"]

LENGTH = 16  # of the dot products that the tables are made of
WIDEST_SYNTHESISED = 8  # operand bits
WIDEST = 16  # to which a lane is extrapolated where its growth has a known form
SCHEMES = ("fixed", "sp2", "power_of_two", "ternary", "binary")
# whose kept and packed shares stand for a scheme that was only synthesised merged
SHARES_OF = {"binary": "ternary", "power_of_two": "sp2"}


@dataclass(frozen=True)
class LaneTable:
    """What was synthesised of one scheme.

    merged         (weights, activations) LUTs of a merged lane at these widths
    slope          (weights,) growth of it for each activation bit
    share_of       by ``Cells``: at these product sizes, ascending, this share of the merged lane
    short_length, short_lut   by ``Cells``: what a PE of so few products takes beyond its lanes
    """

    weight_bits: np.ndarray
    activation_bits: np.ndarray
    merged: np.ndarray
    slope: np.ndarray
    share_of: dict[str, tuple[np.ndarray, np.ndarray]]
    short_length: dict[str, np.ndarray]
    short_lut: dict[str, np.ndarray]


@formula
def product_bits(scheme: str, weight_bits, activation_bits):
    """Bits of one signed product: weight + activation bits where it is multiplied, activation bits
    + the largest shift + a sign where it is shifted."""
    weight_bits = np.asarray(weight_bits, np.float64)
    if scheme == "fixed":
        more = weight_bits
    elif scheme == "sp2":
        more = 2 ** np.floor(weight_bits / 2)
    elif scheme == "power_of_two":
        more = 2 ** (weight_bits - 1) - 1
    else:
        more = np.ones(weight_bits.shape)
    return np.asarray(activation_bits, np.float64) + more


@formula
def lane_lut(scheme: str, weight_bits, activation_bits, cells: Cells):
    """LUTs of a lane, interpolated between the widths that were synthesised.

    Below the narrowest of them it is the narrowest. Above 8 bits it grows as the closed form of
    the scheme does: with weight bits x activation bits where it multiplies, with the activation
    bits where it shifts or selects; beyond 16 bits, and for wider shifted weights than were
    synthesised, it is not known (NaN).
    """
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
    value = estimate_short_sum(lane_table(scheme), dot_length, cells)
    figure = Figure(value, "synthesised", f"{TOOL}; mean over the widths at this dot length")
    return read_figure(figure, "short_sum_lut", where=WHERE)


def estimate_lane(table: LaneTable, scheme, weight_bits, activation_bits, cells: Cells):
    """``lane_lut`` of a given table."""
    weights, activations = np.broadcast_arrays(
        np.asarray(weight_bits, np.float64), np.asarray(activation_bits, np.float64)
    )
    weights = np.maximum(weights, table.weight_bits[0])
    merged = _merged(table, scheme, weights, activations)
    if cells == "merged":
        return merged
    sizes, shares = table.share_of[cells]
    share = np.interp(product_size(scheme, weights, activations), sizes, shares)
    if scheme == "power_of_two":  # at 2 bits it has the circuit and the weights of ternary
        as_ternary = lane_table("ternary").share_of[cells]
        share = np.where(weights <= 2, np.interp(activations + 1, *as_ternary), share)
    return share * merged


def estimate_short_sum(table: LaneTable, dot_length, cells: Cells):
    """``short_sum_lut`` of a given table."""
    return np.interp(dot_length, table.short_length[cells], table.short_lut[cells])


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


@cache
def lane_table(scheme: str) -> LaneTable:
    """The table of one of ``SCHEMES``, from all rows."""
    if scheme not in SCHEMES:
        raise ValueError(f"unknown scheme {scheme!r} of a lane; known are: {', '.join(SCHEMES)}")
    return build_table(scheme, load_rows())


def build_table(scheme: str, rows: SynthesisRows) -> LaneTable:
    """The table of ``scheme`` from these rows; widths that lack a row for any other are left out.

    The merged lane never falls with either width, since that is how the rows are.
    """
    merged = merged_rows(scheme, rows)
    at_length = merged.where(dot_length=LENGTH)
    weights = np.unique(at_length["w_bits"])
    activations = [a for a in np.unique(at_length["a_bits"]) if len(at_length.where(a_bits=a)) ==
                   len(weights)]  # fmt: skip
    grid = np.array(
        [
            [lane_of(scheme, at_length.where(w_bits=w, a_bits=a), "lut")[0] for a in activations]
            for w in weights
        ]
    )
    bare = LaneTable(
        weights, np.array(activations), grid, _slopes(scheme, at_length, weights), {}, {}, {}
    )
    lender = SHARES_OF.get(scheme, scheme)
    shares = _shares(lender, rows, bare) if lender == scheme else lane_table(lender).share_of
    whole = LaneTable(**{**vars(bare), "share_of": shares})
    short = {cells: _short_sums(scheme, merged, whole, cells) for cells in (*shares, "merged")}
    return LaneTable(
        **{
            **vars(whole),
            "short_length": {cells: each[0] for cells, each in short.items()},
            "short_lut": {cells: each[1] for cells, each in short.items()},
        }
    )


def merged_rows(scheme: str, rows: SynthesisRows) -> SynthesisRows:
    """The dot products of ``scheme`` in LUTs with a merged sum."""
    neg = 0 if scheme == "fixed" else 1
    return rows.where(scheme=scheme, tree=0, neg=neg, dsp_allowed=0)


def kept_rows(scheme: str, rows: SynthesisRows) -> SynthesisRows:
    """The dot products of ``scheme`` in LUTs with kept adders."""
    return rows.where(scheme=scheme, tree=2, dsp_allowed=0)


def lane_of(scheme: str, rows: SynthesisRows, column: str) -> np.ndarray:
    """(count - accumulator - tree) / products of each row."""
    width = product_bits(scheme, rows["w_bits"], rows["a_bits"])
    fixed_part = rows["acc_bits"] + tree_lut(rows["dot_length"], width)
    return (rows[column] - fixed_part) / rows["dot_length"]


def _merged(table: LaneTable, scheme, weights, activations):
    """Bilinear in weight choices and activation bits; extended above, NaN where it cannot be."""
    w = np.clip(weights, table.weight_bits[0], table.weight_bits[-1])
    a = np.clip(activations, table.activation_bits[0], table.activation_bits[-1])
    inside = _bilinear(table, scheme, w, a)
    more_a = np.maximum(activations - table.activation_bits[-1], 0)
    more_w = np.maximum(weights - table.weight_bits[-1], 0)
    if scheme == "fixed":
        of_product, of_width = table.slope
        extra = of_product * ((w + more_w) * (a + more_a) - w * a) + of_width * (more_w + more_a)
    else:
        choices = weight_choices(scheme, w), weight_choices(scheme, table.weight_bits)
        extra = np.interp(*choices, table.slope) * more_a
    known = (activations <= WIDEST) & ((weights <= WIDEST) if scheme == "fixed" else (more_w == 0))
    beyond = (more_a > 0) | (more_w > 0)
    return np.where(known, inside + np.where(beyond, extra, 0), np.nan)


def _bilinear(table: LaneTable, scheme, w, a):
    along_a = [np.interp(a, table.activation_bits, row) for row in table.merged]
    if len(along_a) == 1:
        return along_a[0]
    axis, w = weight_choices(scheme, table.weight_bits), weight_choices(scheme, w)
    low = np.clip(np.searchsorted(axis, w, side="right") - 1, 0, len(axis) - 2)
    part = (w - axis[low]) / (axis[low + 1] - axis[low])
    lower, upper = np.choose(low, along_a[:-1]), np.choose(low, along_a[1:])
    return lower + part * (upper - lower)


def _slopes(scheme, rows, weights):
    """Least squares of the merged lane, each row by its relative error: for fixed, against w x a
    and w + a; else for each weight width, against the activation bits."""

    def fit(chosen, *features):
        lanes = lane_of(scheme, chosen, "lut")
        columns = np.stack([*features, np.ones(len(chosen))], axis=1) / lanes[:, None]
        return np.linalg.lstsq(columns, np.ones(len(chosen)))[0]

    if scheme == "fixed":
        w, a = rows["w_bits"], rows["a_bits"]
        return fit(rows, w * a, w + a)[:2]
    each = [rows.where(w_bits=w) for w in weights]
    return np.array([fit(chosen, chosen["a_bits"])[0] for chosen in each])


def _shares(scheme, rows, table):
    """Kept and packed lanes as shares of the merged lane, by the size of the product."""
    kept = kept_rows(scheme, rows)
    whole = estimate_lane(table, scheme, kept["w_bits"], kept["a_bits"], "merged")
    size = product_size(scheme, kept["w_bits"], kept["a_bits"])
    order = np.argsort(size)
    return {
        cells: (size[order], (lane_of(scheme, kept, column) / whole)[order])
        for cells, column in (("kept", "lut"), ("packed", "lut_packed"))
    }


def _short_sums(scheme, merged, table, cells):
    """Dot lengths below 16, and the mean of what their rows have beyond lanes of ``cells``. Of a
    single product there is no tree to keep, so its merged rows serve for all."""
    column = "lut_packed" if cells == "packed" else "lut"
    lengths = [n for n in np.unique(merged["dot_length"]) if n < LENGTH]
    lengths = lengths if cells == "merged" else [n for n in lengths if n == 1]
    means = []
    for length in lengths:
        rows = merged.where(dot_length=length)
        lane = estimate_lane(table, scheme, rows["w_bits"], rows["a_bits"], cells)
        means.append(np.nanmean(length * (lane_of(scheme, rows, column) - lane)))
    return np.array([*lengths, LENGTH]), np.array([*means, 0.0])
