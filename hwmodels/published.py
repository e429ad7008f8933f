"""Published figures, to be printed beside the models' own."""

from pathlib import Path

import msgspec

from hwmodels.documents import read_document
from hwmodels.provenance import Status


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


class PublishedTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The figures of one paper."""

    paper: str
    cells: tuple[Cell, ...]


def read_published(path: Path) -> PublishedTable:
    """The table at ``path``. Raises InputError naming file and key."""
    return read_document(path, PublishedTable)
