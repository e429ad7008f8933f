"""A paper's tables as data: every published cell with its place, digits and evidence."""

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

import msgspec

from hwmodels.documents import read_document
from hwmodels.provenance import Status

Value = float | str | None
STATED = "stated"  # the column of claims, which a label need not repeat
EVIDENCE = "evidence"  # a column of this name says it of each row


class Table(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One table or figure.

    columns      names, in order; a column named ``evidence`` holds that of each row
    values       which of them are published values; the others say where a value stands
    rows         one entry for each column; of a value, null where nothing is printed
    decimals     of the values as they are printed, by column, where the number does not show it
    uncertainty  of digitised values, in their unit; relative where it is a share
    """

    title: str
    source: str
    evidence: Status
    columns: tuple[str, ...]
    values: tuple[str, ...]
    rows: tuple[tuple[Value, ...], ...]
    decimals: dict[str, int] = {}
    uncertainty: float | None = None
    uncertainty_relative: float | None = None

    def __post_init__(self):
        unknown = {*self.values, *self.decimals} - {*self.columns}
        if unknown:
            raise ValueError(f"{sorted(unknown)[0]!r} is none of the table's columns")
        for index, row in enumerate(self.rows):
            if len(row) != len(self.columns):
                raise ValueError(
                    f"row {index} has {len(row)} entries, the table {len(self.columns)} columns"
                )


class PublishedTables(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The tables of one paper, by name; ``given`` are those that our figures take as input."""

    paper: str
    tables: dict[str, Table]
    given: dict[str, Table] = {}


@dataclass(frozen=True)
class PublishedCell:
    """One value in its place.

    table       the name of its table
    column      its column
    at          what the other columns of its row say
    value       None: nothing is printed there
    decimals    digits after the point as printed
    """

    table: str
    column: str
    at: dict[str, Value]
    value: Value
    evidence: Status
    decimals: int = 0
    uncertainty: str = ""

    @property
    def label(self) -> str:
        """Its place in words, unique in its table."""
        place = ", ".join(_shown(key, held) for key, held in self.at.items() if held is not None)
        return place if self.column == STATED else f"{place}: {self.column}"

    def number(self, name: str) -> float:
        """What the row says under ``name``, a number."""
        return float(self.at[name])


def cells(name: str, table: Table) -> Iterator[PublishedCell]:
    """Every cell of values of a table, row by row."""
    for row in table.rows:
        held = dict(zip(table.columns, row, strict=True))
        evidence = held.pop(EVIDENCE, None) or table.evidence
        at = {key: value for key, value in held.items() if key not in table.values}
        for column in table.values:
            value = held[column]
            decimals = table.decimals.get(column, decimals_of(value))
            yield PublishedCell(
                name, column, at, value, evidence, decimals, _uncertainty(table, evidence)
            )


def decimals_of(value: Value) -> int:
    """Digits after the point of a number as it is written."""
    if not isinstance(value, int | float) or float(value).is_integer():
        return 0
    return max(-Decimal(repr(value)).as_tuple().exponent, 0)


def read_tables(path: Path) -> PublishedTables:
    """The tables at ``path``. Raises InputError naming file and key."""
    return read_document(path, PublishedTables)


def _shown(key: str, held: Value) -> str:
    return held if isinstance(held, str) else f"{key} {held:g}"


def _uncertainty(table: Table, evidence: Status) -> str:
    if evidence != "digitised":
        return ""
    if table.uncertainty_relative is not None:
        return f"read off a figure to {table.uncertainty_relative:.1%}"
    return f"read off a figure to {table.uncertainty:g}" if table.uncertainty else ""
