"""Imports point one way, and light commands stay light."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SOURCES = sorted((ROOT / "qsim").rglob("*.py")) + sorted((ROOT / "hwmodels").rglob("*.py"))

# What the modules of a package may import of ours; a package may always import itself.
ALLOWED = {
    "hwmodels": set(),
    "qsim.kernels": set(),
    "qsim.formats": {"hwmodels.documents", "qsim.errors", "qsim.spelling"},
    "qsim.network": {
        "hwmodels.documents",
        "qsim.errors",
        "qsim.arrays",
        "qsim.kernels.error_function",
        "qsim.kernels.float_product",
        "qsim.kernels.uniform_sum",
    },
    "qsim.calibrate": {
        "hwmodels.documents",
        "qsim.errors",
        "qsim.formats",
        "qsim.formats.base",
        "qsim.kernels.kl_divergence",
        "qsim.network.graph",
        "qsim.network.reference",
        "qsim.network.weights",
        "qsim.spelling",
    },
    "qsim.spelling": {"qsim.errors"},
    "qsim.train": set(),
    "qsim.zoo": {
        "hwmodels.documents",
        "qsim.errors",
        "qsim.network.graph",
        "qsim.network.layers",
        "qsim.network.moves",
        "qsim.network.pointwise",
        "qsim.network.pools",
        "qsim.network.recurrent",
        "qsim.network.table",
        "qsim.shipped",
        "qsim.spelling",
    },
}


def module_name(path):
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports(path):
    """Names of our modules that a file imports, at any depth of its code."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [node.module]
        else:
            continue
        yield from (name for name in names if name.split(".")[0] in ("qsim", "hwmodels"))


@pytest.mark.parametrize("path", SOURCES, ids=module_name)
def test_imports_point_one_way(path):
    name = module_name(path)
    for imported in imports(path):
        assert imported != "qsim.cli" or name == "qsim.__main__", "nothing imports the command line"
        for package, allowed in ALLOWED.items():
            if name == package or name.startswith(f"{package}."):
                inside = imported == package or imported.startswith(f"{package}.")
                assert inside or imported in allowed, f"{name} must not import {imported}"


@pytest.mark.parametrize(
    ("code", "absent"),
    [
        (
            "import qsim.cli; qsim.cli.make_parser()",
            ["numpy", "numba", "pandas", "matplotlib", "rich"],
        ),
        ("import qsim.catalogue", ["pandas", "matplotlib"]),
        ("import qsim.evaluate, qsim.report.tables", ["pandas", "matplotlib"]),
        ("import hwmodels.fpga.gemm", ["qsim", "numba", "pandas", "matplotlib"]),
        ("import hwmodels.memory.breakdown", ["qsim", "numba", "pandas", "matplotlib"]),
    ],
)
def test_heavy_packages_are_imported_only_where_they_are_used(code, absent):
    check = f"import sys; {code}; print([m for m in {absent!r} if m in sys.modules])"
    result = subprocess.run(
        [sys.executable, "-c", check], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == "[]"


@pytest.mark.parametrize("path", SOURCES, ids=module_name)
def test_every_module_says_what_it_is(path):
    assert ast.get_docstring(ast.parse(path.read_text()))


def test_the_check_shares_no_kernel_with_the_run():
    """Of what computes, only what says how wide a register is."""
    computes = (
        "qsim.kernels",
        "qsim.execute",
        "qsim.requantize",
        "qsim.onnx_runtime",
        "qsim.table_layers",
    )
    for path in (ROOT / "qsim" / "verify").glob("*.py"):
        shared = {name for name in imports(path) if name.startswith(computes)}
        assert shared <= {"qsim.kernels.accumulator"}, path


def test_an_evaluation_imports_no_more_than_it_needs():
    """Nor does numba, which would look for scipy."""
    code = (
        "import sys; sys.argv = ['qsim', 'evaluate', 'digits-msq', '--quiet', '--format', 'json']\n"
        "from qsim import cli\n"
        "try:\n    cli.run()\n"
        "except SystemExit as ended:\n    assert ended.code == 0\n"
        "heavy = [n for n in ('scipy', 'pandas', 'matplotlib', 'onnx') if sys.modules.get(n)]\n"
        "print(heavy, file=sys.stderr)"
    )
    result = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert result.stderr.strip() == "[]"


def test_no_kernel_needs_the_linear_algebra_that_numba_takes_from_scipy():
    for path in (ROOT / "qsim" / "kernels").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            assert not (isinstance(node, ast.BinOp) and isinstance(node.op, ast.MatMult)), path
            if isinstance(node, ast.Attribute) and ast.unparse(node.value) == "np":
                assert node.attr not in ("dot", "vdot", "linalg"), path
