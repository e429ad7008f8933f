"""Functions that an ONNX model defines itself: whether they can be written out, and how long."""

from pathlib import Path
from typing import Any

from qsim.errors import QsimError

MOST_WRITTEN_OUT = 10**5  # nodes
DEEPEST = 100  # functions within functions


def check_functions(path: Path, model: Any) -> None:
    """Compare the functions of an onnx.ModelProto with what is read, before they are written out.

    Raises QsimError where a function is defined twice or calls itself, or where the graph would
    have more than ``MOST_WRITTEN_OUT`` nodes.
    """
    functions: dict[tuple[str, str], Any] = {}
    for function in model.functions:
        key = (function.domain, function.name)
        if key in functions:
            raise QsimError(f"{path}: function {function.name!r} is defined twice")
        functions[key] = function
    sizes: dict[tuple[str, str], int] = {}
    for key in functions:
        _measure(path, key, functions, sizes, ())
    written = sum(sizes.get((node.domain, node.op_type), 1) for node in model.graph.node)
    if written > MOST_WRITTEN_OUT:
        raise QsimError(
            f"{path}: has {written:,} nodes once its functions are written out; up to"
            f" {MOST_WRITTEN_OUT:,} are read"
        )


def _measure(path: Path, key: tuple[str, str], functions: dict, sizes: dict, above: tuple) -> int:
    """The nodes that a function is, those of the functions that it calls among them."""
    if key in above:
        raise QsimError(f"{path}: function {key[1]!r} calls itself")
    if len(above) >= DEEPEST:
        raise QsimError(f"{path}: has functions in one another, more than {DEEPEST} deep")
    if key not in sizes:
        called = [(node.domain, node.op_type) for node in functions[key].node]
        sizes[key] = sum(
            _measure(path, each, functions, sizes, (*above, key)) if each in functions else 1
            for each in called
        )
    return sizes[key]
