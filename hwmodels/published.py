"""Published figures, to be printed beside the models' own."""

from fractions import Fraction
from pathlib import Path

import msgspec
import numpy as np

from hwmodels.documents import nearest, read_document
from hwmodels.fpga.gemm_design import Design
from hwmodels.provenance import Status
from hwmodels.published_tables import EVIDENCE, STATED, PublishedTables, Table
from hwmodels.work import WorkTable


class Cell(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One published figure: of which network on which design, and how far it is to be trusted."""

    network: str
    design: str
    quantity: str
    value: float
    status: Status
    source: str

    @property
    def key(self) -> str:
        """network/design/quantity"""
        return f"{self.network}/{self.design}/{self.quantity}"


class PublishedDesign(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The device and blocks of a published design, and its ratio of fixed to SP2 rows."""

    device: str
    fixed_to_sp2: str
    bat: int
    blk_in: int
    blk_out_fixed: int
    blk_out_sp2: int
    clock_hz: float


class PublishedTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The figures of one paper's designs, what they hold for, and its other tables."""

    paper: str
    macs_per_image: dict[str, int]
    weight_bits: int
    activation_bits: int
    designs: dict[str, PublishedDesign]
    cells: tuple[Cell, ...]
    tables: dict[str, Table] = {}

    def as_tables(self) -> PublishedTables:
        """The cells as a table for each network, then the other tables."""
        return PublishedTables(
            self.paper, {n: self._of(n) for n in self.macs_per_image} | self.tables
        )

    def _of(self, network: str) -> Table:
        rows = [
            (c.design, c.quantity, c.status, c.value) for c in self.cells if c.network == network
        ]
        return Table(
            title=f"{network} on the designs",
            source="authors' article, later paper of the same group, the paper",
            evidence="blog",
            columns=("design", "quantity", EVIDENCE, STATED),
            values=(STATED,),
            rows=tuple(rows),
        )


def departures(
    table: PublishedTable, name: str, device: str, design: Design, work: WorkTable
) -> list[str]:
    """In what a priced design differs from the published one of that ``name``, in words."""
    if name not in table.designs:
        return [f"{name!r} is none of its designs; {nearest(name, table.designs)}"]
    published = table.designs[name]
    pairs = [("device", device, published.device)]
    blocks = ("bat", "blk_in", "blk_out_fixed", "blk_out_sp2", "clock_hz")
    pairs += [(key, getattr(design, key), getattr(published, key)) for key in blocks]
    for key in ("weight_bits", "activation_bits"):
        widths = {int(bits) for bits in work.column(key)} | {getattr(design, key)}
        pairs += [(key, bits, getattr(table, key)) for bits in sorted(widths)]
    fixed, sp2 = (Fraction(part) for part in published.fixed_to_sp2.split(":"))
    rows, share = work.column("out_channels"), float(sp2 / (fixed + sp2))
    off = np.abs(work.column("rows_shift_add") - share * rows).max()
    pairs.append(("rows of SP2 off the ratio", int(off), 0))
    return [
        f"{key} is {ours:,.12g}, published {theirs:,.12g}"
        if not isinstance(ours, str)
        else f"{key} is {ours}, published {theirs}"
        for key, ours, theirs in pairs
        if ours != theirs
    ]


def read_published(path: Path) -> PublishedTable:
    """The table at ``path``. Raises InputError naming file and key."""
    return read_document(path, PublishedTable)
