"""What a workload says of a systolic array on an FPGA."""

from typing import Literal

import msgspec

from hwmodels.array_cycles import Dataflow
from hwmodels.fpga.buffers import Style
from hwmodels.fpga.dsp import Packing
from hwmodels.parameters import check_numbers


class Design(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The array and what surrounds it. Numbers may also be arrays, all broadcasting together.

    lanes           products of one element in a cycle, all of one sum
    dataflow        what stays in the elements
    images          that are computed together; latencies are those of one of them
    datapath        of all elements; "auto": what the weights of all layers call for
    dsp_packing     how many products a DSP computes, see ``dsp``
    weight_bits, activation_bits   the widest operands that elements take; absent: the work's
    *_buffer_elements   values held for a fold or layer; they are there twice where
                    ``double_buffered``, so that data move while the array computes
    *_memory        where a buffer goes: RAM blocks, large blocks ("ultra") or LUTs; "auto": LUTs
                    where it is shallow, else RAM blocks
    """

    rows: int
    columns: int
    lanes: int = 1
    dataflow: Dataflow = "weight_stationary"
    images: int = 1
    clock_hz: float = 200e6
    datapath: Literal[
        "auto", "dsp", "lut", "sp2", "power_of_two", "ternary", "binary", "xnor", "bit_serial"
    ] = "auto"
    dsp_packing: Packing = "one"
    weight_bits: int | None = None
    activation_bits: int | None = None
    accumulator_bits: int = 32
    input_buffer_elements: int = 2**16
    weight_buffer_elements: int = 2**16
    accumulator_buffer_elements: int = 2**14
    double_buffered: bool = True
    input_memory: Style = "auto"
    weight_memory: Style = "auto"
    accumulator_memory: Style = "auto"

    def __post_init__(self):
        check_numbers(self)
