"""`qsim reproduce`: what it prints and writes."""

import csv
import io
import json

import pytest

from qsim import cli
from qsim.reproduce import reproduce

KEYS = ["paper", "table", "cell", "published", "evidence", "model", "error_percent", "kind", "note"]


@pytest.fixture
def printed(capsys):
    def run(*arguments):
        assert cli.main(["reproduce", *arguments]) == 0
        return capsys.readouterr().out

    return run


def test_json_is_a_list_of_rows_with_these_keys(printed):
    rows = json.loads(printed("dorefa", "--format", "json"))
    assert all(list(row) == KEYS for row in rows)
    assert len(rows) == len(reproduce(["dorefa"]))


def test_csv_has_the_same_rows(printed):
    rows = list(csv.DictReader(io.StringIO(printed("hawq", "--format", "csv"))))
    assert list(rows[0]) == KEYS
    assert [row["cell"] for row in rows] == [row.cell for row in reproduce(["hawq"])]


def test_tables_say_how_many_rows_are_of_which_kind(printed):
    out = printed("wrpn", "dorefa")
    assert "wrpn table_3: " in out
    assert "exact 25/25" in out
    assert "storage: exact 19/20; predicted 1/20, worst +100 %" in out
    assert out.index("DoReFa-Net") > out.index("WRPN")
    for row in reproduce(["wrpn"]):
        assert row.cell.split(":")[0].split()[0] in out


def test_an_unknown_paper_ends_in_status_2_with_one_sentence(capsys):
    assert cli.main(["reproduce", "wprn"]) == 2
    out, err = capsys.readouterr()
    assert (out, err) == ("", "qsim: unknown paper 'wprn'; did you mean 'wrpn'?\n")


def test_files_and_figures_are_written(printed, tmp_path):
    printed("dorefa", "hawq", "--out", str(tmp_path / "new"))
    rows = json.loads((tmp_path / "new" / "reproduce.json").read_text())
    assert len(rows) == len(reproduce(["dorefa", "hawq"]))
    names = {path.name for path in (tmp_path / "new").iterdir()}
    assert names == {
        "reproduce.json",
        "reproduce.csv",
        "dorefa-complexity.png",
        "hawq-size-and-bops.png",
    }


def test_a_folder_that_cannot_be_made_is_one_sentence(tmp_path, capsys):
    (tmp_path / "file").write_text("")
    assert cli.main(["reproduce", "dorefa", "--out", str(tmp_path / "file")]) == 2
    assert capsys.readouterr().err.startswith("qsim: --out ")
