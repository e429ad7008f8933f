"""What a workload says of MSQ's design, and which work its cores can compute."""

import msgspec
import numpy as np

from hwmodels.errors import DesignError
from hwmodels.work import WorkTable

LARGEST = {"hz": 1e12, "bits": 64, "elements": 2**40, "bytes": 2**40}  # of a design's parameters


class Design(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The design: ``bat`` images at a time, ``blk_in`` products per row and cycle, and rows per
    cycle on either core. Each field may also be an array, all broadcasting together.

    weight_bits, activation_bits   the widest operands the cores take
    *_buffer_elements   values held on chip; by default those of VTA's stock build for the Zynq-7020
                        (MSQ's are not published); input and accumulators once for each image of bat
    """

    bat: int
    blk_in: int
    blk_out_fixed: int
    blk_out_sp2: int = 0
    clock_hz: float = 100e6
    weight_bits: int = 4
    activation_bits: int = 4
    accumulator_bits: int = 32
    input_buffer_elements: int = 2**15
    weight_buffer_elements: int = 2**18
    accumulator_buffer_elements: int = 2**15
    instruction_buffer_bytes: int = 2**15

    def __post_init__(self):
        for name in self.__struct_fields__:
            low = 0 if name.startswith("blk_out") else 1
            high = LARGEST[name.rpartition("_")[2]] if name.endswith(tuple(LARGEST)) else 2**16
            values = np.asarray(getattr(self, name), np.float64)
            whole = name == "clock_hz" or (np.floor(values) == values).all()
            if not (whole and ((values >= low) & (values <= high)).all()):
                kind = "" if name == "clock_hz" else "a whole number from "
                raise ValueError(f"{name} must be {kind}{low} to {high:,g}")
        if np.any(np.asarray(self.blk_out_fixed) + np.asarray(self.blk_out_sp2) == 0):
            raise ValueError("blk_out_fixed and blk_out_sp2 must not both be 0")


def describe(design: Design) -> str:
    """A design in one line."""
    return (
        f"bat {design.bat} x blk_in {design.blk_in} x (blk_out {design.blk_out_fixed} fixed +"
        f" {design.blk_out_sp2} SP2), {design.clock_hz / 1e6:g} MHz"
    )


def check(work: WorkTable, design: Design) -> None:
    """Refuse what the cores cannot compute: floating point, wider operands, rows without a core.

    Raises DesignError naming the parameter.
    """
    for layer in work:
        if layer.in_float:
            raise DesignError(
                "",
                f"layer {layer.name!r} is computed in floating point, which this design has no core"
                " for; quantize its weights and activations, or leave out the hardware",
            )
        for key in ("weight_bits", "activation_bits"):
            if getattr(layer, key) > getattr(design, key):
                raise DesignError(
                    key,
                    f"layer {layer.name!r} has {getattr(layer, key)}-bit operands but the cores"
                    f" take {getattr(design, key)} bits; widen the cores or narrow the layer",
                )
        cores = (("blk_out_fixed", layer.rows_multiply), ("blk_out_sp2", layer.rows_shift_add))
        for key, rows in cores:
            if rows and getattr(design, key) == 0:
                raise DesignError(
                    key,
                    f"layer {layer.name!r} has {rows} rows for this core, which has no blocks; give"
                    " it some or choose another weight format",
                )
