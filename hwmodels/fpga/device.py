"""FPGAs: what each has, with its source."""

import msgspec

from hwmodels.documents import nearest, read_document
from hwmodels.errors import InputError
from hwmodels.provenance import HERE, Figure, shipped_names

FOLDER = "devices/fpga"


class Fpga(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="fpga", tag_field="kind"):
    """An FPGA: what it has. Units are in the names; LUTs are 6-input."""

    name: str
    family: str
    lut6: Figure
    flip_flops: Figure
    dsp: Figure
    bram_36kb: Figure
    dram_gb_per_s: Figure


def device_names() -> list[str]:
    """The shipped FPGAs."""
    return shipped_names(FOLDER)


def load_device(name: str) -> Fpga:
    """The shipped FPGA of that name. Raises InputError on an unknown one."""
    if name not in device_names():
        raise InputError(f"unknown FPGA {name!r}; {nearest(name, device_names())}")
    return read_document(HERE / FOLDER / f"{name}.yaml", Fpga)
