"""The notebooks run from top to bottom, and say what they say in their files."""

import ast
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient
from traitlets.config import Config

ROOT = Path(__file__).parent.parent
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
each = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
MOST_BYTES = 600_000
STRICT = "import warnings\nwarnings.simplefilter('error')"


def code_cells(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def said(cell):
    """The outputs of a cell: text as it is, of a picture that it is one."""
    for output in cell.outputs:
        if output.output_type == "stream":
            yield output.name, output.text
        else:
            data = output.get("data", {})
            yield ("picture", None) if "image/png" in data else ("text", data.get("text/plain"))


def run(notebook):
    """The code cells, executed from the repository's root with warnings as errors."""
    fresh = nbformat.v4.new_notebook(
        cells=[nbformat.v4.new_code_cell(STRICT), *code_cells(notebook)],
        metadata=notebook.metadata,
    )
    NotebookClient(
        fresh,
        timeout=60,
        kernel_name="python3",
        resources={"metadata": {"path": str(ROOT)}},
        config=Config({"KernelManager": {"transport": "ipc"}}),
    ).execute()
    return fresh.cells[1:]


def test_there_are_notebooks():
    assert [path.stem for path in NOTEBOOKS] == [
        "fixed_to_sp2_ratio",
        "where_memory_goes",
        "widen_or_deepen_bits",
    ]


@each
def test_outputs_are_those_that_are_stored(path):
    stored = code_cells(nbformat.read(path, as_version=4))
    for number, (cell, executed) in enumerate(
        zip(stored, run(nbformat.read(path, 4)), strict=True)
    ):
        assert list(said(executed)) == list(said(cell)), f"{path.name}, code cell {number + 1}"


@each
def test_what_is_stored_is_whole_and_small(path):
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    cells = code_cells(notebook)
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    kinds = [kind for cell in cells for kind, _ in said(cell)]
    assert kinds.count("picture") >= 2
    assert set(kinds) <= {"picture", "text", "stdout"}
    assert path.stat().st_size < MOST_BYTES


@each
def test_nothing_is_defined_that_belongs_in_the_library(path):
    for cell in code_cells(nbformat.read(path, as_version=4)):
        for node in ast.walk(ast.parse(cell.source)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                assert node.end_lineno - node.lineno <= 1, f"{path.name}: {node.name}"
