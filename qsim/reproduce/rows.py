"""One row for each published cell: the published figure, ours, and what the comparison is worth."""

from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from math import isnan
from typing import Literal

from hwmodels.published_tables import PublishedCell, Value

Kind = Literal["exact", "predicted", "calibrated", "not_reproducible", "no_published_figure"]
KINDS: tuple[Kind, ...] = (
    "exact",
    "predicted",
    "calibrated",
    "not_reproducible",
    "no_published_figure",
)


@dataclass(frozen=True)
class Row:
    """A published cell and our figure for it.

    cell            its place in the table, unique there
    evidence        how far the published figure is to be trusted
    model           our figure, not rounded; None: there is none
    error_percent   of our figure; 0 where the printed digits are equal; None: nothing to compare,
                    or a bound that holds
    kind            exact: rounded as printed (a half up), our figure has the printed digits;
                    predicted: nothing was fitted to the cell; calibrated: a constant was;
                    not_reproducible and no_published_figure: the note says why
    """

    paper: str
    table: str
    cell: str
    published: Value
    evidence: str
    model: float | None
    error_percent: float | None
    kind: Kind
    note: str


@dataclass(frozen=True)
class Ours:
    """Our figure for a cell.

    claim   the kind that its rule claims; exact turns to predicted where the digits differ
    miss    what is known of the cause where they do
    holds   of a published bound, whether our figure keeps it: then there is no error
    """

    value: float | None
    claim: Kind
    note: str = ""
    miss: str = ""
    holds: bool = False


def exact(value, note: str = "", *, miss: str = "cause not known") -> Ours:
    """A figure whose rule gives the printed digits, or misses them for the reason ``miss``."""
    return Ours(float(value), "exact", note, miss)


def predicted(value, note: str = "") -> Ours:
    """A figure of a model that was not fitted to the cell."""
    return Ours(float(value), "predicted", note)


def calibrated(value, note: str) -> Ours:
    """A figure of a model with a constant that was fitted to the cell."""
    return Ours(float(value), "calibrated", note)


def at_least(value, bound: float, note: str = "") -> Ours:
    """A figure that is published as a lower bound."""
    holds = float(value) >= bound
    verdict = "a lower bound, which holds" if holds else "a lower bound, which does not hold"
    return Ours(float(value), "predicted", "; ".join(filter(None, (verdict, note))), holds=holds)


def not_reproducible(why: str) -> Ours:
    """No figure of ours can follow."""
    return Ours(None, "not_reproducible", why)


def unpublished(value, why: str) -> Ours:
    """A figure of ours, or a place for one, with nothing published to compare it with."""
    return Ours(None if value is None else float(value), "no_published_figure", why)


def row(paper: str, cell: PublishedCell, ours: Ours) -> Row:
    """The row of a cell; a figure of ours that is not known (NaN) is none."""
    if ours.value is not None and isnan(ours.value):
        ours = not_reproducible(f"rests on a figure that is not known; {ours.note}".rstrip("; "))
    kind, notes = ours.claim, [ours.note, cell.uncertainty]
    if kind == "exact" and not has_printed_digits(ours.value, cell):
        kind = "predicted"
        shown = rounded(ours.value, cell.decimals)
        notes.insert(0, f"not as printed: ours rounds to {shown}; {ours.miss}")
    if cell.evidence == "recalled":
        notes.append("the published figure is recalled, unverified")
    return Row(
        paper=paper,
        table=cell.table,
        cell=cell.label,
        published=cell.value,
        evidence=cell.evidence,
        model=ours.value,
        error_percent=_error_percent(ours, kind, cell.value),
        kind=kind,
        note="; ".join(note for note in notes if note),
    )


def has_printed_digits(value: float, cell: PublishedCell) -> bool:
    """Whether ``value``, rounded as the cell is printed, has the cell's digits."""
    return rounded(value, cell.decimals) == rounded(float(cell.value), cell.decimals)


def rounded(value: float, decimals: int) -> Decimal:
    """``value`` to so many digits after the point, a half away from zero as tables print it."""
    step = Decimal(1).scaleb(-decimals)
    return Decimal(value).quantize(step, ROUND_HALF_UP)


def _error_percent(ours: Ours, kind: Kind, published: Value) -> float | None:
    if kind == "exact":
        return 0.0
    if ours.value is None or ours.holds or not isinstance(published, int | float) or not published:
        return None
    return 100 * (ours.value / published - 1)
