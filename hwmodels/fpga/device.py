"""FPGAs: what each has, with its source."""

from typing import Literal

import msgspec

from hwmodels.documents import nearest, read_document
from hwmodels.errors import InputError
from hwmodels.provenance import HERE, Figure, shipped_names

FOLDER = "devices/fpga"

NO_CARD = Figure(None, "unknown", "no card with this device and a stated limit of power was chosen")

LutKind = Literal["lut6", "alm", "lut4"]
RamKind = Literal["bram_36kb", "m20k_20kb", "ebr_18kb"]


class Fpga(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="fpga", tag_field="kind"):
    """An FPGA: what it has. Units are in the names.

    luts           of its own kind: 6-input LUTs, Intel's adaptive logic modules (ALM), or 4-input
                   LUTs; counts of one kind are not those of another
    dsp, dsp_type  units of that type, a file of ``devices/dsp``
    ram_blocks     of its own kind; ``uram_288kb`` are the larger blocks that it has besides
    dram_gb_per_s  of the memory of ``board``; ``other_boards`` have other memories
    card_power_w   all that the card may draw, memory and regulators included
    """

    name: str
    family: str
    process_nm: Figure
    lut_kind: LutKind
    luts: Figure
    flip_flops: Figure
    dsp_type: str
    dsp: Figure
    ram_kind: RamKind
    ram_blocks: Figure
    uram_288kb: Figure
    board: str
    dram_gb_per_s: Figure
    static_power_w: Figure
    card_power_w: Figure = NO_CARD
    other_boards: dict[str, Figure] = {}

    @property
    def lut6(self) -> Figure:
        """6-input LUTs; not known of a device whose logic is of another kind."""
        return self._of_kind("lut6", self.lut_kind, self.luts)

    @property
    def bram_36kb(self) -> Figure:
        """RAM blocks of 36 Kb; not known of a device whose blocks are of another kind."""
        return self._of_kind("bram_36kb", self.ram_kind, self.ram_blocks)

    def _of_kind(self, wanted: str, kind: str, figure: Figure) -> Figure:
        if kind == wanted:
            return figure
        return Figure(None, "unknown", f"{self.name} has {kind} and no {wanted}")


def device_names() -> list[str]:
    """The shipped FPGAs."""
    return shipped_names(FOLDER)


def load_device(name: str) -> Fpga:
    """The shipped FPGA of that name, as ``xc7z045``, or with the memory of another board, as
    ``xc7z045@zc706_pl``.

    Raises InputError on an unknown device or board.
    """
    part, at, board = name.partition("@")
    if part not in device_names():
        raise InputError(f"unknown FPGA {part!r}; {nearest(part, device_names())}")
    device = read_document(HERE / FOLDER / f"{part}.yaml", Fpga)
    return _on_board(device, board) if at else device


def _on_board(device: Fpga, board: str) -> Fpga:
    """The same device with the memory of ``board``."""
    boards = {device.board: device.dram_gb_per_s} | device.other_boards
    if not board or board not in boards:
        raise InputError(
            f"{device.name} is on no board {board!r}; {nearest(board, filter(None, boards))}"
        )
    others = {name: memory for name, memory in boards.items() if name != board}
    return msgspec.structs.replace(
        device, board=board, dram_gb_per_s=boards[board], other_boards=others
    )
