"""How far the LUTs of a processing element are off the synthesised rows.

A row that the tables are made of is met by construction. So beside the errors over all rows there
are those of rows held out: every row of a width is taken away and predicted from the widths on
either side of it.
"""

import numpy as np

from hwmodels.fpga.adders import tree_lut
from hwmodels.fpga.lane_tables import (
    LENGTH,
    build_table,
    estimate_lane,
    kept_rows,
    merged_rows,
)
from hwmodels.fpga.pe import pe_lut
from hwmodels.fpga.schemes import SCHEMES, Cells, product_bits
from hwmodels.fpga.synthesis import SynthesisRows, load_rows


def row_errors(scheme: str, cells: Cells) -> np.ndarray:
    """Model / synthesised - 1 of each dot product of ``scheme`` that was synthesised so."""
    choose = merged_rows if cells == "merged" else kept_rows
    rows = choose(scheme, load_rows())
    widths = (rows["w_bits"], rows["a_bits"], rows["dot_length"], rows["acc_bits"])
    return pe_lut(scheme, *widths, cells=cells) / _counts(rows, cells) - 1


def held_out_errors(scheme: str, cells: Cells = "merged") -> tuple[SynthesisRows, np.ndarray]:
    """The rows of 16 products that lie between others, and model / synthesised - 1 of each when it
    is held out: merged, with all rows of its weight or of its activation width; kept and packed,
    with the kept row of the same widths."""
    rows = load_rows()
    choose = merged_rows if cells == "merged" else kept_rows
    mine = choose(scheme, rows).where(dot_length=LENGTH)
    found, errors = [], []
    for drop in _drops(mine, rows, cells):
        held = mine.only(drop[np.isin(rows["row"], mine["row"])])
        table = build_table(scheme, rows.only(~drop))
        found.append(held)
        errors.append(_predicted(table, scheme, held, cells) / _counts(held, cells) - 1)
    names = rows.columns
    together = {name: np.concatenate([each[name] for each in found]) for name in names}
    return SynthesisRows(together), np.concatenate(errors)


def all_held_out_errors() -> np.ndarray:
    """The merged ones of all schemes, where weights that are multiplied or shifted and activations
    have 2 bits or more."""
    chosen = []
    for scheme in SCHEMES:
        rows, errors = held_out_errors(scheme)
        narrow = (rows["a_bits"] < 2) | ((rows["w_bits"] < 2) & (scheme != "binary"))
        chosen.append(errors[~narrow])
    return np.concatenate(chosen)


def _drops(mine, rows, cells):
    """Which of all rows to take away, once for each prediction."""
    if cells != "merged":
        for w, a in zip(mine["w_bits"], mine["a_bits"], strict=True):
            kept = np.isin(rows["row"], mine["row"])
            yield kept & (rows["w_bits"] == w) & (rows["a_bits"] == a)
        return
    for name in ("w_bits", "a_bits"):
        for width in np.unique(mine[name])[1:-1]:
            yield (rows[name] == width) & (rows["scheme"] == mine["scheme"][0])


def _predicted(table, scheme, rows, cells):
    lane = estimate_lane(table, scheme, rows["w_bits"], rows["a_bits"], cells)
    tree = tree_lut(LENGTH, product_bits(scheme, rows["w_bits"], rows["a_bits"]))
    return rows["acc_bits"] + tree + LENGTH * lane


def _counts(rows, cells):
    return rows["lut_packed" if cells == "packed" else "lut"]
