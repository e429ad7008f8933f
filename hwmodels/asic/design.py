"""What a workload says of a spatial array on an ASIC, and which datapath its elements have."""

from typing import Literal

import msgspec
import numpy as np

from hwmodels.array_cycles import Dataflow
from hwmodels.asic.scaling import Family, check_nodes
from hwmodels.errors import DesignError
from hwmodels.fpga.datapaths import natural_path
from hwmodels.parameters import numbers
from hwmodels.work import LayerWork, WorkTable

# Least, most and whether whole, by the end of a parameter's name; other parameters count.
RANGES = {
    "hz": (1.0, 1e12, False),
    "per_s": (1e-6, 1e6, False),
    "voltage_v": (0.1, 5.0, False),
    "bits": (1, 64, True),
    "bytes": (1, 2**40, True),
    "nm": (1, 1000, True),
}
COUNT = (1, 2**16, True)
Datapath = Literal[
    "auto", "fixed", "sp2", "power_of_two", "ternary", "binary", "xnor", "bit_serial", "float"
]
FLOAT_BITS = (16, 32)  # that the tables have


class Design(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The array and what surrounds it. Numbers may also be arrays, all broadcasting together.

    dot_length      products of one element in a cycle, all of one sum
    dataflow        what stays in the elements
    images          that are computed together; latencies are those of one of them
    node_nm         of the process, one of those of ``technologies/scaling.yaml``
    process         hp (high performance) or lp (low power), of which no nominal voltage is known
    voltage_v       of the supply; absent: nominal
    datapath        of all elements; "auto": what the weights of all layers call for
    weight_bits, activation_bits   the widest operands that elements take; absent: the work's
    *_buffer_bytes  of each buffer; it is there twice where ``double_buffered``
    requantize      how sums become activations at the end of every column
    """

    rows: int
    columns: int
    dot_length: int = 1
    dataflow: Dataflow = "weight_stationary"
    images: int = 1
    node_nm: int = 45
    process: Family = "hp"
    voltage_v: float | None = None
    clock_hz: float = 500e6
    datapath: Datapath = "auto"
    weight_bits: int | None = None
    activation_bits: int | None = None
    accumulator_bits: int = 32
    input_buffer_bytes: int = 2**17
    weight_buffer_bytes: int = 2**17
    accumulator_buffer_bytes: int = 2**16
    double_buffered: bool = True
    requantize: Literal["multiplier", "thresholds"] = "multiplier"
    dram: Literal["ddr", "gddr6", "hbm2"] = "ddr"
    dram_gb_per_s: float = 25.6

    def __post_init__(self):
        for name, values in numbers(self).items():
            ends = [end for end in RANGES if name.endswith(end)]
            low, high, is_whole = RANGES[ends[0]] if ends else COUNT
            whole = not is_whole or (np.floor(values) == values).all()
            if not (whole and ((values >= low) & (values <= high)).all()):
                kind = "a whole number from " if is_whole else ""
                raise ValueError(f"{name} must be {kind}{low:g} to {high:,g}")
        try:
            check_nodes(self.node_nm)
        except ValueError as error:
            raise ValueError(f"node_nm: {error}") from None


def scheme_of(work: WorkTable, design: Design) -> str:
    """The one scheme that all elements have, as ``gates`` names it.

    Raises DesignError where the layers call for several, or where one cannot compute them.
    """
    calls = {each for layer in work for each in _calls(layer)}
    wanted = design.datapath
    if wanted == "auto":
        if len(calls) != 1:
            raise DesignError(
                "datapath",
                f"the layers call for several datapaths: {', '.join(sorted(calls))}; give one"
                " weight format to all of them, or name the datapath that computes them all",
            )
        wanted = calls.pop()
    for layer in work:
        for call in _calls(layer):
            if call != wanted and call not in COMPUTES.get(wanted, ()):
                raise DesignError(
                    "datapath",
                    f"{wanted} does not compute layer {layer.name!r}, which calls for {call};"
                    " choose another datapath, or one weight format for all layers",
                )
    is_signed = any(layer.activation_scheme in ("signed", "plus_minus_one") for layer in work)
    return "fixed_signed" if wanted == "fixed" and is_signed else wanted


def settled(work: WorkTable, design: Design) -> Design:
    """The design with operand widths: those of the work where it leaves them open."""
    keys = ("weight_bits", "activation_bits")
    widest = {key: int(work.column(key).max()) for key in keys if getattr(design, key) is None}
    return msgspec.structs.replace(design, **widest)


# what else than its own products a datapath computes
COMPUTES = {
    "fixed": ("ternary", "binary", "xnor"),
    "ternary": ("binary",),
    "bit_serial": ("fixed", "ternary", "binary", "xnor"),
}


def check(work: WorkTable, design: Design) -> None:
    """Refuse what the elements cannot compute. Raises DesignError naming the parameter."""
    scheme, made = scheme_of(work, design), settled(work, design)
    for key in ("weight_bits", "activation_bits"):
        for layer in work:
            if getattr(layer, key) > np.min(getattr(made, key)):
                raise DesignError(
                    key,
                    f"layer {layer.name!r} has {getattr(layer, key)}-bit operands but the elements"
                    f" take {np.min(getattr(made, key)):g} bits; widen them or narrow the layer",
                )
    widths = np.unique(np.append(np.ravel(made.weight_bits), np.ravel(made.activation_bits)))
    if scheme == "float" and not (len(widths) == 1 and widths[0] in FLOAT_BITS):
        raise DesignError(
            "weight_bits", "elements of floating point have operands of 16 bits, or all of 32 bits"
        )
    sums = np.asarray(design.accumulator_buffer_bytes) * 8 // np.asarray(design.accumulator_bits)
    if design.dataflow != "output_stationary" and np.any(sums < np.asarray(design.columns)):
        raise DesignError(
            "accumulator_buffer_bytes",
            f"{np.min(sums):,} sums do not fill {np.max(design.columns):,} columns; give more",
        )


def _calls(layer: LayerWork) -> set[str]:
    """The schemes that the rows of a layer call for."""
    if layer.in_float:
        return {"float"}
    calls = {natural_path(layer, shifted=False)} if layer.rows_multiply else set()
    calls |= {layer.shifted_as} if layer.rows_shift_add else set()
    return {"fixed" if call in ("dsp", "lut") else call for call in calls}
