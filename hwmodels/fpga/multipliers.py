"""LUTs of a multiplier alone, from the table of synthesised ones.

No smooth form fits it, since narrow products collapse into single LUTs; so where a product was
synthesised it is that row, and between the rows it is interpolated. Where that would make a wider
product cheaper it is as dear as the narrower one. Source: rows ``multiply_su``
and ``multiply_ss`` of ``synthesis/xc7.csv``.
"""

from functools import cache
from typing import Literal

import numpy as np

from hwmodels.explain import formula, read_figure
from hwmodels.fpga.synthesis import TOOL, WHERE, load_rows
from hwmodels.provenance import Figure

SiteCells = Literal["cells", "packed"]
WIDEST = 8  # operand bits
_COLUMN = {"cells": "lut", "packed": "lut_packed"}


@formula
def multiplier_lut(
    weight_bits, activation_bits, *, signed_activations: bool = False, cells: SiteCells = "cells"
):
    """LUTs of a product of a signed weight and an activation, by their widths; not known (NaN)
    beyond 8 bits.

    signed_activations   synthesised at equal widths; between them the ratio to unsigned ones is
                         interpolated, by the partial products
    cells                "packed": LUT sites after two small cells share one
    """
    w, a = np.broadcast_arrays(
        np.asarray(weight_bits, np.float64), np.asarray(activation_bits, np.float64)
    )
    if (w < 1).any() or (a < 1).any():
        raise ValueError("operands have 1 bit or more")
    column = _COLUMN[cells]
    value = _signed_by_unsigned(w, a, column)
    if signed_activations:
        value = value * np.interp(w * a, *_ratios(column))
    source = f"{TOOL}; multipliers of 1 to 8 bits"
    return read_figure(Figure(value, "synthesised", source), "multiplier_lut", where=WHERE)


def _signed_by_unsigned(w, a, column):
    table = _table(column)
    at = tuple(np.minimum(each, WIDEST).astype(int) - 1 for each in (w, a))
    return np.where((w <= WIDEST) & (a <= WIDEST), table[at], np.nan)


@cache
def _table(column):
    """LUTs of every product of 1 to 8 by 1 to 8 bits: bilinear in the even widths and 1 bit, the
    row itself where there is one, and never less than a narrower product."""
    rows = load_rows().where(scheme="multiply_su", dsp_allowed=0)
    known = dict(zip(zip(rows["w_bits"], rows["a_bits"], strict=True), rows[column], strict=True))
    axis = np.arange(1, WIDEST + 1)
    weights = [w for w in np.unique(rows["w_bits"]) if len(rows.where(w_bits=w)) > 1]
    activations = np.unique(rows.where(w_bits=weights[0])["a_bits"])
    along_a = [np.interp(axis, activations, [known[w, a] for a in activations]) for w in weights]
    table = np.array([np.interp(axis, weights, each) for each in np.transpose(along_a)]).T
    for (w, a), lut in known.items():
        table[int(w) - 1, int(a) - 1] = lut
    return np.maximum.accumulate(np.maximum.accumulate(table, axis=0), axis=1)


@cache
def _ratios(column):
    """Partial products, ascending, and the ratio of signed to unsigned activations."""
    rows = load_rows().where(scheme="multiply_ss")
    size = rows["w_bits"] * rows["a_bits"]
    return size, rows[column] / _signed_by_unsigned(rows["w_bits"], rows["a_bits"], column)
