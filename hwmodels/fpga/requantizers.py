"""What brings a sum back to levels, in LUTs and DSPs: a multiplication and a shift, or thresholds;
and the lane of an output ALU.

Source: rows ``requantise``, ``threshold`` and ``vector_alu_lane`` of
``synthesis/xc7.csv``. Everything is interpolated between them, and not known (NaN)
beyond them.
"""

from functools import cache
from typing import Literal

import numpy as np

from hwmodels.explain import formula, read_figure
from hwmodels.fpga.dsp import DspType, dsp_per_product
from hwmodels.fpga.synthesis import TOOL, WHERE, load_rows
from hwmodels.provenance import Figure

SiteCells = Literal["cells", "packed"]
_COLUMN = {"cells": "lut", "packed": "lut_packed"}
RESULT_BITS = 8  # of the rows that the multiplier was varied in


@formula
def requantizer_lut(
    accumulator_bits,
    multiplier_bits,
    result_bits=RESULT_BITS,
    *,
    in_dsp: bool = False,
    cells: SiteCells = "cells",
):
    """LUTs of a multiplication of a sum, a constant shift and a clip to the result: interpolated by
    the partial products, and by the result bits, which hardly matter."""
    column = _COLUMN[cells]
    products = np.asarray(accumulator_bits, np.float64) * multiplier_bits
    sizes, counts = _by_size(column, in_dsp)
    bits, differences = _by_result(column, in_dsp)
    result = np.asarray(result_bits, np.float64)
    value = np.interp(products, sizes, counts, left=np.nan, right=np.nan)
    value = np.maximum(value + np.interp(result, bits, differences, right=np.nan), 0)
    known = f"{sizes[0]:g} to {sizes[-1]:g} accumulator x multiplier bits, results of 1 to 8 bits"
    figure = Figure(value, "synthesised", f"{TOOL}; requantizers, known for {known}")
    return read_figure(figure, "requantizer_lut", where=WHERE)


@formula
def requantizer_dsp(accumulator_bits, multiplier_bits, dsp: DspType):
    """DSPs of the multiplication of a sum, both operands signed."""
    return dsp_per_product(accumulator_bits, multiplier_bits, dsp, signed_activations=True)


@formula
def threshold_lut(accumulator_bits, result_bits, *, cells: SiteCells = "cells"):
    """LUTs of comparing a sum with 2**result_bits - 1 loaded thresholds: comparators x LUTs of each
    accumulator bit + counting them.

    A comparator grows by the same LUTs for each bit in all rows, so the accumulator width may lie
    outside them; the count is known up to 4 result bits.
    """
    bits, of_comparator_bit, of_count = _threshold_parts(_COLUMN[cells])
    result = np.asarray(result_bits, np.float64)
    outside = (result > bits[-1]) | (result < bits[0])
    slope = np.interp(result, bits, of_comparator_bit)
    count = np.interp(result, bits, of_count)
    value = (2**result - 1) * slope * np.asarray(accumulator_bits, np.float64) + count
    figure = Figure(
        np.where(outside, np.nan, value), "synthesised", f"{TOOL}; thresholds of 1 to 4 result bits"
    )
    return read_figure(figure, "threshold_lut", where=WHERE)


@formula
def alu_lane_lut(*, cells: SiteCells = "cells"):
    """LUTs of one 32-bit lane of an output ALU as VTA has: add, least, largest, shift and clip."""
    row = load_rows().where(scheme="vector_alu_lane")
    figure = Figure(float(row[_COLUMN[cells]][0]), "synthesised", f"{TOOL}; vector_alu_lane")
    return read_figure(figure, "alu_lane_lut", where=WHERE)


@cache
def _by_size(column, in_dsp):
    rows = load_rows().where(scheme="requantise", dsp_allowed=float(in_dsp))
    rows = rows.only(rows["a_bits"] == RESULT_BITS)
    products = rows["w_bits"] * rows["acc_bits"]
    order = np.argsort(products)
    return products[order], rows[column][order]


@cache
def _by_result(column, in_dsp):
    """Result bits, ascending, and LUTs beyond those of the widest result."""
    rows = load_rows().where(scheme="requantise", dsp_allowed=float(in_dsp), w_bits=16, acc_bits=32)
    order = np.argsort(rows["a_bits"])
    return rows["a_bits"][order], (rows[column] - rows[column].max())[order]


@cache
def _threshold_parts(column):
    """Result bits; LUTs of one bit of a comparator; LUTs that the count takes."""
    rows = load_rows().where(scheme="threshold")
    narrow, wide = (rows.where(acc_bits=width) for width in np.unique(rows["acc_bits"]))
    comparators = 2 ** narrow["a_bits"] - 1
    slope = (wide[column] - narrow[column]) / (wide["acc_bits"] - narrow["acc_bits"]) / comparators
    return narrow["a_bits"], slope, narrow[column] - comparators * slope * narrow["acc_bits"]
