"""The papers' tables beside ours, as they are read: on a terminal, as JSON, CSV and files."""

import json
from collections import Counter
from dataclasses import asdict
from itertools import groupby
from pathlib import Path

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from qsim.errors import QsimError
from qsim.reproduce import paper_title, table_titles
from qsim.reproduce.rows import KINDS, Row

WORDS = {kind: kind.replace("_", " ") for kind in KINDS}


def to_json(rows: list[Row]) -> str:
    """A list of the rows."""
    return json.dumps([asdict(row) for row in rows], indent=2, allow_nan=False)


def to_csv(rows: list[Row]) -> str:
    """The rows as CSV."""
    import pandas as pd

    return pd.DataFrame([asdict(row) for row in rows]).to_csv(index=False)


def reproduction_table(rows: list[Row]) -> RenderableType:
    """Every row, by paper and table, then the counts of all papers."""
    parts: list[RenderableType] = []
    for paper, of_paper in groupby(rows, key=lambda row: row.paper):
        parts += [Text(paper_title(paper), style="bold"), ""]
        titles = table_titles(paper)
        for table, of_table in groupby(of_paper, key=lambda row: row.table):
            parts += [_rows_table(f"{paper} {table}: {titles[table]}", list(of_table)), ""]
    return Group(*parts, _summary(rows))


def counts(rows: list[Row]) -> str:
    """How many rows are of which kind, and the worst error of those that are not exact."""
    found = Counter(row.kind for row in rows)
    published = len(rows) - found["no_published_figure"]
    parts = []
    for kind in KINDS:
        if not found[kind]:
            continue
        of = "" if kind == "no_published_figure" else f"/{published}"
        worst = worst_error(rows, kind)
        error = f", worst {worst:+.3g} %" if worst is not None and kind != "exact" else ""
        parts.append(f"{WORDS[kind]} {found[kind]}{of}{error}")
    return "; ".join(parts)


def worst_error(rows: list[Row], kind: str) -> float | None:
    """The error of the largest magnitude among the rows of a kind, in percent."""
    errors = [r.error_percent for r in rows if r.kind == kind and r.error_percent is not None]
    return max(errors, key=abs, default=None)


def write_files(rows: list[Row], folder: Path) -> list[Path]:
    """Write ``reproduce.json``, ``reproduce.csv`` and the figures of these rows.

    Returns the paths written. Raises QsimError when one cannot be written.
    """
    from qsim.report.figures import write_picture
    from qsim.report.paper_figures import figures

    written = [folder / "reproduce.json", folder / "reproduce.csv"]
    try:
        written[0].write_text(to_json(rows) + "\n", encoding="utf-8")
        written[1].write_text(to_csv(rows), encoding="utf-8")
        for name, figure in figures(rows):
            write_picture(figure, folder / f"{name}.png")
            written.append(folder / f"{name}.png")
    except OSError as error:
        raise QsimError(f"--out {folder}: cannot be written: {error.strerror}") from None
    return written


def _rows_table(title: str, rows: list[Row]) -> Table:
    """The rows of a table, column after column."""
    columns: dict[str, list[Row]] = {}
    for row in rows:
        columns.setdefault(row.cell.rpartition(": ")[2] if ": " in row.cell else "", []).append(row)
    head = [counts(rows)]
    if len(columns) > 1:
        head += [f"  {name}: {counts(held)}" for name, held in columns.items()]
    rows = [row for held in columns.values() for row in held]
    table = Table(
        title=Text("\n".join([title, *head])),
        title_justify="left",
        title_style="",
        box=None,
        header_style="bold",
        pad_edge=False,
    )
    for heading, justify in (("cell", "left"), ("published", "right"), ("ours", "right"),
                             ("error", "right"), ("kind", "left"), ("note", "left")):  # fmt: skip
        table.add_column(heading, justify=justify, overflow="fold", no_wrap=heading == "error")
    said = ""
    for row in rows:
        note, said = ('"' if row.note and row.note == said else row.note), row.note
        mark = "" if row.published is None else f" ({row.evidence})"
        table.add_row(
            Text(row.cell),
            Text(_figure(row.published) + mark),
            _figure(row.model),
            "" if row.error_percent is None else f"{row.error_percent:+.2f} %",
            WORDS[row.kind],
            Text(note),
        )
    return table


def _summary(rows: list[Row]) -> Table:
    table = Table(title="All rows", title_justify="left", box=None, header_style="bold",
                  pad_edge=False)  # fmt: skip
    table.add_column("paper")
    for heading in (*WORDS.values(), "rows", "worst predicted", "worst calibrated"):
        table.add_column(heading, justify="right")
    for paper, of_paper in groupby(rows, key=lambda row: row.paper):
        held = list(of_paper)
        found = Counter(row.kind for row in held)
        worst = [worst_error(held, kind) for kind in ("predicted", "calibrated")]
        errors = ["" if each is None else f"{each:+.1f} %" for each in worst]
        table.add_row(paper, *(str(found[kind]) for kind in KINDS), str(len(held)), *errors)
    return table


def _figure(value: float | str | None) -> str:
    if value is None:
        return "-"
    if isinstance(value, str):
        return value
    return f"{value:,.0f}" if abs(value) >= 1e4 else f"{value:,.4g}"
