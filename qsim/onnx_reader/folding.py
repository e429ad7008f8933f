"""Operators on constants, computed while a graph is read: what shapes and masks are made of.

Each takes a node and the arrays it reads (None where one is left out) and gives the array it makes.
What an operator would make is bounded before memory is taken for it.
"""

from collections.abc import Callable, Sequence
from functools import reduce
from math import prod

import numpy as np

from qsim.errors import QsimError
from qsim.onnx_reader.graph import OnnxNode

MOST_VALUES = 2**27  # of an array made of constants
MISFITS = (
    ValueError,
    IndexError,
    TypeError,
    KeyError,
    AttributeError,
    ArithmeticError,
    MemoryError,
)

FLOAT16 = 10
Arrays = Sequence[np.ndarray | None]
Fold = Callable[[OnnxNode, Arrays], np.ndarray]
DTYPES = {1: np.float32, 2: np.uint8, 3: np.int8, 4: np.uint16, 5: np.int16, 6: np.int32,
          7: np.int64, 9: np.bool_, FLOAT16: np.float32, 11: np.float32,
          12: np.uint32, 13: np.uint64}  # fmt: skip


def fold(node: OnnxNode, arrays: Arrays) -> np.ndarray | None:
    """What the node makes of constants; None where it is none of the operators that are folded.

    Raises QsimError naming the node where the constants do not fit it or it would make too much.
    """
    function = FOLDS.get(node.kind) if node.domain == "" else None
    if function is None or len(node.outputs) != 1:
        return None
    try:
        with np.errstate(all="ignore"):
            made = np.asarray(function(node, arrays))
    except MISFITS as error:
        raise QsimError(f"{node.label} cannot be computed from its constants: {error}") from None
    return made.astype(np.float32) if made.dtype == np.float64 else made


def standing_for(shape: Sequence[int]) -> np.ndarray:
    """An array of a shape, of one value in memory, for what reads nothing but its shape."""
    return np.lib.stride_tricks.as_strided(np.zeros(1), tuple(shape), (0,) * len(shape))


def whole(array: np.ndarray | None) -> tuple[int, ...]:
    """The integers of an array, in order. Raises ValueError on anything else."""
    if array is None or array.dtype.kind not in "iu":
        raise ValueError("integers are expected")
    return tuple(int(value) for value in array.reshape(-1))


def axes_of(node: OnnxNode, arrays: Arrays, place: int = 1) -> tuple[int, ...] | None:
    """The axes that a node names by an attribute or, from opset 13 on, by an input."""
    if "axes" in node.attributes:
        return tuple(node.attributes["axes"])
    given = arrays[place] if len(arrays) > place else None
    return None if given is None else whole(given)


def reshaped(shape: tuple[int, ...], wanted: tuple[int, ...], allow_zero: bool) -> tuple[int, ...]:
    """The shape that ONNX's Reshape makes: 0 keeps a side, -1 is what is left."""
    sides = [shape[i] if side == 0 and not allow_zero else side for i, side in enumerate(wanted)]
    if sides.count(-1) > 1 or any(side < -1 for side in sides):
        raise ValueError(f"no shape is {list(wanted)}")
    if -1 in sides:
        known = prod(side for side in sides if side != -1)
        if known == 0 or prod(shape) % known:
            raise ValueError(f"{list(shape)} cannot be shaped as {list(wanted)}")
        sides[sides.index(-1)] = prod(shape) // known
    if prod(sides) != prod(shape):
        raise ValueError(f"{list(shape)} cannot be shaped as {list(wanted)}")
    return tuple(sides)


def _bounded(shape: Sequence[int]) -> tuple[int, ...]:
    if any(side < 0 for side in shape) or prod(shape) > MOST_VALUES:
        raise ValueError(f"it would make an array of {list(shape)}")
    return tuple(shape)


def _broadcast(operation: Callable) -> Fold:
    def function(node: OnnxNode, arrays: Arrays) -> np.ndarray:
        _bounded(np.broadcast_shapes(*(array.shape for array in arrays)))
        return operation(*arrays)

    return function


def _of_many(operation: Callable) -> Fold:
    def function(node: OnnxNode, arrays: Arrays) -> np.ndarray:
        _bounded(np.broadcast_shapes(*(array.shape for array in arrays)))
        return reduce(operation, arrays)

    return function


def _divided(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    if x.dtype.kind not in "iu":
        return x / y
    if not y.all():
        raise ValueError("an integer is divided by 0")
    quotient = np.abs(x) // np.abs(y)  # toward 0, as in C
    return (np.sign(x) * np.sign(y) * quotient).astype(x.dtype)


def _power(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return np.power(x, y).astype(x.dtype)  # the type of the base, as ONNX has it


def _cast(node: OnnxNode, arrays: Arrays) -> np.ndarray:
    [x] = arrays
    kind = node.attributes["to"]
    if kind == FLOAT16:
        x = x.astype(np.float16)
    return x.astype(DTYPES[kind])


def _concat(node: OnnxNode, arrays: Arrays) -> np.ndarray:
    _bounded((sum(array.size for array in arrays),))
    return np.concatenate(arrays, axis=node.attributes["axis"])


def _constant(node: OnnxNode, arrays: Arrays) -> np.ndarray:
    given = {key: value for key, value in node.attributes.items() if key.startswith("value")}
    [(key, value)] = given.items()
    if key in ("value_string", "value_strings"):
        raise ValueError("it is text")
    if key.startswith("value_float"):
        return np.array(value, np.float32)
    return value if isinstance(value, np.ndarray) else np.array(value, np.int64)


def _constant_of_shape(node: OnnxNode, arrays: Arrays) -> np.ndarray:
    value = node.attributes.get("value", np.zeros(1, np.float32))
    return np.full(_bounded(whole(arrays[0])), np.asarray(value).reshape(())[()])


def _expand(node: OnnxNode, arrays: Arrays) -> np.ndarray:
    x, shape = arrays
    return np.broadcast_to(x, _bounded(np.broadcast_shapes(x.shape, whole(shape)))).copy()


def _gather(node: OnnxNode, arrays: Arrays) -> np.ndarray:
    x, index = arrays
    axis = node.attributes["axis"] % x.ndim
    _bounded((*x.shape[:axis], *index.shape, *x.shape[axis + 1 :]))
    return np.take(x, index, axis=axis)


def _range(node: OnnxNode, arrays: Arrays) -> np.ndarray:
    start, limit, delta = (array.reshape(())[()] for array in arrays)
    if delta == 0 or not np.isfinite(float(limit) - float(start)):
        raise ValueError("a range has a step that is not 0, and ends")
    _bounded((max(int(np.ceil((float(limit) - float(start)) / float(delta))), 0),))
    return np.arange(start, limit, delta)


def _reshape(node: OnnxNode, arrays: Arrays) -> np.ndarray:
    x, shape = arrays
    return x.reshape(reshaped(x.shape, whole(shape), bool(node.attributes.get("allowzero", 0))))


def _slice(node: OnnxNode, arrays: Arrays) -> np.ndarray:
    x, starts, ends, *rest = arrays
    axes = whole(rest[0]) if rest and rest[0] is not None else range(x.ndim)
    steps = whole(rest[1]) if len(rest) > 1 and rest[1] is not None else (1,) * x.ndim
    index = [slice(None)] * x.ndim
    for axis, start, end, step in zip(axes, whole(starts), whole(ends), steps, strict=False):
        stop = None if step < 0 and end < -x.shape[axis] else end
        index[axis] = slice(start, stop, step)
    return x[tuple(index)]


def _squeeze(node: OnnxNode, arrays: Arrays) -> np.ndarray:
    axes = axes_of(node, arrays)
    return np.squeeze(arrays[0], axes)


def _unsqueeze(node: OnnxNode, arrays: Arrays) -> np.ndarray:
    return np.expand_dims(arrays[0], axes_of(node, arrays))


def _tile(node: OnnxNode, arrays: Arrays) -> np.ndarray:
    x, repeats = arrays
    _bounded([side * times for side, times in zip(x.shape, whole(repeats), strict=True)])
    return np.tile(x, whole(repeats))


def _transpose(node: OnnxNode, arrays: Arrays) -> np.ndarray:
    return np.transpose(arrays[0], node.attributes.get("perm"))


FOLDS: dict[str, Fold] = {
    "Abs": _broadcast(np.abs),
    "Add": _broadcast(np.add),
    "And": _broadcast(np.logical_and),
    "Cast": _cast,
    "Ceil": _broadcast(np.ceil),
    "Concat": _concat,
    "Constant": _constant,
    "ConstantOfShape": _constant_of_shape,
    "Div": _broadcast(_divided),
    "Equal": _broadcast(np.equal),
    "Exp": _broadcast(np.exp),
    "Expand": _expand,
    "Floor": _broadcast(np.floor),
    "Gather": _gather,
    "Greater": _broadcast(np.greater),
    "Identity": lambda node, arrays: arrays[0],
    "Less": _broadcast(np.less),
    "Max": _of_many(np.maximum),
    "Min": _of_many(np.minimum),
    "Mul": _broadcast(np.multiply),
    "Neg": _broadcast(np.negative),
    "Not": _broadcast(np.logical_not),
    "Or": _broadcast(np.logical_or),
    "Pow": _broadcast(_power),
    "Range": _range,
    "Reciprocal": _broadcast(np.reciprocal),
    "Reshape": _reshape,
    "Shape": lambda node, arrays: np.array(arrays[0].shape, np.int64)[_part(node)],
    "Size": lambda node, arrays: np.array(arrays[0].size, np.int64),
    "Slice": _slice,
    "Sqrt": _broadcast(np.sqrt),
    "Squeeze": _squeeze,
    "Sub": _broadcast(np.subtract),
    "Tile": _tile,
    "Transpose": _transpose,
    "Unsqueeze": _unsqueeze,
    "Where": _broadcast(np.where),
}


def _part(node: OnnxNode) -> slice:
    """The part of a shape that a Shape node gives."""
    return slice(node.attributes.get("start", 0), node.attributes.get("end"))
