"""What energies and areas of ASICs rest on: published tables of operations, cells and memories."""

from functools import cache

import msgspec

from hwmodels.documents import nearest, read_document
from hwmodels.errors import InputError
from hwmodels.provenance import HERE, Figure, shipped_names

FOLDER = "devices/asic"


class EnergyTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Energy in pJ and area in square micrometres of operations at one node and voltage."""

    name: str
    node_nm: int
    voltage_v: Figure
    energy_pj: dict[str, Figure]
    area_um2: dict[str, Figure] = {}


class MovementRatios(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Energy of moving a 16-bit value / energy of a 16-bit multiply-accumulate."""

    name: str
    ratio_to_mac: dict[str, Figure]


class CellLibraries(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Area of a NAND gate of two inputs, by node."""

    nand2_um2: dict[str, Figure]


class Band(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A figure with the least and the most that its sources give."""

    nominal: Figure
    low: Figure
    high: Figure


class Memories(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Energy of DRAM by kind, and area of SRAM by node."""

    dram_pj_per_bit: dict[str, Band]
    sram_cell_um2: dict[str, Figure]
    cell_share: Band


class Asic(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="asic", tag_field="kind"):
    """Standard cells and compiled memories, at a node that the design names.

    tables      by their role: "reference" at its own node and above, "newest" at its own node; all
                of them, "other" too, give the band
    """

    name: str
    description: str
    tables: dict[str, EnergyTable]
    movement: MovementRatios
    cells: CellLibraries
    memories: Memories


class AsicDocument(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="asic", tag_field="kind"
):
    """A device file: the names of the tables in ``technologies`` that it is made of."""

    name: str
    description: str
    reference: str
    newest: str
    other: str
    movement: str
    cells: str
    memories: str


def device_names() -> list[str]:
    """The shipped technologies."""
    return shipped_names(FOLDER)


@cache
def load_device(name: str) -> Asic:
    """The shipped technology of that name. Raises InputError on an unknown one."""
    if name not in device_names():
        raise InputError(f"unknown ASIC technology {name!r}; {nearest(name, device_names())}")
    document = read_document(HERE / FOLDER / f"{name}.yaml", AsicDocument)
    roles = ("reference", "newest", "other")
    return Asic(
        name=document.name,
        description=document.description,
        tables={role: load_table(getattr(document, role)) for role in roles},
        movement=read_document(_path(document.movement), MovementRatios),
        cells=read_document(_path(document.cells), CellLibraries),
        memories=read_document(_path(document.memories), Memories),
    )


@cache
def load_table(name: str) -> EnergyTable:
    """A table of operations, from ``technologies``."""
    return read_document(_path(name), EnergyTable)


def place_of(name: str) -> str:
    """The file of a table, as an explanation names it."""
    return f"hwmodels/technologies/{name}.yaml"


def _path(name):
    return HERE / "technologies" / f"{name}.yaml"
