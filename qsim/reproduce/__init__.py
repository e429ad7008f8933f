"""The papers' tables beside our figures for them.

A paper is a file of ``workloads/published`` and a module with ``TABLES``: for each table one
function from a cell's place to our figure.
"""

from collections.abc import Iterator
from types import ModuleType

from hwmodels.documents import nearest
from hwmodels.published_tables import PublishedCell, cells
from qsim.errors import QsimError
from qsim.reproduce import dorefa, eagl, hawq, msq, whitepaper, wrpn
from qsim.reproduce.networks import published
from qsim.reproduce.rows import Ours, Row, row

PAPERS: dict[str, ModuleType] = {
    "msq": msq,
    "wrpn": wrpn,
    "dorefa": dorefa,
    "whitepaper": whitepaper,
    "eagl": eagl,
    "hawq": hawq,
}


def reproduce(names: list[str] | None = None) -> list[Row]:
    """The rows of the papers of these names (None: of all), in the order of the tables.

    Raises QsimError on an unknown paper.
    """
    chosen = list(PAPERS) if not names else list(dict.fromkeys(names))
    for name in chosen:
        if name not in PAPERS:
            raise QsimError(f"unknown paper {name!r}; {nearest(name, PAPERS)}")
    return [each for name in chosen for each in _rows(name)]


def published_cells(name: str) -> Iterator[PublishedCell]:
    """Every cell of a paper's tables, blank ones too."""
    for title, table in published(name).tables.items():
        yield from cells(title, table)


def paper_title(name: str) -> str:
    """A paper in words."""
    return published(name).paper


def table_titles(name: str) -> dict[str, str]:
    """What each table of a paper holds, and where it is."""
    return {key: f"{table.title} ({table.source})" for key, table in published(name).tables.items()}


def _rows(name: str) -> Iterator[Row]:
    tables = PAPERS[name].TABLES
    for cell in published_cells(name):
        if cell.table in tables:
            ours: Ours | None = tables[cell.table](cell)
            if ours is not None:
                yield row(name, cell, ours)
