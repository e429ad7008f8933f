"""Which small changes of a number format or a kernel no test notices.

Run as ``python bench/mutation.py [MODULE ...] [--sample N] [--seed S] [--all] [--jobs J]``. A
MODULE is ``kernels/pool``, or a folder, ``formats``; by default it is every module of both. One
place of a module is changed at a time, in a copy of the tree in a temporary folder:

  + - * / // % ** >> << & | ^   becomes another of them; a sign - or ~ is dropped
  < <= > >= == !=               becomes the other side of its boundary, or the opposite
  and, or, not                  the other one; dropped
  n, True                       n + 1, and 1 also 0, 2 also 1; False
  min, max, rint, floor, ceil   another of them, as functions and as methods

Docstrings, annotations, decorators, raise statements, ``__all__`` and ``strict=`` are left alone.
Then the tests of the module run until one fails: tests/<folder>/test_<module>.py if there is one,
and if that does not fail everything in tests/<folder>; with compilation off, Hypothesis's profile
``few`` and a fixed seed, so that a run can be repeated. Tests that take five times as long as they
should have noticed, too.

Without ``--all``, ``--sample`` changes of each module are drawn with ``--seed``. Printed is a row
for each module and below it its survivors: one is a gap of the tests or computes the same thing.
"""

import argparse
import ast
import copy
import multiprocessing
import os
import queue
import random
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FOLDERS = ("formats", "kernels")
COPIED = ("qsim", "hwmodels", "tests", "workloads", "pyproject.toml")
PRELOADED = ["numpy", "numba", "hypothesis.extra.numpy", "msgspec", "pandas", "pytest", "rich"]
NOTICED_LATE, SLACK_S = 5, 5  # a limit is so many times the usual time, and so much more

OPERATORS = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Add, ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult, ast.Mod: ast.FloorDiv, ast.Pow: ast.Mult, ast.RShift: ast.LShift,
    ast.LShift: ast.RShift, ast.BitAnd: ast.BitOr, ast.BitOr: ast.BitAnd, ast.BitXor: ast.BitAnd,
}  # fmt: skip
COMPARISONS = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
}  # fmt: skip
NAMES = {
    "min": "max", "max": "min", "minimum": "maximum", "maximum": "minimum",
    "rint": "floor", "floor": "ceil", "ceil": "floor",
}  # fmt: skip
LEFT_ALONE = ("annotation", "returns", "decorator_list", "bases")  # fields of nodes


@dataclass(frozen=True)
class Mutant:
    """A module with one place changed."""

    module: str  # as kernels/pool
    place: str  # line and column
    change: str
    source: str


def main():
    arguments = _parser().parse_args()
    os.environ |= {"NUMBA_DISABLE_JIT": "1"}
    processes = multiprocessing.get_context("forkserver")
    processes.set_forkserver_preload(PRELOADED)
    chosen = {name: _chosen(name, arguments) for name in _modules(arguments.modules)}
    with tempfile.TemporaryDirectory() as parent:
        folders = queue.Queue()
        for job in range(arguments.jobs):
            folders.put(_copy(Path(parent) / str(job)))
        trial = Trial(processes, folders)
        for tests in sorted({t for name in chosen for t in _tests(name)}):
            trial.measure(tests)
        _print_results(trial, chosen, arguments.jobs)


def _print_results(trial: "Trial", chosen: dict[str, list[Mutant]], jobs: int):
    tried, lived = 0, 0
    with ThreadPoolExecutor(jobs) as pool:
        for name, mutants in chosen.items():
            survived = list(pool.map(trial.survives, mutants))
            _print_row(name, len(mutants), sum(survived))
            for mutant, survives in zip(mutants, survived, strict=True):
                if survives:
                    print(f"  qsim/{name}.py:{mutant.place}: {mutant.change}", flush=True)
            tried, lived = tried + len(mutants), lived + sum(survived)
    _print_row("all", tried, lived)


def _parser():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("modules", nargs="*", default=FOLDERS, metavar="MODULE")
    parser.add_argument("--sample", type=int, default=20, help="mutants of each module")
    parser.add_argument("--seed", type=int, default=0, help="of the sample")
    parser.add_argument("--all", action="store_true", help="every mutant")
    parser.add_argument("--jobs", type=int, default=1, help="mutants tried at a time")
    return parser


def _modules(asked) -> list[str]:
    names = []
    for name in asked:
        path = ROOT / "qsim" / name
        if not path.is_dir() and not path.with_suffix(".py").exists():
            raise SystemExit(f"no module is called {name}; one is formats/hwgq")
        files = sorted(path.glob("*.py")) if path.is_dir() else [path.with_suffix(".py")]
        names += [file.relative_to(ROOT / "qsim").with_suffix("").as_posix() for file in files]
    return names


def _chosen(name: str, arguments) -> list[Mutant]:
    every = list(mutants_of(name, (ROOT / "qsim" / f"{name}.py").read_text()))
    if arguments.all or len(every) <= arguments.sample:
        return every
    picked = random.Random(f"{arguments.seed} {name}").sample(range(len(every)), arguments.sample)
    return [every[index] for index in sorted(picked)]


def _tests(name: str) -> list[str]:
    """Where the tests of a module are: its own first, then everything beside them."""
    folder, _, module = name.rpartition("/")
    own = f"tests/{folder}/test_{module}.py"
    return [own, f"tests/{folder}"] if (ROOT / own).exists() else [f"tests/{folder}"]


def _print_row(name: str, mutants: int, survived: int):
    share = f"{1 - survived / mutants:7.0%}" if mutants else "      -"
    print(f"{name:28} {mutants:5} mutants {mutants - survived:5} noticed {share}", flush=True)


# the changes


def mutants_of(name: str, source: str) -> Iterator[Mutant]:
    """Every module that differs from ``source`` in one place."""
    tree = ast.parse(source)
    for node, replace in _computed(tree):
        for other in _others(node):
            replace(other)
            change = f"{ast.unparse(node)} -> {ast.unparse(other)}"
            place = f"{node.lineno}:{node.col_offset + 1}"
            yield Mutant(name, place, change, ast.unparse(tree))
            replace(node)


def _others(node: ast.AST) -> Iterator[ast.AST]:
    """What a node is changed to."""
    match node:
        case ast.BinOp(op=op) | ast.AugAssign(op=op):
            yield _with(node, op=OPERATORS[type(op)]())
        case ast.UnaryOp(operand=operand):
            yield operand
        case ast.BoolOp(op=op):
            yield _with(node, op=ast.Or() if isinstance(op, ast.And) else ast.And())
        case ast.Compare(ops=ops):
            for index, kind in enumerate(map(type, ops)):
                if kind in COMPARISONS:
                    yield _with(node, ops=[*ops[:index], COMPARISONS[kind](), *ops[index + 1 :]])
        case ast.Constant(value=bool() as value):
            yield _with(node, value=not value)
        case ast.Constant(value=int() | float() as value):
            others = (value + 1, value - 1) if value in (1, 2) else (value + 1,)
            yield from (_with(node, value=other) for other in others if other != value)
        case ast.Name(id=name) if name in NAMES:
            yield _with(node, id=NAMES[name])
        case ast.Attribute(attr=name) if name in NAMES:
            yield _with(node, attr=NAMES[name])


def _with(node: ast.AST, **fields) -> ast.AST:
    other = copy.copy(node)
    for name, value in fields.items():
        setattr(other, name, value)
    return other


def _computed(node: ast.AST) -> Iterator[tuple[ast.AST, Callable]]:
    """The nodes whose values a test could notice, each with what puts another in its place."""
    for field, value in ast.iter_fields(node):
        if field in LEFT_ALONE:
            continue
        children = enumerate(value) if isinstance(value, list) else [(None, value)]
        for index, child in list(children):
            if not isinstance(child, ast.AST) or _is_left_alone(child):
                continue
            yield child, partial(_put, node, field, index)
            yield from _computed(child)


def _put(parent: ast.AST, field: str, index: int | None, node: ast.AST):
    if index is None:
        setattr(parent, field, node)
    else:
        getattr(parent, field)[index] = node


def _is_left_alone(node: ast.AST) -> bool:
    match node:
        case ast.Raise() | ast.Import() | ast.ImportFrom() | ast.Expr(value=ast.Constant()):
            return True
        case ast.Assign(targets=[ast.Name(id="__all__")]) | ast.keyword(arg="strict"):
            return True
    return False


# the trials


class Trial:
    """Runs tests on mutants, each in a process of its own and a folder that no other uses."""

    def __init__(self, processes, folders: queue.Queue):
        self._processes, self._folders, self._limits_s = processes, folders, {}

    def measure(self, tests: str):
        """Take the usual time of ``tests``, which pass without a change."""
        folder, start = self._folders.get(), time.monotonic()
        if self._fails(folder, tests, limit_s=None):
            raise SystemExit(f"{tests} fails before anything is changed")
        self._limits_s[tests] = NOTICED_LATE * (time.monotonic() - start) + SLACK_S
        self._folders.put(folder)

    def survives(self, mutant: Mutant) -> bool:
        """Whether all tests of the mutant's module pass."""
        folder = self._folders.get()
        file = folder / "qsim" / f"{mutant.module}.py"
        right = file.read_text()
        file.write_text(mutant.source)
        tests = _tests(mutant.module)
        survived = not any(self._fails(folder, t, self._limits_s[t]) for t in tests)
        file.write_text(right)
        self._folders.put(folder)
        return survived

    def _fails(self, folder: Path, tests: str, limit_s: float | None) -> bool:
        process = self._processes.Process(target=_run_tests, args=(str(folder), tests))
        process.start()
        process.join(limit_s)
        late = process.is_alive()
        if late:
            process.kill()
            process.join()
        return late or process.exitcode != 0


def _run_tests(folder: str, tests: str):
    """Run in a fresh process, which ends with 0 if all pass. It reads no stored byte code: that of
    two mutants would have the same time and size."""
    sys.dont_write_bytecode = True
    os.chdir(folder)
    sys.path[:] = [folder] + [p for p in sys.path if Path(p).resolve() != ROOT]
    silence = os.open(os.devnull, os.O_WRONLY)
    os.dup2(silence, 1)
    os.dup2(silence, 2)
    import pytest

    import qsim

    if not qsim.__file__.startswith(folder):
        os._exit(3)
    options = ["-x", "-q", "-p", "no:cacheprovider", "-W", "ignore:Module already imported"]
    options += ["--hypothesis-profile=few", "--hypothesis-seed=0"]
    os._exit(pytest.main([*options, tests]))


def _copy(folder: Path) -> Path:
    """The tree, without what was compiled."""
    for name in COPIED:
        source = ROOT / name
        if source.is_dir():
            ignored = shutil.ignore_patterns("__pycache__")
            shutil.copytree(source, folder / name, ignore=ignored)
        else:
            shutil.copy(source, folder / name)
    return folder


if __name__ == "__main__":
    main()
