"""What was synthesised of each scheme, as tables of its lanes.

A lane is what is left of a synthesised processing element after its accumulator and its adder tree
are taken off, for each of its products. The merged lane is tabled against the operand widths. Kept
and packed lanes were synthesised at few widths: there they are a share of the merged lane, and that
share is interpolated. Source: ``synthesis/xc7.csv``.
"""

from dataclasses import dataclass, replace
from functools import cache

import numpy as np

from hwmodels.fpga.adders import tree_lut
from hwmodels.fpga.schemes import SCHEMES, Cells, product_bits, product_size, weight_choices
from hwmodels.fpga.synthesis import SynthesisRows, load_rows

LENGTH = 16  # of the dot products that the tables are made of
WIDEST = 16  # operand bits to which a lane is extrapolated where its growth has a known form
# whose kept and packed shares stand for a scheme that was only synthesised merged
SHARES_OF = {"binary": "ternary", "power_of_two": "sp2"}


@dataclass(frozen=True)
class LaneTable:
    """What was synthesised of one scheme.

    merged         (weights, activations) LUTs of a merged lane at these widths
    slope          (weights,) growth of it for each activation bit; of fixed (2,) for each partial
                   product and for each bit of either operand
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
    whole = replace(bare, share_of=shares)
    short = {cells: _short_sums(scheme, merged, whole, cells) for cells in (*shares, "merged")}
    return replace(
        whole,
        short_length={cells: each[0] for cells, each in short.items()},
        short_lut={cells: each[1] for cells, each in short.items()},
    )


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
