"""Rows: when digits are the printed ones, and what stays visible where they are not."""

from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwmodels.published_tables import PublishedCell, Table, cells, decimals_of
from qsim.reproduce.rows import at_least, calibrated, exact, predicted, rounded, row


def cell(value, decimals=0, **changes):
    return PublishedCell("table", "cost", {"width": 2}, value, "verified", decimals, **changes)


@given(st.floats(-1e6, 1e6), st.integers(0, 4))
def test_rounding_is_to_the_nearest_a_half_away_from_zero(value, decimals):
    """Worked in exact fractions."""
    scaled = abs(Fraction(value)) * 10**decimals
    nearest = (2 * scaled.numerator + scaled.denominator) // (2 * scaled.denominator)
    sign = -1 if value < 0 else 1
    assert Fraction(rounded(value, decimals)) == Fraction(sign * nearest, 10**decimals)


@pytest.mark.parametrize(
    ("ours", "published", "decimals", "kind"),
    [
        (0.125, 0.13, 2, "exact"),  # a half up
        (0.1249, 0.13, 2, "predicted"),
        (3.9179, 3.9, 1, "exact"),
        (3.95, 3.9, 1, "predicted"),
        (0.9795, 1.0, 1, "exact"),
        (34.71, 34, 0, "predicted"),
    ],
)
def test_a_row_is_exact_only_where_the_printed_digits_are_equal(ours, published, decimals, kind):
    made = row("paper", cell(published, decimals), exact(ours, miss="cut off"))
    assert made.kind == kind
    if kind == "exact":
        assert (made.error_percent, made.note) == (0, "")
    else:
        assert made.error_percent == pytest.approx(100 * (ours / published - 1))
        assert made.note.startswith("not as printed: ours rounds to")
        assert made.note.endswith("cut off")


def test_a_row_says_what_it_is():
    made = row("paper", cell(2.0), predicted(3, "why"))
    assert (made.paper, made.table, made.cell) == ("paper", "table", "width 2: cost")
    assert (made.published, made.model, made.error_percent) == (2, 3, 50)
    assert (made.kind, made.note, made.evidence) == ("predicted", "why", "verified")
    assert row("paper", cell(2.0), calibrated(2, "fitted")).kind == "calibrated"


def test_recalled_figures_are_marked():
    recalled = PublishedCell("table", "cost", {"width": 2}, 1, "recalled")
    assert "recalled, unverified" in row("paper", recalled, predicted(1)).note


def test_a_bound_that_holds_has_no_error():
    assert row("paper", cell(3.0), at_least(4.5, 3)).error_percent is None
    missed = row("paper", cell(3.0), at_least(2.7, 3))
    assert missed.error_percent == pytest.approx(-10)
    assert "does not hold" in missed.note


def test_a_figure_that_is_not_known_is_none():
    made = row("paper", cell(3.0), predicted(float("nan"), "of a device"))
    assert (made.kind, made.model, made.error_percent) == ("not_reproducible", None, None)
    assert made.note == "rests on a figure that is not known; of a device"


def test_text_has_no_error():
    assert row("paper", cell("2 to 3"), predicted(2.5)).error_percent is None


@pytest.mark.parametrize(
    ("value", "decimals"),
    [(3.9, 1), (0.47, 2), (2.0, 0), (25, 0), ("1:2", 0), (None, 0), (1e-05, 5)],
)
def test_decimals_are_those_written(value, decimals):
    assert decimals_of(value) == decimals


TABLE = {
    "title": "t",
    "source": "s",
    "evidence": "verified",
    "columns": ("a", "b"),
    "values": ("b",),
}


def test_a_table_is_its_cells():
    table = Table(**TABLE, rows=((1.0, 2.5), ("x", None)), decimals={"b": 2})
    first, second = cells("name", table)
    assert (first.label, first.value, first.decimals) == ("a 1: b", 2.5, 2)
    assert (second.label, second.value) == ("x: b", None)
    assert rounded(first.value, first.decimals) == Decimal("2.50")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"rows": ((1.0,),)}, "row 0 has 1 entries, the table 2 columns"),
        ({"values": ("c",)}, "'c' is none of the table's columns"),
        ({"decimals": {"c": 1}}, "'c' is none of the table's columns"),
    ],
)
def test_a_table_of_other_columns_is_refused(change, words):
    with pytest.raises(ValueError, match=words):
        Table(**TABLE | {"rows": ()} | change)
