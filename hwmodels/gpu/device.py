"""GPUs: what each has, with its source."""

from typing import Literal

import msgspec

from hwmodels.documents import nearest, read_document
from hwmodels.errors import InputError
from hwmodels.provenance import HERE, Figure, shipped_names

FOLDER = "devices/gpu"

Engine = Literal[
    "fp32",
    "fp16",
    "int8_dp4a",
    "tf32_tensor",
    "fp16_tensor",
    "fp16_tensor_fp32_acc",
    "bf16_tensor",
    "fp8_tensor",
    "fp6_tensor",
    "fp4_tensor",
    "int8_tensor",
    "int4_tensor",
    "b1_tensor",
]


class Gpu(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="gpu", tag_field="kind"):
    """A GPU: what it has. GB are 1e9 bytes, KiB are 1024.

    plain_clock_mhz, tensor_clock_mhz   of either kind of core, where it is not the boost clock
    fma_per_sm_cycle       fused multiply-adds per SM and clock of each engine, dense
    published_peak_tops    the vendor's, in 1e12 operations per second, dense
    absent                 engines that it lacks; one that is neither here nor above is not known
    popc32_per_sm_cycle    population counts of 32-bit words
    int32_per_sm_cycle     bitwise operations and additions of 32-bit words
    tdp_w                  the power that it may take
    """

    name: str
    chip: str
    compute_capability: str
    sms: Figure
    boost_clock_mhz: Figure
    fma_per_sm_cycle: dict[Engine, Figure]
    published_peak_tops: dict[Engine, Figure]
    absent: tuple[Engine, ...]
    popc32_per_sm_cycle: Figure
    int32_per_sm_cycle: Figure
    mem_gb: Figure
    dram_gb_per_s: Figure
    l2_kib: Figure
    l2_bytes_per_cycle: Figure
    tdp_w: Figure
    plain_clock_mhz: Figure | None = None
    tensor_clock_mhz: Figure | None = None

    def __post_init__(self):
        both = set(self.absent) & set(self.fma_per_sm_cycle)
        if both:
            raise ValueError(f"{sorted(both)[0]} has a rate and is absent; drop one of both")

    @property
    def mem_bytes(self) -> Figure:
        """The memory in bytes."""
        gb = self.mem_gb
        return Figure(None if gb.value is None else gb.value * 1e9, gb.status, gb.source)


def device_names() -> list[str]:
    """The shipped GPUs."""
    return shipped_names(FOLDER)


def load_device(name: str) -> Gpu:
    """The shipped GPU of that name. Raises InputError on an unknown one."""
    if name not in device_names():
        raise InputError(f"unknown GPU {name!r}; {nearest(name, device_names())}")
    return read_document(HERE / FOLDER / f"{name}.yaml", Gpu)
