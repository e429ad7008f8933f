"""What a workload says of a streaming design on an FPGA."""

from typing import Literal

import msgspec

from hwmodels.fpga.buffers import Style
from hwmodels.fpga.dsp import Packing
from hwmodels.fpga.folding import LayerFolding
from hwmodels.parameters import check_numbers


class Design(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The engines. Numbers may also be arrays, all broadcasting together.

    target_images_per_s   the least folding that reaches this rate is taken
    folding         of every layer, instead of a target; without either, the fastest that fits the
                    device is taken, of all that are balanced
    dsp_packing     how many products a DSP computes, see ``dsp``
    products_in     where products of numbers are computed: "auto": in DSPs from 9 result bits on
    accumulator_bits   of a sum; absent: as many as the widest sum of a layer has
    weight_memory, window_memory   where weights and windows go: RAM blocks, large blocks ("ultra")
                    or LUTs; "auto": LUTs where they are shallow, else RAM blocks; weights all
                    in large blocks where the design fits so alone, or is faster
    queue_words     of a queue between engines
    """

    clock_hz: float = 200e6
    target_images_per_s: float | None = None
    folding: dict[str, LayerFolding] | None = None
    products_in: Literal["auto", "dsp", "lut"] = "auto"
    dsp_packing: Packing = "one"
    accumulator_bits: int | None = None
    weight_memory: Style = "auto"
    window_memory: Style = "auto"
    queue_words: int = 32

    def __post_init__(self):
        check_numbers(self)
        if self.target_images_per_s is not None and self.folding is not None:
            raise ValueError("give target_images_per_s or folding, not both")
