"""Which datapath computes which rows of a layer, and how many cycles it takes for a product."""

from typing import Literal

import numpy as np

from hwmodels.errors import DesignError
from hwmodels.fpga.dsp import LEAST_RESULT_BITS
from hwmodels.work import LayerWork, WorkTable

Datapath = Literal[
    "dsp", "lut", "sp2", "power_of_two", "ternary", "binary", "xnor", "bit_serial"
]  # fmt: skip
SHIFTS = ("sp2", "power_of_two")


def refuse_float(work: WorkTable) -> None:
    """Raises DesignError where a layer is computed in floating point."""
    for layer in work:
        if layer.in_float:
            raise DesignError(
                "",
                f"layer {layer.name!r} is computed in floating point, which these datapaths do not"
                " do; quantize its weights and activations, or leave out the hardware",
            )


def natural_path(layer: LayerWork, *, shifted: bool) -> Datapath:
    """The datapath of a layer's rows: what its weights call for; products of numbers go to DSPs
    from as many result bits on as synthesis puts there by itself, else to LUTs."""
    if shifted:
        return layer.shifted_as
    if layer.multiplied_as == "ternary":
        return "ternary"
    if layer.multiplied_as == "binary":
        return "xnor" if layer.activation_scheme == "plus_minus_one" else "binary"
    in_dsp = layer.weight_bits + layer.activation_bits >= LEAST_RESULT_BITS
    return "dsp" if in_dsp else "lut"


def common_path(work: WorkTable, wanted: str) -> Datapath:
    """The one datapath of an array that computes all layers; ``wanted`` may be "auto": that of all
    layers, or products of numbers where they differ.

    Raises DesignError where one cannot compute them all.
    """
    calls = {natural_path(layer, shifted=False) for layer in work if layer.rows_multiply}
    shifts = {natural_path(layer, shifted=True) for layer in work if layer.rows_shift_add}
    needs = calls | shifts
    if wanted == "auto":
        if len(needs) == 1:
            return needs.pop()
        wanted = "dsp" if widest_result_bits(work) >= LEAST_RESULT_BITS else "lut"
    _check(work, wanted)
    return wanted


def widest_result_bits(work: WorkTable) -> int:
    """The most bits that a product of two operands has in any layer."""
    return max(layer.weight_bits + layer.activation_bits for layer in work)


def _check(work: WorkTable, path: str) -> None:
    """Raises DesignError where ``path`` cannot compute a layer."""
    for layer in work:
        kinds = (("multiplied", layer.rows_multiply), ("shifted and added", layer.rows_shift_add))
        for kind, rows in kinds:
            shifted = kind != "multiplied"
            if rows and not _computes(path, layer, shifted):
                called = natural_path(layer, shifted=shifted)
                raise DesignError(
                    "datapath",
                    f"{path} does not compute layer {layer.name!r}, which has {rows:,} rows of"
                    f" {called} weights that are {kind}; choose another datapath, or one weight"
                    " format for all layers",
                )


def _computes(path: str, layer: LayerWork, shifted: bool) -> bool:
    if shifted:
        return path == layer.shifted_as
    signs = layer.multiplied_as == "binary"
    return {
        "ternary": layer.multiplied_as in ("ternary", "binary"),
        "binary": signs,
        "xnor": signs and layer.activation_scheme == "plus_minus_one",
        "sp2": False,
        "power_of_two": False,
    }.get(path, True)


def serial_passes(work: WorkTable, path: str) -> np.ndarray:
    """Cycles of one product in each layer: one for each pair of bits where they are serial."""
    if path != "bit_serial":
        return np.ones(len(work.layers))
    return (work.column("weight_bits") * work.column("activation_bits")).astype(np.float64)
