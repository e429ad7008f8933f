"""Folding of a streaming design: how many products of each layer are computed in a cycle.

An engine of ``pe`` x ``simd`` makes ``pe`` output channels at a time, each from ``simd`` products,
and takes positions x (rows / pe) x (depth / simd) cycles for an image. Rows that are multiplied and
rows that are shifted and added have processing elements of their own, which read the same inputs.
``simd`` divides the input channels of a group, or is all of them for a divisor of the kernel's
positions; ``pe`` divides the rows of a group, or is all of them for a divisor of the groups.

Source: FINN-R (arXiv 1809.04570), section 4; the cycles are those of FINN's matrix-vector unit
(finn 0.10, matrixvectoractivation.py, get_exp_cycles).
"""

from dataclasses import dataclass
from functools import lru_cache
from itertools import product

import msgspec
import numpy as np

from hwmodels.errors import DesignError
from hwmodels.explain import formula
from hwmodels.work import LayerWork, WorkTable


class LayerFolding(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The folding of one layer; the second ``pe`` is for rows that are shifted and added."""

    simd: int
    pe: int = 0
    pe_shift_add: int = 0


@dataclass(frozen=True)
class Folding:
    """The folding of every layer, arrays of (..., layers): 0 elements where there are no rows."""

    simd: np.ndarray
    pe: np.ndarray
    pe_shift_add: np.ndarray


def given_folding(work: WorkTable, folding: dict[str, LayerFolding]) -> Folding:
    """The folding that a design gives by layer.

    Raises DesignError on a layer that is missing or unknown, and on what does not divide it.
    """
    names = [layer.name for layer in work]
    for name in folding:
        if name not in names:
            raise DesignError("folding", f"{name!r} is none of its layers: {', '.join(names)}")
    for layer in work:
        if layer.name not in folding:
            raise DesignError("folding", f"layer {layer.name!r} has none; give every layer one")
        _check(layer, folding[layer.name])
    each = [folding[name] for name in names]
    columns = ([float(getattr(one, key)) for one in each] for key in ("simd", "pe", "pe_shift_add"))
    return Folding(*(np.array(column) for column in columns))


def _check(layer: LayerWork, folding: LayerFolding) -> None:
    wanted = {
        "simd": (layer.depth, "products of a sum"),
        "pe": (layer.rows_multiply, "rows that are multiplied"),
        "pe_shift_add": (layer.rows_shift_add, "rows that are shifted and added"),
    }
    for key, (size, what) in wanted.items():
        count = getattr(folding, key)
        if (count < 1 or size % count) if size else count != 0:
            remedy = f"a divisor of {size}" if size else "0"
            raise DesignError(
                f"folding.{layer.name}.{key}", f"{count} must be {remedy}, its {what}"
            )


def least_folding(work: WorkTable, cycles) -> Folding:
    """The smallest folding with which every layer takes an image in so many ``cycles`` at most, a
    number or an array of designs: the fewest products per cycle, of equal ones the widest ``simd``.

    Raises DesignError where a layer takes longer even fully unfolded.
    """
    cycles = np.asarray(cycles, np.float64)
    chosen = []
    for layer in work:
        intervals, options = _choices(_sizes(layer))
        at = np.searchsorted(-intervals, -cycles)
        if (at == len(intervals)).any():
            raise DesignError(
                "target_images_per_s",
                f"layer {layer.name!r} takes at least {intervals[-1]:,.0f} cycles for an image, but"
                f" the target leaves {cycles.min():,.0f}; lower it or raise clock_hz",
            )
        chosen.append(options[at])
    stacked = np.stack(chosen, axis=-2)  # (..., layers, simd and the two kinds of elements)
    return Folding(*(stacked[..., each] for each in range(3)))


def attainable_cycles(work: WorkTable) -> np.ndarray:
    """Every number of cycles for an image that some layer can be folded to, ascending, from the
    slowest layer's fewest on."""
    each = [_choices(_sizes(layer))[0] for layer in work]
    fastest = max(intervals[-1] for intervals in each)
    values = np.unique(np.concatenate(each))
    return values[values >= fastest]


def _sizes(layer: LayerWork) -> tuple:
    """What the choices of a layer depend on; equal layers share them."""
    return (
        layer.in_channels // layer.groups,
        layer.kernel_h * layer.kernel_w,
        layer.groups,
        layer.rows_multiply,
        layer.rows_shift_add,
        layer.positions,
        layer.in_h * layer.in_w,
    )


@lru_cache(maxsize=4096)
def _choices(key: tuple) -> tuple[np.ndarray, np.ndarray]:
    """The foldings worth taking, from the smallest: descending cycles, and (choices, 3)."""
    channels, area, groups, multiplied, shifted, positions, in_positions = key
    rows = [_element_choices(count, groups) for count in (multiplied, shifted)]
    options = np.array(list(product(_simd_choices(channels, area), *rows)), np.float64)
    simd, pe, pe_shift_add = options.T
    cycles = engine_cycles(
        positions, _row_folds(multiplied, pe, shifted, pe_shift_add), channels * area / simd
    )
    lanes = stream_lanes(simd, pe + pe_shift_add, channels, (multiplied + shifted) / groups, groups)
    intervals = np.maximum(cycles, input_cycles(in_positions, channels * groups, lanes))
    order = np.lexsort((-simd, simd * (pe + pe_shift_add)))
    intervals, options = intervals[order], options[order]
    faster = np.r_[True, intervals[1:] < np.minimum.accumulate(intervals)[:-1]]
    return intervals[faster], options[faster]


def _simd_choices(channels: int, area: int) -> list[int]:
    return [*_divisors(channels), *(channels * each for each in _divisors(area) if each > 1)]


def _element_choices(rows: int, groups: int) -> list[int]:
    if rows == 0:
        return [0]
    if rows % groups:
        return _divisors(rows)
    return [*_divisors(rows // groups), *(rows // groups * n for n in _divisors(groups) if n > 1)]


def _divisors(count: int) -> list[int]:
    return [each for each in range(1, count + 1) if count % each == 0]


@formula
def layer_engine_cycles(work: WorkTable, folding: Folding) -> np.ndarray:
    """Positions x row folds x depth folds of each layer: cycles of its engine for an image."""
    return engine_cycles(
        work.column("positions"), row_folds(work, folding), depth_folds(work, folding)
    )


def row_folds(work: WorkTable, folding: Folding) -> np.ndarray:
    """Rows / elements of each layer, of the kind of rows that takes longer."""
    multiplied, shifted = work.column("rows_multiply"), work.column("rows_shift_add")
    return _row_folds(multiplied, folding.pe, shifted, folding.pe_shift_add)


def _row_folds(multiplied, pe, shifted, pe_shift_add) -> np.ndarray:
    return np.maximum(multiplied / np.maximum(pe, 1), shifted / np.maximum(pe_shift_add, 1))


def depth_folds(work: WorkTable, folding: Folding) -> np.ndarray:
    """Products of a sum / simd of each layer."""
    return work.column("depth") / folding.simd


def layer_stream_lanes(work: WorkTable, folding: Folding) -> np.ndarray:
    """Input channels that each layer takes in a cycle."""
    groups = work.column("groups")
    return stream_lanes(
        folding.simd, folding.pe + folding.pe_shift_add, work.column("in_channels") / groups,
        work.column("out_channels") / groups, groups,
    )  # fmt: skip


@formula
def layer_input_cycles(work: WorkTable, folding: Folding) -> np.ndarray:
    """Pixels x words of a pixel of each layer: cycles in which an image enters its engine."""
    pixels = work.column("in_h") * work.column("in_w")
    return input_cycles(pixels, work.column("in_channels"), layer_stream_lanes(work, folding))


def engine_cycles(positions, folds_of_rows, folds_of_depth):
    """Positions x row folds x depth folds: cycles of an engine for an image."""
    return positions * folds_of_rows * folds_of_depth


def stream_lanes(simd, elements, channels, rows, groups):
    """Channels of an input word: simd, but no more than a group has, of as many groups as the
    elements work on."""
    return np.minimum(simd, channels) * np.clip(elements / rows, 1, groups)


def input_cycles(pixels, channels, lanes):
    """Pixels x words of a pixel: cycles in which an image enters."""
    return pixels * np.ceil(channels / lanes)
