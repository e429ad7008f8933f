"""What the README shows is what happens."""

import re
from collections import Counter
from pathlib import Path

import pytest

from qsim import cli
from qsim.formats import FORMATS
from qsim.network.table import read_network
from qsim.report import networks
from qsim.report.formats import page
from qsim.reproduce import PAPERS, reproduce
from qsim.reproduce.rows import KINDS
from qsim.requantize import REQUANTIZERS
from qsim.workload import load_workload
from qsim.zoo import find_network

README = (Path(__file__).parent.parent / "README.md").read_text()


def blocks(language):
    return re.findall(rf"^```{language}\n(.*?)^```$", README, re.DOTALL | re.MULTILINE)


def test_the_shown_output_is_the_output(capsys):
    [shown] = blocks("text")
    assert cli.main(["evaluate", "resnet18-msq-xc7z020"]) == 0
    printed = [line.rstrip() for line in capsys.readouterr().out.splitlines()]
    assert printed[: len(shown.splitlines())] == shown.splitlines()


def test_the_shown_documents_are_read(tmp_path):
    workload, network = blocks("yaml")
    (tmp_path / "workload.yaml").write_text(workload)
    (tmp_path / "network.yaml").write_text(network)
    assert load_workload(str(tmp_path / "workload.yaml")).network.name == "resnet18"
    assert read_network(tmp_path / "network.yaml").nodes["fc"].output_shape == (10,)


def test_the_shown_python_runs(capsys):
    sweep, integers, compiled = blocks("python")
    exec(sweep, {})
    assert capsys.readouterr().out.endswith("(64, 64)\n")
    exec(integers, {})
    assert "(5, 16, 8, 8)" in capsys.readouterr().out
    exec(compiled, {})
    assert capsys.readouterr().out.startswith("(5, 10) (5, 16, 8, 8) ")


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_is_named(name):
    assert f"`{name}`" in README


@pytest.mark.parametrize("name", REQUANTIZERS)
def test_every_requantization_is_described(name):
    assert re.search(rf"^\| `{name}` \|", README, re.MULTILINE)


def test_the_page_of_formats_is_that_of_the_registry():
    written = (Path(__file__).parent.parent / "docs" / "formats.md").read_text()
    assert written == page(), "write it again: python -m qsim.report.formats > docs/formats.md"


def test_the_page_of_networks_is_that_of_the_zoo():
    written = (Path(__file__).parent.parent / "docs" / "networks.md").read_text()
    assert written == networks.page(), "write it: python -m qsim.report.networks > docs/networks.md"


def test_the_shown_gmacs_of_networks_called_alike_are_theirs():
    shown = re.findall(r"^\| `([\w.-]+)` \| ([\d.]+) \|", README, re.MULTILINE)
    assert len(shown) >= 9
    for name, gmacs in shown:
        assert f"{find_network(name, where='network').macs / 1e9:.2f}" == gmacs


def test_the_shown_counts_of_reproduced_cells_are_theirs():
    for paper in PAPERS:
        found = Counter(row.kind for row in reproduce([paper]))
        counts = " | ".join(str(found[kind]) for kind in KINDS)
        assert f"| {paper} | {counts} |" in README


@pytest.mark.parametrize(
    "path", set(re.findall(r"`((?:qsim|hwmodels|workloads|tests)/[\w/.]+)`", README))
)
def test_every_file_that_is_named_exists(path):
    assert (Path(__file__).parent.parent / path).exists()
