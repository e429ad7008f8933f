"""What a graph is fed: the one tensor that becomes a network's input, and others held fixed."""

from dataclasses import dataclass
from math import prod

import numpy as np

from hwmodels.documents import nearest
from qsim.errors import QsimError
from qsim.network.layers import LARGEST_SIDE
from qsim.onnx_reader.graph import OnnxGraph
from qsim.onnx_reader.options import OnnxOptions

MOST_FED = 2**27


@dataclass(frozen=True)
class Fed:
    """The input and its shape, the images first; and the arrays that are held fixed, by name."""

    name: str
    shape: tuple[int, ...]
    constants: dict[str, np.ndarray]


def feeds(graph: OnnxGraph, options: OnnxOptions) -> Fed:
    """The input of a graph: the first that ``options`` do not hold fixed. Images of which the file
    leaves the number open are one.

    Raises QsimError naming the file and the remedy where there are several, or a side is open.
    """
    path = graph.path
    for name in options.constants.keys() - graph.inputs.keys():
        raise QsimError(f"{path}: constants: has no input {name!r}; {nearest(name, graph.inputs)}")
    free = [name for name in graph.inputs if name not in options.constants]
    if len(free) != 1:
        listed = ", ".join(repr(name) for name in free) or "none"
        fixed = ", ".join(f"{name}: 0" for name in free[1:])
        others = f"; fix the others, by --set 'constants={{{fixed}}}'" if free else ""
        raise QsimError(f"{path}: a network has one input, this has {listed}{others}")
    sides = graph.inputs[free[0]]
    if len(sides) < 2:
        raise QsimError(
            f"{path}: its input {free[0]!r} has {len(sides)} axes; the first is that of the images,"
            " others follow"
        )
    batch = sides[0]
    count = batch if isinstance(batch, int) else 1
    dims = options.dims | ({batch: 1} if isinstance(batch, str) else {})
    shape = (count, *(_side(graph, free[0], side, dims) for side in sides[1:]))
    constants = {
        name: _filled(graph, name, value, dims) for name, value in options.constants.items()
    }
    return Fed(free[0], shape, constants)


def wanted_output(graph: OnnxGraph, options: OnnxOptions) -> str:
    """The result that is read. Raises QsimError where several are and none is chosen."""
    if options.output is not None:
        if options.output not in graph.outputs:
            raise QsimError(
                f"{graph.path}: output: has no result {options.output!r};"
                f" {nearest(options.output, graph.outputs)}"
            )
        return options.output
    if len(graph.outputs) > 1:
        listed = ", ".join(repr(name) for name in graph.outputs)
        raise QsimError(
            f"{graph.path}: has the results {listed}; a network has one, choose it by --set"
            " output=NAME"
        )
    return graph.outputs[0]


def _side(graph: OnnxGraph, name: str, side: int | str | None, dims: dict[str, int]) -> int:
    known = dims.get(side) if isinstance(side, str) else side
    if known is None:
        called = f" {side!r}" if side else ""
        raise QsimError(
            f"{graph.path}: its input {name!r} leaves a side{called} open; say what it is by"
            f" --set 'dims={{{side or 'NAME'}: 128}}'"
        )
    if not 1 <= known <= LARGEST_SIDE:
        raise QsimError(f"{graph.path}: its input {name!r} has a side of {known}")
    return known


def _filled(graph: OnnxGraph, name: str, value: float, dims: dict[str, int]) -> np.ndarray:
    sides = graph.inputs[name]
    first = sides[0] if sides and isinstance(sides[0], int) else 1
    shape = (first, *(_side(graph, name, side, dims) for side in sides[1:])) if sides else ()
    if prod(shape) > MOST_FED:
        raise QsimError(f"{graph.path}: its input {name!r} has {prod(shape):,} values, too many")
    whole = float(value).is_integer()
    return np.full(shape, int(value) if whole else value, np.int64 if whole else np.float32)
